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

#[test]
fn a_source_of_another_name_is_refused_and_says_the_choices() {
    let readings = simulated(22, READINGS);
    let house = house(&readings);
    house.run();
    let (committed, commit) = (house.text("anomalies.jsonl"), house.text("anomalies.jsonl.commit"));
    assert!(!committed.is_empty(), "there is nothing that could be said twice");
    std::fs::rename(house.path("readings.jsonl"), house.path("renamed.jsonl")).unwrap();
    let simulator = "kind = \"simulator\"\nduration = \"1h\"\nfaults_per_kind = 0";
    for (source, name) in
        [("kind = \"file\"\npath = \"renamed.jsonl\"", "renamed.jsonl"), (simulator, "simulator-0")]
    {
        house.configure(source, "");
        let output = house.output(&["run", "-c", "gridwatch.toml"]);
        assert_eq!(output.status.code(), Some(1), "it goes on: {}", errors(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let position = format!("position {}", readings.trim_end().len());
        for word in ["`readings.jsonl`", &format!("`{name}`"), &position, "paths", "[checkpoints]"] {
            assert!(said.contains(word), "it does not say {word}: {said}");
        }
        assert_eq!(house.text("anomalies.jsonl"), committed, "output has changed");
        assert_eq!(house.text("anomalies.jsonl.commit"), commit);
    }
    // Back under its name, with new readings in a file behind it, it goes on.
    std::fs::rename(house.path("renamed.jsonl"), house.path("readings.jsonl")).unwrap();
    let last = readings.lines().last().unwrap().replace("2026-01-0", "2026-02-0");
    house.write("more.jsonl", last + "\n");
    house.configure("kind = \"file\"\npaths = [\"readings.jsonl\", \"more.jsonl\"]", "");
    assert_eq!(house.run()["readings_in"], 1);
    assert!(house.text("anomalies.jsonl").starts_with(&committed));
}

#[test]
fn a_restart_says_where_it_goes_on_and_that_nothing_is_new() {
    let readings = simulated(23, 5_000);
    let house = house(&readings);
    house.run();
    let output = house.output(&["run", "-c", "gridwatch.toml"]);
    let said = errors(&output);
    assert!(output.status.success(), "{said}");
    let place = format!("goes on at position {} of readings.jsonl", readings.trim_end().len());
    let kept = format!("anomalies.jsonl keeps its {} bytes", house.length("anomalies.jsonl"));
    for words in [place.as_str(), &kept, "nothing new: all that there is was read before"] {
        assert!(said.contains(words), "it does not say {words}: {said}");
    }
}

#[test]
fn a_missing_checkpoint_is_said_once_with_the_places_to_look_at() {
    let house = house(&simulated(24, 5_000));
    house.run();
    std::fs::remove_dir_all(house.path(".gridwatch/checkpoints")).unwrap();
    let output = house.output(&["run", "-c", "gridwatch.toml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("is missing").count(), 1, "{said}");
    for word in [".gridwatch", "anomalies.jsonl.commit", "on_missing = \"cold\""] {
        assert!(said.contains(word), "it does not say {word}: {said}");
    }
}

#[test]
fn a_cold_start_is_said_with_the_checkpoint_that_it_does_without() {
    let house = house(&simulated(25, 5_000));
    house.run();
    let checkpoint = house.text("anomalies.jsonl.commit");
    std::fs::remove_dir_all(house.path(".gridwatch/checkpoints")).unwrap();
    house.configure("kind = \"file\"\npath = \"readings.jsonl\"", "[checkpoints]\non_missing = \"cold\"\n");
    let output = house.output(&["run", "-c", "gridwatch.toml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let cold: Vec<&str> = said.lines().filter(|line| line.contains("starts cold")).collect();
    let [line] = cold[..] else { panic!("it is not said once: {said}") };
    let (before, rest) = line.split_once("starts cold, as configured: the checkpoint ").expect(line);
    assert!(before.contains("WARN"), "{line}");
    let (name, rest) = rest.split_once(' ').expect(line);
    assert!(checkpoint.contains(name), "{name} is not the one of the commit: {checkpoint}");
    assert!(rest.starts_with("is missing; detectors are empty"), "{line}");
    assert!(line.contains("readings.jsonl") && line.contains("position="), "{line}");
}
