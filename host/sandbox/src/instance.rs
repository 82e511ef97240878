//! A module alive in one lane: its own wasmtime store, owned by one thread at a time.

use std::sync::Arc;

use gridwatch_core::Timestamp;
use gridwatch_core::batch::{BatchView, Sensor};
use gridwatch_core::finding::{Bounds, Descriptor, Finding};
use gridwatch_core::judge::{Call, Fault, GuestLog, Judge, Limits, Saved, States, Traces};
use gridwatch_core::reading::Quantity;
use wasmtime::Store;

use crate::check::{self, Announced};
use crate::contract::exports::gridwatch::detector::detector::Guest;
use crate::contract::gridwatch::detector::types as wit;
use crate::contract::{DetectorModule, DetectorModulePre};
use crate::faults;
use crate::guard::Guard;
use crate::guestlog::{LogGate, printable};
use crate::lines::Lines;
use crate::wasi::World;

/// What lies beside the guest in its store.
pub struct Inside {
    pub guard: Guard,
    pub log: LogGate,
    pub world: World,
}

pub struct Instance {
    store: Store<Inside>,
    guest: DetectorModule,
    limits: Limits,
    kinds: usize,
    /// Quantities that `configure` chose.
    quantities: usize,
    announced: Announced,
    /// Where faults are to be told by line.
    lines: Option<Lines>,
    /// The fault that ended it. A trap leaves a guest's memory in the middle of something, so nothing
    /// is asked of it any more.
    dead: Option<String>,
}

impl Instance {
    /// `digest` is the module's; random numbers are made of it, where the guest asks for some.
    pub fn new(
        pre: &DetectorModulePre<Inside>,
        digest: &str,
        limits: Limits,
        log: Arc<dyn GuestLog>,
        lines: Option<Lines>,
    ) -> Result<Instance, Fault> {
        let inside =
            Inside { guard: Guard::new(&limits), log: LogGate::new(log, &limits), world: World::new(digest) };
        let mut store = Store::new(pre.engine(), inside);
        store.limiter(|inside| &mut inside.guard);
        store.set_hostcall_fuel(limits.output_bytes_per_call_max);
        // Only where it is counted; what ends a call is always its time.
        let _ = store.set_fuel(u64::MAX);
        store.epoch_deadline_callback(|mut store| Ok(store.data_mut().guard.on_tick()));
        store.set_epoch_deadline(1);
        let guest = pre.instantiate(&mut store).map_err(|e| {
            faults::name_failure(Call::Instantiate, &e, &store.data().guard, &limits, lines.as_ref())
        })?;
        Ok(Instance {
            store,
            guest,
            limits,
            kinds: 0,
            quantities: 0,
            announced: Announced::default(),
            lines,
            dead: None,
        })
    }

    /// Findings are held against its kinds.
    pub fn described_as(mut self, descriptor: &Descriptor) -> Instance {
        self.kinds = descriptor.kinds.len();
        self
    }

    pub fn describe(&mut self) -> Result<wit::Descriptor, Fault> {
        self.call(Call::Describe, |guest, store| guest.call_describe(store))
    }

    /// One call into the guest, under its limits. Every failure but the guest's own word is final.
    fn call<T>(
        &mut self,
        call: Call,
        run: impl FnOnce(&Guest, &mut Store<Inside>) -> wasmtime::Result<T>,
    ) -> Result<T, Fault> {
        if let Some(why) = &self.dead {
            return Err(Fault::Host { call, what: format!("the instance is dead since {why}") });
        }
        self.store.data_mut().guard.begin_call();
        self.store.set_epoch_deadline(1);
        let result = run(self.guest.gridwatch_detector_detector(), &mut self.store);
        let inside = self.store.data_mut();
        inside.world.settle(&mut inside.log);
        inside.log.settle();
        match result {
            Ok(value) => Ok(value),
            Err(e) => {
                let fault = faults::name_failure(call, &e, &inside.guard, &self.limits, self.lines.as_ref());
                Err(self.die(fault))
            }
        }
    }

    fn die(&mut self, fault: Fault) -> Fault {
        self.dead = Some(fault.to_string());
        fault
    }

    /// A guest's `result<_, string>`: after its refusal of these three it may be asked again.
    fn word<T>(&mut self, call: Call, said: Result<T, String>) -> Result<T, Fault> {
        said.map_err(|message| {
            let fault = Fault::Refused { call, message: printable(&message) };
            match call {
                Call::Configure | Call::SetSensors | Call::Restore => fault,
                _ => self.die(fault),
            }
        })
    }

    fn held<T>(&mut self, call: Call, checked: Result<T, String>) -> Result<T, Fault> {
        checked.map_err(|what| self.die(Fault::Contract { call, what }))
    }

    fn findings(
        &mut self,
        call: Call,
        found: Vec<wit::Finding>,
        rows: Option<usize>,
    ) -> Result<Vec<Finding>, Fault> {
        let max = self.limits.findings_per_call_max;
        if found.len() > max {
            let what = format!("{} findings, {max} are allowed", found.len());
            return Err(self.die(Fault::Output { call, what }));
        }
        let bounds = Bounds {
            rows: rows.map(count),
            // Which numbers are in use is known more exactly.
            sensors: u32::MAX,
            quantities: count(self.quantities),
            kinds: count(self.kinds),
        };
        let checked = check::findings(found, &bounds, &self.announced);
        self.held(call, checked)
    }

    /// The columns as they are lowered, if their lengths fit together: a guest that stumbles over the
    /// host's mistake must not be blamed for it.
    fn columns<'a>(&mut self, call: Call, batch: BatchView<'a>) -> Result<wit::Batch<'a>, Fault> {
        let rows = batch.sensors.len();
        let fits = batch.timestamps.len() == rows
            && batch.values.len() == rows * self.quantities
            && (batch.marks.is_empty() || batch.marks.len() == rows);
        if !fits {
            let what = format!(
                "the host's columns do not fit together ({rows} rows, {} quantities)",
                self.quantities
            );
            return Err(self.die(Fault::Host { call, what }));
        }
        let BatchView { sensors, timestamps, values, marks, malformed } = batch;
        Ok(wit::Batch { sensors, timestamps, values, marks, malformed })
    }
}

impl Judge for Instance {
    fn configure(&mut self, parameters: &str, available: &[Quantity]) -> Result<Vec<u32>, Fault> {
        let offered: Vec<wit::Quantity<'_>> =
            available.iter().map(|q| wit::Quantity { name: &q.name, unit: q.unit.as_deref() }).collect();
        let said =
            self.call(Call::Configure, |guest, store| guest.call_configure(store, parameters, &offered))?;
        let chosen = self.word(Call::Configure, said)?;
        let chosen = self.held(Call::Configure, check::chosen(chosen, available.len()))?;
        self.quantities = chosen.len();
        Ok(chosen)
    }

    fn set_sensors(&mut self, first: u32, sensors: &[Sensor]) -> Result<(), Fault> {
        let mut pairs = Vec::with_capacity(sensors.iter().map(|s| s.attributes.len()).sum());
        pairs.extend(
            sensors.iter().flat_map(|s| &s.attributes).map(|(name, value)| (name.as_str(), value.as_str())),
        );
        let mut rest = pairs.as_slice();
        let told: Vec<wit::Sensor<'_>> = sensors
            .iter()
            .map(|sensor| {
                let (attributes, after) = rest.split_at(sensor.attributes.len());
                rest = after;
                wit::Sensor { id: &sensor.id, attributes }
            })
            .collect();
        let said = self.call(Call::SetSensors, |guest, store| guest.call_set_sensors(store, first, &told))?;
        self.word(Call::SetSensors, said)?;
        self.announced.set(first, sensors.len());
        Ok(())
    }

    fn remove_sensors(&mut self, sensors: &[u32]) -> Result<(), Fault> {
        self.call(Call::RemoveSensors, |guest, store| guest.call_remove_sensors(store, sensors))?;
        sensors.iter().for_each(|sensor| self.announced.clear(*sensor));
        Ok(())
    }

    fn observe(&mut self, batch: BatchView<'_>) -> Result<Vec<Finding>, Fault> {
        let columns = self.columns(Call::Observe, batch)?;
        let said = self.call(Call::Observe, |guest, store| guest.call_observe(store, columns))?;
        let found = self.word(Call::Observe, said)?;
        self.findings(Call::Observe, found, Some(batch.sensors.len()))
    }

    fn advance(&mut self, watermark: Timestamp) -> Result<Vec<Finding>, Fault> {
        self.set_time(watermark);
        let said = self.call(Call::Advance, |guest, store| guest.call_advance(store, watermark))?;
        let found = self.word(Call::Advance, said)?;
        self.findings(Call::Advance, found, None)
    }

    fn trace(&mut self, batch: BatchView<'_>) -> Result<Traces, Fault> {
        let columns = self.columns(Call::Trace, batch)?;
        let said = self.call(Call::Trace, |guest, store| guest.call_trace(store, columns))?;
        let traces = self.word(Call::Trace, said)?;
        let checked = check::traces(traces, batch.sensors.len(), self.quantities);
        self.held(Call::Trace, checked)
    }

    fn save(&mut self, sensors: &[u32]) -> Result<States, Fault> {
        let said = self.call(Call::Save, |guest, store| guest.call_save(store, sensors))?;
        let states = self.word(Call::Save, said)?;
        self.held(Call::Save, check::states(states, sensors.len()))
    }

    fn save_shared(&mut self) -> Result<Vec<u8>, Fault> {
        let said = self.call(Call::SaveShared, |guest, store| guest.call_save_shared(store))?;
        self.word(Call::SaveShared, said)
    }

    fn begin_restore(&mut self, saved: &Saved) -> Result<(), Fault> {
        let quantities: Vec<&str> = saved.quantities.iter().map(String::as_str).collect();
        let saved = wit::Saved {
            state_version: saved.state_version,
            quantities: &quantities,
            parameters: &saved.parameters,
            shared: &saved.shared,
        };
        let said = self.call(Call::BeginRestore, |guest, store| guest.call_begin_restore(store, saved))?;
        self.word(Call::BeginRestore, said)
    }

    fn restore(&mut self, sensors: &[u32], states: &States) -> Result<(), Fault> {
        let states = wit::StatesParam { ends: &states.ends, bytes: &states.bytes };
        let said = self.call(Call::Restore, |guest, store| guest.call_restore(store, sensors, states))?;
        self.word(Call::Restore, said)
    }

    fn set_time(&mut self, watermark: Timestamp) {
        self.store.data_mut().world.set_time(watermark);
    }

    fn fuel_used(&mut self) -> Option<u64> {
        self.store.get_fuel().ok().map(|left| u64::MAX - left)
    }

    fn memory_bytes(&self) -> usize {
        self.store.data().guard.memory_bytes()
    }
}

/// Lengths of lists that crossed the border fit in 32 bits.
fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
