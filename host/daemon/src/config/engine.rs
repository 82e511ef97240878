//! `[engine]` and `[checkpoints]`: how the pipeline works.

use std::time::Duration;

use gridwatch_core::sink::Delivery;

use super::section::Section;

#[derive(Debug, Clone, PartialEq)]
pub struct Engine {
    /// A batch ends at so many readings, …
    pub batch_rows_max: usize,
    /// … or after so long.
    pub batch_delay: Duration,
    /// Detectors are told of time at its multiples (event time).
    pub tick: Duration,
    /// How far the watermark stays behind the greatest event time seen.
    pub lateness: Duration,
    /// A reading further ahead of the lane's clock is marked and moves no clock.
    pub time_ahead_max: Duration,
    /// A reading further ahead of when its record was stored is a dead letter.
    pub time_ahead_reject_max: Duration,
    /// In one lane; readings of further sensors are dead letters.
    pub sensors_max: usize,
    /// Between lanes and outlet.
    pub lane_queue_batches_max: usize,
    /// How often output is made final (real time).
    pub commit_interval: Duration,
    /// A lane without readings is told of time so often (real time); `None`: never.
    pub idle_tick: Option<Duration>,
    /// How long a lane stands still (real time) for a detector that has failed and is rebuilt.
    pub rebuild_max: Duration,
    /// The first quarantine of a detector ends after so long (real time), each further one lasts twice as long, …
    pub quarantine_min: Duration,
    /// … up to so long.
    pub quarantine_max: Duration,
    pub delivery: Delivery,
    /// This process's own name in its group.
    pub instance: Option<String>,
}

impl Default for Engine {
    fn default() -> Self {
        Engine {
            batch_rows_max: 1024,
            batch_delay: Duration::from_millis(10),
            tick: Duration::from_secs(60),
            lateness: Duration::from_secs(30),
            time_ahead_max: Duration::from_secs(300),
            time_ahead_reject_max: Duration::from_secs(2 * 86_400),
            sensors_max: 1_000_000,
            lane_queue_batches_max: 64,
            commit_interval: Duration::from_millis(500),
            idle_tick: None,
            rebuild_max: Duration::from_secs(5),
            quarantine_min: Duration::from_secs(60),
            quarantine_max: Duration::from_secs(3600),
            delivery: Delivery::ExactlyOnce,
            instance: None,
        }
    }
}

const MS: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(86_400);

/// The second is where `delivery` is written, if it is and is right.
pub fn read(mut section: Section<'_, '_>) -> (Engine, Option<usize>) {
    let usual = Engine::default();
    let delivery = section.choice(
        "delivery",
        &[("exactly-once", Delivery::ExactlyOnce), ("at-least-once", Delivery::AtLeastOnce)],
    );
    let count = |number: Option<u64>, usual: usize| number.map_or(usual, |number| number as usize);
    let engine = Engine {
        batch_rows_max: count(section.integer("batch_rows_max", 1..=65_536), usual.batch_rows_max),
        batch_delay: section.duration("batch_delay", MS..=MS * 60_000).unwrap_or(usual.batch_delay),
        tick: section.duration("tick", MS..=DAY).unwrap_or(usual.tick),
        lateness: section.duration("lateness", Duration::ZERO..=DAY * 30).unwrap_or(usual.lateness),
        time_ahead_max: section.duration("time_ahead_max", MS..=DAY * 3_650).unwrap_or(usual.time_ahead_max),
        time_ahead_reject_max: section
            .duration("time_ahead_reject_max", MS..=DAY * 3_650)
            .unwrap_or(usual.time_ahead_reject_max),
        sensors_max: count(section.integer("sensors_max", 1..=100_000_000), usual.sensors_max),
        lane_queue_batches_max: count(
            section.integer("lane_queue_batches_max", 1..=1024),
            usual.lane_queue_batches_max,
        ),
        commit_interval: section
            .duration("commit_interval", MS..=MS * 60_000)
            .unwrap_or(usual.commit_interval),
        idle_tick: section.duration("idle_tick", MS * 100..=DAY),
        rebuild_max: section
            .duration("rebuild_max", Duration::ZERO..=MS * 600_000)
            .unwrap_or(usual.rebuild_max),
        quarantine_min: section.duration("quarantine_min", MS * 100..=DAY).unwrap_or(usual.quarantine_min),
        quarantine_max: section
            .duration("quarantine_max", MS * 100..=DAY * 30)
            .unwrap_or(usual.quarantine_max),
        instance: read_instance(&mut section),
        delivery: delivery.as_ref().map_or(usual.delivery, |at| at.value),
    };
    if engine.time_ahead_max >= engine.time_ahead_reject_max {
        let offset = section
            .written("time_ahead_max")
            .or_else(|| section.written("time_ahead_reject_max"))
            .unwrap_or(section.offset());
        section.document().mistake(offset, "time_ahead_max should be less than time_ahead_reject_max");
    }
    section.close();
    (engine, delivery.map(|at| at.offset))
}

/// It goes into names that brokers keep, and into paths.
pub fn is_instance_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.len() <= 100 && name.chars().all(plain)
}

fn read_instance(section: &mut Section<'_, '_>) -> Option<String> {
    let instance = section.string("instance")?;
    if !is_instance_name(&instance.value) {
        let what = format!(
            "instance: \"{}\" is no name; use up to 100 letters, digits, '.', '_' and '-'",
            instance.value
        );
        section.document().mistake(instance.offset, what);
    }
    Some(instance.value)
}
