//! What Prometheus' libraries tell of every process, under the names that they have agreed on.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::proto::{Counter, Gauge, Metric as Series, MetricFamily, MetricType};
use rustix::time::{ClockId, clock_gettime};

/// What cannot be told here is left out.
pub fn families() -> Vec<MetricFamily> {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let cpu_seconds = time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9;
    let page_bytes = rustix::param::page_size() as f64;
    let pages = |at: usize| Some(field("/proc/self/statm", at)? * page_bytes);
    let fds = std::fs::read_dir("/proc/self/fd").ok().map(|fds| fds.count() as f64);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let families = [
        ("process_cpu_seconds_total", "CPU time, user and system.", Some(cpu_seconds)),
        ("process_resident_memory_bytes", "Resident memory.", pages(1)),
        ("process_virtual_memory_bytes", "Virtual memory.", pages(0)),
        ("process_start_time_seconds", "When it was started, since 1970.", started_seconds()),
        ("process_open_fds", "Open file descriptors.", fds),
        ("process_max_fds", "File descriptors that may be open.", limit.map(|limit| limit as f64)),
        ("process_threads", "Threads.", after_name(17)),
    ];
    families.into_iter().filter_map(|(name, help, value)| Some(family(name, help, value?))).collect()
}

fn family(name: &str, help: &str, value: f64) -> MetricFamily {
    let mut series = Series::default();
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    if name.ends_with("_total") {
        let mut counter = Counter::default();
        counter.set_value(value);
        series.set_counter(counter);
        family.set_field_type(MetricType::COUNTER);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        series.set_gauge(gauge);
        family.set_field_type(MetricType::GAUGE);
    }
    family.set_metric(vec![series]);
    family
}

fn field(file: &str, at: usize) -> Option<f64> {
    std::fs::read_to_string(file).ok()?.split_whitespace().nth(at)?.parse().ok()
}

/// A field of `/proc/self/stat` (proc(5), from 0), behind the name, which may hold anything.
fn after_name(at: usize) -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    stat.rsplit(')').next()?.split_whitespace().nth(at)?.parse().ok()
}

fn started_seconds() -> Option<f64> {
    let uptime_seconds = field("/proc/uptime", 0)?;
    let since_boot_seconds = after_name(19)? / rustix::param::clock_ticks_per_second() as f64;
    let now_seconds = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
    Some(now_seconds - (uptime_seconds - since_boot_seconds))
}
