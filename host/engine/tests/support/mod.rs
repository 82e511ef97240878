//! What the engine's tests share.
#![allow(dead_code, reason = "each test binary uses a part")]

pub mod judge;
pub mod readings;

use std::sync::Arc;

use gridwatch_core::anomaly::Origin;
use gridwatch_core::assets::Assets;
use gridwatch_core::decode::DecodeSettings;
use gridwatch_core::judge::Limits;
use gridwatch_engine::deployment::{Deployment, OnFault, OnNewState};
use gridwatch_engine::lane::LaneParts;
use gridwatch_engine::settings::{LaneSettings, RecordFormat};

use judge::{NativeModule, NoLog};

/// A lane with two native detectors: one of all quantities, one of voltages.
pub fn parts(rows_max: usize) -> LaneParts {
    let deploy = |name: &str, prefix| {
        Arc::new(Deployment {
            name: name.into(),
            module: Arc::new(NativeModule::new(name, prefix)),
            parameters: "{}".into(),
            limits: Limits::default(),
            on_fault: OnFault::Quarantine,
            on_new_state: OnNewState::Refuse,
            log: Arc::new(NoLog),
        })
    };
    LaneParts {
        name: "0".into(),
        origin: Origin::File { file: "readings.jsonl".into() },
        settings: LaneSettings {
            decode: DecodeSettings::default(),
            format: RecordFormat::Json,
            assets_digest: String::new(),
            tick_ms: 10_000,
            lateness_ms: 5_000,
            time_ahead_max_ms: 300_000,
            time_ahead_reject_max_ms: 172_800_000,
            sensors_max: 5,
        },
        assets: Arc::new(Assets::default()),
        source: Vec::new(),
        dormant: Vec::new(),
        deployments: vec![deploy("every", ""), deploy("voltage", "voltage")],
        batch_rows_max: rows_max,
    }
}
