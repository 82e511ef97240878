//! What a pipeline shows of itself, as the plain numbers of `/metrics`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gridwatch_core::account::Account;
use gridwatch_core::checkpoint::Role;
use gridwatch_core::durations::Durations;
use gridwatch_core::judge::Module;
use gridwatch_engine::lane::Counts;
use gridwatch_engine::pipeline::{LaneSnapshot, Snapshot};
use gridwatch_sandbox::LoadedModule;

use crate::admission::GuestLines;
use crate::metrics::{DetectorSample, HiddenSample, LaneSample, Sample};

/// What metrics say of a detector and snapshots do not.
#[derive(Debug, Clone)]
pub struct Label {
    pub name: String,
    version: String,
    digest: String,
    pub log: Arc<GuestLines>,
    pub module: Arc<LoadedModule>,
    /// Of what shadows it; where it is alone, the same.
    pub shadow: Option<Arc<LoadedModule>>,
}

impl Label {
    pub fn new(
        name: &str,
        module: Arc<LoadedModule>,
        shadow: Option<Arc<LoadedModule>>,
        log: Arc<GuestLines>,
    ) -> Self {
        let (version, digest) = (module.descriptor().version.clone(), module.digest().to_owned());
        Label { name: name.to_owned(), version, digest, log, module, shadow }
    }
}

pub fn sample(snapshot: &Snapshot, labels: &[Label]) -> Sample {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    Sample {
        lanes: snapshot.lanes.iter().map(|lane| lane_sample(lane, now_ms)).collect(),
        detectors: labels.iter().map(|label| detector_sample(snapshot, label)).collect(),
        hidden: hidden_of(snapshot),
        shadows: shadows_of(snapshot),
        swaps: swaps_of(snapshot),
        swap_pauses: pauses_of(snapshot),
        outlet: snapshot.outlet,
        ..Sample::default()
    }
}

fn lane_sample(lane: &LaneSnapshot, now_ms: i64) -> LaneSample {
    LaneSample {
        name: lane.lane.clone(),
        account: lane.account.clone(),
        sensors: lane.sensors as u64,
        lag_readings: lane.lag,
        watermark_lag_seconds: lane.watermark.map(|watermark| (now_ms - watermark) as f64 / 1000.0),
        checkpoint_age_seconds: lane.checkpoint_age_seconds,
        checkpoint_bytes: lane.checkpoint_bytes,
        checkpoint_pause_seconds: lane.checkpoint_pause.as_ref().map(Duration::as_secs_f64),
        swap_pause_seconds_max: lane.changes.pauses.iter().max().map(Duration::as_secs_f64),
    }
}

fn pauses_of(snapshot: &Snapshot) -> Durations {
    let mut pauses = snapshot.pauses_gone;
    snapshot.lanes.iter().for_each(|lane| pauses.add(&lane.changes.pause_durations));
    pauses
}

fn swaps_of(snapshot: &Snapshot) -> Vec<(String, &'static str, u64)> {
    let mut swaps = snapshot.changes_gone.clone();
    for ((detector, outcome), count) in snapshot.lanes.iter().flat_map(|lane| &lane.changes.outcomes) {
        *swaps.entry((detector.clone(), *outcome)).or_default() += count;
    }
    swaps.into_iter().map(|((detector, outcome), count)| (detector, outcome.name(), count)).collect()
}

/// What those cost who are not heard, by detector and role.
fn hidden_of(snapshot: &Snapshot) -> Vec<HiddenSample> {
    let mut hidden: BTreeMap<(&str, &'static str), (f64, u64)> = BTreeMap::new();
    for here in snapshot.lanes.iter().flat_map(|lane| &lane.detectors) {
        let role = match here.role {
            Role::Warm => "warm",
            Role::Shadow => "shadow",
            Role::Live | Role::Dormant => continue,
        };
        let (seconds, memory_bytes) = hidden.entry((&here.detector, role)).or_default();
        *seconds += here.usage.busy_ns as f64 / 1e9;
        *memory_bytes += here.usage.memory_bytes as u64;
    }
    let samples = hidden.into_iter().map(|((detector, role), (seconds, memory_bytes))| HiddenSample {
        detector: detector.to_owned(),
        role,
        seconds,
        memory_bytes,
    });
    samples.collect()
}

/// What shadows have found, by detector, also on lanes that are not ours any more.
fn shadows_of(snapshot: &Snapshot) -> Vec<(String, Counts)> {
    let mut shadows = snapshot.shadows_gone.clone();
    for here in snapshot.lanes.iter().flat_map(|lane| &lane.detectors) {
        if let Some(comparison) = &here.comparison {
            shadows.entry(here.detector.clone()).or_default().add(comparison.counts);
        }
    }
    shadows.into_iter().collect()
}

fn detector_sample(snapshot: &Snapshot, label: &Label) -> DetectorSample {
    DetectorSample {
        version: label.version.clone(),
        digest: label.digest.clone(),
        mode: mode_of(snapshot, &label.name),
        log_lines_dropped: label.log.lines_dropped(),
        ..over_lanes(snapshot, &label.name, Role::Live)
    }
}

/// Of who has a shadow and nobody live beside it that is all there is.
fn mode_of(snapshot: &Snapshot, name: &str) -> &'static str {
    let mut roles =
        snapshot.lanes.iter().flat_map(|lane| &lane.detectors).filter(|here| here.detector == name);
    let is_shadow = roles.clone().any(|here| here.role == Role::Shadow);
    if is_shadow && !roles.any(|here| here.role == Role::Live) { "shadow" } else { "live" }
}

/// What lanes count of a detector in that role.
pub fn over_lanes(snapshot: &Snapshot, name: &str, role: Role) -> DetectorSample {
    let mut sample = DetectorSample { name: name.to_owned(), ..DetectorSample::default() };
    for lane in &snapshot.lanes {
        let here = lane.detectors.iter().find(|here| here.detector == name && here.role == role);
        let Some(here) = here else { continue };
        sample.seconds += here.usage.busy_ns as f64 / 1e9;
        sample.readings += here.usage.rows;
        sample.batch_durations.add(&here.usage.batch_durations);
        sample.memory_bytes += here.usage.memory_bytes as u64;
        sample.state_bytes += here.usage.state_bytes as u64;
        sample.open_episodes += here.open_episodes as u64;
        sample.quarantined_lanes += u64::from(here.quarantine.is_some());
        for (fault, count) in &here.faults {
            *sample.faults.entry(*fault).or_default() += *count;
        }
    }
    sample
}

/// The account over all lanes.
pub fn account_of(snapshot: &Snapshot) -> Account {
    let mut sum = snapshot.gone.clone();
    for lane in &snapshot.lanes {
        sum.add(&lane.account);
    }
    sum
}

/// By detector, over all lanes: nanoseconds a reading. A detector that saw none is left out.
pub fn cost_ns(snapshot: &Snapshot) -> BTreeMap<String, f64> {
    let mut usage: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let live = snapshot.lanes.iter().flat_map(|lane| &lane.detectors).filter(|here| here.role == Role::Live);
    for detector in live {
        let (busy_ns, rows) = usage.entry(&detector.detector).or_default();
        *busy_ns += detector.usage.busy_ns;
        *rows += detector.usage.rows;
    }
    usage
        .into_iter()
        .filter(|(_, (_, rows))| *rows > 0)
        .map(|(name, (busy_ns, rows))| (name.to_owned(), busy_ns as f64 / rows as f64))
        .collect()
}

#[cfg(test)]
mod tests {
    use gridwatch_engine::lane::{DetectorSnapshot, Usage};

    use super::*;

    fn seat(busy_ns: u64, rows: u64, quarantine: Option<&str>) -> DetectorSnapshot {
        DetectorSnapshot {
            detector: "d".into(),
            version: "1".into(),
            digest: "sha256:ab".into(),
            generation: 0,
            role: Role::Live,
            usage: Usage { busy_ns, rows, memory_bytes: 10, ..Usage::default() },
            quarantine: quarantine.map(str::to_owned),
            faults: quarantine.map(|_| ("trap", 1)).into_iter().collect(),
            open_episodes: 0,
            comparison: None,
        }
    }

    fn lane(name: &str, received: u64, seat: DetectorSnapshot) -> LaneSnapshot {
        LaneSnapshot {
            lane: name.into(),
            account: Account { received, judged: received, ..Account::default() },
            detectors: vec![seat],
            ..LaneSnapshot::default()
        }
    }

    #[test]
    fn a_detector_is_the_sum_over_its_lanes() {
        let snapshot = Snapshot {
            lanes: vec![lane("0", 3, seat(600, 3, None)), lane("1", 1, seat(200, 1, Some("trapped")))],
            ..Snapshot::default()
        };
        let (sample, detector) = (sample(&snapshot, &[]), over_lanes(&snapshot, "d", Role::Live));
        assert!((detector.seconds - 800e-9).abs() < 1e-15);
        assert_eq!((detector.memory_bytes, detector.readings), (20, 4));
        assert_eq!(detector.quarantined_lanes, 1);
        assert_eq!(detector.faults, BTreeMap::from([("trap", 1)]));
        assert_eq!(sample.lanes[1].account.received, 1);
        assert_eq!(account_of(&snapshot).received, 4);
        assert_eq!(cost_ns(&snapshot), BTreeMap::from([("d".to_owned(), 200.0)]));
    }
}
