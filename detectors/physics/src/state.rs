//! What is remembered of a sensor. What needs quantities that it does not carry is not allocated.

use gridwatch_sdk::prelude::*;

use crate::area::Apart;
use crate::balance::Balance;
use crate::phases::Phases;
use crate::sign::Flag;

/// 72 bytes, and 32 a relation and 40 for three phases where they are there.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Sensor {
    pub power: Option<Box<Balance>>,
    pub apparent: Option<Box<Balance>>,
    pub phases: Option<Box<Phases>>,
    pub sign: Flag,
    pub range: Flag,
    pub apart: Apart,
}
