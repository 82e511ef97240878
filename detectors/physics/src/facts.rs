//! What the attributes say of a sensor.

use gridwatch_sdk::prelude::SensorInfo;

#[derive(Debug, Clone, Copy, Default)]
pub struct Facts {
    /// Tells members of a group apart: FNV-1a of the id.
    pub who: u32,
    /// Feeds power back as a matter of course, so that signs prove nothing.
    pub is_producer: bool,
}

/// Roles of what may feed in.
const PRODUCERS: [&str; 7] = ["solar", "pv", "generator", "producer", "prosumer", "battery", "storage"];

impl Facts {
    pub fn of(sensor: &SensorInfo) -> Self {
        let who = sensor
            .id
            .bytes()
            .fold(0x811c_9dc5u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let is_producer = sensor
            .attribute("role")
            .is_some_and(|role| PRODUCERS.iter().any(|producer| role.eq_ignore_ascii_case(producer)));
        Facts { who, is_producer }
    }
}
