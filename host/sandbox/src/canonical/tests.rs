#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write;

use wasmtime::{Config, Engine, Instance, Module, Store};

use super::canonical;

/// The memory that `run` leaves behind, or that it trapped.
fn run(binary: &[u8], by_cranelift: bool) -> Option<Vec<u8>> {
    let mut config = Config::new();
    config.cranelift_nan_canonicalization(by_cranelift);
    let engine = Engine::new(&config).unwrap();
    let module = Module::new(&engine, binary).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
    run.call(&mut store, ()).ok()?;
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    Some(memory.data(&store)[..4096].to_vec())
}

/// The first bytes of the memory afterwards.
fn bits(body: &str) -> u64 {
    let wat = format!(
        "(module (memory (export \"memory\") 1)
           (func $given (param f64) (result f64) (local.get 0))
           (func (export \"run\") (local $a f64) (local $b f64) (local $n i32) {body}))"
    );
    let binary = wat::parse_str(&wat).unwrap();
    let memory = run(&canonical(&binary).unwrap(), false).unwrap();
    assert_eq!(Some(&memory), run(&binary, true).as_ref(), "{body}");
    u64::from_le_bytes(memory[..8].try_into().unwrap())
}

const CANONICAL: u64 = 0x7ff8_0000_0000_0000;
const NEGATIVE: u64 = 1 << 63;
/// Zero by zero, which on x86 is a negative NaN; unknown to the compiler.
const NAN: &str = "(f64.div (f64.load (i32.const 64)) (f64.load (i32.const 64)))";

#[test]
fn a_nan_is_canonical_wherever_its_bits_are_seen() {
    let store = |value: &str| bits(&format!("(f64.store (i32.const 0) {value})"));
    assert_eq!(store(NAN), CANONICAL);
    assert_eq!(store(&format!("(f64.sqrt (f64.add {NAN} {NAN}))")), CANONICAL);
    assert_eq!(store(&format!("(f64.abs {NAN})")), CANONICAL);
    assert_eq!(store(&format!("(f64.neg {NAN})")), CANONICAL | NEGATIVE);
    assert_eq!(store(&format!("(f64.copysign (f64.const 1) {NAN})")), 1.0_f64.to_bits());
    assert_eq!(store(&format!("(call $given {NAN})")), CANONICAL);
    assert_eq!(store(&format!("(block (result f64) {NAN})")), CANONICAL);
    assert_eq!(store(&format!("(select (f64.const 1) {NAN} (i32.const 0))")), CANONICAL);
    assert_eq!(store(&format!("(f64x2.extract_lane 0 (f64x2.splat {NAN}))")), CANONICAL);
    assert_eq!(store(&format!("(f64.promote_f32 (f32.demote_f64 {NAN}))")), CANONICAL);
    let lanes = "(f64x2.div (v128.load (i32.const 64)) (v128.load (i32.const 64)))";
    assert_eq!(bits(&format!("(v128.store (i32.const 0) {lanes})")), CANONICAL);
    let reinterpreted = format!("(i64.store (i32.const 0) (i64.reinterpret_f64 {NAN}))");
    assert_eq!(bits(&reinterpreted), CANONICAL);
    let local = format!("(local.set $a {NAN}) (f64.store (i32.const 0) (local.get $a))");
    assert_eq!(bits(&local), CANONICAL);
    let looped = format!(
        "(loop (f64.store (i32.const 0) (local.get $b)) (local.set $b (local.get $a)) (local.set $a {NAN})
           (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 3))))"
    );
    assert_eq!(bits(&looped), CANONICAL);
}

#[test]
fn what_is_kept_within_a_limit_is_not_checked() {
    let checks = |value: &str| {
        let wat = format!("(module (memory 1) (func (local $a f64) (f64.store (i32.const 0) {value})))");
        let checks = super::flow::checks(&wat::parse_str(&wat).unwrap()).unwrap();
        checks.iter().map(|checks| checks.after.len()).sum::<usize>()
    };
    let kept = |value: &str, limit: &str| {
        format!("(select (local.tee $a {value}) {limit} (f64.gt (local.get $a) {limit}))")
    };
    assert_eq!(checks(&kept(NAN, "(f64.const 1)")), 0);
    assert_eq!(checks(&kept(&kept(NAN, "(f64.const 1)"), "(f64.const 2)")), 0);
    assert_eq!(checks(&kept(NAN, NAN)), 1);
    assert_eq!(
        checks("(select (f64.const 1) (f64.sqrt (local.get $a)) (f64.gt (local.get $a) (f64.const 1)))"),
        1
    );
}

#[test]
fn a_nan_of_the_guests_own_making_keeps_its_bits() {
    let own = "(f64.reinterpret_i64 (i64.const 0xfff4000000000123))";
    let bare = format!("(local.set $a {own}) (f64.store (i32.const 0) (local.get $a))");
    assert_eq!(bits(&bare), 0xfff4_0000_0000_0123);
    // In a local that holds a result at other times.
    let shared = format!(
        "(local.set $a {NAN}) (f64.store (i32.const 8) (local.get $a)) {bare}
         (if (i32.load (i32.const 64)) (then (local.set $a {NAN})))
         (f64.store (i32.const 0) (local.get $a))"
    );
    assert_eq!(bits(&shared), 0xfff4_0000_0000_0123);
}

/// Writes random programs in WebAssembly text.
struct Writer {
    state: u64,
    labels: u32,
}

impl Writer {
    fn below(&mut self, end: u64) -> u64 {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn place(&mut self) -> String {
        format!("(i32.const {})", 8 * self.below(64))
    }

    fn float(&mut self, kind: &str, depth: u32) -> String {
        let other = if kind == "f64" { "f32" } else { "f64" };
        let pick = if depth == 0 { self.below(3) } else { self.below(14) };
        match pick {
            12 | 13 => self.choice(kind),
            0 => format!("({kind}.load {})", self.place()),
            1 => format!("(local.get ${kind}{})", self.below(4)),
            2 => format!("({kind}.const {})", self.one_of(&["0", "1", "-2.5", "inf", "nan"])),
            3 => {
                let operator = self.one_of(&["abs", "neg", "sqrt", "floor"]);
                format!("({kind}.{operator} {})", self.float(kind, depth - 1))
            }
            4 => {
                let (a, b) = (self.float(kind, depth - 1), self.float(kind, depth - 1));
                format!("(select {a} {b} {})", self.condition(depth - 1))
            }
            5 => {
                let (a, b) = (self.float(kind, depth - 1), self.float(kind, depth - 1));
                format!("({kind}.copysign {a} {b})")
            }
            6 => {
                let convert = if kind == "f64" { "f64.promote_f32" } else { "f32.demote_f64" };
                format!("({convert} {})", self.float(other, depth - 1))
            }
            7 => format!("(local.tee ${kind}{} {})", self.below(4), self.float(kind, depth - 1)),
            8 => {
                let (a, b) = (self.float(kind, depth - 1), self.float(kind, depth - 1));
                format!("(if (result {kind}) {} (then {a}) (else {b}))", self.condition(depth - 1))
            }
            _ => {
                let operator = self.one_of(&["add", "sub", "mul", "div", "min", "max"]);
                let (a, b) = (self.float(kind, depth - 1), self.float(kind, depth - 1));
                format!("({kind}.{operator} {a} {b})")
            }
        }
    }

    fn condition(&mut self, depth: u32) -> String {
        let kind = self.one_of(&["f32", "f64"]);
        let operator = self.one_of(&["eq", "lt", "gt", "ge"]);
        let (a, b) = (self.float(kind, depth), self.float(kind, depth));
        format!("({kind}.{operator} {a} {b})")
    }

    /// The lesser or greater of two locals, or of anything and a number, as compilers write it.
    fn choice(&mut self, kind: &str) -> String {
        let (a, b) = (self.below(4), self.below(4));
        let operator = self.one_of(&["lt", "gt"]);
        if self.below(2) == 0 {
            let (value, limit) = (self.float(kind, 1), self.one_of(&["0", "1", "-2.5", "nan"]));
            let (limit, a) = (format!("({kind}.const {limit})"), format!("${kind}{a}"));
            // Now and then what is compared is not what is chosen.
            let b = if self.below(4) == 0 { format!("${kind}{b}") } else { a.clone() };
            return format!(
                "(select (local.tee {a} {value}) {limit} ({kind}.{operator} (local.get {b}) {limit}))"
            );
        }
        let (a, b) = (format!("(local.get ${kind}{a})"), format!("(local.get ${kind}{b})"));
        format!("(select {a} {b} ({kind}.{operator} {a} {b}))")
    }

    fn statements(&mut self, depth: u32) -> String {
        (0..self.below(5)).map(|_| self.statement(depth)).collect()
    }

    fn statement(&mut self, depth: u32) -> String {
        let kind = self.one_of(&["f32", "f64"]);
        let pick = if depth == 0 { self.below(4) } else { self.below(9) };
        match pick {
            0 | 1 => format!("(local.set ${kind}{} {})\n", self.below(4), self.float(kind, 3)),
            2 | 3 => format!("({kind}.store {} {})\n", self.place(), self.float(kind, 2)),
            4 => {
                let (yes, no) = (self.statements(depth - 1), self.statements(depth - 1));
                format!("(if {} (then {yes}) (else {no}))\n", self.condition(1))
            }
            5 => format!("(if {} (then {}))\n", self.condition(1), self.statements(depth - 1)),
            6 => {
                self.labels += 1;
                let label = format!("$l{}", self.labels);
                let (before, after) = (self.statements(depth - 1), self.statements(depth - 1));
                format!("(block {label} {before} (br_if {label} {}) {after})\n", self.condition(1))
            }
            _ => {
                self.labels += 1;
                let label = format!("$l{}", self.labels);
                let (before, after) = (self.statements(depth - 1), self.statements(depth - 1));
                // All loops of a program together go round so many times.
                format!(
                    "(loop {label} {before} (br_if {label} (i32.lt_u
                       (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 40))) {after})\n"
                )
            }
        }
    }

    fn program(&mut self) -> String {
        let mut text = String::from("(module (memory (export \"memory\") 1)\n(data (i32.const 0) \"");
        // Zeros, numbers and NaNs with bits of their own.
        for _ in 0..64 {
            let bytes: u64 = match self.below(4) {
                0 => 0,
                1 => 0x7ff4_0000_7fa0_0123,
                2 => 0xfff8_1234_ffc0_5678,
                _ => 0x3ff0_0000_3f80_0000,
            };
            for byte in bytes.to_le_bytes() {
                write!(text, "\\{byte:02x}").unwrap();
            }
        }
        text.push_str("\")\n(func (export \"run\") (local $n i32)\n");
        for kind in ["f32", "f64"] {
            (0..4).for_each(|at| write!(text, "(local ${kind}{at} {kind})").unwrap());
        }
        for _ in 0..8 {
            text.push_str(&self.statement(3));
        }
        text.push_str("))");
        text
    }
}

/// As a check after every operation does, which is cranelift's.
#[test]
fn random_programs_leave_the_same_bits_as_with_checks_everywhere() {
    let mut changed = 0;
    for seed in 0..150 {
        let text = Writer { state: seed, labels: 0 }.program();
        let binary = wat::parse_str(&text).unwrap();
        let expected = run(&binary, true);
        let seen = run(&canonical(&binary).unwrap(), false);
        assert!(expected.is_some(), "seed {seed} traps");
        assert!(expected == seen, "seed {seed}:\n{text}");
        changed += u32::from(run(&binary, false) != expected);
    }
    // On machines whose own NaN is the canonical one there is less to see.
    assert!(changed > 10 || !cfg!(target_arch = "x86_64"), "only {changed} had a NaN to see");
}
