//! Detectors that sin, one way each: every one is refused or contained, its fate is named, and the neighbours'
//! output stays the same, byte for byte.

use std::collections::BTreeMap;

use gridwatch_tests::bench::root;
use gridwatch_tests::house::{House, errors, simulated};
use serde_json::Value;

use crate::wat_guest::{FREE, Wat, data};

/// A day in which detectors learn, and most of one with faults.
const READINGS: usize = 200_000;
const NEIGHBOURS: [&str; 4] = ["limits", "physics", "shift", "vitals"];
const LOOP: &str = "(loop (br 0)) (unreachable)";
/// Tight enough that a sin ends soon.
const LIMITS: &str =
    "[limits]\ncall_deadline = \"60ms\"\nmemory_max = \"16MiB\"\noutput_per_call_max = \"1MiB\"\n";

/// A finding as the canonical ABI lays it out, changed at one place.
fn finding(at: usize, bytes: &[u8]) -> [u8; 152] {
    let mut finding = [0; 152];
    finding[16..24].copy_from_slice(&1_767_225_600_000_i64.to_le_bytes());
    finding[36..38].copy_from_slice(&[3, 1]);
    finding[40..48].copy_from_slice(&0.5_f64.to_le_bytes());
    finding[at..at + bytes.len()].copy_from_slice(bytes);
    finding
}

/// `function` answers with a list of `len` items that begins with `items`.
pub fn answering(function: &str, len: u32, items: &[u8]) -> Wat {
    let list = [0, FREE + 16, len].map(u32::to_le_bytes).concat();
    Wat::new()
        .field(&data(FREE, &list))
        .field(&data(FREE + 16, items))
        .body(function, &format!("(i32.const {FREE})"))
}

fn says(at: usize, bytes: &[u8]) -> Wat {
    answering("observe", 1, &finding(at, bytes))
}

/// `save-shared` answers with the four bytes of a number that `function` counts up by `step`.
fn counting(function: &str, step: &str, answer: &str) -> Wat {
    answering("save-shared", 4, &[0; 4])
        .field("(global $count (mut i32) (i32.const 0))")
        .body(function, &format!("(global.set $count (i32.add (global.get $count) {step})) {answer}"))
        .body(
            "save-shared",
            &format!("(i32.store (i32.const {}) (global.get $count)) (i32.const {FREE})", FREE + 16),
        )
}

/// `function` says no: an error with a word to it.
fn refusing(function: &str) -> Wat {
    let no = [1, 512, 4].map(u32::to_le_bytes).concat();
    Wat::new().field(&data(FREE, &no)).body(function, &format!("(i32.const {FREE})"))
}

const NOTHING: &str = "(global.set $heap (i32.const 8192)) (i32.const 1024)";

fn describing(parameters: &str) -> Wat {
    let mut wat = Wat::new();
    wat.parameters = parameters.to_owned();
    wat
}

fn importing(module: &str, name: &str) -> Wat {
    let mut wat = Wat::new();
    wat.imports = format!("(import \"{module}\" \"{name}\" (func))");
    wat
}

type Sin = (&'static str, Wat, &'static str);

/// Refused before they are tried.
fn unfit() -> Vec<Sin> {
    let mut another_version = Wat::new();
    another_version.version = "0.2.0";
    vec![
        ("behaves", Wat::new(), "admitted"),
        ("another-version", another_version, "wrong_contract"),
        ("unknown-import", importing("env", "gettimeofday"), "forbidden_import"),
        ("native-thread", importing("wasi", "thread-spawn"), "forbidden_import"),
        ("no-such-wasi", importing("wasi_snapshot_preview1", "format_disk"), "core_unfit"),
        ("data-beyond-memory", Wat::new().field(&data(70_000, b"beyond")), "describe"),
        ("loop-in-start", Wat::new().field(&format!("(func $start {LOOP}) (start $start)")), "describe"),
        ("loop-in-describe", Wat::new().body("describe", LOOP), "describe"),
        ("lies-in-describe", Wat::new().body("describe", "(i32.const 1048576)"), "describe"),
        ("schema-is-no-json", describing("no JSON"), "descriptor"),
    ]
}

fn endless() -> Vec<Sin> {
    let functions = [
        ("loop-in-configure", "configure"),
        ("loop-in-realloc", "cabi_realloc"),
        ("loop-in-set-sensors", "set-sensors"),
        ("loop-in-remove-sensors", "remove-sensors"),
        ("loop-in-observe", "observe"),
        ("loop-in-advance", "advance"),
        ("loop-in-trace", "trace"),
        ("loop-in-save", "save"),
        ("loop-in-save-shared", "save-shared"),
        ("loop-in-begin-restore", "begin-restore"),
        ("loop-in-restore", "restore"),
    ];
    functions.map(|(name, function)| (name, Wat::new().body(function, LOOP), "deadline")).into()
}

fn traps_and_limits() -> Vec<Sin> {
    let mut hungry = Wat::new();
    hungry.memory = "(memory (export \"memory\") 300)".to_owned();
    let grow = "(loop (drop (memory.grow (i32.const 1))) (br 0)) (unreachable)";
    let table = "(loop (drop (table.grow $t (ref.null func) (i32.const 100000))) (br 0)) (unreachable)";
    let deeper =
        "(func $deeper (param i32) (result i32) (i32.add (call $deeper (local.get 0)) (i32.const 1)))";
    // Each allocation takes another 4 MiB, whatever was asked for.
    let storm = "(drop (memory.grow (i32.const 64))) (i32.const 8192)";
    let log = "(call $log (i32.const 3) (i32.const 512) (i32.const 19))";
    let thousand = format!(
        "(local $n i32) (loop {log} (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1)))
           (i32.const 1000)))) {NOTHING}"
    );
    // A million bytes and more of zeros, which read as findings.
    let list = [0, 1 << 20, 12_000].map(u32::to_le_bytes).concat();
    let mut flood = Wat::new().field(&data(FREE, &list)).body("observe", &format!("(i32.const {FREE})"));
    flood.memory = "(memory (export \"memory\") 64)".to_owned();
    let mut heavy = answering("save-shared", 2 << 20, &[]);
    heavy.memory = "(memory (export \"memory\") 64)".to_owned();
    let mut wordy = says(128, &[1_u32, 4096, 2 << 20].map(u32::to_le_bytes).concat());
    wordy.memory = "(memory (export \"memory\") 64)".to_owned();
    vec![
        ("memory-from-the-start", hungry, "memory"),
        ("memory-without-end", Wat::new().body("observe", grow), "memory"),
        ("allocation-storm", Wat::new().body("cabi_realloc", storm), "memory"),
        (
            "log-without-end",
            Wat::new().body("observe", &format!("(loop {log} (br 0)) (unreachable)")),
            "deadline",
        ),
        ("log-flood", Wat::new().body("observe", &thousand), "admitted"),
        ("table-without-end", Wat::new().field("(table $t 1 funcref)").body("observe", table), "memory"),
        (
            "stack-without-end",
            Wat::new().field(deeper).body("observe", "(call $deeper (i32.const 0))"),
            "trap",
        ),
        ("divides-by-zero", Wat::new().body("observe", "(i32.div_u (i32.const 1) (i32.const 0))"), "trap"),
        ("restore-traps", Wat::new().body("restore", "(unreachable)"), "trap"),
        ("advance-traps", Wat::new().body("advance", "(unreachable)"), "trap"),
        ("allocates-beyond-memory", Wat::new().body("cabi_realloc", "(i32.const 0x7fff0000)"), "contract"),
        ("findings-without-end", flood, "output"),
        ("state-beyond-its-cap", heavy, "output"),
        ("text-beyond-its-cap", wordy, "output"),
    ]
}

fn nonsense() -> Vec<Sin> {
    vec![
        ("row-out-of-range", says(0, &u32::MAX.to_le_bytes()), "contract"),
        ("kind-out-of-range", says(32, &9_u32.to_le_bytes()), "contract"),
        ("score-is-nan", says(40, &f64::NAN.to_le_bytes()), "contract"),
        ("no-such-phase", says(36, &[9]), "contract"),
        ("sensor-never-announced", says(4, &[1, 0, 0, 0, 0xff, 0xff]), "contract"),
        ("text-is-no-utf8", says(128, &[1, 0, 0, 0, 16, 8, 0, 0, 152, 0, 0, 0]), "contract"),
        ("text-beyond-memory", says(128, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0]), "contract"),
        ("state-of-a-gigabyte", answering("save-shared", 1 << 30, &[]), "contract"),
        ("states-for-nobody", answering("save", 0, &[]), "contract"),
        // It says that it reads states of its own version, and does not.
        ("denies-its-own-state", refusing("begin-restore"), "refused"),
    ]
}

/// All answers are in order, and the contract's promises are not kept.
fn faithless() -> Vec<Sin> {
    let address = format!("(i32.store (i32.const {}) (global.get $heap)) (i32.const {FREE})", FREE + 16);
    vec![
        ("counts-batches", counting("observe", "(i32.const 1)", NOTHING), "depends_on_cuts"),
        (
            "counts-announcements",
            counting("set-sensors", "(i32.const 1)", "(i32.const 1024)"),
            "depends_on_announcements",
        ),
        // Its allocator never starts anew, and where it stands is part of its state.
        (
            "tells-addresses",
            answering("save-shared", 4, &[0; 4])
                .body("observe", "(i32.const 1024)")
                .body("save-shared", &address),
            "depends_on_cuts",
        ),
        ("forgets-its-state", counting("observe", "(local.get 1)", NOTHING), "loses_state"),
    ]
}

/// Files that are no module at all.
fn refused_files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let whole = module(&Wat::new());
    let network = "(component (import \"wasi:sockets/network@0.2.0\" (instance)))";
    vec![
        ("not-wasm", b"hello, I am a detector".to_vec(), "not_wasm"),
        ("an-elf", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec(), "not_wasm"),
        ("half", whole[..whole.len() / 2].to_vec(), "truncated"),
        ("wants-the-network", wat::parse_str(network).unwrap(), "forbidden_import"),
        ("nothing-in-it", wat::parse_str("(component)").unwrap(), "missing_export"),
        ("too-large", [&b"\0asm\x01\0\0\0"[..], &vec![0; 100 << 20]].concat(), "too_large"),
        ("native-code", native(), "precompiled"),
        ("instances-by-the-thousand", crowded(900, 4), "describe"),
    ]
}

/// How wasmtime marks its artifacts: an ELF file of its own operating system, with the flag of a component.
fn native() -> Vec<u8> {
    let mut elf = b"\x7fELF\x02\x01\x01\xc8".to_vec();
    elf.resize(64, 0);
    elf[16..24].copy_from_slice(&[1, 0, 0xc0, 0, 1, 0, 0, 0]);
    elf[48] = 2;
    elf[52] = 64;
    elf
}

/// A detector's component with so many more instances of a module in it, in a component of their own, so many times.
fn crowded(instances: usize, times: u8) -> Vec<u8> {
    let mut whole = std::fs::read(root().join("target/examples/first-detector-component.wasm")).unwrap();
    let components = top_sections(&whole).into_iter().filter(|id| *id == 4).count();
    let many = "(core instance (instantiate $m))".repeat(instances);
    let crowd = wat::parse_str(format!("(component (core module $m) {many})")).unwrap();
    whole.push(4);
    leb(&mut whole, crowd.len());
    whole.extend(crowd);
    // Section 5: instances of the last component, without arguments.
    whole.extend([5, 1 + 3 * times, times]);
    whole.extend([0, u8::try_from(components).unwrap(), 0].repeat(usize::from(times)));
    whole
}

/// Ids of the sections on the outermost level.
fn top_sections(wasm: &[u8]) -> Vec<u8> {
    let (mut at, mut ids) = (8, Vec::new());
    while at < wasm.len() {
        ids.push(wasm[at]);
        let (mut size, mut shift) = (0, 0);
        loop {
            at += 1;
            size |= usize::from(wasm[at] & 0x7f) << shift;
            shift += 7;
            if wasm[at] < 0x80 {
                break;
            }
        }
        at += 1 + size;
    }
    ids
}

fn leb(bytes: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// What only a guest with WASI can try, later than it is tried: an answer without a world behind it, or an end of its own.
const WASI_SINS: [&str; 7] = ["files", "environment", "clock", "random", "sleep", "print", "exit"];
const WASI_AFTER: usize = 5_000;

fn module(wat: &Wat) -> Vec<u8> {
    let text = wat.text();
    wat::parse_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// A house with the neighbours only.
fn peaceful() -> House {
    let house = House::with(&NEIGHBOURS);
    house.write("readings.jsonl", simulated(5, READINGS));
    house.configure("kind = \"file\"\npath = \"readings.jsonl\"", "");
    house
}

fn deploy(house: &House, name: &str, bytes: &[u8]) {
    house.write(&format!("detectors/{name}.wasm"), bytes);
    house.write(&format!("detectors/{name}.toml"), LIMITS);
}

fn output(house: &House) -> Vec<String> {
    NEIGHBOURS.iter().map(|name| house.anomalies_of(name)).collect()
}

/// By detector: its refusal, or "admitted".
fn fates(house: &House) -> BTreeMap<String, String> {
    let shown = house.command(&["detectors", "--dir", "detectors", "--json"]).output().unwrap();
    let list: Vec<Value> =
        serde_json::from_slice(&shown.stdout).unwrap_or_else(|e| panic!("{e}: {}", errors(&shown)));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list.iter()
        .map(|detector| {
            let fate = if detector["state"] == "admitted" {
                "admitted".to_owned()
            } else {
                text(&detector["refusal"])
            };
            eprintln!("{:24} {fate:24} {}", text(&detector["name"]), text(&detector["reason"]));
            (text(&detector["name"]), fate)
        })
        .collect()
}

#[test]
fn every_sin_has_its_fate_and_hurts_nobody() {
    let quiet = peaceful();
    quiet.run();
    let expected = output(&quiet);
    assert!(
        expected.iter().any(|lines| !lines.is_empty()),
        "the neighbours say nothing that could be spoilt"
    );

    let house = peaceful();
    let mut wanted: Vec<(String, &str)> = Vec::new();
    let sins = [unfit(), endless(), traps_and_limits(), nonsense(), faithless()];
    for (name, wat, fate) in sins.into_iter().flatten() {
        deploy(&house, name, &module(&wat));
        wanted.push((name.to_owned(), fate));
    }
    for (name, bytes, fate) in refused_files() {
        deploy(&house, name, &bytes);
        wanted.push((name.to_owned(), fate));
    }
    for sin in WASI_SINS {
        let name = format!("wasi-{sin}");
        let toml = format!("[parameters]\nsin = \"{sin}\"\nafter = {WASI_AFTER}\n{LIMITS}");
        house.detector(&name, &root().join("target/examples/hostile-wasi.wasm"), &toml);
        wanted.push((name, "admitted"));
    }
    let fates = fates(&house);
    let wrong: Vec<String> = wanted
        .iter()
        .filter(|(name, fate)| !fates[name].starts_with(fate))
        .map(|(name, fate)| format!("{name}: {} rather than {fate}", fates[name]))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let account = house.run();
    assert_eq!(account["judged"], READINGS);
    assert_eq!(account["adds_up"], true, "{account}");
    // Of those that were taken only the one that ended itself has missed anything.
    let skipped = account["skipped"].as_object().unwrap();
    assert_eq!(skipped.keys().collect::<Vec<_>>(), ["wasi-exit"], "{account}");
    assert!(skipped["wasi-exit"].as_u64().unwrap() <= (READINGS - WASI_AFTER + 1024) as u64, "{account}");
    assert_eq!(output(&house), expected, "the neighbours' output differs");
}

/// What no trial can see: it behaves for longer than it is tried. It is then contained where it judges.
#[test]
fn a_sin_that_comes_late_is_contained_on_its_lane() {
    let quiet = peaceful();
    quiet.run();
    let house = peaceful();
    let late = |sin: &str| {
        let body = format!(
            "(global.set $rows (i32.add (global.get $rows) (local.get 1)))
             (if (i32.gt_u (global.get $rows) (i32.const 20000)) (then {sin})) {NOTHING}"
        );
        Wat::new().field("(global $rows (mut i32) (i32.const 0))").body("observe", &body)
    };
    for (name, sin) in [("traps", "(unreachable)"), ("loops", "(loop (br 0))")] {
        deploy(&house, name, &module(&late(sin)));
        assert_eq!(fates(&house)[name], "admitted");
    }
    let account = house.run();
    assert_eq!(account["judged"], READINGS);
    for name in ["traps", "loops"] {
        let skipped = account["skipped"][name].as_u64().unwrap_or(0);
        assert!((1..=READINGS as u64 - 18_000).contains(&skipped), "{name}: {account}");
    }
    assert_eq!(output(&house), output(&quiet), "the neighbours' output differs");
}
