//! `cargo +nightly fuzz run decode ../tests/fuzz_decode/corpus`, from `host/core/fuzz`: the same checks as
//! in the test run, guided by coverage.

#![no_main]

#[path = "../../tests/fuzz_decode/check.rs"]
mod check;
#[allow(dead_code)]
#[path = "../../tests/fuzz_decode/mutate.rs"]
mod mutate;
#[path = "../../tests/fuzz_decode/reference.rs"]
mod reference;
#[allow(dead_code)]
#[path = "../../tests/fuzz_decode/twins.rs"]
mod twins;

libfuzzer_sys::fuzz_target!(|record: &[u8]| {
    check::Everything::new().check(record);
});
