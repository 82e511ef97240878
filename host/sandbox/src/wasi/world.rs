//! What a guest that asks for a world finds: a time, a random number, two places to write to.

use gridwatch_core::Timestamp;
use gridwatch_core::judge::LogLevel;
use sha2::{Digest, Sha256};

use crate::guestlog::LogGate;

/// A second after 1970: runtimes take zero for "not set".
const TIME_BEFORE_TICKS_MS: Timestamp = 1000;
/// A draw of more is no key and no seed.
const RANDOM_BYTES_MAX: u64 = 64 << 10;
/// Handles that a guest may hold at a time: each takes some of the host's memory.
const HANDLES_MAX: u32 = 1024;
/// A longer line is given to the log in pieces.
const LINE_BYTES_MAX: usize = 2048;

/// Where a guest prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Printed {
    Out,
    Error,
}

pub struct World {
    /// The module's digest: two modules draw different numbers, all instances of one draw the same.
    seed: String,
    time_ms: Timestamp,
    handles: u32,
    out: Vec<u8>,
    error: Vec<u8>,
}

/// Why a guest cannot have what it asks of the world.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    #[error("wanted {wanted} random bytes at once, more than {RANDOM_BYTES_MAX}")]
    Random { wanted: u64 },
    #[error("held more than {HANDLES_MAX} streams and pollables at a time")]
    Handles,
    #[error(
        "called exit with status {status}; a detector goes on until the host ends it, and says with an error what is wrong"
    )]
    Exit { status: u8 },
}

impl World {
    pub fn new(seed: &str) -> World {
        World {
            seed: seed.to_owned(),
            time_ms: TIME_BEFORE_TICKS_MS,
            handles: 0,
            out: Vec::new(),
            error: Vec::new(),
        }
    }

    /// Event time has come to this tick.
    pub fn set_time(&mut self, watermark: Timestamp) {
        self.time_ms = watermark.max(TIME_BEFORE_TICKS_MS);
    }

    /// Milliseconds since 1970.
    pub fn time_ms(&self) -> u64 {
        self.time_ms.unsigned_abs()
    }

    /// Of any clock that only goes forward; here it is the same one.
    pub fn time_ns(&self) -> u64 {
        self.time_ms().saturating_mul(1_000_000)
    }

    /// The beginning of the module's stream, at every draw.
    pub fn random(&self, len: u64) -> Result<Vec<u8>, WorldError> {
        if len > RANDOM_BYTES_MAX {
            return Err(WorldError::Random { wanted: len });
        }
        let len = len as usize;
        let mut bytes = Vec::with_capacity(len + 32);
        for block in 0_u64.. {
            if bytes.len() >= len {
                break;
            }
            bytes.extend(Sha256::digest([self.seed.as_bytes(), &block.to_le_bytes()].concat()));
        }
        bytes.truncate(len);
        Ok(bytes)
    }

    pub fn random_u64(&self) -> u64 {
        let digest = Sha256::digest([self.seed.as_bytes(), &0_u64.to_le_bytes()].concat());
        digest.iter().take(8).rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    pub fn hold(&mut self) -> Result<(), WorldError> {
        self.handles += 1;
        if self.handles > HANDLES_MAX { Err(WorldError::Handles) } else { Ok(()) }
    }

    pub fn release(&mut self) {
        self.handles = self.handles.saturating_sub(1);
    }

    /// Whole lines go to the log; the rest waits for its end, or for the end of the call.
    pub fn print(&mut self, to: Printed, bytes: &[u8], log: &mut LogGate) {
        let (waiting, level) = match to {
            Printed::Out => (&mut self.out, LogLevel::Info),
            Printed::Error => (&mut self.error, LogLevel::Error),
        };
        for piece in bytes.split_inclusive(|byte| *byte == b'\n').flat_map(|line| line.chunks(LINE_BYTES_MAX))
        {
            waiting.extend_from_slice(piece);
            if piece.ends_with(b"\n") || waiting.len() >= LINE_BYTES_MAX {
                say(waiting, level, log);
            }
        }
    }

    /// The call is over, and with it the line.
    pub fn settle(&mut self, log: &mut LogGate) {
        say(&mut self.out, LogLevel::Info, log);
        say(&mut self.error, LogLevel::Error, log);
    }
}

fn say(waiting: &mut Vec<u8>, level: LogLevel, log: &mut LogGate) {
    let line = waiting.trim_ascii_end();
    if !line.is_empty() {
        log.say(level, &String::from_utf8_lossy(line));
    }
    waiting.clear();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_draw_begins_anew() {
        let world = World::new("sha256:ab");
        let long = world.random(100).unwrap();
        assert_eq!(long.len(), 100);
        assert_eq!(world.random(40).unwrap(), long[..40]);
        assert_eq!(world.random_u64().to_le_bytes(), long[..8]);
        assert_ne!(World::new("sha256:cd").random(100).unwrap(), long);
        assert!(world.random(RANDOM_BYTES_MAX + 1).is_err());
    }

    #[test]
    fn time_is_that_of_the_last_tick() {
        let mut world = World::new("");
        assert_eq!(world.time_ns(), 1_000_000_000);
        world.set_time(60_000);
        assert_eq!((world.time_ms(), world.time_ns()), (60_000, 60_000_000_000));
        world.set_time(-5);
        assert_eq!(world.time_ms(), 1000);
    }
}
