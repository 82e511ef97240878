//! Lanes that are given and taken while the pipeline runs.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gridwatch_connectors::memory::{MemoryFeed, MemorySink, MemoryStore};
use gridwatch_core::anomaly::Origin;
use gridwatch_core::intake::{Change, Intake, Opening, Revocation};
use gridwatch_core::record::{Chunk, Feed, FeedStatus, Position, RecordFormat, SourceError};
use gridwatch_core::sink::{Commit, Commits, LaneId, Outgoing, Sink, SinkError};
use gridwatch_engine::lane::LaneTemplate;
use gridwatch_engine::pipeline::{Pipeline, Plan};
use gridwatch_engine::settings::{OnMissing, PaceSettings};

fn lane(name: &str) -> LaneId {
    LaneId { name: name.into(), incarnation: 1 }
}

/// Nothing to read, and no hurry about it.
struct Silence(MemoryFeed);

impl Feed for Silence {
    fn seek(&mut self, position: Position) -> Result<(), SourceError> {
        self.0.seek(position)
    }

    fn poll(&mut self, _: &mut Chunk, wait: Duration) -> Result<FeedStatus, SourceError> {
        std::thread::sleep(wait);
        Ok(FeedStatus::Idle)
    }

    fn lag(&self) -> Option<u64> {
        None
    }
}

/// Asks for one of two lanes back; the next word, whenever it is listened to, is that both are lost.
struct Fickle {
    step: usize,
    are_open: Box<dyn Fn() -> bool + Send>,
    is_lost: Arc<AtomicBool>,
    released: Arc<Mutex<Vec<Vec<LaneId>>>>,
}

impl Intake for Fickle {
    fn poll(&mut self, wait: Duration) -> Result<Vec<Change>, SourceError> {
        let opened = |name: &str| {
            Change::Opened(Opening {
                lane: lane(name),
                origin: Origin::Topic { topic: "t".into(), partition: 0 },
                source: Vec::new(),
                format: RecordFormat::Json,
                feed: Box::new(Silence(MemoryFeed::open())),
            })
        };
        let revoked = |lanes: &[&str], how| Change::Revoked {
            lanes: lanes.iter().map(|name| lane(name)).collect(),
            how,
        };
        self.step += 1;
        match self.step {
            1 => return Ok(vec![opened("a"), opened("b")]),
            2 if (self.are_open)() => return Ok(vec![revoked(&["a"], Revocation::Asked)]),
            2 => self.step = 1,
            3 => {
                self.is_lost.store(true, Ordering::Release);
                return Ok(vec![revoked(&["a", "b"], Revocation::Lost)]);
            }
            _ => {}
        }
        std::thread::sleep(wait);
        Ok(Vec::new())
    }

    fn released(&mut self, lanes: &[LaneId]) -> Result<(), SourceError> {
        self.released.lock().unwrap().push(lanes.to_vec());
        Ok(())
    }

    fn reopen(&mut self) -> Result<Vec<Opening>, SourceError> {
        Ok(Vec::new())
    }

    fn is_fixed(&self) -> bool {
        false
    }

    fn close(&mut self) {}
}

/// Makes no commit until it knows that the lanes are lost.
struct Stubborn {
    inner: MemorySink,
    is_lost: Arc<AtomicBool>,
}

impl Sink for Stubborn {
    fn recover(&mut self) -> Result<Arc<dyn Commits>, SinkError> {
        self.inner.recover()
    }

    fn append(&mut self, lane: &LaneId, messages: Vec<Outgoing>) -> Result<(), SinkError> {
        self.inner.append(lane, messages)
    }

    fn commit(&mut self, commit: &Commit) -> Result<Vec<LaneId>, SinkError> {
        if self.is_lost.load(Ordering::Acquire) {
            return Ok(commit.lanes.keys().cloned().collect());
        }
        Err(SinkError::Busy { place: "broker".into(), what: "unknown member".into() })
    }

    fn forget(&mut self, lane: &LaneId) {
        self.inner.forget(lane);
    }
}

fn plan(intake: Box<dyn Intake>, sink: Box<dyn Sink>) -> Plan {
    let parts = support::parts(16);
    Plan {
        intake,
        past: None,
        template: LaneTemplate {
            history: None,
            settings: parts.settings,
            assets: parts.assets,
            delivery: parts.delivery,
            dormant: parts.dormant,
            deployments: parts.deployments,
            batch_rows_max: 16,
            schemas: None,
            past: None,
        },
        sink,
        store: Arc::new(MemoryStore::new()),
        pace: PaceSettings::default(),
        on_missing: OnMissing::Halt,
        observers: Vec::new(),
    }
}

/// A membership that ends while a lane is being given back in good order: nobody waits for a commit that cannot
/// come any more.
#[test]
fn a_loss_is_heard_while_lanes_are_being_given_back() {
    let is_lost = Arc::new(AtomicBool::new(false));
    let released: Arc<Mutex<Vec<Vec<LaneId>>>> = Arc::default();
    let pipeline: Arc<Mutex<Option<Pipeline>>> = Arc::default();
    let watched = pipeline.clone();
    let are_open =
        move || watched.lock().unwrap().as_ref().is_some_and(|pipeline| pipeline.snapshot().lanes.len() == 2);
    let intake = Fickle {
        step: 0,
        are_open: Box::new(are_open),
        is_lost: is_lost.clone(),
        released: released.clone(),
    };
    let plan = plan(Box::new(intake), Box::new(Stubborn { inner: MemorySink::new(), is_lost }));
    *pipeline.lock().unwrap() = Some(Pipeline::start(plan).unwrap());
    let until = Instant::now() + Duration::from_secs(10);
    while released.lock().unwrap().len() < 2 {
        assert!(Instant::now() < until, "not given back: {:?}", released.lock().unwrap());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(*released.lock().unwrap(), [vec![lane("a")], vec![lane("a"), lane("b")]]);
    let pipeline = pipeline.lock().unwrap().take().unwrap();
    pipeline.drain();
    let (snapshot, ended) = pipeline.wait();
    assert_eq!((snapshot.lanes.len(), ended), (0, Ok(())));
}

/// Comes back from a poll when it may, not when it was asked to.
struct Stuck(Receiver<()>);

impl Intake for Stuck {
    fn poll(&mut self, wait: Duration) -> Result<Vec<Change>, SourceError> {
        match self.0.recv() {
            Ok(()) => {}
            Err(_) => std::thread::sleep(wait),
        }
        Ok(Vec::new())
    }

    fn released(&mut self, _: &[LaneId]) -> Result<(), SourceError> {
        Ok(())
    }

    fn reopen(&mut self) -> Result<Vec<Opening>, SourceError> {
        Ok(Vec::new())
    }

    fn is_fixed(&self) -> bool {
        false
    }

    fn close(&mut self) {}
}

/// Whoever asks whether the process is alive hears of a thread that never comes back from the source.
#[test]
fn a_source_that_does_not_come_back_is_seen() {
    const LONG: Duration = Duration::from_millis(700);
    let (come_back, stuck) = channel();
    let pipeline = Pipeline::start(plan(Box::new(Stuck(stuck)), Box::new(MemorySink::new()))).unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while pipeline.snapshot().intake_silence < LONG {
        assert!(Instant::now() < until, "nobody has noticed");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(come_back);
    while pipeline.snapshot().intake_silence >= LONG {
        assert!(Instant::now() < until, "it came back, and nobody has noticed");
        std::thread::sleep(Duration::from_millis(5));
    }
    pipeline.drain();
    assert_eq!(pipeline.wait().1, Ok(()));
}
