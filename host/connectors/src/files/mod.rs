//! Files: JSON lines and CSV in, JSON lines out with a commit beside them.

mod commit;
mod feed;
mod input;
mod options;
mod part;
mod past;
mod sink;
#[cfg(test)]
mod sink_tests;
mod split;
#[cfg(test)]
mod tests;

pub use feed::FileFeed;
pub use input::Progress;
pub use options::{FileFeedOptions, FileFormat};
pub use part::Part;
pub use past::FilePast;
pub use sink::{FileSink, FileSinkOptions, Output};
