//! The API of the real binary: whatever is asked, by whomever, and whoever does not listen.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use gridwatch_tests::bench::root;
use gridwatch_tests::house::{House, errors, simulated};
use gridwatch_tests::servers::{Minio, Proxy};
use serde_json::{Value, json};

use crate::api_host::{Answer, Host, PATIENCE, READINGS, heard};
use crate::live::{built_in, following};

/// A path of the document with names put in; wrong ones where `is_bad`.
fn filled(host: &Host, path: &str, is_bad: bool) -> String {
    let first = |list: &str, key: &str| host.get(list).json()["items"][0][key].as_str().unwrap().to_owned();
    let value = |of: &str| match of {
        _ if is_bad => "nobody%2F..%2F%00".to_owned(),
        "detectors" => "limits".to_owned(),
        "anomalies" => first("/api/v1/anomalies?limit=1", "id"),
        "sensors" => first("/api/v1/sensors?limit=1", "sensor_id"),
        other => panic!("{other}: what is named there?"),
    };
    let mut filled = String::new();
    for part in path.split('/').skip(1) {
        let of = filled.rsplit('/').next().unwrap_or_default().to_owned();
        filled += "/";
        filled += &if part.starts_with('{') { value(&of) } else { part.to_owned() };
    }
    filled
}

/// What the document says of an answer.
fn check(document: &Value, operation: &Value, what: &str, answer: &Answer) {
    let response = &operation["responses"][answer.status.to_string()];
    assert!(response.is_object(), "{what}: {} is not in the document: {}", answer.status, answer.body);
    let (content, of_type) = response["content"].as_object().unwrap().iter().next().unwrap();
    assert!(answer.head.contains(&format!("content-type: {content}")), "{what}: {}", answer.head);
    if content == "text/event-stream" {
        return;
    }
    let mut schema = of_type["schema"].clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let body = answer.json();
    let wrong: Vec<String> =
        validator.iter_errors(&body).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{what}: {wrong:?} in {body}");
}

#[test]
fn every_operation_of_the_document_answers_good_and_bad_input_as_it_says() {
    let host = Host::start();
    let document = host.get("/api/v1/openapi.json").json();
    let golden = std::fs::read_to_string(root().join("host/daemon/openapi.json")).unwrap();
    assert_eq!(document, serde_json::from_str::<Value>(&golden).unwrap());
    let token = host.token();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let (method, what) = (method.to_uppercase(), format!("{method} {path}"));
            if path.ends_with("/events") {
                continue;
            }
            let is_change = method == "POST";
            let headers: Vec<(&str, &str)> = if is_change {
                vec![("Authorization", &token), ("Content-Type", "application/json")]
            } else {
                vec![]
            };
            let body = match operation["requestBody"].is_object() {
                true => "{\"mode\": \"live\"}",
                false if is_change => "{}",
                false => "",
            };
            let good = filled(&host, path, false);
            let answer = host.ask(&method, &good, &headers, body);
            assert!(answer.status < 500, "{what}: {}", answer.body);
            check(&document, operation, &what, &answer);
            if path.contains('{') {
                let answer = host.ask(&method, &filled(&host, path, true), &headers, body);
                answer.problem(404);
                check(&document, operation, &what, &answer);
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                if parameter["in"] != "query" {
                    continue;
                }
                let name = parameter["name"].as_str().unwrap();
                if matches!(name, "limit" | "cursor" | "severity" | "phase" | "from" | "to")
                    && !(path.ends_with("/sensors") && name == "cursor")
                {
                    for bad in ["nonsense", "-1"] {
                        let answer = host.get(&format!("{good}?{name}={bad}"));
                        assert!(!answer.problem(400).is_empty());
                        check(&document, operation, &format!("{what}?{name}={bad}"), &answer);
                    }
                }
            }
            if operation["responses"]["400"].is_object() && !is_change {
                host.get(&format!("{good}?nonsense=1")).problem(400);
                host.get(&format!("{good}?limit=0")).problem(400);
                host.get(&format!("{good}?limit=501")).problem(400);
            }
            for wrong in
                ["PUT", "DELETE", "PATCH", "TRACE", "NONSENSE", if is_change { "GET" } else { "POST" }]
            {
                host.ask(wrong, &good, &headers, "").problem(405);
            }
        }
    }
}

#[test]
fn what_was_found_is_browsed_to_its_end_and_belongs_together() {
    let host = Host::start();
    let (mut seen, mut cursor) = (Vec::<Value>::new(), String::new());
    loop {
        let page = host.get(&format!("/api/v1/anomalies?limit=20{cursor}")).json();
        seen.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => {
                assert_eq!(page["total"], seen.len());
                break;
            }
        }
    }
    // As they lie in the file, but for what is told of their coming.
    let mut published: Vec<Value> = host.house.json_lines("anomalies.jsonl");
    published.reverse();
    let bare = |anomaly: &Value| {
        let mut bare = anomaly.as_object().unwrap().clone();
        assert!(bare.remove("lane").is_some() && bare.remove("received_at").is_some());
        Value::Object(bare)
    };
    assert!(published.len() > 60, "{}", published.len());
    assert_eq!(seen.iter().map(bare).collect::<Vec<_>>(), published);
    let of = |filter: &str| {
        host.get(&format!("/api/v1/anomalies?limit=500&{filter}")).json()["total"].as_u64().unwrap()
    };
    let count =
        |key: &str, value: &str| published.iter().filter(|anomaly| anomaly[key] == value).count() as u64;
    for (key, value) in
        [("detector", "limits"), ("severity", "critical"), ("phase", "cleared"), ("kind", "overvoltage")]
    {
        assert_eq!(of(&format!("{key}={value}")), count(key, value), "{key}={value}");
    }
    let one = &published[7];
    let (id, time) = (one["id"].as_str().unwrap(), one["timestamp"].as_str().unwrap());
    let answer = host.get(&format!("/api/v1/anomalies/{id}")).json();
    assert_eq!((&answer["newer"], &answer["older"]), (&published[6]["id"], &published[8]["id"]));
    assert!(of(&format!("from={time}")) + of(&format!("to={time}")) == published.len() as u64);
    assert_eq!(
        of(&format!("episode={}", one["episode"].as_str().unwrap())),
        count("episode", one["episode"].as_str().unwrap())
    );

    let mut open: Vec<&str> = Vec::new();
    for anomaly in published.iter().rev() {
        let episode = anomaly["episode"].as_str().unwrap();
        match anomaly["phase"].as_str().unwrap() {
            "raised" => open.push(episode),
            "cleared" => open.retain(|other| *other != episode),
            _ => {}
        }
    }
    let episodes = host.get("/api/v1/episodes?limit=500").json();
    let mut listed: Vec<&str> =
        episodes["items"].as_array().unwrap().iter().map(|e| e["episode"].as_str().unwrap()).collect();
    open.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, open, "what is open is what was raised and not cleared");
    assert!(episodes["items"].as_array().unwrap().iter().all(|episode| episode["last"].is_string()));

    let sensors = host.get("/api/v1/sensors?limit=500").json();
    let ids: Vec<&str> =
        sensors["items"].as_array().unwrap().iter().map(|s| s["sensor_id"].as_str().unwrap()).collect();
    assert!(ids.len() > 50 && ids.is_sorted(), "{ids:?}");
    let mut paged = Vec::new();
    let mut next = String::new();
    loop {
        let page = host.get(&format!("/api/v1/sensors?limit=7{next}")).json();
        paged.extend(
            page["items"].as_array().unwrap().iter().map(|s| s["sensor_id"].as_str().unwrap().to_owned()),
        );
        assert_eq!(page["total"], ids.len());
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(paged, ids);
    let found = host.get(&format!("/api/v1/sensors?q={}", ids[3].to_uppercase())).json();
    assert_eq!((&found["total"], &found["items"][0]["sensor_id"]), (&json!(1), &json!(ids[3])));
    let letters = host.get("/api/v1/dead-letters").json();
    assert_eq!((&letters["total"], &letters["samples"][0]["bytes"]), (&json!(1), &json!("no reading")));
}

#[test]
fn a_page_from_elsewhere_neither_reads_nor_drives() {
    let host = Host::start();
    let (own, token) = (format!("http://{}", host.address), host.token());
    for path in ["/", "/api/v1/overview", "/api/v1/anomalies", "/api/v1/events", "/api/v1/openapi.json"] {
        for foreign in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "evil.example#localhost",
            "",
        ] {
            host.ask("GET", path, &[("Host", foreign)], "").problem(421);
        }
    }
    for origin in ["http://evil.example", "null", "file://", "http://localhost:1"] {
        host.ask("GET", "/api/v1/overview", &[("Origin", origin)], "").problem(403);
        let headers = [("Origin", origin), ("Authorization", token.as_str())];
        host.ask("POST", "/api/v1/detectors/limits/rollback", &headers, "").problem(403);
        let preflight = host.ask("OPTIONS", "/api/v1/detectors/limits/rollback", &headers, "");
        assert!(!preflight.head.contains("access-control-"), "{}", preflight.head);
    }
    host.ask("GET", "/api/v1/events", &[("Sec-Fetch-Site", "cross-site")], "").problem(403);
    let ours =
        host.ask("GET", "/api/v1/overview", &[("Origin", &own), ("Sec-Fetch-Site", "same-origin")], "");
    assert_eq!(ours.status, 200);
    assert!(
        ours.head.contains("cache-control: no-store") && !ours.head.contains("access-control-"),
        "{}",
        ours.head
    );
    let page = host.get("/");
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
    assert!(page.head.contains("frame-ancestors 'none'") && page.head.contains("nosniff"));
}

#[test]
fn a_store_that_is_lost_is_said_and_found_again() {
    let host = Host::start();
    let (state, away) = (host.house.path(".gridwatch"), host.house.path("away"));
    host.until("/readyz", |answer| answer["status"] == "ready");
    // No folder can be made where a file lies.
    std::fs::rename(&state, &away).unwrap();
    std::fs::write(&state, "").unwrap();
    host.until("/readyz", |answer| answer["missing"]["store"]["state"] == "failed");
    let overview = host.get("/api/v1/overview").json();
    assert_eq!(overview["ready"], false);
    assert_eq!(overview["not_ready"][0]["part"], "store", "{overview}");
    std::fs::remove_file(&state).unwrap();
    std::fs::rename(&away, &state).unwrap();
    host.until("/readyz", |answer| answer["status"] == "ready");
}

/// What runs goes on: an empty store is no roster without detectors.
#[test]
fn a_store_that_is_empty_all_at_once_takes_nothing_away() {
    let host = Host::start();
    let (state, away) = (host.house.path(".gridwatch"), host.house.path("away"));
    host.until("/readyz", |answer| answer["status"] == "ready");
    let running = |host: &Host| {
        let detectors = host.get("/api/v1/detectors").json();
        let all = detectors["items"].as_array().unwrap().iter();
        all.filter(|detector| detector["fate"] == "running").count()
    };
    let before = running(&host);
    assert!(before > 0);
    std::fs::rename(&state, &away).unwrap();
    let reason = host.until("/readyz", |answer| answer["missing"]["store"]["state"] == "failed");
    assert!(reason.to_string().contains("emptied or replaced"), "{reason}");
    assert_eq!(running(&host), before);
    // Nor is anything proposed there: it would be the first of another roster.
    let until = Instant::now() + Duration::from_secs(2);
    host.house.detector("another", &built_in("vitals"), "");
    while Instant::now() < until {
        assert!(!state.join("rosters").exists());
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = std::fs::remove_dir_all(&state);
    std::fs::rename(&away, &state).unwrap();
    host.until("/readyz", |answer| answer["status"] == "ready");
    host.until("/api/v1/detectors", |detectors| {
        let all = detectors["items"].as_array().unwrap().iter();
        all.filter(|detector| detector["fate"] == "running").count() == before + 1
    });
}

/// Two that share checkpoints by mistake would sweep each other's away, and take each other's detectors out.
#[test]
fn a_second_process_on_the_same_checkpoints_is_refused_before_it_changes_anything() {
    let host = Host::of(following(&["limits", "vitals"]));
    host.until("/readyz", |answer| answer["status"] == "ready");
    let second = House::with(&["limits"]);
    let there = format!("[checkpoints]\ndir = \"{}\"\n", host.house.path(".gridwatch").display());
    second.configure("kind = \"file\"\npath = \"readings.jsonl\"", &there);
    second.write("readings.jsonl", simulated(5, 100));
    let output = second.output(&["run", "-c", "gridwatch.toml"]);
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    assert!(errors(&output).contains("another process has its checkpoints there"), "{}", errors(&output));
    let rosters = std::fs::read_dir(host.house.path(".gridwatch/rosters")).unwrap().count();
    assert_eq!(rosters, 2, "one for each detector that the first has brought");
}

/// A bucket that takes calls and never answers: a call may last a minute, what is said of it may not.
#[test]
fn a_store_that_hangs_is_said_and_found_again() {
    let minio = Minio::start();
    minio.create_bucket("grid");
    let proxy = Proxy::to(minio.port());
    let house = following(&["limits"]);
    house.write("user", Minio::USER);
    house.write("password", Minio::PASSWORD);
    let bucket = format!(
        "[checkpoints]\nurl = \"s3://grid/here\"\nendpoint = \"{}\"\naccess_key_file = \"user\"\n\
         secret_key_file = \"password\"",
        proxy.url()
    );
    house.write("gridwatch.toml", house.text("gridwatch.toml").replace("[checkpoints]", &bucket));
    let host = Host::of(house);
    host.until("/readyz", |answer| answer["status"] == "ready");
    proxy.black_hole();
    host.until("/readyz", |answer| answer["missing"]["store"]["state"] == "failed");
    proxy.forward();
    host.until("/readyz", |answer| answer["status"] == "ready");
}

#[test]
fn paths_and_bodies_that_are_tricks_are_answered_and_the_host_goes_on() {
    let host = Host::start();
    for path in [
        "/../gridwatch.toml",
        "/%2e%2e/gridwatch.toml",
        "/assets/../../gridwatch.toml",
        "/assets/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/assets/..%5c..%5cgridwatch.toml",
        "//etc/passwd",
        "/api/v1/../../etc/passwd",
        "/api/v1/detectors/..%2f..%2fcheckpoints%2fapi-token",
        "/api/v1/detectors/%00",
        "/api/v1/sensors/%ff%fe",
        "/api/v1/anomalies/%F0%9F%92%A9",
        "/api/v2/overview",
        "/index.html/x",
    ] {
        let answer = host.get(path);
        assert!(matches!(answer.status, 400 | 404), "{path}: {} {}", answer.status, answer.body);
        assert!(
            !answer.body.contains("[source]") && !answer.body.contains("root:"),
            "{path}: {}",
            answer.body
        );
    }
    host.get("/api/v1/sensors/%ff").problem(400);
    let (token, huge) = (host.token(), "x".repeat(8 << 20));
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
    host.ask("POST", "/api/v1/detectors/limits/rollback", &headers, &huge).problem(413);
    let long = host.ask("GET", &format!("/api/v1/anomalies?text={}", "x".repeat(60_000)), &[], "");
    assert!((400..=431).contains(&long.status), "{}", long.status);
    for nonsense in [
        "\r\n\r\n",
        "GET\r\n\r\n",
        "\u{16}\u{3}\u{1}",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ] {
        let mut stream = host.connect();
        stream.write_all(nonsense.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{nonsense:?}");
    }
    assert_eq!(host.get("/healthz").status, 200);
}

#[test]
fn two_hundred_listeners_hear_and_those_who_do_not_read_hold_up_nobody() {
    let host = Host::start();
    let mut listeners: Vec<TcpStream> = (0..200).map(|_| host.listen("")).collect();
    for listener in &mut listeners {
        heard(listener, |text| text.contains("event: overview") && text.contains("event: lane"));
    }
    let metrics = |host: &Host| host.get("/api/v1/overview").json();
    let before = metrics(&host)["readings_total"].as_u64().unwrap();
    // Nobody reads from here on, and there is much to say. Later than what was read: the lane's clock goes on.
    let more: String =
        simulated(41, 4 * READINGS).lines().skip(READINGS).map(|line| format!("{line}\n")).collect();
    let since = Instant::now();
    host.feed(&more);
    let judged = before + 3 * READINGS as u64;
    host.until("/api/v1/overview", |overview| overview["readings_total"] == judged);
    eprintln!("{} readings in {:?} with 200 listeners", 3 * READINGS, since.elapsed());
    let last = host.get("/api/v1/anomalies?limit=1").json()["items"][0]["id"].as_str().unwrap().to_owned();
    // Whoever reads again hears the last of it, though not all.
    heard(&mut listeners[0], |text| text.contains(&last));
    // Another one may come once one of them has gone, and goes on where it stopped.
    let mut many: Vec<TcpStream> = (0..60).map(|_| host.listen("")).collect();
    let refused = many.iter_mut().filter_map(|stream| {
        heard(stream, |text| text.contains("\r\n")).starts_with("HTTP/1.1 503").then_some(())
    });
    assert_eq!(refused.count(), 4, "256 are enough");
    drop(many);
    drop(listeners);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut again = host.listen("Last-Event-ID: 1\r\n");
        let text = heard(&mut again, |text| text.contains("\n\n") || text.contains("}"));
        if text.starts_with("HTTP/1.1 200") {
            heard(&mut again, |text| text.contains(&last));
            break;
        }
        assert!(Instant::now() < deadline, "places do not come back: {text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn clients_that_send_slowly_are_hung_up_and_others_answered_meanwhile() {
    let host = Host::start();
    let mut slow: Vec<TcpStream> = (0..300).map(|_| host.connect()).collect();
    for stream in &mut slow {
        stream.write_all(b"GET /api/v1/overview HTTP/1.1\r\nHost: loc").unwrap();
    }
    let since = Instant::now();
    assert_eq!(host.get("/api/v1/overview").status, 200);
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    for stream in &mut slow {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
    }
    assert!(since.elapsed() < Duration::from_secs(30), "they were not hung up");
    let (health, other) = (format!("http://{}/readyz", host.address), "http://127.0.0.1:1/readyz");
    assert!(host.house.output(&["health", &health]).status.success());
    assert_eq!(host.house.output(&["health", &health.replace("readyz", "nothing")]).status.code(), Some(1));
    assert_eq!(host.house.output(&["health", other]).status.code(), Some(1));
    assert_eq!(host.house.output(&["health", "https://localhost"]).status.code(), Some(2));
}
