//! The short way to a detector.

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use crate::detector::{Detector, Info, Memory, Quantity};
use crate::finding::Findings;
use crate::reading::Reading;

/// A detector whose parameters are itself and which keeps one state a sensor: for more (state by
/// quantity, facts from attributes, groups, ticks) implement [`Detector`].
pub trait Rule: Serialize + DeserializeOwned + JsonSchema + Default + 'static {
    const INFO: Info;
    /// State a sensor.
    type State: Default + Serialize + DeserializeOwned;

    fn judge(&self, reading: &Reading<'_>, state: &mut Self::State, out: &mut Findings<'_>);
}

impl<R: Rule> Detector for R {
    const INFO: Info = <R as Rule>::INFO;
    type Parameters = R;
    type Facts = ();
    type Sensor = R::State;
    type Cell = ();
    type Group = ();

    fn new(parameters: R, _quantities: &[Quantity]) -> Result<Self, String> {
        Ok(parameters)
    }

    fn judge(&self, reading: &Reading<'_>, memory: Memory<'_, Self>, out: &mut Findings<'_>) {
        Rule::judge(self, reading, memory.sensor, out);
    }
}

/// A struct of parameters with defaults, ready for JSON and its schema:
/// `parameters!(pub Step { /** Volts. */ jump_max_v: f64 = 10.0, });`
#[macro_export]
macro_rules! parameters {
    ($(#[$meta:meta])* $visibility:vis $name:ident {
        $($(#[$field_meta:meta])* $field:ident: $kind:ty = $default:expr),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(
            Debug, Clone, PartialEq, $crate::serde::Serialize, $crate::serde::Deserialize, $crate::schemars::JsonSchema,
        )]
        #[serde(crate = "gridwatch_sdk::serde", default, deny_unknown_fields)]
        #[schemars(crate = "gridwatch_sdk::schemars")]
        $visibility struct $name {
            $($(#[$field_meta])* pub $field: $kind,)*
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default),* }
            }
        }
    };
}

/// An `Info` with the crate's name and version and state version 1:
/// `info!(["voltage"], step: "voltage jumps")`. Kinds are numbered as written.
#[macro_export]
macro_rules! info {
    ([$($quantity:literal),* $(,)?], $($kind:ident: $description:literal),+ $(,)?) => {
        $crate::detector::Info {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            state_version: 1,
            kinds: &[$($crate::detector::Kind { name: stringify!($kind), description: $description }),+],
            wanted: $crate::detector::Wanted::Named(&[$($quantity),*]),
        }
    };
}
