//! From a file's bytes to a detector that may judge.
//!
//! What stands of it so far is admission: a module that loads, and parameters that fit its schema, are tried on
//! readings before a lane ever sees the instance ([`prove`]). Files, threads, caches and the roster are not
//! here: whoever has them calls this.
//!
//! - `evidence` the readings to try it on: made up, or a lane's own
//! - `rehearsal` one run over them, cut and interrupted in some way
//! - `admission` the runs that must agree, and what is said where they do not

mod admission;
mod evidence;
mod rehearsal;

pub use admission::{Budget, Candidate, Proof, Property, Unproven, VERSION, prove};
pub use evidence::{Evidence, Row, Stretch};
