//! Files: JSON lines and CSV in, JSON lines out with a commit beside them.

mod commit;
mod feed;
mod input;
mod sink;
mod split;
#[cfg(test)]
mod tests;

pub use feed::{FileFeed, FileFeedOptions, FileFormat};
pub use input::Progress;
pub use sink::{FileSink, FileSinkOptions, Output};
