//! Write a gridwatch detector.
//!
//! An author implements [`Detector`] and writes `gridwatch_sdk::export!(MyDetector);`.

pub mod detector;
pub mod finding;
pub mod reading;

pub mod prelude {
    pub use crate::detector::{Detector, Info, Kind, Memory, Quantity, SensorInfo, Wanted};
    pub use crate::finding::{Episode, Finding, Findings, Severity};
    pub use crate::reading::Reading;
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
}
