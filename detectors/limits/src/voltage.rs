//! Voltage against nominal: readings by IEEE 1159, 10-minute means by EN 50160.

use gridwatch_sdk::prelude::*;

use crate::kinds;
use crate::parameters::Parameters;
use crate::score;
use crate::state::{Cell, Open};
use crate::window::{Closed, TEN_MINUTES};

/// Judges one voltage, a finite number; what part of nominal it is.
///
/// What is rarely needed stands in functions of its own, here and beside: inlined, it would take the registers of what
/// every reading needs.
#[inline(always)]
pub fn judge(
    p: &Parameters,
    nominal: f64,
    quantity: usize,
    reading: &Reading<'_>,
    volts: f64,
    cell: &mut Cell,
    out: &mut Findings<'_>,
) -> f64 {
    let part = volts / nominal;
    let timestamp = reading.timestamp;
    let seen = || Seen { p, nominal, quantity, timestamp, volts, part };
    if part < p.sag || part >= p.swell || cell.open.is_some() {
        tell_reading(&seen(), cell, out);
    }
    if !reading.is_ahead() && !cell.window.add_within(timestamp, TEN_MINUTES, part - 1.0) {
        leave_window(&seen(), cell, out);
    }
    part
}

struct Seen<'a> {
    p: &'a Parameters,
    nominal: f64,
    quantity: usize,
    timestamp: i64,
    volts: f64,
    part: f64,
}

impl Seen<'_> {
    fn finding(&self, kind: usize) -> Finding {
        let p = self.p;
        let limit = if self.part < 1.0 { 1.0 - p.sag } else { p.swell - 1.0 };
        Finding::new(kind)
            .quantity(self.quantity)
            .observed(self.volts)
            .expected(self.nominal)
            .band(p.sag * self.nominal, p.swell * self.nominal)
            .score(score(self.part - 1.0, limit))
    }
}

/// What IEEE 1159 calls a voltage, duration aside; an episode that is open has to leave its band by the hysteresis.
fn class(p: &Parameters, part: f64, open: Option<usize>) -> Option<usize> {
    let slack = |kinds: &[usize]| {
        if open.is_some_and(|kind| kinds.contains(&kind)) { p.voltage_hysteresis } else { 0.0 }
    };
    if part < p.interruption + slack(&[kinds::INTERRUPTION]) {
        Some(kinds::INTERRUPTION)
    } else if part < p.sag + slack(&[kinds::INTERRUPTION, kinds::SAG, kinds::UNDERVOLTAGE]) {
        Some(kinds::SAG)
    } else if part >= p.swell - slack(&[kinds::SWELL, kinds::OVERVOLTAGE]) {
        Some(kinds::SWELL)
    } else {
        None
    }
}

#[cold]
#[inline(never)]
fn tell_reading(seen: &Seen<'_>, cell: &mut Cell, out: &mut Findings<'_>) {
    let before = cell.open.as_ref().filter(|open| open.reading.is_open()).map(|open| usize::from(open.kind));
    let now = class(seen.p, seen.part, before);
    if now.is_some() || before.is_some() {
        tell_class(seen, now, cell.open.get_or_insert_default(), out);
    }
    cell.tidy();
}

/// A sag or swell that lasts becomes an under- or overvoltage with the same start.
fn tell_class(seen: &Seen<'_>, class: Option<usize>, open: &mut Open, out: &mut Findings<'_>) {
    let p = seen.p;
    let was = usize::from(open.kind);
    let started = open.reading.since();
    let lasts =
        started.is_some_and(|since| (seen.timestamp.saturating_sub(since)) as f64 > p.sustained_s * 1000.0);
    let (kind, same_start) = match class {
        Some(kinds::SAG) if was == kinds::UNDERVOLTAGE && started.is_some() => (kinds::UNDERVOLTAGE, true),
        Some(kinds::SWELL) if was == kinds::OVERVOLTAGE && started.is_some() => (kinds::OVERVOLTAGE, true),
        Some(kinds::SAG) if was == kinds::SAG && lasts => (kinds::UNDERVOLTAGE, true),
        Some(kinds::SWELL) if was == kinds::SWELL && lasts => (kinds::OVERVOLTAGE, true),
        Some(kind) => (kind, false),
        None => {
            out.clear(&mut open.reading, || {
                seen.finding(was).explain(format!("{:.1} % of nominal", 100.0 * seen.part))
            });
            open.was_critical = false;
            return;
        }
    };
    if kind != was {
        out.clear(&mut open.reading, || {
            seen.finding(was).explain(format!("now {}", kinds::KINDS[kind].name))
        });
        open.was_critical = false;
    }
    open.kind = kind as u8;
    let is_critical = kind == kinds::INTERRUPTION || (seen.part - 1.0).abs() > p.voltage_critical;
    let severity = open.severity(is_critical);
    out.raise(&mut open.reading, severity, || {
        let finding = seen.finding(kind).explain(format!(
            "{:.1} V is {:.1} % of nominal {:.0} V ({}, IEEE 1159)",
            seen.volts,
            100.0 * seen.part,
            seen.nominal,
            kinds::KINDS[kind].name
        ));
        match started {
            Some(since) if same_start => finding.since(since),
            _ => finding,
        }
    });
}

/// The reading is of another window than the one before.
#[cold]
#[inline(never)]
fn leave_window(seen: &Seen<'_>, cell: &mut Cell, out: &mut Findings<'_>) {
    let p = seen.p;
    if let Some(closed) = cell.window.add(seen.timestamp, TEN_MINUTES, seen.part - 1.0, p.window_samples_min)
        && (closed.mean.abs() > p.voltage_mean_band || cell.open.is_some())
    {
        tell_mean(seen, closed, cell, out);
    }
}

fn tell_mean(seen: &Seen<'_>, closed: Closed, cell: &mut Cell, out: &mut Findings<'_>) {
    let p = seen.p;
    let band = p.voltage_mean_band;
    let is_open = cell.open.as_ref().is_some_and(|open| open.mean.is_open());
    let mean = (1.0 + closed.mean) * seen.nominal;
    let finding = || {
        Finding::new(kinds::VOLTAGE_MEAN)
            .quantity(seen.quantity)
            .observed(mean)
            .expected(seen.nominal)
            .band((1.0 - band) * seen.nominal, (1.0 + band) * seen.nominal)
            .score(score(closed.mean, band))
    };
    if closed.mean.abs() > band {
        let severity =
            if closed.mean.abs() > p.voltage_critical { Severity::Critical } else { Severity::Warning };
        let open = cell.open.get_or_insert_default();
        out.raise(&mut open.mean, severity, || {
            finding().since(closed.start).explain(format!(
                "10-min mean {mean:.1} V is {:+.1} % of nominal {:.0} V, beyond ±{:.0} % (EN 50160)",
                100.0 * closed.mean,
                seen.nominal,
                100.0 * band
            ))
        });
    } else if is_open {
        let open = cell.open.get_or_insert_default();
        out.clear(&mut open.mean, || {
            finding().explain(format!("10-min mean {mean:.1} V is back within the band"))
        });
    }
    cell.tidy();
}
