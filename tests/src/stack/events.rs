//! What boards and alerts speak of, made to happen: records that are no readings, a swap that holds, one that is taken
//! back, a detector that fails and is quarantined, a file that is refused, a question to the API.

use std::path::Path;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::parts::Stack;
use super::places::Places;
use crate::bench::root;
use crate::house::{errors, gridwatch};
use crate::servers::http;

const PATIENCE: Duration = Duration::from_secs(30);

/// One of each kind on every partition, several times.
pub fn dead_letters(places: &Places) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", places.bootstrap()).create().expect("a producer");
    let bad = [&b"this is no JSON"[..], br#"{"sensor_id":"m-1","voltage":230.0}"#, br#"{"voltage":1}"#];
    for partition in 0..4 {
        for payload in bad.into_iter().cycle().take(30) {
            let record = BaseRecord::<(), _>::to("sensor-readings").partition(partition).payload(payload);
            producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
        }
    }
    producer.flush(PATIENCE).expect("acknowledged");
}

/// A detector that traps: with `tests/build-examples`, or `make stack-check`, built.
pub fn deploy_hostile(detectors: &Path) {
    let module = root().join("target/examples/hostile.wasm");
    std::fs::write(detectors.join("hostile.toml"), "[parameters]\nsin = \"trap\"\nafter = 10000\n").unwrap();
    put(
        detectors,
        "hostile.wasm",
        &std::fs::read(&module).unwrap_or_else(|e| panic!("{}: {e}", module.display())),
    );
}

/// A file that is refused, whatever it says of itself.
pub fn deploy_broken(detectors: &Path) {
    put(detectors, "broken.wasm", b"\0asm, or so it says");
}

/// Other limits are another deployment of the same module.
pub fn swap(detectors: &Path) {
    put(detectors, "limits.toml", b"[limits]\ncall_deadline = \"600ms\"\n");
}

/// What ran before runs again.
pub fn roll_back(stack: &Stack, detector: &str) {
    let mut command = gridwatch();
    command.args(["rollback", detector, "-c", "gridwatch.toml"]).current_dir(stack.worker_folder());
    let output = command.output().expect("gridwatch");
    assert!(output.status.success(), "{}", errors(&output));
}

/// Somebody looks at the lanes.
pub fn ask(places: &Places) {
    for worker in places.workers {
        let answer = http::request(worker.api, "GET", "/api/v1/lanes", "");
        assert!(matches!(answer, Ok((200, _))), "{}: {answer:?}", worker.name);
    }
}

/// At once or not at all.
fn put(folder: &Path, name: &str, bytes: &[u8]) {
    let part = folder.join(format!(".{name}.part"));
    std::fs::write(&part, bytes).unwrap();
    std::fs::rename(part, folder.join(name)).unwrap();
}
