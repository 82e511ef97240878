//! One file for each command.

mod check;

pub use check::check;
