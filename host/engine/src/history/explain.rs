//! Why an anomaly was found: its detector lives again up to its reading, and what it makes of that is put in a capsule.

use gridwatch_core::capsule::Capsule;
use gridwatch_core::record::Position;
use gridwatch_core::sink::{AnomalyMessage, Delivery, Outgoing};

use super::{At, History, HistoryError, Patience};
use crate::lane::LaneParts;

/// An anomaly that was found once more.
pub struct Explained {
    pub anomaly: AnomalyMessage,
    /// What its detector made of the reading, with the ids of all that came of it.
    pub capsule: Capsule,
}

impl History {
    /// The anomaly of that id, which stands at `position` of its lane.
    pub fn explain(
        &self,
        parts: LaneParts,
        detector: &str,
        (id, position): (&str, Position),
        patience: Patience<'_>,
    ) -> Result<Explained, HistoryError> {
        // So that what follows from a decision is said with it.
        let parts = LaneParts { delivery: Delivery::AtLeastOnce, ..parts };
        let mut reliving =
            self.relive_from(parts, At::Position(position), &[detector], position, patience)?;
        reliving.lane_mut().watch(detector, position);
        reliving.until(position + 1, patience)?;
        let lane = reliving.lane_mut();
        let said = lane.take_output().map(|output| output.messages).unwrap_or_default();
        let said: Vec<AnomalyMessage> = said
            .into_iter()
            .filter_map(|message| match message {
                Outgoing::Anomaly(anomaly) => Some(anomaly),
                Outgoing::DeadLetter(_) => None,
            })
            .collect();
        let ids: Vec<String> = said.iter().filter_map(AnomalyMessage::id).map(str::to_owned).collect();
        let found = said.into_iter().find(|anomaly| anomaly.id() == Some(id));
        let (Some(anomaly), Some(capsule)) = (found, lane.take_watched()) else {
            let what = format!(
                "{detector} says {} anomalies at position {position}, and not this one. It may be so new that what \
                 was decided meanwhile is in no checkpoint yet: try again in a minute",
                ids.len()
            );
            return Err(HistoryError::Differs { what });
        };
        Ok(Explained { anomaly, capsule: Capsule { anomalies: ids, ..capsule } })
    }
}
