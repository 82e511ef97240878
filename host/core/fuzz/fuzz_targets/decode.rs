//! `cargo +nightly fuzz run decode ../tests/fuzz_decode/corpus`, from `host/core/fuzz`: the same checks as
//! in the test run, guided by coverage.

#![no_main]

#[path = "../../tests/fuzz_decode/check.rs"]
mod check;
#[path = "../../tests/fuzz_decode/reference.rs"]
mod reference;

libfuzzer_sys::fuzz_target!(|record: &[u8]| {
    check::Everything::new().check(record);
});
