//! From configuration to a plan: feeds, lanes, settings; and what a running pipeline shows.

mod ends;
mod lanes;
mod progress;
mod running;
mod sample;
mod schemas;
mod signals;
mod sought;
mod stdout;

pub use ends::{commit_file, ends, explained, hold, kafka_settings, make_folder, store};
pub use lanes::{LaneBase, Lanes, of_group, of_source, settings_of, simulator_lanes};
pub use progress::show as show_progress;
pub use running::{Running, is_over};
pub use sample::{Label, account_of, cost_ns, over_lanes};
pub use schemas::Registered;
pub use signals::Signals;
pub use sought::MappingWatch;
pub use stdout::reader_gone;

use gridwatch_engine::settings::{OnMissing, PaceSettings};

use crate::config;

/// How the work is cut up, as configured.
pub fn pace(engine: &config::Engine, checkpoints: &config::Checkpoints) -> PaceSettings {
    PaceSettings {
        batch_rows_max: engine.batch_rows_max,
        batch_delay: engine.batch_delay,
        lane_queue_batches_max: engine.lane_queue_batches_max,
        commit_interval: engine.commit_interval,
        checkpoint_interval: checkpoints.interval,
        checkpoint_records_max: checkpoints.records_max,
        history_window: checkpoints.history_window,
        rebuild_max: engine.rebuild_max,
        quarantine_min: engine.quarantine_min,
        quarantine_max: engine.quarantine_max,
        idle_after: engine.idle_tick,
    }
}

/// Where readings come from.
pub fn in_words(source: Option<&config::Source>) -> String {
    match source {
        None => "a simulated grid".to_owned(),
        Some(config::Source::Simulator(simulator)) => format!("a simulated grid, {} lanes", simulator.lanes),
        Some(config::Source::Kafka(kafka)) => format!("topic {} at {}", kafka.topic, kafka.brokers),
        Some(config::Source::Files(files)) => {
            let names = files.paths.iter().map(|path| path.file_name().unwrap_or_default().to_string_lossy());
            names.take(3).collect::<Vec<_>>().join(", ") + if files.paths.len() > 3 { ", …" } else { "" }
        }
    }
}

pub fn on_missing(configured: config::OnMissing) -> OnMissing {
    match configured {
        config::OnMissing::Halt => OnMissing::Halt,
        config::OnMissing::Cold => OnMissing::Cold,
    }
}
