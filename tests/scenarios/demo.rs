//! The demo as a person has it: it goes on, takes what is dropped in, refuses what is broken, and goes back.

use gridwatch_tests::bench::root;
use gridwatch_tests::house::{House, errors};
use rustix::process::Signal;

use crate::live::Live;

const LEARNT: &str = "the first day is through";

fn first_detector() -> std::path::PathBuf {
    root().join("target/examples/first-detector.wasm")
}

#[test]
fn the_live_demo_takes_refuses_and_goes_back_and_begins_anew() {
    let house = House::with(&["limits", "vitals"]);
    let mut live = Live::started(&house, house.command(&["demo"]), LEARNT);
    let log = house.text("log");
    for word in ["dashboard, API  http://127.0.0.1:", "metrics         http://127.0.0.1:", ".gridwatch/demo"]
    {
        assert!(log.contains(word), "{word} is not said:\n{log}");
    }
    live.until("raised", 1);
    // Copied in.
    house.detector("first-detector", &first_detector(), "");
    live.until(" swapped ", 1);
    // A broken one over it: refused with the reason, and the one that runs goes on.
    house.write("detectors/first-detector.wasm", "nonsense");
    live.until("not admitted; the one before it goes on: not WebAssembly", 1);
    // Other parameters, and back without a configuration.
    house.detector("first-detector", &first_detector(), "[parameters]\njump_max_v = 1.5\n");
    live.until(" swapped ", 2);
    live.until_in(".gridwatch/demo/anomalies.jsonl", "\"first-detector\"", 1);
    let back = house.output(&["rollback", "first-detector"]);
    assert!(back.status.success(), "{}", errors(&back));
    live.until(" went back ", 1);
    // Nobody else takes its state from it.
    let second = house.output(&["demo"]);
    assert_eq!(second.status.code(), Some(1), "{}", errors(&second));
    assert!(errors(&second).contains("another demo"), "{}", errors(&second));
    live.end(Signal::INT);
    assert!(!house.text("log").contains("DOES NOT ADD UP"), "{}", house.text("log"));
    // What it left can be looked at, and nothing else is left.
    assert!(house.length(".gridwatch/demo/anomalies.jsonl") > 0);
    let mut names: Vec<String> = std::fs::read_dir(house.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, [".gridwatch", "detectors", "log"]);

    // Another one knows nothing of it: not even what was taken back.
    house.write(".gridwatch/demo/left", "");
    let mut anew = Live::started(&house, house.command(&["demo"]), LEARNT);
    assert!(!house.path(".gridwatch/demo/left").exists());
    assert_eq!(anew.said("was rolled back"), 0, "{}", house.text("log"));
    anew.end(Signal::TERM);
}

#[test]
fn going_back_without_a_configuration_wants_a_demo() {
    let house = House::with(&[]);
    let back = house.output(&["rollback", "limits"]);
    assert_eq!(back.status.code(), Some(2), "{}", errors(&back));
    assert!(errors(&back).contains("-c FILE"), "{}", errors(&back));
    assert!(!house.path(".gridwatch").exists(), "asking leaves nothing behind");
}
