//! A TCP proxy that disturbs on command: what a network, or a server in trouble, does to a client.
//!
//! Two threads a connection and direction: one reads and stamps what comes, one writes when its time has come
//! and the mode lets it. So a delay delays and does not slow down, and bytes that a black hole has swallowed
//! arrive once it is healed, as TCP's retransmission would have it.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::answer::{Answer, read_request};
use super::{Failure, ports};

const CHUNK_BYTES: usize = 16 * 1024;
/// Read and not yet written, by connection and direction: 4 MiB, then TCP holds the sender back.
const CHUNKS_MAX: usize = 256;

/// What happens to connections.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    Forward,
    /// Each direction is that much later.
    Delay(Duration),
    /// Connections stay open and new ones are taken, but nothing comes through until another mode is set.
    BlackHole,
    /// Connections are closed and new ones refused.
    Cut,
    /// Every HTTP request is answered with this, without asking the server behind.
    Answer(Answer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    ToClient,
}

/// What has passed since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections taken.
    pub connections: u64,
    pub to_server_bytes: u64,
    pub to_client_bytes: u64,
    /// Requests answered in place of the server.
    pub answers: u64,
}

struct Link {
    client: TcpStream,
    /// None until there is a way to the server.
    server: Option<TcpStream>,
    /// Half-closed on command: what comes is dropped.
    deaf: [bool; 2],
}

struct State {
    mode: Mode,
    listening: bool,
    over: bool,
    links: HashMap<u64, Link>,
    counts: Counts,
}

struct Shared {
    port: u16,
    target: u16,
    state: Mutex<State>,
    changed: Condvar,
}

/// A port in front of another. It ends, with all its connections, when it is dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Proxy {
    /// On a free port, to a port on the loopback address, forwarding.
    pub fn to(target: u16) -> Proxy {
        Proxy::try_to(target).unwrap_or_else(|failure| panic!("{failure}"))
    }

    pub fn try_to(target: u16) -> Result<Proxy, Failure> {
        let port = ports::pick()?;
        let listener = TcpListener::bind(("127.0.0.1", port));
        let listener = listener.map_err(|error| Failure(format!("proxy: {error}")))?;
        let state = State {
            mode: Mode::Forward,
            listening: true,
            over: false,
            links: HashMap::new(),
            counts: Counts::default(),
        };
        let shared = Shared { port, target, state: Mutex::new(state), changed: Condvar::new() };
        let shared = Arc::new(shared);
        let mine = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || mine.accept(listener));
        Ok(Proxy { shared, acceptor: Some(acceptor) })
    }

    pub fn port(&self) -> u16 {
        self.shared.port
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.shared.port)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// In force when this returns: after `Cut` nobody can connect, after any other mode everybody can.
    pub fn set(&self, mode: Mode) {
        let mut state = self.shared.lock();
        let answered = |mode: &Mode| matches!(mode, Mode::Answer(_));
        // A connection half-way through a conversation with the server cannot be answered in its place.
        if mode == Mode::Cut || answered(&mode) != answered(&state.mode) {
            state.close_all();
        }
        let listening = mode != Mode::Cut;
        state.mode = mode;
        self.shared.changed.notify_all();
        if !listening {
            self.shared.knock();
        }
        drop(self.shared.wait(state, |state| state.listening == listening));
    }

    pub fn forward(&self) {
        self.set(Mode::Forward);
    }

    pub fn delay(&self, by: Duration) {
        self.set(Mode::Delay(by));
    }

    pub fn black_hole(&self) {
        self.set(Mode::BlackHole);
    }

    pub fn cut(&self) {
        self.set(Mode::Cut);
    }

    pub fn answer(&self, answer: Answer) {
        self.set(Mode::Answer(answer));
    }

    /// Closes all connections there are; new ones go by the mode.
    pub fn reset(&self) {
        self.shared.lock().close_all();
    }

    /// Of all connections there are, ends one direction: the far side reads an end, and may go on talking.
    pub fn half_close(&self, direction: Direction) {
        let mut state = self.shared.lock();
        for link in state.links.values_mut() {
            link.deaf[direction as usize] = true;
            let end = match direction {
                Direction::ToServer => link.server.as_ref(),
                Direction::ToClient => Some(&link.client),
            };
            // One that is closed already is no error.
            let _ = end.map(|stream| stream.shutdown(Shutdown::Write));
        }
        self.shared.changed.notify_all();
    }

    pub fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.shared.lock().links.len()
    }

    /// Waits until the counts are as wanted: the way to know that a client has run into the disturbance.
    pub fn wait(&self, within: Duration, wanted: impl Fn(Counts) -> bool) -> Counts {
        let deadline = Instant::now() + within;
        let mut state = self.shared.lock();
        while !wanted(state.counts) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "not in {within:?}: {:?} in mode {:?}", state.counts, state.mode);
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.counts
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.over = true;
        state.close_all();
        drop(state);
        self.shared.changed.notify_all();
        self.shared.knock();
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl State {
    fn close_all(&mut self) {
        for (_, link) in self.links.drain() {
            // Their threads read an end and go; one that is closed already is no error.
            let _ = link.client.shutdown(Shutdown::Both);
            let _ = link.server.map(|server| server.shutdown(Shutdown::Both));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        is: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        while !is(&state) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    /// Wakes the thread that waits for connections; it looks at the mode before it takes one.
    fn knock(&self) {
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }

    fn accept(self: &Arc<Self>, listener: TcpListener) {
        let mut listener = Some(listener);
        let mut id = 0;
        loop {
            let taken = listener.as_ref().map(TcpListener::accept);
            let mut state = self.lock();
            if state.over {
                return;
            }
            if state.mode == Mode::Cut {
                listener = None;
                state.listening = false;
                self.changed.notify_all();
                drop(self.wait(state, |state| state.mode != Mode::Cut || state.over));
                continue;
            }
            match taken {
                // Refused until now. Another process may hold the port for a moment.
                None => {
                    listener = TcpListener::bind(("127.0.0.1", self.port)).ok();
                    state.listening = listener.is_some();
                    self.changed.notify_all();
                    drop(state);
                    if listener.is_none() {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                }
                Some(Ok((client, _))) => {
                    id += 1;
                    self.take(&mut state, id, client);
                }
                Some(Err(_)) => {}
            }
        }
    }

    fn take(self: &Arc<Self>, state: &mut State, id: u64, client: TcpStream) {
        let Ok(ours) = client.try_clone() else { return };
        state.counts.connections += 1;
        state.links.insert(id, Link { client: ours, server: None, deaf: [false; 2] });
        self.changed.notify_all();
        let shared = Arc::clone(self);
        std::thread::spawn(move || {
            shared.serve(id, client);
            shared.lock().links.remove(&id);
        });
    }

    /// One connection to its end.
    fn serve(self: &Arc<Self>, id: u64, client: TcpStream) {
        let state =
            self.wait(self.lock(), |state| state.mode != Mode::BlackHole || !state.links.contains_key(&id));
        if let Mode::Answer(answer) = &state.mode {
            let answer = answer.bytes();
            drop(state);
            return self.reply(client, &answer);
        }
        drop(state);
        // A server that is down closes the client's connection.
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.target)) else {
            let _ = client.shutdown(Shutdown::Both);
            return;
        };
        let clones = || -> std::io::Result<_> {
            client.set_nodelay(true)?;
            server.set_nodelay(true)?;
            Ok((client.try_clone()?, server.try_clone()?, server.try_clone()?))
        };
        let Ok((client_too, server_too, known)) = clones() else { return };
        match self.lock().links.get_mut(&id) {
            Some(link) => link.server = Some(known),
            // Closed meanwhile, on command.
            None => return,
        }
        let shared = Arc::clone(self);
        let up = std::thread::spawn(move || shared.pump(id, Direction::ToServer, client, server));
        self.pump(id, Direction::ToClient, server_too, client_too);
        let _ = up.join();
    }

    /// One direction to its end: reads and stamps here, writes in a thread beside.
    fn pump(self: &Arc<Self>, id: u64, direction: Direction, mut from: TcpStream, to: TcpStream) {
        let (chunks, due) = sync_channel::<(Instant, Vec<u8>)>(CHUNKS_MAX);
        let shared = Arc::clone(self);
        let writer = std::thread::spawn(move || shared.deliver(id, direction, &due, to));
        read_on(&mut from, &chunks);
        drop(chunks);
        let _ = writer.join();
    }

    fn deliver(&self, id: u64, direction: Direction, due: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream) {
        let mut broken = false;
        for (read_at, chunk) in due {
            match self.let_through(id, direction, read_at) {
                Some(true) => {}
                Some(false) => continue,
                None => break,
            }
            // The reader goes on all the same, so that the sender sees no more than the receiver's end.
            broken = broken || to.write_all(&chunk).is_err();
            if !broken {
                let mut state = self.lock();
                let bytes = chunk.len() as u64;
                match direction {
                    Direction::ToServer => state.counts.to_server_bytes += bytes,
                    Direction::ToClient => state.counts.to_client_bytes += bytes,
                }
                self.changed.notify_all();
            }
        }
        // An end that came by itself is passed on, after everything before it and as late.
        self.let_through(id, direction, Instant::now());
        let _ = to.shutdown(Shutdown::Write);
    }

    /// Waits until the mode lets a chunk pass: whether it is to be written or dropped; None once the connection
    /// is closed.
    fn let_through(&self, id: u64, direction: Direction, read_at: Instant) -> Option<bool> {
        let mut state = self.lock();
        loop {
            if state.links.get(&id)?.deaf[direction as usize] {
                return Some(false);
            }
            let left = match state.mode {
                Mode::BlackHole => None,
                Mode::Delay(by) => Some((read_at + by).saturating_duration_since(Instant::now())),
                _ => return Some(true),
            };
            state = match left {
                Some(left) if left.is_zero() => return Some(true),
                Some(left) => {
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Answers one request in the server's place.
    fn reply(&self, mut client: TcpStream, answer: &[u8]) {
        if read_request(&mut client) {
            let _ = client.write_all(answer);
            let mut state = self.lock();
            state.counts.answers += 1;
            self.changed.notify_all();
        }
        let _ = client.shutdown(Shutdown::Both);
    }
}

fn read_on(from: &mut TcpStream, chunks: &SyncSender<(Instant, Vec<u8>)>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(len) => {
                let chunk = buffer.get(..len).unwrap_or_default().to_vec();
                if chunks.send((Instant::now(), chunk)).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
