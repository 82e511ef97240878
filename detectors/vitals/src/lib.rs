//! Built-in detector vitals.
