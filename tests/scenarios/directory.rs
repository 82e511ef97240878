//! What people and their tools do to the detectors directory while a host watches it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;

use gridwatch_tests::bench::root;
use gridwatch_tests::house::{House, gridwatch, simulated};

use crate::live::{Live, built_in, following};

const SWAPPED: &str = " swapped ";
const GONE: &str = " runs no more ";
const REFUSED: &str = "not admitted";

fn first_detector() -> Vec<u8> {
    fs::read(root().join("target/examples/first-detector.wasm")).unwrap()
}

/// Another build of it, which does the same: a custom section more.
fn noted(module: &[u8], note: &[u8; 3]) -> Vec<u8> {
    [module, &[0, 4, 3], note].concat()
}

/// What comes next is seen only after what came before: once it runs, nothing else happened until then.
fn sentinel(live: &Live<'_>, house: &House, round: usize) {
    let before = live.said(SWAPPED);
    house.write("detectors/limits.toml", format!("[limits]\ncall_deadline = \"{}ms\"\n", 600 + round));
    live.until(SWAPPED, before + 1);
}

/// So many times the file was looked at and something was done about it.
fn steps(live: &Live<'_>, name: &str) -> usize {
    live.said(&format!("detector=\"{name}\""))
}

#[test]
fn copies_half_written_slow_renamed_and_made_anew_are_met() {
    let house = following(&["limits"]);
    let live = Live::start(&house);
    live.feed(&simulated(41, 2_000));
    let (shift, first) = (fs::read(built_in("shift")).unwrap(), first_detector());

    // Slowly: it grows at every look, so it is nothing yet.
    let mut slow = File::create(house.path("detectors/slow.wasm")).unwrap();
    for piece in shift.chunks(shift.len() / 20 + 1) {
        slow.write_all(piece).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(40));
    }
    live.until(SWAPPED, 1);
    assert_eq!(live.said(REFUSED), 0, "{}", house.text("log"));

    // Half of it, left alone: refused. Then the rest.
    let half = first.len() / 2;
    house.write("detectors/halted.wasm", &first[..half]);
    live.until(REFUSED, 1);
    assert_eq!(live.said("the file ends too early"), 1, "{}", house.text("log"));
    let mut halted = OpenOptions::new().append(true).open(house.path("detectors/halted.wasm")).unwrap();
    halted.write_all(&first[half..]).unwrap();
    live.until(SWAPPED, 2);

    // Another one renamed over it.
    house.write("detectors/halted.wasm.part", noted(&first, b"one"));
    fs::rename(house.path("detectors/halted.wasm.part"), house.path("detectors/halted.wasm")).unwrap();
    live.until(SWAPPED, 3);

    // Taken out and put back within a moment, with the same bytes: nothing happened.
    for _ in 0..5 {
        fs::remove_file(house.path("detectors/slow.wasm")).unwrap();
        house.write("detectors/slow.wasm", &shift);
    }
    sentinel(&live, &house, 0);
    sentinel(&live, &house, 1);
    assert_eq!((live.said(GONE), live.said(SWAPPED)), (0, 5), "{}", house.text("log"));

    // With other bytes: the other one takes over, and there was never none.
    fs::remove_file(house.path("detectors/halted.wasm")).unwrap();
    house.write("detectors/halted.wasm", noted(&first, b"two"));
    live.until(SWAPPED, 6);
    assert_eq!(live.said(GONE), 0, "{}", house.text("log"));
    live.feed(&simulated(42, 2_000));
    live.stop();
}

#[test]
fn two_hundred_files_at_once_all_run() {
    const FILES: usize = 200;
    let house = following(&["limits"]);
    let live = Live::start(&house);
    live.feed(&simulated(43, 500));
    let first = first_detector();
    for number in 0..FILES {
        house.write(&format!("detectors/n{number:03}.wasm"), &first);
    }
    live.until(SWAPPED, FILES);
    // More than there may be: said, and those that run go on.
    for number in FILES..FILES + 60 {
        house.write(&format!("detectors/n{number:03}.wasm"), &first);
    }
    live.until("has more than 256 detectors", 1);
    for number in FILES..FILES + 60 {
        fs::remove_file(house.path(&format!("detectors/n{number:03}.wasm"))).unwrap();
    }
    live.until("is looked at again", 1);
    sentinel(&live, &house, 0);
    assert_eq!(live.said(GONE), 0, "{}", house.text("log"));
    live.feed("{\"sensor_id\":\"m\",\"timestamp\":\"2026-01-05T00:05:00Z\",\"voltage\":230}\n");
    live.feed("{\"sensor_id\":\"m\",\"timestamp\":\"2026-01-05T00:06:00Z\",\"voltage\":290}\n");
    live.stop();
    for number in 0..FILES {
        let said = house.anomalies_of(&format!("n{number:03}"));
        assert!(said.contains("\"sensor_id\":\"m\""), "n{number:03} is not at work");
    }
}

#[test]
fn a_directory_that_is_moved_away_and_back_takes_nobody_with_it() {
    let house = following(&["limits", "vitals"]);
    let live = Live::start(&house);
    live.feed(&simulated(44, 2_000));
    let (here, away) = (house.path("detectors"), house.path("away"));
    fs::rename(&here, &away).unwrap();
    live.until("what runs goes on", 1);
    fs::rename(&away, &here).unwrap();
    live.until("is looked at again", 1);
    sentinel(&live, &house, 0);
    // Removed altogether, and made anew with the same files in it.
    fs::rename(&here, &away).unwrap();
    live.until("what runs goes on", 2);
    let anew = house.path("anew");
    fs::create_dir(&anew).unwrap();
    for file in ["limits.wasm", "limits.toml", "vitals.wasm"] {
        fs::copy(away.join(file), anew.join(file)).unwrap();
    }
    fs::rename(&anew, &here).unwrap();
    live.until("is looked at again", 2);
    sentinel(&live, &house, 1);
    assert_eq!((live.said(GONE), live.said(SWAPPED)), (0, 2), "{}", house.text("log"));
    live.feed(&simulated(45, 2_000));
    live.stop();
}

#[test]
fn what_is_no_file_leads_out_or_cannot_be_read_is_refused() {
    let house = following(&["limits"]);
    let detectors = house.path("detectors");
    let mut command = house.command(&["run", "-c", "gridwatch.toml"]);
    if rustix::process::geteuid().is_root() {
        // Root reads everything, so somebody else has to look.
        command = as_nobody(&house);
    }
    house.write("readings.jsonl", "");
    set_owner(&house);
    let live = Live::started(&house, command, "metrics=");
    fs::create_dir(detectors.join("folder.wasm")).unwrap();
    symlink(built_in("shift"), detectors.join("link.wasm")).unwrap();
    symlink("/nowhere/at/all", detectors.join("broken.wasm")).unwrap();
    fs::copy(built_in("shift"), detectors.join("settings.wasm")).unwrap();
    symlink(house.path("gridwatch.toml"), detectors.join("settings.toml")).unwrap();
    fs::write(detectors.join("secret.wasm"), b"\0asm").unwrap();
    fs::set_permissions(detectors.join("secret.wasm"), Permissions::from_mode(0o0)).unwrap();
    live.until("leads out of the directory", 2);
    live.until("cannot be read: Permission denied", 1);
    // A link within it is a file like any other.
    fs::copy(built_in("vitals"), detectors.join("vitals-1.wasm.old")).unwrap();
    symlink("vitals-1.wasm.old", detectors.join("vitals.wasm")).unwrap();
    live.until(SWAPPED, 1);
    // Once it can be read, it is looked at again: its times have changed.
    assert_eq!(steps(&live, "secret"), 1, "{}", house.text("log"));
    fs::set_permissions(detectors.join("secret.wasm"), Permissions::from_mode(0o644)).unwrap();
    live.until("the file ends too early", 1);
    live.feed(&simulated(46, 100));
    live.stop();
}

/// The same binary under a user who may read what all may.
fn as_nobody(house: &House) -> Command {
    const NOBODY: u32 = 65_534;
    let binary = house.path("gridwatch");
    fs::copy(gridwatch().get_program(), &binary).unwrap();
    fs::set_permissions(house.path(""), Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(binary);
    command.args(["run", "-c", "gridwatch.toml"]).current_dir(house.path(""));
    command.env("GRIDWATCH_CODE_CACHE", house.path("cache")).uid(NOBODY).gid(NOBODY);
    command
}

/// Nobody may write where he works.
fn set_owner(house: &House) {
    for folder in ["", "detectors"] {
        fs::set_permissions(house.path(folder), Permissions::from_mode(0o777)).unwrap();
    }
}

/// Compiled code is larger than the module that it is made of: with files limited to between the two, the cache is
/// full and nothing else.
#[test]
fn a_full_disk_under_the_cache_costs_time_and_nothing_else() {
    let house = following(&["limits"]);
    house.write("readings.jsonl", "");
    let largest =
        fs::metadata(built_in("limits")).unwrap().len().max(fs::metadata(built_in("shift")).unwrap().len());
    let blocks = largest / 1024 + 64;
    let mut command = Command::new("bash");
    let full = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" run -c gridwatch.toml");
    command.arg("-c").arg(full).arg(gridwatch().get_program()).current_dir(house.path(""));
    command.env("GRIDWATCH_CODE_CACHE", house.path("cache"));
    let live = Live::started(&house, command, "metrics=");
    house.detector("shift", &built_in("shift"), "");
    live.until(SWAPPED, 1);
    assert!(live.said("cannot keep compiled code") >= 2, "{}", house.text("log"));
    live.feed(&simulated(47, 100));
    live.stop();
    let kept = fs::read_dir(house.path("cache")).unwrap();
    let code =
        kept.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "gwcode"));
    assert_eq!(code.count(), 0, "half of a file is kept for whole");
}
