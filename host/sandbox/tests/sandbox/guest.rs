//! Guests written by hand in WebAssembly text: a well-behaved one that finds nothing, of which a test
//! replaces one function by something hostile.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use gridwatch_core::batch::BatchView;
use gridwatch_core::finding::Finding;
use gridwatch_core::judge::{Fault, GuestLog, Judge, Limits, LogLevel, Module};
use gridwatch_core::reading::Quantity;
use gridwatch_sandbox::{LoadedModule, Sandbox, SandboxSettings};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// In the guest's memory: 256 zero bytes, which read as `ok([])`.
pub const NOTHING: u32 = 1024;
/// Free for a test's own data.
pub const FREE: u32 = 2048;

const SIGNATURES: [(&str, &str); 11] = [
    ("describe", "(result i32)"),
    ("configure", "(param i32 i32 i32 i32) (result i32)"),
    ("set-sensors", "(param i32 i32 i32) (result i32)"),
    ("remove-sensors", "(param i32 i32)"),
    ("observe", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)"),
    ("advance", "(param i64) (result i32)"),
    ("trace", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)"),
    ("save", "(param i32 i32) (result i32)"),
    ("save-shared", "(result i32)"),
    ("begin-restore", "(param i32 i32 i32 i32 i32 i32 i32) (result i32)"),
    ("restore", "(param i32 i32 i32 i32 i32 i32) (result i32)"),
];

/// A guest under construction.
pub struct Wat {
    bodies: BTreeMap<String, String>,
    /// Further fields of the module.
    pub fields: String,
    pub memory: String,
    pub version: &'static str,
    pub parameters: String,
}

impl Wat {
    pub fn new() -> Wat {
        Wat {
            bodies: BTreeMap::new(),
            fields: String::new(),
            memory: "(memory (export \"memory\") 1)".to_owned(),
            version: "0.1.0",
            parameters: "{}".to_owned(),
        }
    }

    /// Replaces the body of an exported function (which is also `$name`).
    pub fn body(mut self, function: &str, body: &str) -> Wat {
        self.bodies.insert(function.to_owned(), body.to_owned());
        self
    }

    pub fn field(mut self, field: &str) -> Wat {
        self.fields.push_str(field);
        self
    }

    fn text(&self) -> String {
        let version = self.version;
        let mut text = format!(
            "(module\n(import \"gridwatch:detector/log@{version}\" \"write\" (func $log (param i32 i32 i32)))\n{}\n",
            self.memory
        );
        for (name, signature) in SIGNATURES {
            let usual = match name {
                "remove-sensors" => "(nop)".to_owned(),
                "describe" => "(i32.const 256)".to_owned(),
                "observe" => format!("(global.set $heap (i32.const 8192)) (i32.const {NOTHING})"),
                "configure" => "(i32.const 1280)".to_owned(),
                _ => format!("(i32.const {NOTHING})"),
            };
            let body = self.bodies.get(name).unwrap_or(&usual);
            text += &format!(
                "(func ${name} (export \"gridwatch:detector/detector@{version}#{name}\") {signature} {body})\n"
            );
        }
        text += &REALLOC.replace("(BODY)", self.bodies.get("cabi_realloc").map_or(BUMP, String::as_str));
        text += &data(256, &self.descriptor());
        text += &data(512, b"test0.1.0kinda kind");
        text += &data(640, self.parameters.as_bytes());
        // ok([0]): the first of the available quantities.
        text += &data(1280, &[0, 0, 0, 0, 0, 6, 0, 0, 1, 0, 0, 0]);
        text += &data(1536, &[0, 0, 0, 0]);
        text + &self.fields + ")"
    }

    /// name, version, state-version, kinds, parameters, metadata.
    fn descriptor(&self) -> Vec<u8> {
        let parameters = u32::try_from(self.parameters.len()).unwrap();
        let words = [512, 4, 516, 5, 1, 320, 1, 640, parameters, 0, 0];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
        bytes.resize(64, 0);
        // kinds[0]: name, description.
        bytes.extend([521_u32, 4, 525, 6].iter().flat_map(|word| word.to_le_bytes()));
        bytes
    }

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

pub fn data(at: u32, bytes: &[u8]) -> String {
    let escaped: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!("(data (i32.const {at}) \"{escaped}\")\n")
}

const REALLOC: &str = r#"
(global $heap (mut i32) (i32.const 8192))
(func $realloc (export "cabi_realloc") (param $old i32) (param $size i32) (param $align i32) (param $new i32) (result i32)
  (local $at i32)
  (BODY))
"#;

/// Gives out memory from 8192 on, growing as needed; `observe` starts again from there.
const BUMP: &str = r#"
  (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
  (global.set $heap (i32.add (local.get $at) (local.get $new)))
  (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536)))
    (then (drop (memory.grow (i32.add (i32.const 1) (i32.div_u (local.get $new) (i32.const 65536)))))))
  (local.get $at)
"#;

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
