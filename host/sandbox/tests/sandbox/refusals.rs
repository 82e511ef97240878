//! Bytes that are no detector: each is refused, and the refusal says what and how to mend it.

use gridwatch_core::judge::{Fault, Limits, Module};
use gridwatch_sandbox::{Form, Refusal, Sandbox, SandboxSettings};

use crate::guest::{Wat, load, sandbox};

fn refused(bytes: &[u8]) -> Refusal {
    sandbox().load(bytes).unwrap_err()
}

#[test]
fn a_core_module_and_its_component_are_the_same_detector() {
    let core = Wat::new().core();
    let component = Wat::new().component();
    let from_core = sandbox().load(&core).unwrap();
    let from_component = sandbox().load(&component).unwrap();
    assert_eq!((from_core.form(), from_component.form()), (Form::Core, Form::Component));
    assert_eq!(from_core.descriptor(), from_component.descriptor());
    assert_eq!(from_core.descriptor().name, "test");
    assert_eq!(from_core.contract_version(), "0.1.0");
    let log_and_types = ["gridwatch:detector/types@0.1.0", "gridwatch:detector/log@0.1.0"];
    assert!(from_core.imports().iter().all(|import| log_and_types.contains(&import.as_str())));
    assert_eq!(from_core.exports(), ["gridwatch:detector/detector@0.1.0"]);
    assert_eq!(from_core.size_bytes(), core.len() as u64);
    assert!(from_core.digest().starts_with("sha256:") && from_core.digest().len() == 71);
    assert_ne!(from_core.digest(), from_component.digest());
}

#[test]
fn what_is_not_wasm() {
    for (bytes, word) in [
        (&b""[..], "empty"),
        (b"(module)", "text"),
        (b"\x1f\x8b\x08\0\0\0", "gzip"),
        (b"hello, I am a detector", "\\0asm"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0", "ELF"),
    ] {
        let refusal = refused(bytes);
        assert!(matches!(&refusal, Refusal::NotWasm { .. }), "{refusal}");
        assert!(refusal.to_string().contains(word), "{refusal}");
    }
}

#[test]
fn a_half_written_copy_wherever_it_ends() {
    for whole in [Wat::new().core(), Wat::new().component()] {
        let sandbox = sandbox();
        for end in (1..whole.len()).step_by(whole.len() / 50) {
            let refusal = sandbox.load(&whole[..end]).unwrap_err();
            // Cut between two sections, it is whole wasm that lacks something.
            let fits = matches!(
                refusal,
                Refusal::Truncated { .. }
                    | Refusal::Invalid { .. }
                    | Refusal::NoWorld
                    | Refusal::MissingExport { .. }
                    | Refusal::CoreUnfit { .. }
            );
            assert!(fits, "cut at {end} of {}: {refusal}", whole.len());
        }
    }
    let whole = Wat::new().component();
    let refusal = refused(&whole[..whole.len() / 2]);
    assert!(matches!(&refusal, Refusal::Truncated { .. }), "{refusal}");
}

#[test]
fn native_code_compiled_elsewhere() {
    let engine = wasmtime::Engine::default();
    let compiled = engine.precompile_component(&Wat::new().component()).unwrap();
    assert_eq!(refused(&compiled), Refusal::Precompiled);
}

#[test]
fn a_file_that_is_too_large() {
    let sandbox =
        Sandbox::new(SandboxSettings { module_bytes_max: 1000, ..SandboxSettings::default() }).unwrap();
    let refusal = sandbox.load(&[0; 1001]).unwrap_err();
    assert_eq!(refusal, Refusal::TooLarge { bytes: 1001, max: 1000 });
}

#[test]
fn a_core_module_without_a_world() {
    let bytes = wat::parse_str("(module (func (export \"observe\")))").unwrap();
    assert_eq!(refused(&bytes), Refusal::NoWorld);
}

/// Whoever writes in a language without bindings needs a compiler and no other tool.
#[test]
fn a_core_module_whose_exports_say_its_world() {
    let bare = wat::parse_str(Wat::new().text()).unwrap();
    let from_names = sandbox().load(&bare).unwrap();
    assert_eq!(from_names.descriptor(), sandbox().load(&Wat::new().core()).unwrap().descriptor());
    let mut later = Wat::new();
    later.version = "0.2.0";
    let refusal = refused(&wat::parse_str(later.text()).unwrap());
    assert!(matches!(&refusal, Refusal::WrongContract { found, .. } if found == "0.2.0"), "{refusal}");
    let lacking = Wat::new().text().replace("#save-shared", "#save-all");
    let refusal = refused(&wat::parse_str(lacking).unwrap());
    assert!(matches!(&refusal, Refusal::CoreUnfit { what } if what.contains("save-shared")), "{refusal}");
}

#[test]
fn a_component_of_another_world() {
    let bytes =
        wat::parse_str("(component (core module $m) (export \"other:thing/m@1.0.0\" (core module $m)))")
            .unwrap();
    assert_eq!(refused(&bytes), Refusal::MissingExport { exports: vec!["other:thing/m@1.0.0".to_owned()] });
}

#[test]
fn another_version_of_the_contract() {
    let mut wat = Wat::new();
    wat.version = "0.2.0";
    for bytes in [wat.core(), wat.component()] {
        let refusal = refused(&bytes);
        let expected =
            Refusal::WrongContract { found: "0.2.0".to_owned(), spoken: gridwatch_sandbox::CONTRACT };
        assert_eq!(refusal, expected);
    }
    wat.version = "0.1.3";
    assert_eq!(load(&wat).contract_version(), "0.1.3");
}

#[test]
fn an_import_that_detectors_are_not_given() {
    let network = wat::parse_str(
        "(component (import \"wasi:sockets/network@0.2.0\" (instance (export \"now\" (func (result u64))))))",
    )
    .unwrap();
    let refusal = refused(&network);
    assert!(
        matches!(&refusal, Refusal::ForbiddenImport { import, .. } if import == "wasi:sockets/network@0.2.0")
    );
    assert!(refusal.to_string().contains("no network"), "{refusal}");
    let later = wat::parse_str("(component (import \"wasi:clocks/wall-clock@0.3.0\" (instance)))").unwrap();
    assert!(refused(&later).to_string().contains("--target wasm32-unknown-unknown"));
    let ours = wat::parse_str("(component (import \"gridwatch:host/virtual@0.1.0\" (instance)))").unwrap();
    assert!(matches!(refused(&ours), Refusal::ForbiddenImport { .. }));

    for (module, name) in [
        ("wasi_unstable", "fd_write"),
        ("env", "gettimeofday"),
        ("anything", "at-all"),
        ("__wbindgen_placeholder__", "now"),
    ] {
        let text = format!("(module (import \"{module}\" \"{name}\" (func)))");
        let refusal = refused(&wat::parse_str(text).unwrap());
        assert!(
            matches!(&refusal, Refusal::ForbiddenImport { import, .. } if *import == format!("{module}.{name}")),
            "{refusal}"
        );
    }
}

#[test]
fn an_import_of_ours_with_another_type() {
    let bytes = wat::parse_str(
        "(component
           (import \"gridwatch:detector/log@0.1.0\" (instance (export \"write\" (func (param \"x\" u64)))))
           (instance $i) (export \"gridwatch:detector/detector@0.1.0\" (instance $i)))",
    )
    .unwrap();
    assert!(matches!(refused(&bytes), Refusal::Unlinkable { .. }));
}

#[test]
fn relaxed_simd_which_machines_do_differently() {
    let wat = Wat::new().field(
        "(func (param v128 v128 v128) (result v128) (f32x4.relaxed_madd (local.get 0) (local.get 1) (local.get 2)))",
    );
    let refusal = refused(&wat.component());
    assert!(matches!(&refusal, Refusal::Invalid { .. }), "{refusal}");
    assert!(refusal.to_string().contains("relaxed"), "{refusal}");
}

#[test]
fn a_describe_that_fails_or_lies() {
    let refusal = refused(&Wat::new().body("describe", "(unreachable)").core());
    assert!(
        matches!(&refusal, Refusal::Describe(Fault::Trap { what, .. }) if what.contains("describe")),
        "{refusal}"
    );

    let outside = refused(&Wat::new().body("describe", "(i32.const 1048576)").core());
    assert!(matches!(&outside, Refusal::Describe(Fault::Contract { .. })), "{outside}");

    for parameters in ["", "no JSON", "[1]"] {
        let mut wat = Wat::new();
        wat.parameters = parameters.to_owned();
        let refusal = refused(&wat.core());
        assert!(matches!(&refusal, Refusal::Descriptor { field, .. } if field == "parameters"), "{refusal}");
    }
}

#[test]
fn a_start_function_without_end() {
    let settings = SandboxSettings {
        describe_limits: Limits { call_deadline_ms: 30, ..Limits::default() },
        ..SandboxSettings::default()
    };
    let endless = Wat::new().field("(func $start (loop (br 0))) (start $start)");
    let refusal = Sandbox::new(settings).unwrap().load(&endless.core()).unwrap_err();
    assert!(matches!(refusal, Refusal::Describe(Fault::Deadline { limit_ms: 30, .. })), "{refusal}");
}
