//! Rust's view of `wit/detector.wit`, generated from it.
//!
//! Parameters borrow: the columns of a batch go from the host's slices into the guest's memory in one
//! copy each. Results own: the strings of a finding are moved on into core's types.

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "detector-module",
    ownership: Borrowing { duplicate_if_necessary: true },
});
