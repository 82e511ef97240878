//! Values that are not finite numbers.

use gridwatch_sdk::prelude::*;

use crate::kinds::MALFORMED;
use crate::parameters::Parameters;
use crate::state::Sensor;

/// One bad row is for information; rows that keep coming are a warning; an episode ends after some good ones.
#[cold]
#[inline(never)]
pub fn judge(parameters: &Parameters, reading: &Reading<'_>, sensor: &mut Sensor, out: &mut Findings<'_>) {
    if reading.malformed().is_empty() {
        if sensor.malformed.is_open() {
            sensor.malformed_calm = sensor.malformed_calm.saturating_add(1);
            if sensor.malformed_calm >= parameters.calm_readings {
                let rows = sensor.malformed_count;
                sensor.malformed_count = 0;
                out.clear(&mut sensor.malformed, || {
                    Finding::new(MALFORMED)
                        .score(0.0)
                        .explain(format!("values are numbers again after {rows} bad readings"))
                });
            }
        }
        return;
    }
    sensor.malformed_calm = 0;
    sensor.malformed_count = sensor.malformed_count.saturating_add(1);
    let many = sensor.malformed_count >= parameters.warning_readings;
    let severity = if many { Severity::Warning } else { Severity::Info };
    let columns = reading.malformed().len();
    out.raise(&mut sensor.malformed, severity, || {
        Finding::new(MALFORMED).explain(format!("{columns} value(s) of the reading are not finite numbers"))
    });
}
