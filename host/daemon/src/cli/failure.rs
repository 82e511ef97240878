//! How a command ends when it does not end well: 1 failed while running, 2 wrong arguments or
//! configuration. A reader of our output that went away is no failure.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::Mistakes;
use crate::http::BindError;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Configuration(#[from] Mistakes),
    /// Arguments that fit together badly; clap has seen to the rest.
    #[error("{0}")]
    Arguments(String),
    #[error("{0}")]
    Listen(#[from] BindError),
    #[error("standard output: cannot write: {0}")]
    Output(io::Error),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot start: {0}")]
    Start(String),
    #[error("ended early: {0}")]
    Ended(String),
    /// The work was done and the answer is no.
    #[error("{0}")]
    Verdict(String),
    /// Nobody reads any more.
    #[error("nobody reads the output any more")]
    ReaderGone,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::ReaderGone,
            _ => Failure::Output(error),
        }
    }
}

impl Failure {
    pub fn status(&self) -> u8 {
        match self {
            Failure::Configuration(_) | Failure::Arguments(_) => 2,
            Failure::ReaderGone => 0,
            _ => 1,
        }
    }

    /// Says what went wrong on standard error.
    pub fn report(&self) -> ExitCode {
        use io::Write;
        if !matches!(self, Failure::ReaderGone) {
            // Standard error may be closed, too; then the status has to do.
            let _ = writeln!(io::stderr(), "gridwatch: {}", self.to_string().replace('\n', "\ngridwatch: "));
        }
        ExitCode::from(self.status())
    }
}
