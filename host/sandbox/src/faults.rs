//! How a failed call is named: wasmtime's error and what the guard saw become one closed `Fault`.

use gridwatch_core::judge::{Call, Fault, Limits};
use wasmtime::{Trap, WasmBacktrace};

use crate::guard::{Breach, Guard};
use crate::lines::Lines;

/// What wasmtime says when a guest hands over more than `set_hostcall_fuel` allows. Its error type is
/// private; a test holds the wording.
const FUEL_EXHAUSTED: &str = "fuel allocated for hostcalls has been exhausted";
const FRAMES_SHOWN: usize = 6;
const NAME_CHARS_SHOWN: usize = 120;

/// `lines` of the module, where they are to be told.
pub fn name_failure(
    call: Call,
    error: &wasmtime::Error,
    guard: &Guard,
    limits: &Limits,
    lines: Option<&Lines>,
) -> Fault {
    match guard.breach() {
        Some(Breach::Memory { limit_bytes }) => return Fault::Memory { call, limit_bytes },
        Some(Breach::Deadline) => {
            return Fault::Deadline { call, limit_ms: limits.call_deadline_ms };
        }
        None => {}
    }
    if error.chain().any(|cause| cause.to_string().contains(FUEL_EXHAUSTED)) {
        let what = format!("more than {} bytes in one call", limits.output_bytes_per_call_max);
        return Fault::Output { call, what };
    }
    let frames = error.downcast_ref::<WasmBacktrace>();
    let frames = frames.map(|backtrace| frames_of(backtrace, lines)).unwrap_or_default();
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return Fault::Trap { call, what: format!("{}{frames}", without_prefix(&trap.to_string())) };
    }
    let cause = error.root_cause().to_string();
    if !frames.is_empty() || call == Call::Instantiate {
        return Fault::Trap { call, what: format!("{cause}{frames}") };
    }
    // No guest code was running: what it answered could not be read (a list outside of its memory, a
    // string that is not UTF-8, an enum's value that does not exist).
    Fault::Contract { call, what: cause }
}

fn without_prefix(trap: &str) -> &str {
    trap.strip_prefix("wasm trap: ").unwrap_or(trap)
}

/// ` in inner < outer < outermost`, by the names that the guest carries, each with its line where that is known. From
/// the author's own code on: what a language does to panic tells nobody where.
fn frames_of(backtrace: &WasmBacktrace, lines: Option<&Lines>) -> String {
    // A line is looked up in the whole of the module's DWARF: only for what is shown, and what comes before it.
    let frames = || {
        backtrace.frames().iter().flat_map(|frame| {
            let name = match frame.func_name() {
                Some(name) => demangled(name),
                None => format!("function {}", frame.func_index()),
            };
            let places = lines.zip(frame.module_offset()).map(|(lines, offset)| lines.at(offset));
            let places = places.unwrap_or_default();
            if places.is_empty() {
                return vec![name];
            }
            let named = places.into_iter().map(|place| {
                let name = place.function.map_or_else(|| name.clone(), |function| demangled(&function));
                format!("{name} ({})", place.line)
            });
            named.collect()
        })
    };
    let mut shown: Vec<String> = frames().skip_while(|name| is_of_panic(name)).take(FRAMES_SHOWN).collect();
    if shown.is_empty() {
        shown = frames().take(FRAMES_SHOWN).collect();
    }
    if shown.is_empty() { String::new() } else { format!(" in {}", shown.join(" < ")) }
}

/// Of Rust's libraries, on the way from what went wrong to the trap.
fn is_of_panic(name: &str) -> bool {
    const LIBRARIES: [&str; 6] = ["std::", "core::", "alloc::", "__rust", "rust_panic", "rust_begin_unwind"];
    // `<alloc::vec::Vec<T> as …>::index` is theirs, too.
    let name = name.trim_start_matches(['<', '&']);
    LIBRARIES.iter().any(|library| name.starts_with(library))
}

fn demangled(name: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(name));
    name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_SHOWN).collect()
}
