//! Every limit of an instance bites, is named, and ends the instance.

use std::sync::Arc;

use gridwatch_core::judge::{Call, Fault, Limits, LogLevel, Module};

use crate::guest::{FREE, Heard, Wat, alive, limits, load, observe};

/// The fault of `observe`, after which nothing is asked of the instance any more.
fn fault_of(wat: &Wat) -> Fault {
    let mut judge = alive(wat);
    let fault = observe(&mut *judge).unwrap_err();
    let after = judge.advance(0).unwrap_err();
    assert!(matches!(&after, Fault::Host { what, .. } if what.contains(&fault.to_string())), "{after}");
    fault
}

#[test]
fn an_endless_loop() {
    let fault = fault_of(&Wat::new().body("observe", "(loop (br 0)) (unreachable)"));
    assert_eq!(fault, Fault::Deadline { call: Call::Observe, limit_ms: 30 });
}

#[test]
fn an_endless_loop_while_the_host_hands_over_its_columns() {
    let wat = Wat::new().body("cabi_realloc", "(loop (br 0)) (unreachable)");
    let module = load(&wat);
    let mut judge = module.instantiate(limits(), Arc::new(Heard::default())).unwrap();
    let deadline = Fault::Deadline { call: Call::Configure, limit_ms: 30 };
    assert_eq!(judge.configure("{}", &[]).unwrap_err(), deadline);
}

#[test]
fn an_allocator_that_answers_with_memory_that_is_not_there() {
    let wat = Wat::new().body("cabi_realloc", "(i32.const 0x7fff0000)");
    let mut judge = load(&wat).instantiate(limits(), Arc::new(Heard::default())).unwrap();
    let fault = judge.configure("{}", &[]).unwrap_err();
    assert!(
        matches!(&fault, Fault::Contract { call: Call::Configure, what } if what.contains("realloc")),
        "{fault}"
    );
}

#[test]
fn memory_without_end() {
    let fault = fault_of(
        &Wat::new().body("observe", "(loop (drop (memory.grow (i32.const 1))) (br 0)) (unreachable)"),
    );
    assert_eq!(fault, Fault::Memory { call: Call::Observe, limit_bytes: 4 << 20 });
}

#[test]
fn more_memory_than_allowed_from_the_start() {
    let mut wat = Wat::new();
    wat.memory = "(memory (export \"memory\") 100)".to_owned();
    let module = load(&wat);
    let fault = module.instantiate(limits(), Arc::new(Heard::default())).err().unwrap();
    assert_eq!(fault, Fault::Memory { call: Call::Instantiate, limit_bytes: 4 << 20 });
}

#[test]
fn a_guest_may_keep_to_a_maximum_of_its_own() {
    let mut wat = Wat::new().body(
        "observe",
        "(if (i32.ne (memory.grow (i32.const 10)) (i32.const -1)) (then (unreachable))) (i32.const 1024)",
    );
    wat.memory = "(memory (export \"memory\") 1 2)".to_owned();
    let mut judge = alive(&wat);
    assert_eq!(observe(&mut *judge).unwrap(), []);
    assert_eq!(judge.memory_bytes(), 65536);
}

#[test]
fn a_table_without_end() {
    let wat = Wat::new().field("(table $t 1 funcref)").body(
        "observe",
        "(loop (drop (table.grow $t (ref.null func) (i32.const 100000))) (br 0)) (unreachable)",
    );
    assert!(matches!(fault_of(&wat), Fault::Memory { call: Call::Observe, .. }));
}

#[test]
fn instances_without_end() {
    let many: String = (0..300).map(|_| "(core instance (instantiate $m))").collect();
    let whole = Wat::new().component();
    // The same component, with 300 more core instances in it.
    let extra = wat::parse_str(format!("(component (core module $m) {many})")).unwrap();
    let mut bytes = whole;
    bytes.extend(sections_of(&extra, bytes.as_slice()));
    let refusal = crate::guest::sandbox().load(&bytes).unwrap_err();
    assert!(refusal.to_string().contains("instance"), "{refusal}");
}

/// The sections of component `extra` renumbered to stand after those of `whole`: its module is nested in
/// a component of its own, so that no index changes, and instantiated at once.
fn sections_of(extra: &[u8], whole: &[u8]) -> Vec<u8> {
    use wasmparser::{Parser, Payload};
    let mut depth = 0;
    let mut components = 0_u8;
    for payload in Parser::new(0).parse_all(whole) {
        match payload.unwrap() {
            Payload::ComponentSection { .. } => {
                components += u8::from(depth == 0);
                depth += 1;
            }
            Payload::ModuleSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            _ => {}
        }
    }
    let mut sections = vec![4];
    leb(&mut sections, extra.len());
    sections.extend(extra);
    // Section 5 (instances): one, instantiating component number `components` with no arguments.
    sections.extend([5, 4, 1, 0, components, 0]);
    sections
}

fn leb(bytes: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

#[test]
fn recursion_without_end() {
    let wat = Wat::new()
        .field("(func $deeper (param i32) (result i32) (i32.add (call $deeper (local.get 0)) (i32.const 1)))")
        .body("observe", "(call $deeper (i32.const 0))");
    let fault = fault_of(&wat);
    assert!(
        matches!(&fault, Fault::Trap { what, .. } if what.contains("stack") && what.contains("deeper")),
        "{fault}"
    );
}

#[test]
fn a_trap_names_the_guests_functions() {
    let wat = Wat::new()
        .field("(func $_ZN6vitals5judge17h0123456789abcdefE (unreachable))")
        .body("observe", "(call $_ZN6vitals5judge17h0123456789abcdefE) (unreachable)");
    let fault = fault_of(&wat);
    assert!(
        matches!(&fault, Fault::Trap { what, .. } if what.contains("in vitals::judge < observe")),
        "{fault}"
    );
}

#[test]
fn more_findings_than_allowed() {
    // ok(list of 5 zero findings): 152 bytes each, all zero.
    let list = crate::guest::data(FREE, &[0, 0, 0, 0, 0, 16, 0, 0, 5, 0, 0, 0]);
    let wat = Wat::new().field(&list).body("observe", &format!("(i32.const {FREE})"));
    let fault = fault_of(&wat);
    assert!(matches!(&fault, Fault::Output { what, .. } if what.contains("5 findings")), "{fault}");
}

#[test]
fn more_bytes_than_allowed() {
    // save-shared: ok(list<u8> of 65537 bytes at 0).
    let list = crate::guest::data(FREE, &[0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0]);
    let mut wat = Wat::new().field(&list).body("save-shared", &format!("(i32.const {FREE})"));
    wat.memory = "(memory (export \"memory\") 3)".to_owned();
    let mut judge = alive(&wat);
    let fault = judge.save_shared().unwrap_err();
    assert!(
        matches!(&fault, Fault::Output { call: Call::SaveShared, what } if what.contains("65536")),
        "{fault}"
    );
}

#[test]
fn what_the_host_hands_over_is_no_output() {
    let mut judge = alive(&Wat::new());
    let rows = 50_000;
    let batch = gridwatch_core::batch::BatchView {
        sensors: &vec![0; rows],
        timestamps: &vec![0; rows],
        values: &vec![1.0; rows],
        marks: &[],
        malformed: &[],
    };
    assert_eq!(judge.observe(batch).unwrap(), []);
}

#[test]
fn a_flood_of_log_lines() {
    let flood = format!(
        "(local $n i32)
         (loop
           (call $log (i32.const 3) (i32.const {FREE}) (i32.const 3000))
           (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000))))
         (i32.const 1024)"
    );
    let text = crate::guest::data(FREE, &[b"one\ntwo ".as_slice(), &[b'x'; 2992]].concat());
    let wat = Wat::new().field(&text).body("advance", &flood);
    let heard = Arc::new(Heard::default());
    // A loop of a thousand lines may take a while on a busy machine.
    let limits = Limits { call_deadline_ms: 10_000, ..limits() };
    let mut judge = load(&wat).instantiate(limits, heard.clone()).unwrap();
    assert_eq!(judge.advance(0).unwrap(), []);
    drop(judge);
    let lines = heard.lines.lock().unwrap();
    assert!((5..1000).contains(&lines.len()), "{} lines", lines.len());
    assert_eq!(lines.len() as u64 + *heard.dropped.lock().unwrap(), 1000);
    let (level, line) = &lines[0];
    assert_eq!(*level, LogLevel::Error);
    assert!(line.starts_with("one two xxx") && line.ends_with("x…") && line.len() < 2060, "{line}");
}
