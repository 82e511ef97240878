//! One file for each command.

mod check;
mod simulate;

pub use check::check;
pub use simulate::simulate;
