//! What the API changes in what runs: by whom it may, and what then is so.

use gridwatch_tests::bench::root;
use gridwatch_tests::house::{House, simulated};
use serde_json::{Value, json};

use crate::api_host::{Answer, Host, heard};
use crate::live::following;

const LIMITS: &str = "/api/v1/detectors/limits";

impl Host {
    fn change(&self, path: &str, body: &str) -> Answer {
        let token = self.token();
        self.ask("POST", path, &[("Authorization", &token), ("Content-Type", "application/json")], body)
    }

    /// The generation that it makes.
    fn changed(&self, path: &str, body: &str) -> Value {
        let answer = self.change(path, body);
        assert_eq!(answer.status, 202, "{path} {body}: {}", answer.body);
        answer.json()["generation"].clone()
    }

    fn mode(&self, detector: &str, mode: &str) -> Value {
        self.changed(&format!("{detector}/mode"), &format!("{{\"mode\": \"{mode}\"}}"))
    }

    /// Until all that was fed is judged.
    fn judged(&self, count: usize) {
        self.until("/api/v1/overview", |overview| overview["readings_total"] == count);
    }

    /// Who did what, the newest first, once the history of the detector says so.
    fn told(&self, detector: &str, expected: &[(&str, &str)]) -> Value {
        self.until(detector, |detector| {
            let history = detector["history"].as_array().unwrap();
            let is_there =
                |(by, what)| history.iter().any(|entry| entry["by"] == by && entry["what"] == what);
            expected.iter().copied().all(is_there)
        })
    }
}

#[test]
fn only_who_has_the_token_changes_what_runs_and_all_see_it() {
    let host = Host::start();
    let path = "/api/v1/detectors/limits/rollback";
    let token = host.token();
    host.ask("POST", path, &[], "").problem(401);
    for wrong in ["Bearer wrong", "Basic x", "Bearer", "bearer  ", &token.replace("Bearer ", "")] {
        let detail = host.ask("POST", path, &[("Authorization", wrong)], "").problem(401);
        assert!(detail.contains("api-token"), "{detail}");
    }
    let conflict = host.ask("POST", path, &[("Authorization", &token)], "").problem(409);
    assert!(conflict.contains("nothing ran before"), "{conflict}");
    let before = host.get("/api/v1/detectors/limits").json();
    let mut events = host.listen("");
    heard(&mut events, |text| text.contains("event: overview"));
    host.house.write("detectors/limits.toml", "[limits]\ncall_deadline = \"600ms\"\n");
    let is_swapped = |detector: &Value| {
        detector["limits"]["call_deadline_ms"] == 600 && detector["rollback_to"].is_object()
    };
    host.until("/api/v1/detectors/limits", is_swapped);
    host.until("/api/v1/detectors/limits", |detector| detector["warm_until"].is_string());
    let answer =
        host.ask("POST", path, &[("Authorization", &token), ("Content-Type", "application/json")], "{}");
    assert_eq!(answer.status, 202, "{}", answer.body);
    let back = host.until("/api/v1/detectors/limits", |detector| detector["limits"] == before["limits"]);
    assert_eq!(back["generation"], answer.json()["generation"]);
    assert!(back["why"].as_str().unwrap().contains("by way of the API"), "{}", back["why"]);
    let history = back["history"].as_array().unwrap();
    let told: Vec<(&str, &str)> =
        history.iter().map(|e| (e["by"].as_str().unwrap(), e["what"].as_str().unwrap())).collect();
    for expected in [("api", "proposed"), ("directory", "proposed"), ("directory", "admitted")] {
        assert!(told.contains(&expected), "{expected:?} is not in {told:?}");
    }
    heard(&mut events, |text| text.contains("event: detector") && text.contains("\"by\":\"api\""));
}

#[test]
fn who_asks_wrongly_for_a_mode_or_a_release_changes_nothing() {
    let house = following(&["limits"]);
    let host = Host::of(house);
    let before = host.until(LIMITS, |detector| detector["fate"] == "running");
    let (mode, release) = (&*format!("{LIMITS}/mode"), &*format!("{LIMITS}/release"));
    let (good, token) = ("{\"mode\": \"off\"}", host.token());
    for (path, body) in [(mode, good), (release, "")] {
        host.ask("POST", path, &[], body).problem(401);
        host.ask("POST", path, &[("Authorization", "Bearer wrong")], body).problem(401);
        for origin in ["http://evil.example", "null"] {
            let headers = [("Origin", origin), ("Authorization", token.as_str())];
            host.ask("POST", path, &headers, body).problem(403);
        }
        for method in ["GET", "PUT", "DELETE"] {
            host.ask(method, path, &[("Authorization", &token)], "").problem(405);
        }
        host.change(path, &"x".repeat(8 << 20)).problem(413);
        let unknown = host.change(&path.replace("limits", "nobody"), body).problem(404);
        assert!(unknown.contains("there are limits"), "{unknown}");
    }
    let deep = "[".repeat(60_000);
    for bad in [
        "",
        "off",
        "{",
        "[]",
        "null",
        "\"off\"",
        "{}",
        "{\"mode\": null}",
        "{\"mode\": \"OFF\"}",
        "{\"mode\": \"on\"}",
        "{\"mode\": \"off\", \"since\": 1}",
        "{\"mode\": \"off\"} {}",
        "\u{0}",
        &deep,
    ] {
        let detail = host.change(mode, bad).problem(400);
        assert!(detail.contains("{\"mode\": \"live\"}"), "{bad:.40}: {detail}");
    }
    // In pieces, so that nobody says before how much comes.
    let chunk = format!("{:x}\r\n{}\r\n0\r\n\r\n", 1 << 20, "x".repeat(1 << 20));
    let chunked = |path: &str| {
        let head = format!("Authorization: {token}\r\nTransfer-Encoding: chunked\r\n");
        host.raw(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}\r\n{chunk}"
        ))
    };
    chunked(mode).problem(413);
    let same = host.change(mode, "{\"mode\": \"live\"}").problem(409);
    assert!(same.contains("already"), "{same}");
    let after = host.get(LIMITS).json();
    for what in ["generation", "history", "mode", "fate", "digest"] {
        assert_eq!(after[what], before[what], "{what}");
    }
}

/// Readings at a second of a day: half of the meters swell by a tenth, the others by a third.
fn swelling(second: u32) -> String {
    let reading = |meter: u32| {
        let voltage = match (second, meter) {
            (0, _) => 230.0,
            (_, ..50) => 276.5,
            _ => 310.0,
        };
        let seconds = 1_767_225_600 + second;
        format!("{{\"sensor_id\":\"m{meter}\",\"timestamp\":{seconds},\"voltage\":{voltage}}}\n")
    };
    (0..100).map(reading).collect()
}

#[test]
fn a_shadow_is_seen_beside_what_is_live_then_promoted_rolled_back_and_taken_out() {
    let house = following(&["limits"]);
    let config = house.text("gridwatch.toml") + "[assets.all]\nnominal_voltage = \"230\"\n";
    house.write("gridwatch.toml", config);
    let host = Host::of(house);
    host.feed(&swelling(0));
    host.judged(100);
    let before = host.get(LIMITS).json();
    let mut events = host.listen("");
    let shadow = |swell: f64| {
        let toml = format!("mode = \"shadow\"\n[parameters]\nswell = {swell}\n");
        host.house.write("detectors/limits.toml", toml);
        host.until(LIMITS, |detector| detector["shadow"].is_object());
        host.told(LIMITS, &[("directory", "shadowed")])
    };
    // No reading is compared yet.
    let detector = shadow(1.25);
    let (compared, generation) = (&detector["shadow"], &detector["shadow"]["candidate"]["generation"]);
    for same in ["generation", "mode", "fate", "version", "digest", "parameters"] {
        assert_eq!(detector[same], before[same], "{same} of what is live");
    }
    for of in ["version", "digest", "generation"] {
        assert_eq!(compared["incumbent"][of], before[of], "{compared}");
    }
    assert_eq!(compared["candidate"]["digest"], before["digest"], "other parameters of the same build");
    assert!(generation.as_u64() > before["generation"].as_u64(), "{compared}");
    for count in ["readings", "both", "only_new", "only_old"] {
        assert_eq!(compared[count], 0, "{compared}");
    }
    let empty = json!({"candidate_ns": null, "incumbent_ns": null});
    assert_eq!(
        (&compared["since"], &compared["examples"], &compared["cost"]),
        (&Value::Null, &json!([]), &empty)
    );
    let said =
        heard(&mut events, |text| text.contains("\"what\":\"shadowed\"") && text.contains("\"candidate\""));
    assert!(said.contains("judges beside what is live, and is not heard, in 1 lane"), "{said}");
    // What both say, and what only one of them does.
    host.feed(&swelling(10));
    let compared = host.until(LIMITS, |detector| detector["shadow"]["readings"] == 100)["shadow"].clone();
    let kind = compared["by_kind"].as_array().unwrap().iter().find(|of| of["kind"] == "swell").unwrap();
    assert_eq!(*kind, json!({"kind": "swell", "both": 50, "only_new": 0, "only_old": 50}), "{compared}");
    assert_eq!((compared["by_sensor"].as_array().unwrap().len(), &compared["only_new"]), (20, &json!(0)));
    let example = &compared["examples"][0];
    assert!(example["side"] == "only_old" && example["sensor_id"].is_string(), "{example}");
    assert!(compared["since"].is_string(), "{compared}");
    // What they cost is told from the second batch on: both are looked at after the first.
    host.feed(&swelling(11));
    let compared = host.until(LIMITS, |detector| detector["shadow"]["readings"] == 200)["shadow"].clone();
    assert!(
        compared["cost"]["candidate_ns"].is_f64() && compared["cost"]["incumbent_ns"].is_f64(),
        "{compared}"
    );

    let there = host.change(&format!("{LIMITS}/mode"), "{\"mode\": \"shadow\"}").problem(409);
    assert!(there.contains("already"), "{there}");
    let promoted = host.mode(LIMITS, "live");
    let live = host.until(LIMITS, |detector| detector["warm_until"].is_string());
    assert_eq!(
        (&live["generation"], &live["shadow"], &live["mode"]),
        (&promoted, &Value::Null, &json!("live"))
    );
    assert_eq!((&live["parameters"]["swell"], &live["fate"]), (&json!(1.25), &json!("running")));
    assert_eq!(live["rollback_to"]["digest"], before["digest"]);
    let told = host.told(LIMITS, &[("api", "proposed"), ("api", "promoted")]);
    let proposed = told["history"].as_array().unwrap().iter().find(|entry| entry["by"] == "api").unwrap();
    assert!(told["history"].to_string().contains("what shadowed is live in 1 lane"), "{told}");
    assert!(proposed["generation"] == promoted, "{proposed}");

    host.changed(&format!("{LIMITS}/rollback"), "{}");
    host.told(LIMITS, &[("api", "went_back")]);
    let back = host.until(LIMITS, |detector| detector["parameters"] == before["parameters"]);
    // Another shadow: a rollback takes it out, and what is live goes on as it is.
    shadow(1.26);
    host.changed(&format!("{LIMITS}/rollback"), "{}");
    let out = host.told(LIMITS, &[("api", "taken_out")]);
    assert_eq!((&out["shadow"], &out["generation"]), (&Value::Null, &back["generation"]), "{out}");
    assert!(out["why"].as_str().unwrap().contains("by hand"), "{}", out["why"]);
    // Alone it judges, too, and nobody hears of it.
    host.mode(LIMITS, "shadow");
    host.told(LIMITS, &[("api", "removed"), ("api", "shadowed")]);
    let published = host.get("/api/v1/anomalies?limit=1").json()["total"].clone();
    host.feed(&swelling(3_600));
    let alone = host.until(LIMITS, |detector| detector["shadow"]["readings"] == 100);
    let compared = &alone["shadow"];
    assert!(compared["only_new"].as_u64() >= Some(100) && compared["only_old"] == 0, "{compared}");
    assert_eq!((&alone["mode"], &alone["fate"]), (&json!("shadow"), &json!("running")));
    assert!(
        alone["cost"]["ns_per_reading"].is_f64() && alone["findings_total"].as_u64() >= Some(100),
        "{alone}"
    );
    assert_eq!(host.get("/api/v1/anomalies?limit=1").json()["total"], published);
}

/// Nothing is fed while it is not heard: so it says what it would have said undisturbed, with all that it has learnt.
#[test]
fn what_is_silenced_and_switched_off_by_hand_comes_again_with_what_it_knew() {
    const ALL: usize = 180_000;
    let readings = simulated(5, ALL);
    let lines: Vec<&str> = readings.split_inclusive('\n').collect();
    let (day, rest) = lines.split_at(110_000);
    let shift = "/api/v1/detectors/shift";
    let host = Host::of(following(&["limits", "shift"]));
    host.feed(&day.concat());
    host.judged(day.len());
    let before = host.until(shift, |detector| detector["state_bytes"].is_u64());
    let state = |mode: &str, fate: &str, generation: &Value| {
        host.until(shift, |detector| {
            let is_so = detector["mode"] == mode && detector["fate"] == fate;
            is_so && detector["generation"] == *generation
        })
    };
    let alone = state("shadow", "running", &host.mode(shift, "shadow"));
    assert_eq!((&alone["version"], &alone["digest"]), (&before["version"], &before["digest"]));
    assert_eq!(alone["lanes"], json!({"running": 1, "quarantined": 0}));
    assert_eq!((&alone["shadow"]["incumbent"], &alone["rollback_to"]), (&Value::Null, &Value::Null));
    assert_eq!(alone["shadow"]["candidate"]["generation"], alone["generation"]);
    let nobody = host.change(&format!("{shift}/release"), "").problem(409);
    assert!(nobody.contains("nothing is live"), "{nobody}");
    state("live", "running", &host.mode(shift, "live"));
    let off = state("off", "disabled", &host.mode(shift, "off"));
    assert_eq!((&off["version"], &off["shadow"]), (&Value::Null, &Value::Null), "{off}");
    assert_eq!(off["lanes"], json!({"running": 0, "quarantined": 0}));
    for (path, body) in [("mode", "{\"mode\": \"off\"}"), ("rollback", ""), ("release", "")] {
        host.change(&format!("{shift}/{path}"), body).problem(409);
    }
    let live = state("live", "running", &host.mode(shift, "live"));
    assert_eq!((&live["digest"], &live["parameters"]), (&before["digest"], &before["parameters"]));
    host.told(shift, &[("api", "shadowed"), ("api", "promoted"), ("api", "removed"), ("api", "swapped")]);
    host.feed(&rest.concat());
    host.judged(ALL);
    let found = host.get("/api/v1/overview").json()["anomalies_total"].clone();
    host.until("/api/v1/anomalies?limit=1", |page| page["total"] == found);

    let undisturbed = House::with(&["limits", "shift"]);
    undisturbed.write("readings.jsonl", &readings);
    undisturbed.configure("kind = \"file\"\npath = \"readings.jsonl\"\nfollow = true", "");
    let expected = Host::of(undisturbed);
    expected.judged(ALL);
    expected.until("/api/v1/anomalies?limit=1", |page| page["total"] == found);
    let said = host.house.text("anomalies.jsonl");
    assert!(host.house.anomalies_of("shift").lines().count() > 10, "it says nothing that could be lost");
    assert_eq!(said, expected.house.text("anomalies.jsonl"));
}

#[test]
fn who_is_quarantined_is_released_by_hand() {
    const BEFORE: usize = 5_000;
    let house = following(&["limits"]);
    let toml = format!("[parameters]\nsin = \"trap\"\nafter = {BEFORE}\n[limits]\nfaults_max = 0\n");
    house.detector("hostile", &root().join("target/examples/hostile.wasm"), &toml);
    let hostile = "/api/v1/detectors/hostile";
    let readings = simulated(36, 40_000);
    let lines: Vec<&str> = readings.split_inclusive('\n').collect();
    let host = Host::of(house);
    host.feed(&lines[..20_000].concat());
    host.judged(20_000);
    let out = host.until(hostile, |detector| detector["fate"] == "quarantined");
    assert_eq!(out["lanes"], json!({"running": 0, "quarantined": 1}));
    assert!(out["why"].as_str().unwrap().contains("trap"), "{out}");
    assert!(out["skipped_total"].as_u64() > Some(1000), "{out}");
    host.told(hostile, &[("fault", "quarantined")]);
    assert_eq!(host.get("/readyz").status, 200, "all else goes on");
    let generation = host.changed(&format!("{hostile}/release"), "");
    let free = host.until(hostile, |detector| detector["fate"] == "running");
    assert_eq!((&free["generation"], &free["lanes"]["quarantined"]), (&generation, &json!(0)));
    assert_eq!(free["digest"], out["digest"]);
    let told = host.told(hostile, &[("api", "proposed"), ("api", "released")]);
    assert!(told["history"].to_string().contains("lane readings.jsonl: it judges again"), "{told}");
    // It judges what comes now; and if its fault comes back, so does the quarantine.
    host.feed(&lines[20_000..20_000 + 100].concat());
    host.judged(20_100);
    let judges = host.until(hostile, |detector| detector["fate"] == "running");
    assert_eq!(judges["skipped_total"], free["skipped_total"]);
    host.feed(&lines[20_100..].concat());
    host.until(hostile, |detector| detector["fate"] == "quarantined");
}
