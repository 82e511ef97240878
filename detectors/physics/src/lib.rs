//! Built-in detector physics.
