//! Built-in detector shift.
