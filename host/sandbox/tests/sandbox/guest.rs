//! Guests under test: hand-written ones as modules and components, and what a test hears of them.

use std::sync::{Arc, Mutex};

use gridwatch_core::batch::BatchView;
use gridwatch_core::finding::Finding;
use gridwatch_core::judge::{Fault, GuestLog, Judge, Limits, LogLevel, Module};
use gridwatch_core::reading::Quantity;
use gridwatch_sandbox::{LoadedModule, Sandbox, SandboxSettings};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

pub use crate::wat_guest::{FREE, Wat, data};

impl Wat {
    /// A core module with its world in a custom section, as `cargo build` leaves it.
    pub fn core(&self) -> Vec<u8> {
        let mut bytes = wat::parse_str(self.text()).unwrap();
        let wit =
            include_str!("../../../../wit/detector.wit").replace("@0.1.0", &format!("@{}", self.version));
        let mut resolve = Resolve::default();
        let package = resolve.push_str("detector.wit", &wit).unwrap();
        let world = resolve.select_world(&[package], None).unwrap();
        embed_component_metadata(&mut bytes, &resolve, world, StringEncoding::UTF8).unwrap();
        bytes
    }

    pub fn component(&self) -> Vec<u8> {
        let mut encoder = ComponentEncoder::default().module(&self.core()).unwrap();
        encoder.encode().unwrap()
    }
}

/// What a guest logged.
#[derive(Default)]
pub struct Heard {
    pub lines: Mutex<Vec<(LogLevel, String)>>,
    pub dropped: Mutex<u64>,
}

impl GuestLog for Heard {
    fn line(&self, level: LogLevel, message: &str) {
        self.lines.lock().unwrap().push((level, message.to_owned()));
    }

    fn dropped(&self, lines: u64) {
        *self.dropped.lock().unwrap() += lines;
    }
}

pub fn sandbox() -> Sandbox {
    Sandbox::new(SandboxSettings::default()).unwrap()
}

pub fn load(wat: &Wat) -> LoadedModule {
    sandbox().load(&wat.core()).unwrap()
}

/// Limits small enough that a test runs into them at once.
pub fn limits() -> Limits {
    Limits {
        memory_bytes_max: 4 << 20,
        call_deadline_ms: 30,
        findings_per_call_max: 4,
        output_bytes_per_call_max: 1 << 16,
        log_lines_per_second_max: 5,
    }
}

/// An instance that has been configured with one quantity and told of three sensors.
pub fn alive(wat: &Wat) -> Box<dyn Judge> {
    let mut judge = load(wat).instantiate(limits(), Arc::new(Heard::default())).unwrap();
    let available = [Quantity { name: "voltage".to_owned(), unit: Some("V".to_owned()) }];
    assert_eq!(judge.configure("{}", &available).unwrap(), [0]);
    let sensor = |id: &str| gridwatch_core::batch::Sensor {
        id: id.to_owned(),
        attributes: vec![("location".to_owned(), "feeder-07".to_owned())],
    };
    judge.set_sensors(0, &[sensor("a"), sensor("b"), sensor("c")]).unwrap();
    judge
}

/// Two rows.
pub fn observe(judge: &mut dyn Judge) -> Result<Vec<Finding>, Fault> {
    judge.observe(BatchView {
        sensors: &[0, 1],
        timestamps: &[1000, 2000],
        values: &[230.0, f64::NAN],
        marks: &[],
        malformed: &[],
    })
}
