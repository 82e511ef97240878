//! One server process: started from a recipe, waited for until it is ready, and ended in several ways.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::left;
use super::place::Folder;

/// Until a server answers: it takes seconds, and much more where the machine is busy.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Between SIGTERM and SIGKILL.
const STOP_WITHIN: Duration = Duration::from_secs(20);
const ATTEMPTS: usize = 5;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Of the log, in an error.
const TAIL_BYTES: u64 = 4_000;

/// What kept a server from starting, with the end of its log.
#[derive(Clone, Debug)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// Another process took the port between our look and the server's bind.
    pub fn is_port_taken(&self) -> bool {
        let text = self.0.to_lowercase();
        text.contains("already in use") || text.contains("bindexception")
    }
}

/// Starts again, on other ports, where another process took one between our look and the server's bind; once
/// only where the ports were given.
pub fn retry_ports<T>(chosen: bool, start: impl Fn() -> Result<T, Failure>) -> Result<T, Failure> {
    for _ in 1..ATTEMPTS {
        match start() {
            Err(failure) if chosen && failure.is_port_taken() => {}
            result => return result,
        }
    }
    start()
}

/// What to execute, where, with which environment.
#[derive(Clone, Debug, Default)]
pub struct Recipe {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
}

type Ready = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// A server process on ports and in a folder of its own; it ends with this value, and its folder with it,
/// unless it was left running.
pub struct Server {
    name: &'static str,
    recipe: Recipe,
    folder: Folder,
    ready: Ready,
    /// Ends with this process; otherwise it is left to whoever reads its process id.
    bound: bool,
    child: Mutex<Option<Child>>,
}

impl Server {
    /// Starts and waits until `ready` says yes.
    pub fn start(
        name: &'static str,
        recipe: Recipe,
        folder: Folder,
        ready: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Result<Server, Failure> {
        let bound = matches!(folder, Folder::Temporary(_));
        let server = Server { name, recipe, folder, ready: Box::new(ready), bound, child: Mutex::new(None) };
        server.try_restart()?;
        Ok(server)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Standard output and error of the process, of all its lives.
    pub fn log(&self) -> PathBuf {
        self.folder().join("log")
    }

    /// The last kilobytes of the log.
    pub fn log_tail(&self) -> String {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(self.log())?;
            let len = file.metadata()?.len();
            file.seek(SeekFrom::Start(len.saturating_sub(TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_or_else(|error| error.to_string(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    /// SIGTERM, and SIGKILL if that is not enough. Nothing if it does not run.
    pub fn stop(&self) {
        if let Some(mut child) = self.child().take() {
            signal(&child, Signal::TERM);
            // One that is frozen hears nothing until it thaws.
            signal(&child, Signal::CONT);
            if wait_for(&mut child, STOP_WITHIN).is_none() {
                end(child);
            }
        }
    }

    /// SIGKILL, and gone when this returns.
    pub fn kill(&self) {
        if let Some(child) = self.child().take() {
            end(child);
        }
    }

    /// SIGSTOP: connections stay open and nobody answers.
    pub fn freeze(&self) {
        signal(self.child().as_ref().expect("a server that runs"), Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        signal(self.child().as_ref().expect("a server that runs"), Signal::CONT);
    }

    /// Stops it if it runs; then again on the same ports and data, until ready.
    pub fn restart(&self) {
        self.try_restart().unwrap_or_else(|failure| panic!("{failure}"));
    }

    pub fn try_restart(&self) -> Result<(), Failure> {
        self.stop();
        let fail = |what: String| Failure(format!("{}: {what}", self.name));
        let log_start = fs::metadata(self.log()).map_or(0, |meta| meta.len());
        let log = OpenOptions::new().create(true).append(true).open(self.log());
        let log = log.map_err(|error| fail(format!("{}: {error}", self.log().display())))?;
        let mut child = spawn(self.command(log)).map_err(|error| fail(error.to_string()))?;
        if !self.bound {
            // Before it is ready: should we die meanwhile, it is still known.
            left::note(self.folder(), child.id())?;
        }
        let deadline = Instant::now() + READY_WITHIN;
        let said = || {
            let whole = fs::read(self.log()).unwrap_or_default();
            let from = usize::try_from(log_start).unwrap_or(0).max(whole.len().saturating_sub(4_000));
            String::from_utf8_lossy(whole.get(from..).unwrap_or_default()).into_owned()
        };
        loop {
            let state = child.try_wait().map_err(|error| fail(error.to_string()))?;
            if let Some(status) = state {
                return Err(fail(format!("ended ({status}) before it was ready; its log:\n{}", said())));
            }
            match (self.ready)() {
                Ok(()) => break,
                Err(_) if Instant::now() < deadline => std::thread::sleep(LOOK_EVERY),
                Err(why) => {
                    end(child);
                    return Err(fail(format!("not ready in time: {why}; its log:\n{}", said())));
                }
            }
        }
        *self.child() = Some(child);
        Ok(())
    }

    /// The server goes on after this process; its folder stays.
    pub fn leave_running(self) -> u32 {
        let pid = self.pid().unwrap_or_default();
        *self.child() = None;
        pid
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn command(&self, log: File) -> Command {
        let mut command;
        if self.bound {
            command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", "--"]);
            // Not in the terminal's group, so that Ctrl-C ends the test run and the kernel then the servers.
            command.process_group(0);
        } else {
            // A session of its own: closing the terminal does not end it.
            command = Command::new("setsid");
        }
        command.arg(&self.recipe.program).args(&self.recipe.arguments).current_dir(self.folder());
        command.envs(self.recipe.environment.iter().map(|(key, value)| (key, value)));
        let both = log.try_clone().map_or_else(|_| Stdio::null(), Stdio::from);
        command.stdin(Stdio::null()).stdout(both).stderr(log);
        command
    }
}

impl Drop for Server {
    /// SIGKILL at once: its folder goes with it, so nothing is worth an orderly end.
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts a process from the one thread that lives as long as we do (see the module's description).
fn spawn(command: Command) -> std::io::Result<Child> {
    type Order = (Command, Sender<std::io::Result<Child>>);
    static SPAWNER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, taken) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in taken {
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(orders)
    });
    let (answer, spawned) = channel();
    let gone = |_| std::io::Error::other("the thread that starts servers is gone");
    spawner.lock().unwrap_or_else(PoisonError::into_inner).send((command, answer)).map_err(|_| gone(()))?;
    spawned.recv().map_err(|_| gone(()))?
}

fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // Not yet waited for, so the id is still this process's; that it ended by itself is no error.
        let _ = kill_process(pid, signal);
    }
}

fn end(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn wait_for(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + within;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            _ if Instant::now() > deadline => return None,
            _ => std::thread::sleep(LOOK_EVERY),
        }
    }
}
