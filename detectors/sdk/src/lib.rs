//! Write a gridwatch detector.
//!
//! An author implements [`Detector`](detector::Detector), or for a small one [`Rule`](rule::Rule), and
//! writes `gridwatch_sdk::export!(MyDetector);`. The rest is here:
//!
//! - `detector`, `rule`, `reading`, `finding`: what an author meets
//! - `math`, `collections`, `log`: what a detector uses instead of the platform's
//! - `state`: saved bytes, for migrations
//! - `kit`: tests of a detector, natively
//! - `runtime`, `contract`: between the author's functions and the contract, in plain Rust
//! - `guest`: the glue to WebAssembly (only there)

pub mod collections;
pub mod contract;
pub mod detector;
pub mod finding;
#[cfg(target_arch = "wasm32")]
pub mod guest;
#[cfg(not(target_arch = "wasm32"))]
pub mod kit;
pub mod log;
pub mod math;
pub mod reading;
pub mod rule;
pub mod runtime;
pub mod state;

#[doc(hidden)]
pub use schemars;
#[doc(hidden)]
pub use serde;

pub mod prelude {
    pub use crate::detector::{Band, Detector, Info, Kind, Memory, Quantity, SensorInfo, Timestamp, Wanted};
    pub use crate::finding::{Episode, Finding, Findings, Severity};
    pub use crate::reading::{Bits, Reading};
    pub use crate::rule::Rule;
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
}

/// Makes the crate a component of the world `gridwatch:detector/detector-module`. Natively it is
/// nothing, so that the crate is a plain library beside it.
#[macro_export]
macro_rules! export {
    ($detector:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            $crate::guest_exports!($detector);
        };
    };
}
