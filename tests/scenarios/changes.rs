//! What changes between two lives of the process: a detector that is refused for a while, a source that is
//! another one.

use gridwatch_tests::house::{House, errors, simulated};

const DETECTORS: [&str; 4] = ["limits", "physics", "shift", "vitals"];
const READINGS: usize = 240_000;

fn house(readings: &str) -> House {
    let house = House::with(&DETECTORS);
    house.write("readings.jsonl", readings);
    house.configure("kind = \"file\"\npath = \"readings.jsonl\"", "");
    house
}

/// The first half of the readings, at the end of a line, and all of them.
fn halves() -> (String, String) {
    let all = simulated(21, READINGS);
    let half = all.lines().take(READINGS / 2).map(|line| format!("{line}\n")).collect();
    (half, all)
}

#[test]
fn a_detector_that_is_refused_for_a_while_keeps_its_state() {
    let (half, all) = halves();
    let undisturbed = house(&all);
    undisturbed.run();

    let disturbed = house(&half);
    disturbed.run();
    disturbed.write("detectors/shift.toml", "[parameters]\nno_such_parameter = 1\n");
    disturbed.run();
    std::fs::remove_file(disturbed.path("detectors/shift.toml")).unwrap();
    disturbed.write("readings.jsonl", &all);
    disturbed.run();
    assert!(!undisturbed.anomalies_of("shift").is_empty(), "shift says nothing that could be lost");
    assert_eq!(disturbed.text("anomalies.jsonl"), undisturbed.text("anomalies.jsonl"));
}

#[test]
fn another_source_in_the_place_of_the_old_one_is_refused() {
    let (half, all) = halves();
    let house = house(&half);
    house.run();
    let committed = house.text("anomalies.jsonl");
    let other: String = all.lines().skip(7).map(|line| format!("{line}\n")).collect();
    for replaced in [other, half[..half.len() / 2].to_owned()] {
        house.write("readings.jsonl", replaced);
        let output = house.output(&["run", "-c", "gridwatch.toml"]);
        assert!(!output.status.success(), "it goes on: {}", errors(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("readings.jsonl"), "{said}");
        assert_eq!(house.text("anomalies.jsonl"), committed, "output has changed");
    }
    house.write("readings.jsonl", all);
    house.run();
    assert!(house.text("anomalies.jsonl").len() > committed.len());
}
