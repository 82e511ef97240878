//! From a file's bytes to a detector that may judge.
//!
//! What stands of it so far is admission: a module that loads, and parameters that fit its schema, are tried on
//! readings before a lane ever sees the instance ([`prove`]); and the roster, which all processes follow. Files,
//! threads and caches are not here: whoever has them calls this.
//!
//! - `evidence` the readings to try it on: made up, or a lane's own
//! - `rehearsal` one run over them, cut and interrupted in some way
//! - `admission` the runs that must agree, and what is said where they do not
//! - `unproven` why one may not judge, in words
//! - `diff` what is done about a file, against what runs
//! - `rosters` what should run, by generations, and the modules it names

mod admission;
pub mod diff;
mod evidence;
mod rehearsal;
pub mod rosters;
mod unproven;

pub use admission::{Budget, Candidate, Cost, Proof, VERSION, prove};
pub use evidence::{Evidence, Row, Stretch};
pub use unproven::{Property, Unproven, Why};
