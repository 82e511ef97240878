//! Servers in kept folders that go on after whoever started them: known by a file with the process's id and the
//! time at which it started, so that a later process of the same id is never taken for one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Failure;

const STOP_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);

fn file(folder: &Path) -> PathBuf {
    folder.join("pid")
}

/// In clock ticks since the machine's start; none if there is no such process, or only its remains.
fn started_at(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before may hold anything, spaces and brackets, too.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    if state == "Z" { None } else { fields.nth(18)?.parse().ok() }
}

/// Whether a process of that id is there, and has not ended.
pub fn is_alive(pid: u32) -> bool {
    started_at(pid).is_some()
}

/// Writes down who runs in that folder.
pub fn note(folder: &Path, pid: u32) -> Result<(), Failure> {
    let line = format!("{pid} {}\n", started_at(pid).unwrap_or_default());
    fs::write(file(folder), line).map_err(|error| Failure(format!("{}: {error}", file(folder).display())))
}

/// The process that was left running in that folder, if it still does.
pub fn running(folder: &Path) -> Option<u32> {
    let line = fs::read_to_string(file(folder)).ok()?;
    let (pid, started) = line.trim().split_once(' ')?;
    let pid = pid.parse().ok()?;
    (started_at(pid) == started.parse().ok()).then_some(pid)
}

/// Ends that process, and no other: SIGTERM, and SIGKILL if that is not enough. Its id, if there was one.
pub fn stop(folder: &Path) -> Option<u32> {
    let pid = running(folder)?;
    let process = Pid::from_raw(i32::try_from(pid).ok()?)?;
    // That it ended by itself in between is no error.
    let _ = kill_process(process, Signal::TERM);
    let _ = kill_process(process, Signal::CONT);
    let deadline = Instant::now() + STOP_WITHIN;
    while running(folder).is_some() {
        if Instant::now() > deadline {
            let _ = kill_process(process, Signal::KILL);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    let _ = fs::remove_file(file(folder));
    Some(pid)
}
