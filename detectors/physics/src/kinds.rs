//! What this detector can say.

use gridwatch_sdk::prelude::Kind;

pub const POWER_BALANCE: usize = 0;
pub const APPARENT_POWER: usize = 1;
pub const POWER_SIGN: usize = 2;
pub const POWER_FACTOR_RANGE: usize = 3;
pub const VOLTAGE_UNBALANCE: usize = 4;
pub const PHASE_SWAP: usize = 5;
pub const FREQUENCY_APART: usize = 6;

pub const KINDS: &[Kind] = &[
    Kind { name: "power_balance", description: "Power is not voltage × current × power factor." },
    Kind {
        name: "apparent_power",
        description: "Apparent power is not the hypotenuse of active and reactive power.",
    },
    Kind {
        name: "power_sign",
        description: "Power, or current × power factor, is negative, which is not usual for this sensor.",
    },
    Kind { name: "power_factor_range", description: "|Power factor| is above 1." },
    Kind {
        name: "voltage_unbalance",
        description: "100 × largest distance of a phase voltage from their mean / mean is above 5 % (NEMA MG-1).",
    },
    Kind { name: "phase_swap", description: "Two phases carry each other's usual voltages or currents." },
    Kind {
        name: "frequency_apart",
        description: "Frequency differs from that of the other sensors of the synchronous area.",
    },
];
