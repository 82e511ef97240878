//! Lines for the host's log: limited in rate there, never part of what a detector decides.
//!
//! Natively (`cargo test`) they are kept per thread, see [`taken`].

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, message.as_ref());
}

pub fn info(message: impl AsRef<str>) {
    write(Level::Info, message.as_ref());
}

pub fn warn(message: impl AsRef<str>) {
    write(Level::Warn, message.as_ref());
}

pub fn error(message: impl AsRef<str>) {
    write(Level::Error, message.as_ref());
}

#[cfg(target_arch = "wasm32")]
fn write(level: Level, message: &str) {
    use crate::guest::bindings::gridwatch::detector::log;
    let level = match level {
        Level::Debug => log::Level::Debug,
        Level::Info => log::Level::Info,
        Level::Warn => log::Level::Warn,
        Level::Error => log::Level::Error,
    };
    log::write(level, message);
}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    use super::Level;

    /// A forgotten test must not fill the memory.
    const LINES_KEPT_MAX: usize = 1000;

    thread_local! {
        static LINES: RefCell<VecDeque<(Level, String)>> = const { RefCell::new(VecDeque::new()) };
    }

    pub(super) fn write(level: Level, message: &str) {
        LINES.with_borrow_mut(|lines| {
            if lines.len() == LINES_KEPT_MAX {
                lines.pop_front();
            }
            lines.push_back((level, message.to_owned()));
        });
    }

    /// The lines that this thread wrote since the last call, the latest thousand at most.
    pub fn taken() -> Vec<(Level, String)> {
        LINES.with_borrow_mut(|lines| lines.drain(..).collect())
    }
}

#[cfg(not(target_arch = "wasm32"))]
use native::write;

#[cfg(not(target_arch = "wasm32"))]
pub use native::taken;
