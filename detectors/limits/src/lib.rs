//! Built-in detector limits.
