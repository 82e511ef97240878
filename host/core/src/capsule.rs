//! A capsule: all it takes to see once more, anywhere, what a detector made of a reading.
//!
//! Layout: `GWCA`, version (u16, big-endian), SHA-256 of the body, body (postcard). The digest is its name.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Timestamp;
use crate::batch::{BatchView, Sensor};
use crate::digest;
use crate::finding::{Finding, Subject};
use crate::judge::{Fault, Limits, Saved, States};
use crate::reading::Quantity;
use crate::record::Position;
use crate::shared::Shared;

const MAGIC: &[u8; 4] = b"GWCA";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 4 + 2 + 32;

/// All capsules lie under this prefix of the store: `capsules/LANE/TIME-DIGEST`.
pub const CAPSULES: &str = "capsules";
const TIME_DIGITS: usize = 13;

/// Version 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capsule {
    pub detector: String,
    pub lane: String,
    /// Of the module's file: `sha256:` and 64 hexadecimal digits.
    pub module: String,
    /// The file itself, where the capsule is to be carried elsewhere.
    pub module_bytes: Option<Vec<u8>>,
    pub parameters: String,
    pub limits: Limits,
    /// Those of the lane, of which the detector chooses.
    pub quantities: Vec<Quantity>,
    /// By number.
    pub sensors: Vec<Sensor>,
    /// What the detector knew; None: nothing.
    pub before: Option<Knowledge>,
    /// The last tick that it was told.
    pub tick: Option<Timestamp>,
    pub steps: Vec<Step>,
    /// Ids of the anomalies that the steps' findings became, in their order.
    pub anomalies: Vec<String>,
}

/// What a detector saved: chunks of consecutive sensors from 0 on, each with its number of sensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Knowledge {
    pub saved: Saved,
    pub states: Shared<Vec<(u32, States)>>,
}

impl Knowledge {
    fn state_of(&self, sensor: u32) -> Option<&[u8]> {
        let mut first = 0;
        for (count, states) in self.states.iter() {
            if sensor < first + count {
                return states.get((sensor - first) as usize);
            }
            first += count;
        }
        None
    }
}

/// One call, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub call: StepCall,
    pub outcome: Result<Vec<Finding>, Fault>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum StepCall {
    Observe(Columns),
    Advance(Timestamp),
}

/// Readings, with the quantities that the detector chose.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Columns {
    pub sensors: Vec<u32>,
    pub timestamps: Vec<Timestamp>,
    /// Quantity q of row r is `values[q * rows + r]`, as its bits: NaN where absent.
    pub values: Vec<u64>,
    pub marks: Vec<u8>,
    pub malformed: Vec<u32>,
    /// Where each stands in the source.
    pub positions: Vec<Position>,
}

impl Columns {
    pub fn of(view: &BatchView<'_>, positions: Vec<Position>) -> Columns {
        Columns {
            sensors: view.sensors.to_vec(),
            timestamps: view.timestamps.to_vec(),
            values: view.values.iter().map(|value| value.to_bits()).collect(),
            marks: view.marks.to_vec(),
            malformed: view.malformed.to_vec(),
            positions,
        }
    }

    pub fn values(&self) -> Vec<f64> {
        self.values.iter().map(|bits| f64::from_bits(*bits)).collect()
    }

    /// `values` are `Columns::values`.
    pub fn view<'a>(&'a self, values: &'a [f64]) -> BatchView<'a> {
        BatchView {
            sensors: &self.sensors,
            timestamps: &self.timestamps,
            values,
            marks: &self.marks,
            malformed: &self.malformed,
        }
    }
}

/// Why bytes are no capsule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapsuleError {
    #[error("is not a capsule (it does not begin with GWCA)")]
    NotACapsule,
    #[error("is of version {version}; this gridwatch reads version {VERSION}")]
    Version { version: u16 },
    #[error("is damaged: its digest does not match its {bytes} bytes")]
    Damaged { bytes: usize },
    #[error("cannot be encoded or decoded: {what}")]
    Body { what: String },
}

/// Sealed bytes, and what they are called.
pub struct Sealed {
    /// 64 hexadecimal digits.
    pub digest: String,
    pub bytes: Vec<u8>,
}

impl Capsule {
    pub fn seal(&self) -> Result<Sealed, CapsuleError> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&[0; 32]);
        let mut bytes = postcard::to_extend(self, bytes)
            .map_err(|error| CapsuleError::Body { what: error.to_string() })?;
        let digest = Sha256::digest(&bytes[HEADER_BYTES..]);
        bytes[6..HEADER_BYTES].copy_from_slice(&digest);
        Ok(Sealed { digest: digest::hex(&digest), bytes })
    }

    /// About what it comes to when sealed, without its module.
    pub fn estimated_bytes(&self) -> usize {
        let attribute = |(name, value): &(String, String)| name.len() + value.len() + 2;
        let sensor = |of: &Sensor| of.id.len() + 2 + of.attributes.iter().map(attribute).sum::<usize>();
        let states = self.before.iter().flat_map(|before| before.states.iter());
        let known = states.map(|(_, states)| states.bytes.len() + states.ends.len() * 4).sum::<usize>();
        let shared = self.before.as_ref().map_or(0, |before| before.saved.shared.len());
        self.sensors.iter().map(sensor).sum::<usize>() + known + shared
    }

    /// Leaves only the sensors that occur in its readings, numbered anew. What a detector knows of no one sensor stays;
    /// one that looks from a sensor at another may answer otherwise then.
    pub fn leave_out_others(&mut self) {
        let Capsule { sensors, before, steps, .. } = self;
        let columns = |step: &mut Step| match &mut step.call {
            StepCall::Observe(columns) => std::mem::take(&mut columns.sensors),
            StepCall::Advance(_) => Vec::new(),
        };
        let of_steps: Vec<Vec<u32>> = steps.iter_mut().map(columns).collect();
        let kept: Vec<u32> =
            of_steps.iter().flatten().copied().collect::<BTreeSet<u32>>().into_iter().collect();
        let number = |sensor: &u32| kept.binary_search(sensor).map_or(u32::MAX, |at| at as u32);
        for (step, of_step) in steps.iter_mut().zip(&of_steps) {
            if let StepCall::Observe(columns) = &mut step.call {
                columns.sensors = of_step.iter().map(number).collect();
            }
            for finding in step.outcome.iter_mut().flatten() {
                if let Subject::Sensor(sensor) = &mut finding.subject {
                    *sensor = number(sensor);
                }
            }
        }
        *sensors = kept.iter().filter_map(|sensor| sensors.get(*sensor as usize).cloned()).collect();
        if let Some(before) = before {
            let mut of_kept = States::default();
            for state in kept.iter().map_while(|sensor| before.state_of(*sensor)) {
                of_kept.bytes.extend_from_slice(state);
                of_kept.ends.push(of_kept.bytes.len() as u32);
            }
            before.states = vec![(of_kept.ends.len() as u32, of_kept)].into();
        }
    }

    pub fn open(bytes: &[u8]) -> Result<Capsule, CapsuleError> {
        if bytes.len() < HEADER_BYTES || &bytes[..4] != MAGIC {
            return Err(CapsuleError::NotACapsule);
        }
        let version = u16::from_be_bytes([bytes[4], bytes[5]]);
        if version != VERSION {
            return Err(CapsuleError::Version { version });
        }
        let (header, body) = bytes.split_at(HEADER_BYTES);
        if Sha256::digest(body)[..] != header[6..] {
            return Err(CapsuleError::Damaged { bytes: body.len() });
        }
        postcard::from_bytes(body).map_err(|error| CapsuleError::Body { what: error.to_string() })
    }
}

/// Where a lane's capsules lie.
pub fn folder_of(lane: &str) -> String {
    format!("{CAPSULES}/{lane}/")
}

/// The name in the store of a capsule that was made at that event time.
pub fn name_of(lane: &str, time: Option<Timestamp>, digest: &str) -> String {
    format!("{}{:0TIME_DIGITS$}-{digest}", folder_of(lane), time.unwrap_or(0).max(0))
}

/// Event time and digest, as a name has them.
pub fn parts_of(name: &str) -> Option<(Timestamp, &str)> {
    let (time, digest) = name.rsplit('/').next()?.split_once('-')?;
    Some((time.parse().ok()?, digest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::judge::Call;

    fn sample() -> Capsule {
        let columns = Columns {
            sensors: vec![0, 1],
            timestamps: vec![1_767_225_600_000, 1_767_225_601_000],
            values: vec![230.5f64.to_bits(), f64::NAN.to_bits()],
            marks: vec![0, 1],
            malformed: vec![1],
            positions: vec![911, 912],
        };
        let fault = Fault::Trap { call: Call::Observe, what: "unreachable".into() };
        Capsule {
            detector: "limits".into(),
            lane: "readings-3".into(),
            module: "sha256:00".into(),
            module_bytes: None,
            parameters: "{}".into(),
            limits: Limits::default(),
            quantities: vec![Quantity { name: "voltage".into(), unit: Some("V".into()) }],
            sensors: vec![Sensor {
                id: "meter-1".into(),
                attributes: vec![("location".into(), "feeder-07".into())],
            }],
            before: Some(Knowledge {
                saved: Saved {
                    state_version: 1,
                    quantities: vec!["voltage".into()],
                    parameters: "{}".into(),
                    shared: vec![7],
                },
                states: vec![(1, States { ends: vec![2], bytes: vec![1, 2] })].into(),
            }),
            tick: Some(1_767_225_600_000),
            steps: vec![
                Step { call: StepCall::Advance(1_767_225_600_000), outcome: Ok(vec![]) },
                Step { call: StepCall::Observe(columns), outcome: Err(fault) },
            ],
            anomalies: vec!["01a9".into()],
        }
    }

    /// A capsule as it was sealed when version 1 was new: it must open for ever.
    const GOLDEN: &[u8] = include_bytes!("../tests/golden/capsule-1.bin");

    #[test]
    fn version_1_is_sealed_and_opened() {
        assert!(sample().seal().unwrap().bytes == GOLDEN, "the bytes of version 1 have changed");
        assert_eq!(Capsule::open(GOLDEN).unwrap(), sample());
    }

    #[test]
    fn a_changed_byte_anywhere_is_noticed() {
        for at in 0..GOLDEN.len() {
            let mut bytes = GOLDEN.to_vec();
            bytes[at] ^= 1;
            assert!(Capsule::open(&bytes).is_err(), "byte {at}");
        }
        let mut newer = GOLDEN.to_vec();
        newer[5] = 9;
        assert_eq!(Capsule::open(&newer), Err(CapsuleError::Version { version: 9 }));
    }

    #[test]
    fn only_sensors_of_its_readings_are_left_and_keep_what_is_known_of_them() {
        let mut capsule = sample();
        let id = |n: u32| Sensor { id: format!("meter-{n}"), attributes: Vec::new() };
        capsule.sensors = (0..6).map(id).collect();
        // Three, then two; the last is not known yet.
        let of = |states: &[&[u8]]| {
            let ends = states.iter().scan(0, |end, state| {
                *end += state.len() as u32;
                Some(*end)
            });
            (states.len() as u32, States { ends: ends.collect(), bytes: states.concat() })
        };
        let states = vec![of(&[b"a", b"", b"ccc"]), of(&[b"dd", b"e"])];
        capsule.before.as_mut().unwrap().states = states.into();
        let StepCall::Observe(columns) = &mut capsule.steps[1].call else { panic!("no readings") };
        columns.sensors = vec![5, 3, 1, 3, 2];
        capsule.leave_out_others();
        let ids: Vec<&str> = capsule.sensors.iter().map(|sensor| sensor.id.as_str()).collect();
        assert_eq!(ids, ["meter-1", "meter-2", "meter-3", "meter-5"]);
        assert_eq!(*capsule.before.unwrap().states, [of(&[b"", b"ccc", b"dd"])]);
        let StepCall::Observe(columns) = &capsule.steps[1].call else { panic!("no readings") };
        assert_eq!(columns.sensors, [3, 2, 0, 2, 1]);
    }

    #[test]
    fn names_tell_time_and_digest() {
        let name = name_of("readings-3", Some(1_767_225_600_000), "0aff");
        assert_eq!(name, "capsules/readings-3/1767225600000-0aff");
        assert_eq!(parts_of(&name), Some((1_767_225_600_000, "0aff")));
        assert_eq!(parts_of(&name_of("a", None, "0aff")), Some((0, "0aff")));
    }
}
