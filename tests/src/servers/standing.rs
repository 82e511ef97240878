//! Servers that a command leaves running for others: one place for all clones, as their ports are one for all.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Failure, Topics, is_free, left, servers_dir};
use crate::bench::root;

/// A process that was killed a moment ago may still hold its port.
const PORT_PATIENCE: Duration = Duration::from_secs(5);

/// The pipeline's topics with their partitions, from the file that containers make them from; they keep everything.
pub fn topics() -> Vec<(String, usize)> {
    let path = root().join("compose/kafka/topics");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let topic = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        let partitions = words.next()?.parse().ok()?;
        assert_eq!(words.collect::<Vec<_>>(), ["retention.ms=-1"], "{line}");
        Some((name, partitions))
    };
    lines.map(|line| topic(line).unwrap_or_else(|| panic!("{}: {line}", path.display()))).collect()
}

/// Makes those that are not there.
pub fn make_topics(bootstrap: &str) {
    let admin = Topics::of(bootstrap);
    for (name, partitions) in topics() {
        if admin.partitions(&name) == 0 {
            admin.create(&name, partitions);
        }
    }
}

/// Where a server that was left running keeps what it has.
pub fn folder(name: &str) -> PathBuf {
    servers_dir().join("running").join(name)
}

/// Starts what does not run yet. `start` gives the id of a process that goes on after this one.
pub fn ensure(
    name: &str,
    ports: &[u16],
    start: impl FnOnce(&Path) -> Result<u32, Failure>,
) -> Result<(), Failure> {
    let folder = folder(name);
    if let Some(pid) = left::running(&folder) {
        println!("{name}: is up (process {pid})");
        return Ok(());
    }
    let patience = Instant::now() + PORT_PATIENCE;
    while let Some(port) = ports.iter().find(|port| !is_free(**port)) {
        if Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(50));
            continue;
        }
        return Err(Failure(format!("{name}: port {port} is taken by a process that is not ours")));
    }
    let since = Instant::now();
    let pid = start(&folder)?;
    println!("{name}: started in {:.1} s (process {pid})", since.elapsed().as_secs_f64());
    Ok(())
}

/// Ends exactly those of these that were left running, in this order.
pub fn stop(names: &[&str]) {
    for name in names {
        match left::stop(&folder(name)) {
            Some(pid) => println!("{name}: stopped (process {pid})"),
            None => println!("{name}: was not up"),
        }
    }
}
