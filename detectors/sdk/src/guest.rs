//! The glue to WebAssembly: the contract's exports around one `Runtime`.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::thread::LocalKey;

use crate::contract;
use crate::detector::Detector;
use crate::runtime::{self, Runtime};

/// Generated from the contract.
#[allow(unsafe_code, reason = "wit-bindgen reads and writes the linear memory as the canonical ABI says")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "detector-module",
        pub_export_macro: true,
        export_macro_name: "export_world",
        default_bindings_module: "gridwatch_sdk::guest::bindings",
    });
}

use bindings::exports::gridwatch::detector::detector as wit;
use bindings::gridwatch::detector::types;

/// The one instance of a module. `export!` implements it.
pub trait Exported: Detector {
    fn slot() -> &'static LocalKey<RefCell<Option<Runtime<Self>>>>;
}

/// What is exported.
pub struct Component<D>(PhantomData<D>);

#[doc(hidden)]
#[macro_export]
macro_rules! guest_exports {
    ($detector:ty) => {
        ::std::thread_local! {
            static SLOT: ::std::cell::RefCell<Option<$crate::runtime::Runtime<$detector>>> =
                const { ::std::cell::RefCell::new(None) };
        }

        impl $crate::guest::Exported for $detector {
            fn slot()
            -> &'static ::std::thread::LocalKey<::std::cell::RefCell<Option<$crate::runtime::Runtime<Self>>>>
            {
                &SLOT
            }
        }

        type Exports = $crate::guest::Component<$detector>;

        #[allow(unsafe_code, reason = "exported functions, generated from the contract")]
        const _: () = {
    $crate::guest::bindings::export_world!(Exports with_types_in $crate::guest::bindings);
        };
    };
}

/// A panic's message and line go to the log before the trap.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| crate::log::error(panic.to_string())));
}

fn with<D: Exported, T>(call: impl FnOnce(&mut Runtime<D>) -> Result<T, String>) -> Result<T, String> {
    D::slot().with_borrow_mut(|slot| match slot {
        Some(runtime) => call(runtime),
        None => Err("configure comes first".to_owned()),
    })
}

impl<D: Exported> wit::Guest for Component<D> {
    fn describe() -> types::Descriptor {
        report_panics();
        let told = runtime::descriptor::<D>();
        types::Descriptor {
            name: told.name,
            version: told.version,
            state_version: told.state_version,
            kinds: told
                .kinds
                .into_iter()
                .map(|(name, description)| types::Kind { name, description })
                .collect(),
            parameters: told.parameters,
            metadata: told.metadata,
        }
    }

    fn configure(parameters: String, available: Vec<types::Quantity>) -> Result<Vec<u32>, String> {
        report_panics();
        let available: Vec<contract::Quantity> = available
            .into_iter()
            .map(|quantity| contract::Quantity { name: quantity.name, unit: quantity.unit })
            .collect();
        let runtime = Runtime::configure(&parameters, &available)?;
        let chosen = runtime.chosen().to_vec();
        D::slot().set(Some(runtime));
        Ok(chosen)
    }

    fn set_sensors(first: u32, sensors: Vec<types::Sensor>) -> Result<(), String> {
        let sensors: Vec<contract::SensorInfo> = sensors
            .into_iter()
            .map(|sensor| contract::SensorInfo { id: sensor.id, attributes: sensor.attributes })
            .collect();
        with::<D, _>(|runtime| runtime.set_sensors(first, &sensors))
    }

    fn remove_sensors(sensors: Vec<u32>) {
        D::slot().with_borrow_mut(|slot| {
            if let Some(runtime) = slot {
                runtime.remove_sensors(&sensors);
            }
        });
    }

    fn observe(batch: types::Batch) -> Result<Vec<types::Finding>, String> {
        with::<D, _>(|runtime| runtime.observe(columns(&batch))).map(findings)
    }

    fn advance(watermark: i64) -> Result<Vec<types::Finding>, String> {
        with::<D, _>(|runtime| runtime.advance(watermark)).map(findings)
    }

    fn trace(batch: types::Batch) -> Result<types::Traces, String> {
        let traces = with::<D, _>(|runtime| runtime.trace(columns(&batch)))?;
        Ok(types::Traces { quantities: traces.quantities, rows: traces.rows })
    }

    fn save(sensors: Vec<u32>) -> Result<types::States, String> {
        let states = with::<D, _>(|runtime| runtime.save(&sensors))?;
        Ok(types::States { ends: states.ends, bytes: states.bytes })
    }

    fn save_shared() -> Result<Vec<u8>, String> {
        with::<D, _>(|runtime| runtime.save_shared())
    }

    fn begin_restore(saved: types::Saved) -> Result<(), String> {
        let saved = contract::Saved {
            state_version: saved.state_version,
            quantities: saved.quantities,
            parameters: saved.parameters,
            shared: saved.shared,
        };
        with::<D, _>(|runtime| runtime.begin_restore(&saved))
    }

    fn restore(sensors: Vec<u32>, states: types::States) -> Result<(), String> {
        let states = contract::States { ends: states.ends, bytes: states.bytes };
        with::<D, _>(|runtime| runtime.restore(&sensors, &states))
    }
}

fn columns(batch: &types::Batch) -> contract::Columns<'_> {
    contract::Columns {
        sensors: &batch.sensors,
        timestamps: &batch.timestamps,
        values: &batch.values,
        marks: &batch.marks,
        malformed: &batch.malformed,
    }
}

fn findings(found: Vec<contract::Finding>) -> Vec<types::Finding> {
    found.into_iter().map(finding).collect()
}

fn finding(found: contract::Finding) -> types::Finding {
    types::Finding {
        row: found.row,
        subject: match found.subject {
            contract::Subject::Reading => types::Subject::Reading,
            contract::Subject::Sensor(number) => types::Subject::Sensor(number),
            contract::Subject::Group(name) => types::Subject::Group(name),
        },
        timestamp: found.timestamp,
        quantity: found.quantity,
        kind: found.kind,
        phase: match found.phase {
            contract::Phase::Raised => types::Phase::Raised,
            contract::Phase::Updated => types::Phase::Updated,
            contract::Phase::Cleared => types::Phase::Cleared,
            contract::Phase::Single => types::Phase::Single,
        },
        severity: match found.severity {
            contract::Severity::Info => types::Severity::Info,
            contract::Severity::Warning => types::Severity::Warning,
            contract::Severity::Critical => types::Severity::Critical,
        },
        score: found.score,
        since: found.since,
        observed: found.observed,
        expected: found.expected,
        lower: found.lower,
        upper: found.upper,
        explanation: found.explanation,
        details: found.details,
    }
}
