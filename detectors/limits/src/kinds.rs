//! What this detector can say, and by which standard.
//!
//! Limits marked *commonly cited* are from memory of the standard named, not from its text.

use gridwatch_sdk::prelude::Kind;

pub const INTERRUPTION: usize = 0;
pub const SAG: usize = 1;
pub const SWELL: usize = 2;
pub const UNDERVOLTAGE: usize = 3;
pub const OVERVOLTAGE: usize = 4;
pub const VOLTAGE_MEAN: usize = 5;
pub const VOLTAGE_TREND: usize = 6;
pub const FREQUENCY_MEAN: usize = 7;
pub const FREQUENCY_DEVIATION: usize = 8;
pub const FREQUENCY_CHANGE: usize = 9;
pub const OVERLOAD: usize = 10;
pub const OIL_TEMPERATURE: usize = 11;
pub const POWER_FACTOR_LOW: usize = 12;

pub const KINDS: &[Kind] = &[
    Kind { name: "interruption", description: "Voltage below 0.1 of nominal (IEEE 1159)." },
    Kind { name: "sag", description: "Voltage between 0.1 and 0.9 of nominal, up to a minute (IEEE 1159)." },
    Kind { name: "swell", description: "Voltage at or above 1.1 of nominal, up to a minute (IEEE 1159)." },
    Kind { name: "undervoltage", description: "Voltage below 0.9 of nominal for over a minute (IEEE 1159)." },
    Kind {
        name: "overvoltage",
        description: "Voltage at or above 1.1 of nominal for over a minute (IEEE 1159).",
    },
    Kind {
        name: "voltage_mean",
        description: "10-minute mean of the voltage outside nominal ±10 % (EN 50160: 95 % of a week; +10/-15 % always).",
    },
    Kind {
        name: "voltage_trend",
        description: "At the rate of the last seconds the voltage leaves nominal ±10 % within two minutes.",
    },
    Kind {
        name: "frequency_mean",
        description: "10-second mean of the frequency outside nominal ±1 % (EN 50160: 99.5 % of a year; +4/-6 % always).",
    },
    Kind {
        name: "frequency_deviation",
        description: "Frequency off nominal by over 200 mHz (reserves fully used) or 800 mHz (largest transient planned for; ENTSO-E).",
    },
    Kind {
        name: "frequency_change",
        description: "Frequency moved as far as 1 Hz/s over 500 ms does (rate of change of frequency; grid codes of GB and IE).",
    },
    Kind {
        name: "overload",
        description: "10-minute mean of the current above nominal, or above 1.5 of it (IEC 60076-7, cyclic loading).",
    },
    Kind {
        name: "oil_temperature",
        description: "Top oil of a transformer at or above 105 °C (cyclic loading) or 115 °C (emergency; IEC 60076-7).",
    },
    Kind {
        name: "power_factor_low",
        description: "10-minute mean of |power factor| below the parameter; off by default.",
    },
];
