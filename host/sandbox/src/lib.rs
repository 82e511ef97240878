//! The only crate that knows wasmtime: engine, module, instance, limits, faults.
