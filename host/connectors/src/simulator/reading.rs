//! A simulated reading, and its one way of being JSON.

use gridwatch_core::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

/// The quantities a simulated sensor may carry, in the order in which JSON has them.
pub const QUANTITIES: [&str; 14] = [
    "voltage",
    "voltage_l1",
    "voltage_l2",
    "voltage_l3",
    "current",
    "current_l1",
    "current_l2",
    "current_l3",
    "power",
    "reactive_power",
    "apparent_power",
    "frequency",
    "power_factor",
    "temperature",
];

pub const VOLTAGE: usize = 0;
pub const VOLTAGE_L1: usize = 1;
pub const CURRENT: usize = 4;
pub const CURRENT_L1: usize = 5;
pub const POWER: usize = 8;
pub const REACTIVE_POWER: usize = 9;
pub const APPARENT_POWER: usize = 10;
pub const FREQUENCY: usize = 11;
pub const POWER_FACTOR: usize = 12;
pub const TEMPERATURE: usize = 13;

/// A set of quantities: bit q stands for `QUANTITIES[q]`.
pub type QuantitySet = u16;

/// One message of one simulated sensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SimReading {
    /// Index into [`Simulation::sensors`](super::Simulation::sensors) of the whole network, whatever the lane.
    pub sensor: u32,
    /// What the message says: the sensor's own clock, which a fault may have put wrong.
    pub timestamp: Timestamp,
    /// When the reading was really taken.
    pub taken: Timestamp,
    /// When the message arrives: readings come in this order.
    pub arrived: Timestamp,
    /// Number of the reporting interval since the start.
    pub slot: u64,
    /// The fault that touched this reading: index into the labels. Not part of the message.
    pub fault: Option<u32>,
    /// Which of `values` the sensor reports.
    pub present: QuantitySet,
    /// By index into [`QUANTITIES`]; 0 where the sensor does not report it.
    pub values: [f64; QUANTITIES.len()],
}

impl SimReading {
    /// (index into [`QUANTITIES`], value) of what the message carries, ascending.
    pub fn values(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        (0..QUANTITIES.len()).filter(|q| self.present & (1 << q) != 0).map(|q| (q, self.values[q]))
    }

    pub fn value(&self, quantity: usize) -> Option<f64> {
        (self.present & (1 << quantity) != 0).then(|| self.values[quantity])
    }

    /// Appends the message as one JSON object without a line end. `sensor_id` and `location` must not
    /// need escaping (the simulator's own never do).
    pub fn write_json(&self, sensor_id: &str, location: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"sensor_id\":\"");
        out.extend_from_slice(sensor_id.as_bytes());
        out.extend_from_slice(b"\",\"timestamp\":\"");
        write_timestamp(self.timestamp, out);
        out.push(b'"');
        for (quantity, value) in self.values() {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(QUANTITIES[quantity].as_bytes());
            out.extend_from_slice(b"\":");
            write_number(value, out);
        }
        out.extend_from_slice(b",\"location\":\"");
        out.extend_from_slice(location.as_bytes());
        out.extend_from_slice(b"\"}");
    }
}

/// RFC 3339 with milliseconds and `Z`. Times beyond what the calendar knows cannot come up: a scenario's
/// span is checked.
fn write_timestamp(timestamp: Timestamp, out: &mut Vec<u8>) {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    let time = jiff::Timestamp::from_millisecond(timestamp).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    // Writing to a vector does not fail.
    let _ = PRINTER.print_timestamp(&time, out);
}

/// Values have at most three decimals (quantised so), and are written without trailing zeros.
fn write_number(value: f64, out: &mut Vec<u8>) {
    let thousandths = (value * 1000.0).round() as i64;
    if thousandths < 0 {
        out.push(b'-');
    }
    let magnitude = thousandths.unsigned_abs();
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut whole = magnitude / 1000;
    loop {
        at -= 1;
        digits[at] = b'0' + (whole % 10) as u8;
        whole /= 10;
        if whole == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
    let fraction = (magnitude % 1000) as u16;
    if fraction == 0 {
        return;
    }
    let digit = |n: u16| b'0' + (n % 10) as u8;
    out.extend_from_slice(&[b'.', digit(fraction / 100)]);
    if !fraction.is_multiple_of(100) {
        out.push(digit(fraction / 10));
    }
    if !fraction.is_multiple_of(10) {
        out.push(digit(fraction));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn numbers_read_back_as_the_same_bits() {
        for (value, text) in [
            (0.0, "0"),
            (230.1, "230.1"),
            (-1500.0, "-1500"),
            (0.001, "0.001"),
            (50.013, "50.013"),
            (-0.05, "-0.05"),
            (1_234_567.0, "1234567"),
            (10.0, "10"),
            (100.5, "100.5"),
        ] {
            let mut out = Vec::new();
            write_number(value, &mut out);
            let written = String::from_utf8(out).unwrap();
            assert_eq!(written, text);
            assert_eq!(written.parse::<f64>().unwrap(), value);
        }
        for n in -5000i64..5000 {
            let value = n as f64 / 1000.0;
            let mut out = Vec::new();
            write_number(value, &mut out);
            assert_eq!(std::str::from_utf8(&out).unwrap().parse::<f64>().unwrap(), value, "{n}");
        }
    }

    #[test]
    fn a_reading_is_the_documented_json() {
        let mut reading = SimReading {
            sensor: 0,
            timestamp: 1_767_225_601_000,
            taken: 0,
            arrived: 0,
            slot: 0,
            fault: None,
            present: 0,
            values: [0.0; QUANTITIES.len()],
        };
        for (quantity, value) in
            [(VOLTAGE, 230.12), (CURRENT, 12.3), (POWER, 2745.6), (FREQUENCY, 50.01), (POWER_FACTOR, 0.97)]
        {
            reading.present |= 1 << quantity;
            reading.values[quantity] = value;
        }
        let mut out = Vec::new();
        reading.write_json("meter-000123", "feeder-07", &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"sensor_id":"meter-000123","timestamp":"2026-01-01T00:00:01.000Z","voltage":230.12,"current":12.3,"power":2745.6,"frequency":50.01,"power_factor":0.97,"location":"feeder-07"}"#
        );
    }
}
