//! Standard output as a sink's end.

use gridwatch_core::sink::SinkError;
use gridwatch_engine::outlet::OutletError;
use gridwatch_engine::pipeline::PipelineError;

/// What the system calls a pipe that nobody reads any more, `EPIPE`.
const PIPE_BROKEN: i32 = 32;

/// Whether a pipeline ended because the reader of its output went away, as `… | head` does.
pub fn reader_gone(error: &PipelineError) -> bool {
    let PipelineError::Outlet(OutletError::Sink(sink)) = error else {
        return false;
    };
    let (SinkError::Write { place, what } | SinkError::Commit { place, what }) = sink else {
        return false;
    };
    place == "standard output" && *what == std::io::Error::from_raw_os_error(PIPE_BROKEN).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_standard_output_has_readers_that_go_away() {
        let error = |place: &str, code| {
            PipelineError::Outlet(OutletError::Sink(SinkError::Write {
                place: place.to_owned(),
                what: std::io::Error::from_raw_os_error(code).to_string(),
            }))
        };
        assert!(reader_gone(&error("standard output", PIPE_BROKEN)));
        assert!(!reader_gone(&error("standard output", 28)));
        assert!(!reader_gone(&error("anomalies.jsonl", PIPE_BROKEN)));
    }
}
