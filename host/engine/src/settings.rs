//! Numbers that shape a run. What decides output is apart from what does not.

use std::time::Duration;

use gridwatch_core::decode::{DecodeSettings, Decoder};
use gridwatch_core::reading::Quantity;
use gridwatch_core::record::RecordFormat;
use serde::{Deserialize, Serialize};

use crate::lane::LaneError;

/// What a lane's output is a function of, besides readings and modules. Stored in every checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LaneSettings {
    pub decode: DecodeSettings,
    pub format: RecordFormat,
    /// Digest of the assets' content.
    pub assets_digest: String,
    /// `advance` is called where the watermark passes a multiple of this.
    pub tick_ms: i64,
    /// The watermark is the lane's clock less this.
    pub lateness_ms: i64,
    pub time_ahead_max_ms: i64,
    /// Ahead of when the record was stored, where the source knows that.
    pub time_ahead_reject_max_ms: i64,
    pub sensors_max: usize,
    /// Records that name a schema are checked by it. Not in the settings of the first checkpoints.
    #[serde(default)]
    pub checks_schemas: bool,
}

impl LaneSettings {
    pub fn decoder(&self, lane: &str, quantities: Vec<Quantity>) -> Result<Decoder, LaneError> {
        let decoder = match &self.format {
            RecordFormat::Json => Decoder::new(&self.decode, quantities),
            RecordFormat::Csv(header) => Decoder::csv(&self.decode, header, quantities),
        };
        decoder.map_err(|errors| {
            let what: Vec<String> = errors.iter().map(ToString::to_string).collect();
            LaneError::Settings { lane: lane.to_owned(), what: what.join("; ") }
        })
    }
}

/// How the work is cut up; carries no meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaceSettings {
    pub batch_rows_max: usize,
    /// The oldest reading of a batch waits no longer than this.
    pub batch_delay: Duration,
    /// Between lane and outlet.
    pub lane_queue_batches_max: usize,
    pub commit_interval: Duration,
    pub checkpoint_interval: Duration,
    /// A lane is saved after so many records in any case: what is lived again after a fault is no more than that.
    pub checkpoint_records_max: u64,
    /// Beside the last two checkpoints of a lane, one an hour is kept for so long (event time).
    pub history_window: Duration,
    /// How long a lane stands still for a detector that has failed and is rebuilt.
    pub rebuild_max: Duration,
    /// The first quarantine of a detector ends after so long; each further one lasts twice as long, …
    pub quarantine_min: Duration,
    /// … up to so long.
    pub quarantine_max: Duration,
    /// A lane without readings for this long takes event time to go on; None: never.
    pub idle_after: Option<Duration>,
}

impl Default for PaceSettings {
    fn default() -> Self {
        PaceSettings {
            batch_rows_max: 1024,
            batch_delay: Duration::from_millis(10),
            lane_queue_batches_max: 64,
            commit_interval: Duration::from_millis(500),
            checkpoint_interval: Duration::from_secs(60),
            checkpoint_records_max: 2_000_000,
            history_window: Duration::from_secs(86_400),
            rebuild_max: Duration::from_secs(5),
            quarantine_min: Duration::from_secs(60),
            quarantine_max: Duration::from_secs(3600),
            idle_after: None,
        }
    }
}

/// What to do when a lane's checkpoint is missing, damaged or unnamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissing {
    Halt,
    /// Start with empty detectors at the committed position, or at the beginning where there is none.
    Cold,
}
