//! The pipeline: intake, lane, outlet, settling.
