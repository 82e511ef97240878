//! WASI without a world: what a guest of preview 1 is answered, and that none of it depends on when it asks.
//! Components that import WASI 0.2 are built by cargo-component, and tried with the whole host.

use std::sync::Arc;

use gridwatch_core::judge::{Call, Fault, LogLevel, Module};

use crate::guest::{FREE, Heard, Wat, alive, data, limits, load, observe};

const SCRATCH: u32 = FREE + 1024;

/// A guest that imports one function of preview 1, and whose `save-shared` answers with the 16 bytes at `SCRATCH`
/// after `body`.
fn asking(function: &str, parameters: &str, body: &str) -> Wat {
    let answer = [0, SCRATCH, 16].map(u32::to_le_bytes).concat();
    let mut wat =
        Wat::new().field(&data(FREE, &answer)).body("save-shared", &format!("{body} (i32.const {FREE})"));
    wat.imports = format!(
        "(import \"wasi_snapshot_preview1\" \"{function}\" (func $asked (param {parameters}) (result i32)))"
    );
    wat
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}

#[test]
fn the_clock_stands_at_the_last_tick() {
    let call = format!("(drop (call $asked (i32.const 0) (i64.const 1) (i32.const {SCRATCH})))");
    let mut judge = alive(&asking("clock_time_get", "i32 i64 i32", &call));
    let now = |judge: &mut dyn gridwatch_core::judge::Judge| number(&judge.save_shared().unwrap());
    assert_eq!(now(&mut *judge), 1_000_000_000);
    observe(&mut *judge).unwrap();
    assert_eq!(now(&mut *judge), 1_000_000_000, "readings and calls move no clock");
    judge.advance(1_767_225_600_000).unwrap();
    assert_eq!(now(&mut *judge), 1_767_225_600_000_000_000);
    judge.set_time(1_767_225_660_000);
    assert_eq!(now(&mut *judge), 1_767_225_660_000_000_000);
}

#[test]
fn random_numbers_are_the_modules_own_and_the_same_at_every_draw() {
    let call = format!("(drop (call $asked (i32.const {SCRATCH}) (i32.const 16)))");
    let wat = asking("random_get", "i32 i32", &call);
    let module = load(&wat);
    let drawn = |draws: usize| {
        let mut judge = module.instantiate(limits(), Arc::new(Heard::default())).unwrap();
        (0..draws).map(|_| judge.save_shared().unwrap()).collect::<Vec<_>>()
    };
    let [first, second] = drawn(2).try_into().unwrap();
    assert_eq!(first, second);
    assert_eq!(drawn(1)[0], first);
    assert_ne!(first[..8], first[8..]);
    let other = alive(&wat.field("(func)")).save_shared().unwrap();
    assert_ne!(other, first, "another module draws others");
}

#[test]
fn what_is_printed_goes_to_the_log_by_lines() {
    let pieces = [(1, "one "), (1, "line\nand"), (2, "oh\n"), (1, " another")];
    let mut body = String::new();
    let (mut at, mut fields) = (SCRATCH + 64, String::new());
    for (file, text) in pieces {
        let iovec = [at + 8, text.len() as u32].map(u32::to_le_bytes).concat();
        fields += &data(at, &[&iovec, text.as_bytes()].concat());
        body += &format!(
            "(drop (call $asked (i32.const {file}) (i32.const {at}) (i32.const 1) (i32.const {SCRATCH})))"
        );
        at += 64;
    }
    let wat = asking("fd_write", "i32 i32 i32 i32", &body).field(&fields);
    let heard = Arc::new(Heard::default());
    let mut judge = load(&wat).instantiate(limits(), heard.clone()).unwrap();
    assert_eq!(number(&judge.save_shared().unwrap()) as u32, 8, "bytes written");
    let lines: Vec<(LogLevel, String)> = heard.lines.lock().unwrap().clone();
    let expected = [(LogLevel::Info, "one line"), (LogLevel::Error, "oh"), (LogLevel::Info, "and another")];
    assert_eq!(lines, expected.map(|(level, line)| (level, line.to_owned())));
}

#[test]
fn there_are_no_files_no_environment_and_nothing_to_wait_for() {
    let path = "(call $asked (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) \
                (i64.const 0) (i32.const 0) (i32.const 0))";
    for (function, parameters, call, errno) in [
        ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32", path, 8),
        ("environ_sizes_get", "i32 i32", "(call $asked (i32.const 3136) (i32.const 3140))", 0),
        (
            "poll_oneoff",
            "i32 i32 i32 i32",
            "(call $asked (i32.const 3136) (i32.const 3200) (i32.const 1) (i32.const 3300))",
            0,
        ),
    ] {
        let body = format!("(i32.store (i32.const {SCRATCH}) {call})");
        let mut judge = alive(&asking(function, parameters, &body));
        assert_eq!(number(&judge.save_shared().unwrap()) as u32, errno, "{function}");
    }
}

#[test]
fn an_exit_is_a_fault_that_says_so() {
    let mut wat = Wat::new().body("observe", "(call $exit (i32.const 3)) (unreachable)");
    wat.imports = "(import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))".to_owned();
    let fault = observe(&mut *alive(&wat)).unwrap_err();
    assert!(
        matches!(&fault, Fault::Trap { call: Call::Observe, what } if what.contains("exit with status 3")),
        "{fault}"
    );
}
