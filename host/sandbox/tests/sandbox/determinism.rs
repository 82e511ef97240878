//! The same bytes give the same answers on every machine.

use crate::guest::{FREE, Wat, alive, data};

#[test]
fn a_nan_has_the_same_bits_everywhere() {
    // On x86 zero by zero is a negative NaN, on ARM a positive one. The zero comes from memory, so that
    // the compiler cannot know it.
    let answer = [0, FREE + 64, 8].map(u32::to_le_bytes).concat();
    let zero = format!("(f64.load (i32.const {}))", FREE + 128);
    let wat = Wat::new().field(&data(FREE, &answer)).body(
        "save-shared",
        &format!("(f64.store (i32.const {}) (f64.div {zero} {zero})) (i32.const {FREE})", FREE + 64),
    );
    let bits = alive(&wat).save_shared().unwrap();
    assert_eq!(bits, 0x7ff8_0000_0000_0000_u64.to_le_bytes());
}
