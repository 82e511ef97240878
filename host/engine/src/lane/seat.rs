//! A detector's place in a lane: its instance, what it chose and knows, its open episodes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use gridwatch_core::anomaly::{EpisodeKey, PublicSubject};
use gridwatch_core::batch::BatchView;
use gridwatch_core::checkpoint::{DetectorState, OpenEpisode, Place, Role};
use gridwatch_core::durations::Durations;
use gridwatch_core::finding::{Finding, Phase, Subject};
use gridwatch_core::judge::{Call, Fault, Judge, Saved};
use gridwatch_core::reading::Quantity;
use gridwatch_core::sensors::SensorTable;
use gridwatch_core::shared::Shared;
use gridwatch_core::{Timestamp, finding};

use super::builder::{Builder, Gathered};
use super::comparison::Comparison;
use super::episodes::{Episodes, Open};
use crate::deployment::{Deployment, OnNewState};
use crate::stopwatch::timed;

/// Sensors a call of `set-sensors`, `save` and `restore`: bounds what one call copies.
const SENSORS_PER_CALL: u32 = 4096;

/// What saving is taken to cost before it was seen.
const SAVE_NS_PER_SENSOR: u64 = 300;

/// Open episodes that a detector may have in a lane: so many, or so many a sensor.
const EPISODES_MIN: usize = 10_000;
const EPISODES_PER_SENSOR_MAX: usize = 32;

/// Where what is known is neither kept nor to be found out.
const NOTHING_KEPT: &str = "the one before it is quarantined, and what it knew is not kept and cannot be found out of \
    the lane's past now (the log says why). Bring it again once the store and the source are there, or set \
    on_new_state = \"cold\" in its NAME.toml to begin with nothing";

pub struct Seat {
    pub deployment: Arc<Deployment>,
    pub fingerprint: String,
    pub life: Life,
    /// Indices into the lane's quantities.
    pub chosen: Vec<u32>,
    /// The instance knows sensors 0..announced.
    announced: u32,
    pub episodes: Episodes,
    /// Open episodes of the one before, whose state was not taken over.
    pub orphans: Open,
    pub usage: Usage,
    /// `Fault::label` -> how often.
    pub faults: BTreeMap<&'static str, u64>,
    /// Of the last one.
    save_ns_per_sensor: u64,
    pub(super) gathered: Gathered,
    /// When it failed of late (event time).
    pub recent_faults: VecDeque<Timestamp>,
}

pub enum Life {
    Judging(Box<dyn Judge>),
    /// What it knew is kept for the end of it, where it could be had.
    Quarantined {
        reason: String,
        kept: Option<Box<DetectorState>>,
    },
}

/// What a detector has cost and said in a lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Usage {
    pub rows: u64,
    pub batches: u64,
    pub busy_ns: u64,
    pub findings: u64,
    pub memory_bytes: usize,
    /// Of its state, as it was last saved.
    pub state_bytes: usize,
    /// How long it took over each batch.
    #[serde(skip)]
    pub batch_durations: Durations,
}

/// How a detector fares in a lane.
#[derive(Debug, Clone, serde::Serialize)]
pub struct DetectorSnapshot {
    pub detector: String,
    pub version: String,
    pub digest: String,
    pub generation: u64,
    pub role: Role,
    #[serde(flatten)]
    pub usage: Usage,
    /// Why it judges no more, if so.
    pub quarantine: Option<String>,
    /// `Fault::label` -> how often.
    pub faults: BTreeMap<&'static str, u64>,
    pub open_episodes: usize,
    /// Of a shadow: what it finds against what the live one finds.
    pub comparison: Option<Comparison>,
}

/// A finding with names for its numbers.
pub struct Noted {
    pub key: EpisodeKey,
    pub since: Timestamp,
    /// None where it is about a group.
    pub sensor: Option<u32>,
}

impl Seat {
    pub fn snapshot(&self, role: Role) -> DetectorSnapshot {
        DetectorSnapshot {
            detector: self.deployment.name.clone(),
            version: self.identity().0,
            digest: self.identity().1,
            generation: self.deployment.generation,
            role,
            usage: self.usage,
            quarantine: match &self.life {
                Life::Judging(_) => None,
                Life::Quarantined { reason, .. } => Some(reason.clone()),
            },
            faults: self.faults.clone(),
            open_episodes: self.episodes.open().len(),
            comparison: None,
        }
    }

    /// Version and digest of who sits in it.
    pub fn identity(&self) -> (String, String) {
        let module = &self.deployment.module;
        (module.descriptor().version.clone(), module.digest().to_owned())
    }

    /// A seat with an instance that knows the lane's quantities and nothing else.
    pub fn cold(deployment: Arc<Deployment>, quantities: &[Quantity]) -> Result<Self, Fault> {
        let mut judge = deployment.module.instantiate(deployment.limits, deployment.log.clone())?;
        let chosen = configure(&mut *judge, &deployment, quantities)?;
        Ok(Seat {
            fingerprint: deployment.fingerprint(),
            deployment,
            life: Life::Judging(judge),
            chosen,
            announced: 0,
            episodes: Episodes::default(),
            orphans: Open::new(),
            usage: Usage::default(),
            faults: BTreeMap::new(),
            recent_faults: VecDeque::new(),
            save_ns_per_sensor: SAVE_NS_PER_SENSOR,
            gathered: Gathered::default(),
        })
    }

    /// A seat as a checkpoint left it. Its open episodes are kept where its state is; else they are to be
    /// cleared.
    pub fn restored(
        deployment: Arc<Deployment>,
        quantities: &[Quantity],
        sensors: &SensorTable,
        mut state: DetectorState,
        time: Option<Timestamp>,
    ) -> Result<Self, Fault> {
        let mut seat = Seat::cold(deployment, quantities)?;
        if let Some(reason) = state.quarantine.take() {
            if state.fingerprint == seat.fingerprint {
                tracing::warn!(detector = state.name, "is still quarantined: {reason}");
                let kept = knows_something(&state).then(|| Box::new(state));
                seat.life = Life::Quarantined { reason, kept };
                return Ok(seat);
            }
            if !knows_something(&state) {
                return Ok(seat);
            }
        }
        match seat.restore(sensors, &state, time) {
            Ok(()) => seat.episodes = state.episodes.into_iter().collect::<Open>().into(),
            Err(Fault::Refused { .. }) if seat.deployment.on_new_state == OnNewState::Cold => {
                seat = Seat::cold(seat.deployment, quantities)?;
                seat.orphans = state.episodes.into_iter().collect();
            }
            Err(fault) => return Err(fault),
        }
        Ok(seat)
    }

    /// A seat for a candidate, which begins with what the one before it knows; with nothing where there was none, or
    /// where one judged no more and left nothing, and that may be lost.
    pub fn candidate(
        deployment: Arc<Deployment>,
        quantities: &[Quantity],
        sensors: &SensorTable,
        state: Option<DetectorState>,
        time: Option<Timestamp>,
    ) -> Result<Self, Fault> {
        let Some(state) = state else { return Seat::cold(deployment, quantities) };
        if state.quarantine.is_some() && !knows_something(&state) {
            if deployment.on_new_state != OnNewState::Cold {
                return Err(Fault::Host { call: Call::BeginRestore, what: NOTHING_KEPT.to_owned() });
            }
            tracing::warn!(detector = deployment.name, "begins anew: nothing is kept of the one before it");
            return Seat::cold(deployment, quantities);
        }
        let state = DetectorState { quarantine: None, ..state };
        Seat::restored(deployment, quantities, sensors, state, time)
    }

    /// `time` is the last tick that the one before was told.
    fn restore(
        &mut self,
        sensors: &SensorTable,
        state: &DetectorState,
        time: Option<Timestamp>,
    ) -> Result<(), Fault> {
        let total = state.states.iter().map(|(count, _)| count).sum();
        self.announce(sensors, total)?;
        let Life::Judging(judge) = &mut self.life else { return Ok(()) };
        if let Some(time) = time {
            judge.set_time(time);
        }
        judge.begin_restore(&state.saved)?;
        let mut first = 0;
        for (count, states) in state.states.iter() {
            let numbers: Vec<u32> = (first..first + count).collect();
            judge.restore(&numbers, states)?;
            first += count;
        }
        Ok(())
    }

    /// State for a checkpoint. The judge goes on unchanged.
    pub fn save(&mut self, quantities: &[Quantity]) -> Result<DetectorState, Fault> {
        let mut took_ns = 0;
        let state = timed(&mut took_ns, || self.state(quantities))?;
        self.save_ns_per_sensor = took_ns / u64::from(self.announced.max(1));
        Ok(state)
    }

    /// About how long `save` will take, by how long it took.
    pub fn save_time(&self) -> Duration {
        if matches!(self.life, Life::Quarantined { .. }) {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.save_ns_per_sensor * u64::from(self.announced))
    }

    fn state(&mut self, quantities: &[Quantity]) -> Result<DetectorState, Fault> {
        let descriptor = self.deployment.module.descriptor();
        let mut state = DetectorState {
            name: self.deployment.name.clone(),
            version: descriptor.version.clone(),
            digest: self.deployment.module.digest().to_owned(),
            fingerprint: self.fingerprint.clone(),
            quarantine: None,
            saved: Saved {
                state_version: descriptor.state_version,
                quantities: self.chosen.iter().map(|&q| quantities[q as usize].name.clone()).collect(),
                parameters: self.deployment.parameters.clone(),
                shared: Vec::new(),
            },
            states: Shared::default(),
            episodes: self.episodes.listed(),
            place: Place { generation: self.deployment.generation, role: Role::Live },
        };
        match &mut self.life {
            Life::Quarantined { reason, kept } => {
                state.quarantine = Some(reason.clone());
                if let Some(kept) = kept {
                    state.saved.clone_from(&kept.saved);
                    state.states.clone_from(&kept.states);
                    state.episodes.clone_from(&kept.episodes);
                }
            }
            Life::Judging(judge) => {
                state.saved.shared = judge.save_shared()?;
                let (mut first, mut states) = (0, Vec::new());
                while first < self.announced {
                    let end = (first + SENSORS_PER_CALL).min(self.announced);
                    let numbers: Vec<u32> = (first..end).collect();
                    states.push((end - first, judge.save(&numbers)?));
                    first = end;
                }
                state.states = states.into();
            }
        }
        let of_sensors: usize = state.states.iter().map(|(_, states)| states.bytes.len()).sum();
        self.usage.state_bytes = state.saved.shared.len() + of_sensors;
        Ok(state)
    }

    /// The lane has new quantities: a new instance takes the old one's state, if it wants any of them.
    pub fn requantify(
        &mut self,
        quantities: &[Quantity],
        sensors: &SensorTable,
        time: Option<Timestamp>,
    ) -> Result<(), Fault> {
        if !matches!(self.life, Life::Judging(_)) {
            return Ok(());
        }
        let mut fresh = Seat::cold(self.deployment.clone(), quantities)?;
        if fresh.chosen == self.chosen {
            return Ok(());
        }
        if self.announced > 0 {
            let state = self.save(quantities)?;
            fresh.restore(sensors, &state, time)?;
        }
        self.life = fresh.life;
        self.chosen = fresh.chosen;
        self.announced = fresh.announced;
        Ok(())
    }

    /// Tells the instance of sensors up to `end` that it does not know yet.
    pub fn announce(&mut self, sensors: &SensorTable, end: u32) -> Result<(), Fault> {
        let Life::Judging(judge) = &mut self.life else { return Ok(()) };
        while self.announced < end {
            let chunk_end = (self.announced + SENSORS_PER_CALL).min(end);
            let chunk: Vec<_> = (self.announced..chunk_end).map(|sensor| sensors.sensor(sensor)).collect();
            judge.set_sensors(self.announced, &chunk)?;
            self.announced = chunk_end;
        }
        Ok(())
    }

    /// A known sensor has other attributes now.
    pub fn change(&mut self, sensors: &SensorTable, sensor: u32) -> Result<(), Fault> {
        let Life::Judging(judge) = &mut self.life else { return Ok(()) };
        // One that was not announced yet will be, as it is now.
        if sensor < self.announced { judge.set_sensors(sensor, &[sensors.sensor(sensor)]) } else { Ok(()) }
    }

    /// Judges the batch; findings in the order of their rows.
    pub fn observe(&mut self, batch: &Builder, sensors: &SensorTable) -> Result<Vec<Finding>, Fault> {
        self.announce(sensors, sensors.len() as u32)?;
        let Life::Judging(judge) = &mut self.life else { return Ok(Vec::new()) };
        let view: BatchView<'_> = batch.view(&self.chosen, &mut self.gathered);
        let busy_before_ns = self.usage.busy_ns;
        let mut findings = timed(&mut self.usage.busy_ns, || judge.observe(view))?;
        self.usage.batch_durations.note_ns(self.usage.busy_ns - busy_before_ns);
        self.usage.rows += batch.rows() as u64;
        self.usage.batches += 1;
        self.usage.memory_bytes = judge.memory_bytes();
        if !findings.is_empty() {
            self.check(Call::Observe, &findings, batch.rows())?;
            findings.sort_by_key(|finding| finding.row);
            self.usage.findings += findings.len() as u64;
        }
        Ok(findings)
    }

    /// Judges some rows of the batch, as if the others had never been.
    pub fn observe_rows(
        &mut self,
        batch: &Builder,
        rows: &[usize],
        sensors: &SensorTable,
    ) -> Result<Vec<Finding>, Fault> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut findings = self.observe(&batch.part(rows), sensors)?;
        findings.iter_mut().for_each(|finding| finding.row = rows[finding.row as usize] as u32);
        Ok(findings)
    }

    /// The instance of another seat of the same detector, which knows what this one should.
    pub fn take_over(&mut self, other: Seat) {
        self.life = other.life;
        self.chosen = other.chosen;
        self.announced = other.announced;
    }

    pub fn advance(&mut self, watermark: Timestamp, sensors: &SensorTable) -> Result<Vec<Finding>, Fault> {
        self.announce(sensors, sensors.len() as u32)?;
        let Life::Judging(judge) = &mut self.life else { return Ok(Vec::new()) };
        let findings = timed(&mut self.usage.busy_ns, || judge.advance(watermark))?;
        self.check(Call::Advance, &findings, 0)?;
        self.usage.findings += findings.len() as u64;
        Ok(findings)
    }

    /// Judges the batch, or some rows of it, and is not heard.
    pub fn observe_silently(
        &mut self,
        batch: &Builder,
        rows: Option<&[usize]>,
        sensors: &SensorTable,
        quantities: &[Quantity],
    ) -> Result<Vec<Finding>, Fault> {
        let findings = match rows {
            None => self.observe(batch, sensors)?,
            Some(rows) => self.observe_rows(batch, rows, sensors)?,
        };
        for finding in &findings {
            self.note(finding, Some(batch.sensor(finding.row as usize)), sensors, quantities);
        }
        Ok(findings)
    }

    pub fn advance_silently(
        &mut self,
        watermark: Timestamp,
        sensors: &SensorTable,
        quantities: &[Quantity],
    ) -> Result<Vec<Finding>, Fault> {
        let findings = self.advance(watermark, sensors)?;
        for finding in &findings {
            self.note(finding, None, sensors, quantities);
        }
        Ok(findings)
    }

    /// Keeps in mind which episodes are open. `of_row` is the sensor of the finding's row, where there is a row.
    pub fn note(
        &mut self,
        finding: &Finding,
        of_row: Option<u32>,
        sensors: &SensorTable,
        quantities: &[Quantity],
    ) -> Option<Noted> {
        let sensor = match (&finding.subject, of_row) {
            (Subject::Reading, sensor) => sensor,
            (Subject::Sensor(sensor), _) => Some(*sensor),
            (Subject::Group(_), _) => None,
        };
        let subject = match (&finding.subject, sensor) {
            (Subject::Group(name), _) => PublicSubject::Group(name.clone()),
            (_, Some(sensor)) => PublicSubject::Sensor(sensors.id(sensor).to_owned()),
            // `Bounds::check` has refused a finding about a reading where there is none.
            (_, None) => return None,
        };
        let kinds = &self.deployment.module.descriptor().kinds;
        let key = EpisodeKey {
            subject,
            quantity: finding.quantity.map(|q| quantities[self.chosen[q as usize] as usize].name.clone()),
            kind: kinds[finding.kind as usize].name.clone(),
        };
        let since = finding.since.unwrap_or(finding.timestamp);
        match finding.phase {
            Phase::Raised | Phase::Updated => {
                self.episodes.set(&key, OpenEpisode { since, severity: finding.severity });
            }
            Phase::Cleared => self.episodes.remove(&key),
            Phase::Single => {}
        }
        Some(Noted { key, since, sensor })
    }

    fn check(&self, call: Call, findings: &[Finding], rows: usize) -> Result<(), Fault> {
        // More than each sensor could have at a time: a group a reading, or the like.
        let episodes_max = EPISODES_MIN.max(self.announced as usize * EPISODES_PER_SENSOR_MAX);
        if self.episodes.open().len() + findings.len() > episodes_max + EPISODES_MIN {
            let what = format!("more than {episodes_max} open episodes");
            return Err(Fault::Output { call, what });
        }
        let bounds = finding::Bounds {
            rows: (call == Call::Observe).then_some(rows as u32),
            sensors: self.announced,
            quantities: self.chosen.len() as u32,
            kinds: self.deployment.module.descriptor().kinds.len() as u32,
        };
        findings.iter().try_for_each(|f| bounds.check(f)).map_err(|what| Fault::Contract { call, what })
    }
}

/// Whether there is anything in what a detector left.
pub fn knows_something(state: &DetectorState) -> bool {
    !state.saved.shared.is_empty() || !state.states.is_empty()
}

fn configure(
    judge: &mut dyn Judge,
    deployment: &Deployment,
    quantities: &[Quantity],
) -> Result<Vec<u32>, Fault> {
    let chosen = judge.configure(&deployment.parameters, quantities)?;
    let mut seen = vec![false; quantities.len()];
    for &quantity in &chosen {
        match seen.get_mut(quantity as usize) {
            Some(seen) if !*seen => *seen = true,
            _ => {
                let what = format!("chose quantity {quantity} of {}, or chose it twice", quantities.len());
                return Err(Fault::Contract { call: Call::Configure, what });
            }
        }
    }
    Ok(chosen)
}
