//! A built-in detector behind the host's own seam, without WebAssembly: what its wasm self must equal.

use std::sync::Arc;

use gridwatch_core::Timestamp;
use gridwatch_core::batch::{BatchView, Sensor};
use gridwatch_core::finding::{Descriptor, Finding, Kind, Phase, Severity, Subject};
use gridwatch_core::judge::{Call, Fault, GuestLog, Judge, Limits, Module, Saved, States, Traces};
use gridwatch_core::reading::Quantity;
use gridwatch_sdk::contract;
use gridwatch_sdk::detector::Detector;
use gridwatch_sdk::runtime::{Runtime, descriptor};

/// The module: its digest says that it is none.
pub struct NativeModule<D> {
    descriptor: Descriptor,
    detector: std::marker::PhantomData<fn() -> D>,
}

impl<D: Detector> NativeModule<D> {
    pub fn new() -> Arc<Self> {
        let contract::Descriptor { name, version, state_version, kinds, parameters, metadata } =
            descriptor::<D>();
        let kinds = kinds.into_iter().map(|(name, description)| Kind { name, description }).collect();
        let descriptor = Descriptor { name, version, state_version, kinds, parameters, metadata };
        Arc::new(NativeModule { descriptor, detector: std::marker::PhantomData })
    }
}

impl<D: Detector + Send> Module for NativeModule<D>
where
    Runtime<D>: Send,
{
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn digest(&self) -> &str {
        "native"
    }
    fn instantiate(&self, _limits: Limits, _log: Arc<dyn GuestLog>) -> Result<Box<dyn Judge>, Fault> {
        Ok(Box::new(NativeJudge::<D> { runtime: None }))
    }
}

struct NativeJudge<D: Detector> {
    runtime: Option<Runtime<D>>,
}

impl<D: Detector> NativeJudge<D> {
    fn runtime(&mut self, call: Call) -> Result<&mut Runtime<D>, Fault> {
        self.runtime.as_mut().ok_or_else(|| Fault::Host { call, what: "configure was not called".into() })
    }
}

fn refused(call: Call) -> impl Fn(String) -> Fault {
    move |message| Fault::Refused { call, message }
}

impl<D: Detector> Judge for NativeJudge<D>
where
    Runtime<D>: Send,
{
    fn configure(&mut self, parameters: &str, available: &[Quantity]) -> Result<Vec<u32>, Fault> {
        let available: Vec<_> = available
            .iter()
            .map(|q| contract::Quantity { name: q.name.clone(), unit: q.unit.clone() })
            .collect();
        let runtime = Runtime::configure(parameters, &available).map_err(refused(Call::Configure))?;
        let chosen = runtime.chosen().to_vec();
        self.runtime = Some(runtime);
        Ok(chosen)
    }
    fn set_sensors(&mut self, first: u32, sensors: &[Sensor]) -> Result<(), Fault> {
        let sensors: Vec<_> = sensors
            .iter()
            .map(|s| contract::SensorInfo { id: s.id.clone(), attributes: s.attributes.clone() })
            .collect();
        self.runtime(Call::SetSensors)?.set_sensors(first, &sensors).map_err(refused(Call::SetSensors))
    }
    fn remove_sensors(&mut self, sensors: &[u32]) -> Result<(), Fault> {
        self.runtime(Call::RemoveSensors)?.remove_sensors(sensors);
        Ok(())
    }
    fn observe(&mut self, batch: BatchView<'_>) -> Result<Vec<Finding>, Fault> {
        let found = self.runtime(Call::Observe)?.observe(columns(batch)).map_err(refused(Call::Observe))?;
        Ok(found.into_iter().map(finding).collect())
    }
    fn advance(&mut self, watermark: Timestamp) -> Result<Vec<Finding>, Fault> {
        let found = self.runtime(Call::Advance)?.advance(watermark).map_err(refused(Call::Advance))?;
        Ok(found.into_iter().map(finding).collect())
    }
    fn trace(&mut self, batch: BatchView<'_>) -> Result<Traces, Fault> {
        let traces = self.runtime(Call::Trace)?.trace(columns(batch)).map_err(refused(Call::Trace))?;
        Ok(Traces { quantities: traces.quantities, rows: traces.rows })
    }
    fn save(&mut self, sensors: &[u32]) -> Result<States, Fault> {
        let states = self.runtime(Call::Save)?.save(sensors).map_err(refused(Call::Save))?;
        Ok(States { ends: states.ends, bytes: states.bytes })
    }
    fn save_shared(&mut self) -> Result<Vec<u8>, Fault> {
        self.runtime(Call::SaveShared)?.save_shared().map_err(refused(Call::SaveShared))
    }
    fn begin_restore(&mut self, saved: &Saved) -> Result<(), Fault> {
        let saved = contract::Saved {
            state_version: saved.state_version,
            quantities: saved.quantities.clone(),
            parameters: saved.parameters.clone(),
            shared: saved.shared.clone(),
        };
        self.runtime(Call::BeginRestore)?.begin_restore(&saved).map_err(refused(Call::BeginRestore))
    }
    fn restore(&mut self, sensors: &[u32], states: &States) -> Result<(), Fault> {
        let states = contract::States { ends: states.ends.clone(), bytes: states.bytes.clone() };
        self.runtime(Call::Restore)?.restore(sensors, &states).map_err(refused(Call::Restore))
    }
    fn memory_bytes(&self) -> usize {
        0
    }
}

fn columns(batch: BatchView<'_>) -> contract::Columns<'_> {
    contract::Columns {
        sensors: batch.sensors,
        timestamps: batch.timestamps,
        values: batch.values,
        marks: batch.marks,
        malformed: batch.malformed,
    }
}

fn finding(found: contract::Finding) -> Finding {
    Finding {
        row: found.row,
        subject: match found.subject {
            contract::Subject::Reading => Subject::Reading,
            contract::Subject::Sensor(sensor) => Subject::Sensor(sensor),
            contract::Subject::Group(name) => Subject::Group(name),
        },
        timestamp: found.timestamp,
        quantity: found.quantity,
        kind: found.kind,
        phase: match found.phase {
            contract::Phase::Raised => Phase::Raised,
            contract::Phase::Updated => Phase::Updated,
            contract::Phase::Cleared => Phase::Cleared,
            contract::Phase::Single => Phase::Single,
        },
        severity: match found.severity {
            contract::Severity::Info => Severity::Info,
            contract::Severity::Warning => Severity::Warning,
            contract::Severity::Critical => Severity::Critical,
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
