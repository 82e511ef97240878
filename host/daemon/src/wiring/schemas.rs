//! `[registry]` at work: what lanes check records with, and how it fares.

use std::sync::Arc;
use std::time::Duration;

use gridwatch_connectors::registry::{CacheSettings, GatedIntake, RegistryStatus, SchemaCache};
use gridwatch_engine::lane::{LaneTemplate, OnUnknown, SchemaSource};

use super::Lanes;
use crate::cli::Failure;
use crate::config::{Config, UnknownSchema};
use crate::metrics::RegistrySample;

/// A registry that answers as usual needs less for a new id.
const USUAL: Duration = Duration::from_secs(1);

/// The registry's schemas. Handles are copies of one thing.
#[derive(Debug, Clone)]
pub struct Registered {
    cache: Arc<SchemaCache>,
    on_unknown: OnUnknown,
}

impl Registered {
    /// `None` without a `[registry]`. Asks nothing yet.
    pub fn of(config: &Config) -> Result<Option<Registered>, Failure> {
        let Some(registry) = &config.registry else { return Ok(None) };
        let failed = |what: String| Failure::Start(format!("[registry]: {what}"));
        let settings = registry.settings().map_err(failed)?;
        let cache = SchemaCache::new(&settings, CacheSettings::default())
            .map_err(|error| failed(error.to_string()))?;
        let on_unknown = match registry.unknown_schema {
            UnknownSchema::DeadLetter => OnUnknown::DeadLetter,
            UnknownSchema::Halt => OnUnknown::Halt,
        };
        Ok(Some(Registered { cache: Arc::new(cache), on_unknown }))
    }

    /// Lanes check by these schemas, and wait for those that nothing is known of.
    pub fn gate(&self, lanes: Lanes) -> Lanes {
        let schemas = Some(SchemaSource { schemas: self.cache.clone(), on_unknown: self.on_unknown });
        Lanes {
            intake: Box::new(GatedIntake::new(lanes.intake, self.cache.clone())),
            template: LaneTemplate { schemas, ..lanes.template },
            ..lanes
        }
    }

    /// Why records wait, if any do.
    pub fn trouble(&self) -> Option<String> {
        trouble(&self.cache.status())
    }

    pub fn sample(&self) -> RegistrySample {
        let status = self.cache.status();
        RegistrySample {
            known_ids: status.known_ids as u64,
            waiting_ids: status.waiting_ids as u64,
            requests: status.fetches,
            failures: status.failures,
        }
    }
}

fn trouble(status: &RegistryStatus) -> Option<String> {
    let waits = status.waiting_since?.elapsed();
    if status.reachable && waits < USUAL {
        return None;
    }
    let error = status.last_error.as_ref().filter(|_| !status.reachable);
    let why = error.map_or_else(|| "the registry has not answered".to_owned(), ToString::to_string);
    Some(format!("records of {} unknown schemas wait since {} s: {why}", status.waiting_ids, waits.as_secs()))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use gridwatch_connectors::registry::RegistryError;

    use super::*;

    #[test]
    fn only_what_lasts_or_fails_is_trouble() {
        let calm = RegistryStatus {
            reachable: true,
            known_ids: 3,
            absent_ids: 1,
            waiting_ids: 0,
            waiting_since: None,
            fetches: 5,
            failures: 1,
            last_error: Some(RegistryError::Settings { what: "is over".into() }),
        };
        assert_eq!(trouble(&calm), None);
        let asked = RegistryStatus { waiting_ids: 2, waiting_since: Some(Instant::now()), ..calm };
        assert_eq!(trouble(&asked), None);
        let away = RegistryStatus { reachable: false, ..asked.clone() };
        let said = "records of 2 unknown schemas wait since 0 s: schema registry: is over";
        assert_eq!(trouble(&away).as_deref(), Some(said));
        let long = Instant::now().checked_sub(Duration::from_secs(3));
        let said = "records of 2 unknown schemas wait since 3 s: the registry has not answered";
        assert_eq!(trouble(&RegistryStatus { waiting_since: long, ..asked }).as_deref(), Some(said));
    }
}
