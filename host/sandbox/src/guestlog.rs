//! `gridwatch:detector/log`: the one thing that a guest can call. Limited in rate and length.

use std::sync::Arc;
use std::time::Instant;

use gridwatch_core::judge::{GuestLog, Limits, LogLevel};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmStr};

use crate::contract::gridwatch::detector::log::Level;
use crate::instance::Inside;

/// A longer message is cut.
const MESSAGE_BYTES_MAX: usize = 2048;

/// Counts an instance's lines: a bucket of one second's worth that fills with time. The clock decides
/// only which lines are shown; a guest learns nothing of it.
pub struct LogGate {
    sink: Arc<dyn GuestLog>,
    per_second: f64,
    tokens: f64,
    filled: Instant,
    dropped: u64,
}

impl LogGate {
    pub fn new(sink: Arc<dyn GuestLog>, limits: &Limits) -> LogGate {
        let per_second = f64::from(limits.log_lines_per_second_max);
        LogGate { sink, per_second, tokens: per_second, filled: Instant::now(), dropped: 0 }
    }

    /// One line, if one may be shown now.
    pub fn say(&mut self, level: LogLevel, message: &str) {
        if self.admits() {
            self.sink.line(level, &printable(message));
        }
    }

    /// Whether a line may be shown now; if not, it is counted.
    fn admits(&mut self) -> bool {
        self.fill();
        if self.tokens < 1.0 {
            self.dropped += 1;
            return false;
        }
        self.tokens -= 1.0;
        self.report_dropped();
        true
    }

    fn fill(&mut self) {
        let now = Instant::now();
        let gained = now.duration_since(self.filled).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + gained).min(self.per_second);
        self.filled = now;
    }

    /// After each call: says what was dropped, once the flood is over.
    pub fn settle(&mut self) {
        if self.dropped > 0 {
            self.fill();
            if self.tokens >= 1.0 {
                self.report_dropped();
            }
        }
    }

    fn report_dropped(&mut self) {
        if self.dropped > 0 {
            self.sink.dropped(std::mem::take(&mut self.dropped));
        }
    }
}

impl Drop for LogGate {
    fn drop(&mut self) {
        self.report_dropped();
    }
}

/// Offers the guest `log.write`, and `types`, which has no functions.
pub fn link(linker: &mut Linker<Inside>) -> wasmtime::Result<()> {
    linker.instance("gridwatch:detector/types@0.1.0")?;
    linker.instance("gridwatch:detector/log@0.1.0")?.func_wrap(
        "write",
        |mut store: StoreContextMut<'_, Inside>, (level, message): (Level, WasmStr)| {
            // The message is not even decoded when it will not be shown.
            if !store.data_mut().log.admits() {
                return Ok(());
            }
            let line = printable(&message.to_str(&store)?);
            store.data().log.sink.line(core_level(level), &line);
            Ok(())
        },
    )
}

fn core_level(level: Level) -> LogLevel {
    match level {
        Level::Debug => LogLevel::Debug,
        Level::Info => LogLevel::Info,
        Level::Warn => LogLevel::Warn,
        Level::Error => LogLevel::Error,
    }
}

/// One line of bounded length without control characters, so that a guest can forge no other line.
pub fn printable(message: &str) -> String {
    let mut line = String::new();
    for c in message.chars() {
        if line.len() + c.len_utf8() > MESSAGE_BYTES_MAX {
            line.push('…');
            break;
        }
        line.push(if c.is_control() { ' ' } else { c });
    }
    line
}
