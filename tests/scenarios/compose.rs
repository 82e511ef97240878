//! The containers, as far as they can be judged without an engine: what `docker-compose config` accepts, and what it
//! does not look for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use gridwatch_tests::bench::root;
use gridwatch_tests::stack::{compose, read};
use serde_yaml_ng::Value;

/// What the README's map promises, by port of the host.
const PORTS: [(u16, &str); 15] = [
    (3000, "grafana"),
    (5433, "ai_agents_learning_db"),
    (8080, "schema-registry"),
    (8081, "gridwatch-1"),
    (8082, "gridwatch-2"),
    (8086, "influxdb"),
    (9000, "minio"),
    (9001, "minio"),
    (9090, "prometheus"),
    (9092, "kafka"),
    (9093, "kafka"),
    (9249, "gridwatch-1"),
    (9250, "gridwatch-2"),
    (9308, "kafka-exporter"),
    (27017, "mongodb"),
];

fn folder() -> std::path::PathBuf {
    root().join("compose")
}

fn services() -> BTreeMap<String, Value> {
    let file = compose::file();
    let services = file["services"].as_mapping().unwrap();
    services.iter().map(|(name, service)| (name.as_str().unwrap().to_owned(), service.clone())).collect()
}

fn words(value: &Value) -> Vec<&str> {
    value.as_sequence().into_iter().flatten().map(|word| word.as_str().unwrap()).collect()
}

/// One that runs to its end, and is waited for.
fn runs_once(service: &Value) -> bool {
    service["restart"].as_str() == Some("no")
}

#[test]
fn docker_compose_takes_the_file() {
    let output =
        Command::new("docker-compose").args(["config", "-q"]).current_dir(folder()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_service_is_on_the_declared_network_alone() {
    let file = compose::file();
    let declared: Vec<&str> =
        file["networks"].as_mapping().unwrap().keys().map(|key| key.as_str().unwrap()).collect();
    assert_eq!(declared, ["grid-network"]);
    for (name, service) in services() {
        let apart = service["network_mode"].as_str() == Some("none");
        assert!(apart || words(&service["networks"]) == ["grid-network"], "{name}");
    }
}

#[test]
fn every_port_of_the_map_is_published_on_the_loopback_address_and_no_other_is() {
    let mut published = BTreeSet::new();
    for (name, service) in services() {
        for port in words(&service["ports"]) {
            let parts: Vec<&str> = port.split(':').collect();
            let ["127.0.0.1", outside, _] = parts[..] else { panic!("{name}: {port}") };
            published.insert((outside.parse::<u16>().unwrap(), name.clone()));
        }
    }
    let expected: BTreeSet<_> = PORTS.into_iter().map(|(port, name)| (port, name.to_owned())).collect();
    assert_eq!(published, expected);
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for (port, name) in expected {
        let is_there = |line: &str| {
            line.starts_with('|') && line.contains(&format!("`{name}`")) && line.contains(&port.to_string())
        };
        assert!(readme.lines().any(is_there), "{name} at {port} is not in the README's map");
    }
}

#[test]
fn what_stays_up_says_how_it_is_and_comes_back_and_what_waits_says_for_what() {
    let services = services();
    for (name, service) in &services {
        let test = words(&service["healthcheck"]["test"]);
        if runs_once(service) {
            assert!(test.is_empty(), "{name} runs once");
        } else {
            assert!(test.len() > 1 && test[0].starts_with("CMD"), "{name} has no health check");
            assert_eq!(service["restart"].as_str(), Some("unless-stopped"), "{name}");
        }
        let limits = &service["deploy"]["resources"]["limits"];
        assert!(limits["cpus"].is_string() && limits["memory"].is_string(), "{name} has no limits");
        assert!(words(&service["security_opt"]).contains(&"no-new-privileges:true"), "{name}");
        for (other, how) in service["depends_on"].as_mapping().into_iter().flatten() {
            let other = other.as_str().unwrap();
            let expected = if runs_once(&services[other]) {
                "service_completed_successfully"
            } else {
                "service_healthy"
            };
            assert_eq!(how["condition"].as_str(), Some(expected), "{name} waits for {other}");
        }
    }
}

#[test]
fn images_are_pinned_and_ours_can_do_nothing_else() {
    let is_pinned = |image: &str| {
        let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
        tag.matches(|c: char| c.is_ascii_digit()).count() >= 2 && tag.contains(['.', '-'])
    };
    for (name, service) in services() {
        let image = service["image"].as_str().unwrap();
        assert!(is_pinned(image), "{name}: {image}");
        if image.starts_with("gridwatch:") {
            assert_eq!(service["read_only"].as_bool(), Some(true), "{name}");
            assert_eq!(words(&service["cap_drop"]), ["ALL"], "{name}");
            assert!(image.ends_with(env!("CARGO_PKG_VERSION")), "{name}: {image}");
        }
    }
    let dockerfile = read("Dockerfile");
    let stages: Vec<&str> = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
    let named: BTreeSet<&str> =
        stages.iter().filter_map(|stage| stage.split_once(" AS ")).map(|(_, name)| name).collect();
    for stage in &stages {
        let from = stage.split(' ').next().unwrap();
        assert!(named.contains(from) || is_pinned(from), "{stage}");
    }
    let last = dockerfile.rsplit("FROM ").next().unwrap();
    let user = last.lines().find_map(|line| line.strip_prefix("USER ")).expect("a user");
    assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id >= 1000)), "{user}");
    assert!(last.contains("HEALTHCHECK") && last.contains("\"gridwatch\", \"health\""), "no health check");
}

/// Passwords come from files that are drawn on the machine; no file here has one.
#[test]
fn no_secret_stands_in_the_file() {
    let hints = ["PASSWORD", "SECRET", "TOKEN", "ACCESS_KEY", "ROOT_USER"];
    for (name, service) in services() {
        for (key, value) in service["environment"].as_mapping().into_iter().flatten() {
            let key = key.as_str().unwrap();
            if hints.iter().any(|hint| key.contains(hint)) {
                let value = value.as_str().unwrap_or_default();
                assert!(key.ends_with("_FILE") && value.starts_with("/run/secrets/"), "{name}: {key}");
            }
        }
    }
    let config = read("gridwatch.toml");
    for line in config
        .lines()
        .filter(|line| line.contains("key") || line.contains("password") || line.contains("token"))
    {
        assert!(line.starts_with('#') || line.contains("_file = \"secrets/"), "{line}");
    }
    // The volumes of secrets are each one service's (and gridwatch's, which signs to the store).
    for volume in ["grafana-secrets", "influxdb-secrets", "mongodb-secrets", "postgres-secrets"] {
        let mounts = services()
            .values()
            .filter(|service| mounts(service).iter().any(|(from, _)| from == volume))
            .count();
        assert_eq!(mounts, 2, "{volume}: who draws it and who reads it");
    }
}

/// Source and target of each.
fn mounts(service: &Value) -> Vec<(String, String)> {
    let split = |mount: &str| {
        let mut parts = mount.split(':');
        (parts.next().unwrap().to_owned(), parts.next().unwrap().to_owned())
    };
    words(&service["volumes"]).into_iter().map(split).collect()
}

#[test]
fn what_is_mounted_exists_and_volumes_are_declared_and_used() {
    let file = compose::file();
    let declared: BTreeSet<String> =
        file["volumes"].as_mapping().unwrap().keys().map(|key| key.as_str().unwrap().to_owned()).collect();
    let mut used = BTreeSet::new();
    for (name, service) in services() {
        for (from, to) in mounts(&service) {
            if from.starts_with('.') {
                assert!(folder().join(&from).exists(), "{name}: {from} is not there");
            } else {
                used.insert(from);
            }
            assert!(Path::new(&to).is_absolute(), "{name}: {to}");
        }
        if let Some(dockerfile) = service["build"]["dockerfile"].as_str() {
            assert!(root().join(dockerfile).is_file(), "{name}: {dockerfile}");
            let target = service["build"]["target"].as_str().unwrap();
            assert!(read("Dockerfile").contains(&format!(" AS {target}\n")), "{name}: no stage {target}");
        }
    }
    assert_eq!(used, declared);
}

/// What the image is made of is in its context.
#[test]
fn the_image_is_made_of_what_is_there() {
    for line in
        read("Dockerfile").lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from"))
    {
        let sources: Vec<&str> = line.split(' ').skip(1).collect();
        for source in &sources[..sources.len() - 1] {
            assert!(root().join(source).exists(), "{line}");
        }
    }
    let ignored = std::fs::read_to_string(root().join(".dockerignore")).unwrap();
    for needed in ["host", "detectors", "wit", "tests", "Cargo.toml", "Cargo.lock"] {
        assert!(!ignored.lines().any(|line| line == needed), "{needed} is needed");
    }
}
