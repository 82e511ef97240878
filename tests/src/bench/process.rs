//! A child process on given cores: its CPU time, its memory, and what its `/metrics` say.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

const LOOK_EVERY: Duration = Duration::from_millis(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The kernel counts a process's time for `/proc` in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// The cores that this process was started on.
#[derive(Clone, Debug)]
pub struct Cores(Vec<usize>);

impl Cores {
    pub fn all() -> Cores {
        let set = sched_getaffinity(None).unwrap();
        Cores((0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect())
    }

    /// The last one: what is measured.
    pub fn measured(&self) -> Cores {
        Cores(self.0.last().copied().into_iter().collect())
    }

    /// All but the last one: broker and observers. There is but one on a machine with a single core.
    pub fn others(&self) -> Cores {
        let (last, others) = self.0.split_last().unwrap();
        Cores(if others.is_empty() { vec![*last] } else { others.to_vec() })
    }

    fn set(&self) -> CpuSet {
        let mut set = CpuSet::new();
        self.0.iter().for_each(|&core| set.set(core));
        set
    }

    /// Moves the calling thread there; threads and processes that it starts later follow.
    pub fn take(&self) {
        sched_setaffinity(None, &self.set()).unwrap();
    }

    /// Moves all threads that a process has now.
    pub fn take_process(&self, pid: u32) {
        for entry in fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
            let thread =
                entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
            // One that has ended meanwhile needs no core.
            let _ = sched_setaffinity(thread, &self.set());
        }
    }

    /// Starts a process there, from its first instruction on.
    pub fn spawn(&self, command: &mut Command) -> Process {
        let before = sched_getaffinity(None).unwrap();
        self.take();
        let child = command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
        sched_setaffinity(None, &before).unwrap();
        Process { child }
    }
}

/// A running child; killed when dropped.
pub struct Process {
    pub child: Child,
}

impl Process {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn raw(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.raw(), signal).unwrap();
    }

    /// CPU seconds, user and system, of all its threads so far, the ended ones among them.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // The name stands in parentheses and may hold anything; user and system time are fields 14 and 15.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / TICKS_PER_SECOND
    }

    /// The greatest resident memory so far.
    pub fn peak_mib(&self) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
        Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
    }

    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end; how it ended, its whole CPU seconds, and its greatest memory.
    pub fn finish(mut self, within: Duration) -> (ExitStatus, f64, f64) {
        let deadline = Instant::now() + within;
        let mut peak_mib = 0.0;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        // Not collected yet, so that its times can still be read.
        while waitid(WaitId::Pid(self.raw()), options).unwrap().is_none() {
            assert!(Instant::now() < deadline, "process {} does not end", self.pid());
            peak_mib = self.peak_mib().unwrap_or(peak_mib);
            std::thread::sleep(LOOK_EVERY);
        }
        let cpu_s = self.cpu_seconds();
        (self.child.wait().unwrap(), cpu_s, peak_mib)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The body of a GET, where it was answered with 200.
pub fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

/// The sum of a metric over all its labels; `None` where nobody answers.
pub fn metric(port: u16, name: &str) -> Option<f64> {
    let page = get(port, "/metrics")?;
    let of_name = |line: &&str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
    };
    let values = page.lines().filter(of_name).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Some(values.sum())
}
