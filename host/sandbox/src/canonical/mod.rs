//! NaNs with the same bits on every machine, where a guest can see bits.
//!
//! Which NaN an operation gives is the machine's: zero by zero is a negative NaN on x86, a positive one on
//! ARM, and of two NaNs one machine keeps the first, another neither. Cranelift can make the result of
//! every float operation canonical (`cranelift_nan_canonicalization`), which costs a fifth of the time
//! of detectors that compute. Most of those bits are never looked at: `a * b + c > d` takes no notice of
//! which NaN `a * b` is. So modules are rewritten before they are compiled: the same check follows an
//! operation, but only where its bits can get to where they are seen. What a guest does is the same to the
//! bit as with a check after every operation; tests hold one against the other.
//!
//! Why nothing is missed. A NaN that is the machine's own comes of the operators in
//! `class::Class::Computes` alone; all others give bits that WebAssembly fixes once their operands' are.
//! Of what takes such a value off the stack
//! - `Computes` and `Compares` give the same whichever NaN it is (or again one that is the machine's),
//! - `Carries`, `Signs` and locals pass bits on to a result, which is followed to where it goes,
//! - all else sees bits: stores, reinterpretation, `copysign`'s sign, calls, results, globals, branches
//!   and ends of blocks with values, vectors, and every operator that `class` does not list.
//!
//! To take a value for seen that is not costs time; the reverse cannot be, since only what is listed is let
//! off. `flow` goes back from what sees bits: to the operator that computed them, which is then checked; or
//! to `local.get` or `select`, which are checked where all that they can give there has been computed (`foreign`),
//! so that a message made of a value now and then does not cost a check with every value. Where a local
//! may also hold a NaN of the guest's own making, whose bits must stay, it is left alone and what is
//! put there is checked, as far as it may be seen (`live`). What is kept within a limit is no NaN to begin with and is
//! let off (`numbers`). Vectors have no type, so that a NaN as one
//! operator sees it may be numbers to another: all that is computed is checked.
//!
//! On the way `rewrite` turns `a > b` into `b < a`, for speed alone: see there.

mod class;
mod flow;
mod foreign;
mod live;
mod numbers;
mod rewrite;
#[cfg(test)]
mod tests;

use crate::refusal::Refusal;

/// Changes whenever other code comes of the same bytes; part of the code cache's key.
pub const VERSION: u32 = 4;

/// The same component (or module) with checks. Validates it on the way.
pub fn canonical(binary: &[u8]) -> Result<Vec<u8>, Refusal> {
    let checks = flow::checks(binary)
        .map_err(|e| Refusal::Invalid { at: Some(e.offset()), what: e.message().to_owned() })?;
    rewrite::with_checks(binary, checks)
        .map_err(|e| Refusal::Invalid { at: None, what: format!("cannot be rewritten: {e}") })
}
