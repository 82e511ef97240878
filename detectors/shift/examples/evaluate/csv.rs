//! The two real files: episodes as they begin and end.

use gridwatch_sdk::contract::{Phase, SensorInfo};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::panel::Panel;

pub fn run(which: &str, file: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    let blackout = which == "blackout";
    let names: Vec<&str> = if blackout {
        vec!["voltage_l1", "voltage_l2", "voltage_l3", "frequency"]
    } else {
        // The header's own names: no quantity that a standard speaks of but the oil's temperature.
        let mut names: Vec<&str> = text.lines().next().unwrap().split(',').skip(1).collect();
        *names.last_mut().unwrap() = "temperature";
        names
    };
    let nominal = [("nominal_frequency", "50"), ("nominal_voltage", "27430")];
    let attributes =
        if blackout { nominal.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec() } else { vec![] };
    let mut panel = Panel::new(&names);
    panel.set_sensors(&[SensorInfo { id: which.to_owned(), attributes }]);
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let (values, time) =
            if blackout { (&fields[..4], local(fields[4])) } else { (&fields[1..], utc(fields[0])) };
        let values: Vec<f64> = values
            .iter()
            .map(|field| match field.parse::<f64>() {
                Ok(value) if value.is_finite() => value,
                _ => f64::INFINITY,
            })
            .collect();
        panel.read(0, time, time, &values);
    }
    panel.flush();
    let mut months = std::collections::BTreeMap::<String, u32>::new();
    for said in &panel.said {
        let finding = &said.finding;
        let time = jiff::Timestamp::from_millisecond(finding.timestamp).unwrap();
        println!(
            "{time} {:8?} {:8?} {}/{} {} {}",
            finding.phase,
            finding.severity,
            said.detector,
            said.kind,
            finding.quantity.map_or("", |q| names.get(q as usize).copied().unwrap_or("?")),
            finding.explanation.as_deref().unwrap_or("")
        );
        let counts = !matches!(finding.phase, Phase::Cleared)
            && finding.severity > gridwatch_sdk::finding::Severity::Info;
        if counts {
            *months.entry(time.strftime("%Y-%m").to_string()).or_default() += 1;
        }
    }
    println!("warnings by month: {months:?}, in all {}", months.values().sum::<u32>());
}

fn local(text: &str) -> i64 {
    let time = DateTime::strptime("%d-%b-%Y %H:%M:%S", text).unwrap();
    time.to_zoned(TimeZone::get("Europe/Madrid").unwrap()).unwrap().timestamp().as_millisecond()
}

fn utc(text: &str) -> i64 {
    let time: DateTime = text.parse().unwrap();
    time.to_zoned(TimeZone::UTC).unwrap().timestamp().as_millisecond()
}
