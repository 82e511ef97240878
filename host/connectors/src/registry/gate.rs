//! Holds a lane back at the first record whose schema's id nothing is known of yet, so that a lane may ask
//! for schemas without waiting. What comes before it goes on, and so do other lanes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gridwatch_core::intake::{Change, Intake, Opening};
use gridwatch_core::record::{Chunk, Feed, FeedStatus, Position, Record, RecordFormat, SourceError};
use gridwatch_core::schema::{Framing, unframe};
use gridwatch_core::sink::LaneId;

use super::cache::{Answer, SchemaCache};

/// A registry that answers as usual needs less for a new id, which is not worth a word.
const USUAL: Duration = Duration::from_secs(1);

/// An intake whose feeds hand over a record only once its schema is known, or known to be absent.
pub struct GatedIntake {
    inner: Box<dyn Intake>,
    schemas: Arc<SchemaCache>,
}

impl GatedIntake {
    pub fn new(inner: Box<dyn Intake>, schemas: Arc<SchemaCache>) -> Self {
        GatedIntake { inner, schemas }
    }

    fn gated(&self, opening: Opening) -> Opening {
        if opening.format != RecordFormat::Json {
            return opening;
        }
        let place = opening.lane.to_string();
        let feed = Box::new(GatedFeed::new(opening.feed, self.schemas.clone(), place));
        Opening { feed, ..opening }
    }
}

impl Intake for GatedIntake {
    fn poll(&mut self, wait: Duration) -> Result<Vec<Change>, SourceError> {
        let changes = self.inner.poll(wait)?.into_iter().map(|change| match change {
            Change::Opened(opening) => Change::Opened(self.gated(opening)),
            other => other,
        });
        Ok(changes.collect())
    }

    fn released(&mut self, lanes: &[LaneId]) -> Result<(), SourceError> {
        self.inner.released(lanes)
    }

    fn reopen(&mut self) -> Result<Vec<Opening>, SourceError> {
        Ok(self.inner.reopen()?.into_iter().map(|opening| self.gated(opening)).collect())
    }

    fn is_fixed(&self) -> bool {
        self.inner.is_fixed()
    }

    fn close(&mut self) {
        self.inner.close();
    }
}

struct GatedFeed {
    inner: Box<dyn Feed>,
    schemas: Arc<SchemaCache>,
    place: String,
    /// What one poll of the feed gave and is not handed over yet: nothing more is read before it is.
    held: Chunk,
    /// So many of `held` are handed over.
    handed: usize,
    /// What that poll said besides.
    polled: Result<FeedStatus, SourceError>,
    /// The id that is waited for was said.
    told: Option<u32>,
}

impl GatedFeed {
    fn new(inner: Box<dyn Feed>, schemas: Arc<SchemaCache>, place: String) -> Self {
        let polled = Ok(FeedStatus::More);
        GatedFeed { inner, schemas, place, held: Chunk::default(), handed: 0, polled, told: None }
    }

    /// Hands over what is held as far as its schemas are known, waiting at most `wait` for the first.
    /// False: something is still held.
    fn hand_over(&mut self, chunk: &mut Chunk, wait: Duration) -> bool {
        let (mut known, mut stopped, mut handed) = (None, None, 0);
        for record in self.held.iter().skip(self.handed) {
            let id = id_of(&record).filter(|id| known != Some(*id));
            if let Some(id) = id {
                let wait = if handed == 0 { wait } else { Duration::ZERO };
                if let Answer::Waiting { since, why } = self.schemas.ensure_within(id, wait) {
                    stopped = Some((id, since, why));
                    break;
                }
                known = Some(id);
            }
            chunk.push(&record);
            handed += 1;
        }
        self.handed += handed;
        match stopped {
            Some((id, since, why)) => {
                self.tell(id, since, &why);
                false
            }
            None => true,
        }
    }

    fn tell(&mut self, id: u32, since: Instant, why: &str) {
        if since.elapsed() >= USUAL && self.told.replace(id) != Some(id) {
            tracing::warn!(
                lane = self.place,
                id,
                "a record waits for its schema, and those behind it: {why}"
            );
        }
    }
}

impl Feed for GatedFeed {
    fn seek(&mut self, position: Position) -> Result<(), SourceError> {
        self.held.clear();
        self.handed = 0;
        self.polled = Ok(FeedStatus::More);
        self.inner.seek(position)
    }

    /// While something is held there is more to come, so that nobody takes the lane for a silent one.
    fn poll(&mut self, chunk: &mut Chunk, wait: Duration) -> Result<FeedStatus, SourceError> {
        if self.held.records.is_empty() {
            let polled = self.inner.poll(chunk, wait);
            if all_known(chunk, &self.schemas) {
                return polled;
            }
            std::mem::swap(&mut self.held, chunk);
            chunk.clear();
            self.polled = polled;
        }
        if !self.hand_over(chunk, wait) {
            return Ok(FeedStatus::More);
        }
        self.held.clear();
        self.handed = 0;
        self.told = None;
        std::mem::replace(&mut self.polled, Ok(FeedStatus::More))
    }

    fn beginning(&mut self) -> Result<Position, SourceError> {
        self.inner.beginning()
    }

    fn lag(&self) -> Option<u64> {
        let held = self.held.records.len() - self.handed;
        self.inner.lag().map(|lag| lag + held as u64)
    }
}

/// One comparison for a plain record, and a second one for the id of the record before.
fn all_known(chunk: &Chunk, schemas: &SchemaCache) -> bool {
    let mut known = None;
    for record in chunk.iter() {
        if record.bytes.first() != Some(&0) {
            continue;
        }
        if let Some(id) = id_of(&record).filter(|id| known != Some(*id)) {
            if matches!(schemas.ensure(id), Answer::Waiting { .. }) {
                return false;
            }
            known = Some(id);
        }
    }
    true
}

/// Of a record that will be asked for it.
fn id_of(record: &Record<'_>) -> Option<u32> {
    match unframe(record.bytes) {
        Framing::Framed { id, .. } if !record.meta.truncated => Some(id),
        _ => None,
    }
}
