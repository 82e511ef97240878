//! Server-sent events: what changes, to whoever listens. Each listener has a short queue; one that does not read
//! misses what does not fit into it, and is told how much.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_core::Stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Sleep, sleep};

use super::Api;
use super::anomalies::published;
use super::detectors::HistoryEntry;
use super::problem::Problem;
use super::seen::Entry;
use super::{detectors, lanes, overview};

const LISTENERS_MAX: usize = 256;
/// Of a listener.
const QUEUE_MAX: usize = 128;
/// A listener that has not read anything for so long is let go.
const DEAF_MAX: Duration = Duration::from_secs(60);
/// Whoever listens takes silence of a few seconds for a lost connection.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Then a stream ends in good order, and a client comes again: no connection lives for ever.
const STREAM_MAX: Duration = Duration::from_secs(240);
const TICK: Duration = Duration::from_millis(200);
const TICKS_PER_SECOND: u32 = 5;
/// Anomalies a tick; how many more there were is said.
const ANOMALIES_MAX: usize = 20;
/// Of what came before, to a listener that comes again.
const CAUGHT_UP_MAX: usize = 100;

/// Whoever listens.
pub struct Hub {
    listeners: Mutex<Vec<Listener>>,
    places: Arc<Semaphore>,
    skipped: AtomicU64,
}

struct Listener {
    queue: mpsc::Sender<Event>,
    /// Free again once nobody speaks to it any more, whatever its connection does.
    _place: Option<OwnedSemaphorePermit>,
    /// Events that did not fit.
    skipped: u64,
    full_since: Option<Instant>,
}

impl Default for Hub {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(LISTENERS_MAX));
        Hub { listeners: Mutex::default(), places, skipped: AtomicU64::new(0) }
    }
}

impl Hub {
    pub fn listeners(&self) -> usize {
        LISTENERS_MAX - self.places.available_permits()
    }

    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    fn send(&self, event: &Event) {
        self.lock().retain_mut(|listener| listener.send(event, &self.skipped));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    /// Whether it is still to be spoken to.
    fn send(&mut self, event: &Event, skipped: &AtomicU64) -> bool {
        if self.skipped > 0
            && let Some(words) = json("skipped", &Skipped { n: self.skipped })
            && self.queue.try_send(words).is_ok()
        {
            self.skipped = 0;
        }
        match self.queue.try_send(event.clone()) {
            Ok(()) => {
                self.full_since = None;
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.skipped += 1;
                skipped.fetch_add(1, Ordering::Relaxed);
                self.full_since.get_or_insert_with(Instant::now).elapsed() < DEAF_MAX
            }
        }
    }
}

/// How many events were not sent.
#[derive(Serialize)]
struct Skipped {
    n: u64,
}

#[derive(Serialize)]
struct OfDetector {
    detector: String,
    entry: HistoryEntry,
}

fn json(name: &str, data: &impl Serialize) -> Option<Event> {
    Event::default().event(name).json_data(data).ok()
}

fn anomaly(entry: &Entry) -> Option<Event> {
    json("anomaly", &published(entry)?).map(|event| event.id(entry.sequence.to_string()))
}

/// A listener's end: what it missed first, then what comes.
pub struct Listening {
    first: VecDeque<Event>,
    queue: mpsc::Receiver<Event>,
    end: Pin<Box<Sleep>>,
}

impl Stream for Listening {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(event) = self.first.pop_front() {
            return Poll::Ready(Some(Ok(event)));
        }
        if self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        self.queue.poll_recv(context).map(|event| event.map(Ok))
    }
}

/// What changes, as it changes: `overview` and `lane` (all lanes) once a second, `anomaly` for each (20 every 200 ms at
/// most), `detector` where its version, mode or fate has changed, `history` for what became of one, and `skipped` with
/// how many events were left out for a listener that reads too slowly or where there were too many. `Last-Event-ID`, the
/// id of the last anomaly that was seen, brings up to 100 that came since. After four minutes the stream ends; come again.
#[utoipa::path(get, path = "/events", tag = "events",
    params(("Last-Event-ID" = Option<String>, Header, description = "Id of the last anomaly that was seen")),
    responses((status = 200, content_type = "text/event-stream", body = String),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "256 listen already")))]
pub async fn events(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let hub = &api.hub;
    let Ok(place) = hub.places.clone().try_acquire_owned() else {
        return Err(Problem::busy(format!("{LISTENERS_MAX} clients listen already")));
    };
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse::<u64>().ok());
    let (sender, queue) = mpsc::channel(QUEUE_MAX);
    let first = last.map_or_else(VecDeque::new, |last| missed(&api, last));
    hub.lock().push(Listener { queue: sender, _place: Some(place), skipped: 0, full_since: None });
    let listening = Listening { first, queue, end: Box::pin(sleep(STREAM_MAX)) };
    Ok(Sse::new(listening).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

fn missed(api: &Api, last: u64) -> VecDeque<Event> {
    let entries = api.seen.anomalies.after(last);
    let beyond = entries.len().saturating_sub(CAUGHT_UP_MAX);
    let skipped = (beyond > 0).then(|| json("skipped", &Skipped { n: beyond as u64 })).flatten();
    skipped.into_iter().chain(entries[beyond..].iter().filter_map(|entry| anomaly(entry))).collect()
}

/// What was said last.
struct Said {
    anomalies: u64,
    history: u64,
    detectors: Vec<detectors::Detector>,
}

/// As long as the servers run. Lanes are asked only while somebody listens.
pub async fn work(api: Api) {
    let mut said = Said { anomalies: 0, history: 0, detectors: Vec::new() };
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut tick = 0;
    loop {
        ticks.tick().await;
        tick = (tick + 1) % TICKS_PER_SECOND;
        if tick == 0 {
            api.look();
        }
        if api.hub.listeners() == 0 {
            said.anomalies = api.seen.anomalies.sequence();
            said.history = api.history.sequence();
            continue;
        }
        say_new(&api, &mut said);
        if tick == 0 {
            say_state(&api, &mut said).await;
        }
    }
}

fn say_new(api: &Api, said: &mut Said) {
    let new = api.seen.anomalies.after(said.anomalies);
    if let Some(last) = new.last() {
        said.anomalies = last.sequence;
    }
    // The last ones: they are what somebody looks at now.
    let beyond = new.len().saturating_sub(ANOMALIES_MAX);
    if beyond > 0
        && let Some(event) = json("skipped", &Skipped { n: beyond as u64 })
    {
        api.hub.send(&event);
    }
    new[beyond..].iter().filter_map(|entry| anomaly(entry)).for_each(|event| api.hub.send(&event));
    for entry in api.history.after(said.history) {
        said.history = entry.sequence;
        let of = OfDetector { detector: entry.detector.clone(), entry: entry.into() };
        json("history", &of).iter().for_each(|event| api.hub.send(event));
    }
}

async fn say_state(api: &Api, said: &mut Said) {
    let overview = json("overview", &overview::of(api).await);
    let lanes = json("lane", &lanes::all(api));
    overview.iter().chain(&lanes).for_each(|event| api.hub.send(event));
    let all = detectors::all(api);
    for detector in &all {
        let before = said.detectors.iter().find(|before| before.name == detector.name);
        if before.is_none_or(|before| !before.is_like(detector)) {
            json("detector", detector).iter().for_each(|event| api.hub.send(event));
        }
    }
    said.detectors = all;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn listener(queue: mpsc::Sender<Event>) -> Listener {
        Listener { queue, _place: None, skipped: 0, full_since: None }
    }

    fn event() -> Event {
        json("overview", &1).unwrap()
    }

    #[test]
    fn a_listener_that_does_not_read_holds_up_nobody_and_is_told_what_it_missed() {
        let hub = Hub::default();
        let ((deaf, mut unread), (awake, mut read)) = (mpsc::channel(4), mpsc::channel(4));
        hub.lock().extend([listener(deaf), listener(awake)]);
        for _ in 0..100 {
            hub.send(&event());
            assert!(read.try_recv().is_ok(), "who reads misses nothing");
        }
        assert_eq!((hub.skipped(), unread.len()), (96, 4), "its queue is short");
        while unread.try_recv().is_ok() {}
        hub.send(&event());
        let told = format!("{:?}", unread.try_recv().unwrap());
        assert!(told.contains("skipped") && told.contains("96"), "{told}");
    }

    #[test]
    fn who_is_gone_or_deaf_for_long_is_let_go() {
        let hub = Hub::default();
        let ((gone, end), (deaf, _unread)) = (mpsc::channel(4), mpsc::channel(1));
        let long_ago = Instant::now().checked_sub(DEAF_MAX).unwrap();
        hub.lock().extend([listener(gone), Listener { full_since: Some(long_ago), ..listener(deaf) }]);
        drop(end);
        hub.send(&event());
        assert_eq!(hub.lock().len(), 1, "there was room in the queue still");
        hub.lock()[0].full_since = Some(long_ago);
        hub.send(&event());
        assert!(hub.lock().is_empty());
    }
}
