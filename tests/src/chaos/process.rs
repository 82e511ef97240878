//! One `gridwatch run`, and what is done to it.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::until;
use crate::servers::http;

/// A stop is a drain, which may wait for a broker for half a minute.
const STOP_WITHIN: Duration = Duration::from_secs(60);

pub struct Process {
    binary: PathBuf,
    folder: PathBuf,
    /// `GROUP/INSTANCE`.
    pub name: String,
    metrics_port: u16,
    child: Option<Child>,
    frozen: bool,
    peak_kib: u64,
}

impl Process {
    pub fn new(binary: PathBuf, folder: PathBuf, name: String, metrics_port: u16) -> Process {
        Process { binary, folder, name, metrics_port, child: None, frozen: false, peak_kib: 0 }
    }

    /// Starts, and does not wait. The kernel kills it with the thread that starts it, so that nothing is left.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = OpenOptions::new().create(true).append(true).open(self.folder.join("log")).unwrap();
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&self.binary)
            .args(["run", "-c", "gridwatch.toml", "--json"])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap());
    }

    /// Another command in the process's folder, to its end; whether it went well.
    pub fn command(&self, arguments: &[&str]) -> bool {
        let mut command = Command::new(&self.binary);
        let output = command.args(arguments).current_dir(&self.folder).stdin(Stdio::null()).output().unwrap();
        output.status.success()
    }

    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Whoever recovers does it in one life.
    pub fn check(&mut self) {
        let Some(child) = &mut self.child else { return };
        if let Some(status) = child.try_wait().unwrap() {
            panic!("{} ended by itself ({status}); its log ends:\n{}", self.name, self.log_tail());
        }
    }

    /// Until it has ended by itself.
    pub fn until_it_ends(&mut self) -> ExitStatus {
        self.note_peak();
        let mut child = self.child.take().unwrap();
        let mut ended = None;
        until(&format!("the end of {}", self.name), STOP_WITHIN, || {
            ended = child.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }

    /// SIGKILL, at whatever it is.
    pub fn kill(&mut self) {
        self.check();
        self.note_peak();
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.frozen = false;
    }

    /// SIGTERM: a drain, which must succeed.
    pub fn stop(&mut self) {
        let status = self.try_stop();
        assert!(
            status.is_none_or(|status| status.success()),
            "{}: {status:?}\n{}",
            self.name,
            self.log_tail()
        );
    }

    pub fn try_stop(&mut self) -> Option<ExitStatus> {
        self.thaw();
        self.check();
        self.note_peak();
        self.signal(Signal::TERM);
        let mut child = self.child.take()?;
        let deadline = Instant::now() + STOP_WITHIN;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return Some(status);
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                panic!("{} does not stop; its log ends:\n{}", self.name, self.log_tail());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGSTOP.
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
        self.frozen = true;
    }

    /// SIGCONT.
    pub fn thaw(&mut self) {
        if std::mem::take(&mut self.frozen) {
            self.signal(Signal::CONT);
        }
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.as_ref().and_then(|child| i32::try_from(child.id()).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            // Not yet waited for, so the id is still this process's.
            let _ = kill_process(id, signal);
        }
    }

    fn note_peak(&mut self) {
        let Some(child) = &self.child else { return };
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|text| text.split_whitespace().next()?.parse().ok());
        self.peak_kib = self.peak_kib.max(kib.unwrap_or(0));
    }

    /// The most memory that it had resident, over all its lives.
    pub fn peak_mib(&mut self) -> u64 {
        self.note_peak();
        self.peak_kib / 1024
    }

    /// The values of one metric now, over its labels; none where it does not answer.
    pub fn metric(&self, name: &str) -> Vec<f64> {
        let page =
            http::request(self.metrics_port, "GET", "/metrics", "").map(|(_, page)| page).unwrap_or_default();
        let lines = page.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
        });
        lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect()
    }

    /// Until it owns lanes that are loaded.
    pub fn until_it_has_lanes(&mut self) {
        until(&format!("lanes of {}", self.name), Duration::from_secs(60), || {
            self.check();
            !self.metric("gridwatch_sensors").is_empty()
        });
    }

    /// So many lines of its log, of all its lives, say this.
    pub fn logged(&self, what: &str) -> usize {
        let text = std::fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().filter(|line| line.contains(what)).count()
    }

    /// The numbers behind `figure` in lines of its log that say `what`.
    pub fn figures(&self, what: &str, figure: &str) -> Vec<f64> {
        let text = std::fs::read(self.folder.join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines = text.lines().filter(|line| line.contains(what));
        let words =
            lines.filter_map(|line| line.split(figure).nth(1)?.split_whitespace().next()?.parse().ok());
        words.collect()
    }

    fn log_tail(&self) -> String {
        let text = std::fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(3_000)..]).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
