//! Movement in one direction that is too steady.
//!
//! Page's cumulative sums (Page, "Continuous inspection schemes", Biometrika 1954), here of differences
//! between readings in units of their recent standard deviation, each cut to two of them: a jump, however large,
//! counts little, but a ramp of small steps adds up long before the level is unusual.

use gridwatch_sdk::math::{higher, lower};
use gridwatch_sdk::prelude::*;

use crate::kinds::COURSE;
use crate::level::At;
use crate::margins::Margins;
use crate::parameters::Parameters;
use crate::state::{Cell, IN_COURSE, Kept, Sensor};

/// Where a difference is cut, in standard deviations.
const CUT: f32 = 2.0;
/// Standard deviation over mean absolute deviation of a normal distribution: the root of π/2.
const SD_PER_MEAN: f32 = 1.253_314_1;
/// A sum below this part of the limit ends the episode.
const CALM: f32 = 0.3;
/// Sums are cut here, so that an episode ends soon after the movement has. A quantity whose sums usually
/// come near this always moves one way or the other, and is not judged.
const SUM_MAX: f32 = 60.0;

/// Highest that a sum may get.
#[inline(always)]
pub fn limit(parameters: &Parameters, width: f32, margins: &Margins, cell: &Cell) -> f32 {
    width * higher(margins.course * cell.course_peak.usual.get(), parameters.course_min)
}

/// The sums of movement up and down take in a difference.
#[inline(always)]
pub fn learn(parameters: &Parameters, difference: f32, cell: &mut Cell) {
    let step = lower(higher(difference / (SD_PER_MEAN * cell.scale_recent), -CUT), CUT);
    cell.up = lower(higher(cell.up + step - parameters.course_allowance, 0.0), SUM_MAX);
    cell.down = lower(higher(cell.down - step - parameters.course_allowance, 0.0), SUM_MAX);
}

/// The larger sum.
#[inline(always)]
pub fn sum(cell: &Cell) -> f32 {
    higher(cell.up, cell.down)
}

/// After `learn`.
pub fn judge(
    parameters: &Parameters,
    at: &At<'_>,
    sensor: &mut Sensor,
    cell: &mut Cell,
    out: &mut Findings<'_>,
) {
    let sum = sum(cell);
    let limit = limit(parameters, at.width, at.margins, cell);
    if sum <= limit && !cell.has(IN_COURSE) || !at.settled {
        cell.course_peak.see(sum);
    }
    if at.settled && sum > limit {
        if !cell.has(IN_COURSE) {
            cell.course_peak.unsee();
            cell.set(IN_COURSE, true);
            sensor.course_cells = sensor.course_cells.saturating_add(1);
        }
        tell(parameters, at, sum, limit, sensor, cell, out);
    } else if cell.has(IN_COURSE) && sum < CALM * limit {
        cell.set(IN_COURSE, false);
        cell.course_peak.see_some(limit);
        sensor.course_cells = sensor.course_cells.saturating_sub(1);
        if sensor.course_cells == 0 {
            let quantity = usize::from(sensor.course_quantity);
            out.clear(&mut sensor.course, || {
                Finding::new(COURSE).quantity(quantity).score(0.0).explain("no longer moves one way")
            });
        }
    }
}

fn tell(
    parameters: &Parameters,
    at: &At<'_>,
    sum: f32,
    limit: f32,
    sensor: &mut Sensor,
    cell: &Cell,
    out: &mut Findings<'_>,
) {
    let severity = if sum > parameters.course_critical * limit {
        Severity::Critical
    } else if sensor.course.is_open() {
        return;
    } else {
        Severity::Warning
    };
    if !sensor.course.is_open() {
        sensor.course_quantity = at.quantity as u16;
    }
    let quantity = usize::from(sensor.course_quantity);
    out.raise(&mut sensor.course, severity, || {
        let way = if cell.up > cell.down { "up" } else { "down" };
        Finding::new(COURSE)
            .quantity(quantity)
            .score(f64::from(1.0 - limit / (2.0 * sum)))
            .explain(format!("moves {way} too steadily: cumulative sum {sum:.1}, usual limit {limit:.1}"))
            .detail("moving", at.name)
    });
}
