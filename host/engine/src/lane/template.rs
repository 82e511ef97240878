//! What the lanes of a run have in common.

use std::sync::Arc;

use gridwatch_core::anomaly::Origin;
use gridwatch_core::assets::Assets;
use gridwatch_core::checkpoint::SourcePart;
use gridwatch_core::record::RecordFormat;
use gridwatch_core::sink::{Delivery, LaneId};

use super::{LaneParts, SchemaSource};
use crate::deployment::{Deployment, Deployments, Mode};
use crate::history::History;
use crate::settings::LaneSettings;

#[derive(Clone)]
pub struct LaneTemplate {
    /// A lane's own record format takes the place of the one in here, and whether schemas are checked is
    /// whether there are any.
    pub settings: LaneSettings,
    pub assets: Arc<Assets>,
    pub delivery: Delivery,
    /// Detectors that are there but may not run now (refused, disabled): their states are kept.
    pub dormant: Vec<String>,
    pub deployments: Vec<Arc<Deployment>>,
    pub batch_rows_max: usize,
    /// None: frames are taken off, and what is in them is not checked.
    pub schemas: Option<SchemaSource>,
    /// What ran once, where there is a roster.
    pub past: Option<Arc<dyn Deployments>>,
    /// Where what lanes have lived can be lived again.
    pub history: Option<History>,
}

impl LaneTemplate {
    pub fn parts(
        &self,
        lane: &LaneId,
        origin: Origin,
        source: Vec<SourcePart>,
        format: RecordFormat,
    ) -> LaneParts {
        let checks_schemas = self.schemas.is_some();
        LaneParts {
            name: lane.to_string(),
            origin,
            settings: LaneSettings { format, checks_schemas, ..self.settings.clone() },
            assets: self.assets.clone(),
            source,
            delivery: self.delivery,
            dormant: self.dormant.clone(),
            // Shadows come once the lane is open.
            deployments: self.deployments.iter().filter(|one| one.mode == Mode::Live).cloned().collect(),
            batch_rows_max: self.batch_rows_max,
            schemas: self.schemas.clone(),
            past: self.past.clone(),
            history: self.history.clone(),
        }
    }
}
