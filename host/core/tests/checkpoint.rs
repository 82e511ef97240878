//! Checkpoints of every version are read for ever: each golden file was written when its version was new.
#![allow(clippy::unwrap_used)]

use gridwatch_core::anomaly::{EpisodeKey, PublicSubject};
use gridwatch_core::checkpoint::{
    Checkpoint, CheckpointError, DetectorState, OpenEpisode, Place, Role, SourcePart, difference,
};
use gridwatch_core::clock::{LaneClock, Seen};
use gridwatch_core::decision::{Chronicle, Decision, What};
use gridwatch_core::finding::Severity;
use gridwatch_core::judge::{Saved, States};
use gridwatch_core::reading::Quantity;
use gridwatch_core::sensors::SensorTable;
use gridwatch_core::shared::Shared;

const GOLDEN_1: &[u8] = include_bytes!("golden/checkpoint-1.bin");
const GOLDEN_2: &[u8] = include_bytes!("golden/checkpoint-2.bin");
const GOLDEN_3: &[u8] = include_bytes!("golden/checkpoint-3.bin");
const GOLDEN_4: &[u8] = include_bytes!("golden/checkpoint-4.bin");
/// Roles that came to version 4 later.
const GOLDEN_4_SHADOW: &[u8] = include_bytes!("golden/checkpoint-4-shadow.bin");

/// What the golden files hold; version 1 has no schemas, version 3 is the first that has places, and version 4 the
/// first with a chronicle.
fn sample() -> Checkpoint {
    let mut sensors = SensorTable::new(10);
    sensors.add("meter-1", vec![("location".into(), "feeder-07".into())]).unwrap();
    sensors.add("meter-2", vec![("location".into(), "feeder-07".into())]).unwrap();
    let mut clock = LaneClock::default();
    for (sensor, time) in [(0, 1_767_225_600_000), (1, 1_767_225_660_000), (0, 1_767_225_660_000)] {
        let ahead = clock.observe(sensor, time, 2, 300_000) == Seen::Ahead;
        sensors.note_time(sensor, time, ahead);
    }
    let key = |subject, quantity: Option<&str>| EpisodeKey {
        subject,
        quantity: quantity.map(str::to_owned),
        kind: "sag".into(),
    };
    let open = OpenEpisode { since: 1_767_225_600_000, severity: Severity::Warning };
    let judging = DetectorState {
        name: "limits".into(),
        version: "0.1.0".into(),
        digest: "sha256:00".into(),
        fingerprint: "f0".into(),
        quarantine: None,
        saved: Saved {
            state_version: 1,
            quantities: vec!["voltage".into()],
            parameters: "{}".into(),
            shared: vec![7, 8],
        },
        states: vec![(2, States { ends: vec![3, 3], bytes: vec![1, 2, 3] })].into(),
        episodes: vec![
            (key(PublicSubject::Sensor("meter-1".into()), Some("voltage")), open),
            (key(PublicSubject::Group("area-1".into()), None), open),
        ],
        place: Place { generation: 300, role: Role::Live },
    };
    let out = DetectorState {
        name: "shift".into(),
        version: "0.1.0".into(),
        digest: "sha256:01".into(),
        fingerprint: "f1".into(),
        quarantine: Some("observe: trapped".into()),
        saved: Saved::default(),
        states: Shared::default(),
        episodes: vec![],
        place: Place { generation: 7, role: Role::Warm },
    };
    let mut chronicle = Chronicle::default();
    chronicle.note(Decision { position: 900, what: What::IdleTick { time: 1_767_225_600_000 } });
    Checkpoint {
        lane: "simulator-0".into(),
        position: 912,
        source: vec![SourcePart { name: "readings.jsonl".into(), beginning: "00".into() }],
        settings: "{\"tick_ms\":60000}".into(),
        quantities: vec![Quantity { name: "voltage".into(), unit: Some("V".into()) }],
        sensors: sensors.save().into(),
        clock,
        tick: Some(1_767_225_600_000),
        detectors: vec![judging, out],
        schemas_unknown: vec![4_711, 7],
        chronicle,
    }
}

/// As it was before the past could be lived again.
fn without_chronicle() -> Checkpoint {
    Checkpoint { chronicle: Chronicle::default(), ..sample() }
}

/// As it was before there were rosters.
fn without_places() -> Checkpoint {
    let mut checkpoint = without_chronicle();
    checkpoint.detectors.iter_mut().for_each(|detector| detector.place = Place::default());
    checkpoint
}

#[test]
fn version_1_is_read() {
    let expected = Checkpoint { schemas_unknown: vec![], ..without_places() };
    assert_eq!(Checkpoint::decode(GOLDEN_1).unwrap(), expected);
}

#[test]
fn version_2_is_read() {
    assert_eq!(Checkpoint::decode(GOLDEN_2).unwrap(), without_places());
}

#[test]
fn version_3_is_read() {
    assert_eq!(Checkpoint::decode(GOLDEN_3).unwrap(), without_chronicle());
}

#[test]
fn version_4_is_written_and_read() {
    assert!(
        sample().encode().unwrap() == GOLDEN_4,
        "the bytes of version 4 have changed: that takes a version 5"
    );
    assert_eq!(Checkpoint::decode(GOLDEN_4).unwrap(), sample());
}

#[test]
fn shadows_are_written_and_read() {
    let mut checkpoint = sample();
    checkpoint.detectors[1].place.role = Role::Shadow;
    assert!(checkpoint.clone().encode().unwrap() == GOLDEN_4_SHADOW);
    assert_eq!(Checkpoint::decode(GOLDEN_4_SHADOW).unwrap(), checkpoint);
}

#[test]
fn a_changed_byte_anywhere_is_noticed() {
    for at in 0..GOLDEN_4.len() {
        let mut bytes = GOLDEN_4.to_vec();
        bytes[at] ^= 1;
        assert!(Checkpoint::decode(&bytes).is_err(), "byte {at}");
    }
}

#[test]
fn a_source_that_was_replaced_is_noticed() {
    let part = |name: &str, beginning: &str| SourcePart { name: name.into(), beginning: beginning.into() };
    let before = [part("a", "1"), part("b", "")];
    let differs = |later: &[SourcePart]| difference(&before, later).unwrap_or_default();
    assert_eq!(differs(&[part("a", "1"), part("b", "2"), part("c", "3")]), "");
    assert_eq!(differs(&[part("a", "9"), part("b", "2")]), "a was 1 and is 9");
    assert_eq!(differs(&[part("a", "1"), part("x", "7"), part("b", "2")]), "x stands where b was");
    assert_eq!(differs(&[part("a", "1")]), "b is not there any more");
}

#[test]
fn another_version_is_named() {
    let mut bytes = GOLDEN_4.to_vec();
    bytes[5] = 9;
    assert_eq!(Checkpoint::decode(&bytes), Err(CheckpointError::Version { version: 9 }));
}
