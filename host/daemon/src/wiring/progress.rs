//! A bar on standard error while files are read, where a person looks.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use gridwatch_connectors::files::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// Moves with `update`; hidden where standard error is no terminal.
pub struct Bar {
    bar: ProgressBar,
    progress: Arc<Progress>,
}

/// `None` where nobody would see it.
pub fn show(progress: Option<&Arc<Progress>>) -> Option<Bar> {
    let progress = progress?.clone();
    if !io::stderr().is_terminal() {
        return None;
    }
    let (bar, template) = match progress.bytes_total() {
        0 => (ProgressBar::no_length(), "{spinner} {bytes} {binary_bytes_per_sec}  {msg}"),
        total => {
            (ProgressBar::new(total), "{bar:32} {percent:>3} %  {bytes} of {total_bytes}, {eta} left  {msg}")
        }
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    Some(Bar { bar, progress })
}

impl Bar {
    pub fn update(&self, message: String) {
        self.bar.set_position(self.progress.bytes_read());
        self.bar.set_message(message);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
