//! Learnt templates: what one message taught is used to read the next ones faster.
//!
//! A producer's messages have the same keys in the same order. A template is the literal bytes between
//! the values of a message that was taken, and for each value in between a slot: which kind of token
//! stood there, and what it is for. A message that consists of the same literals with tokens of the
//! same kinds in the slots is the same document but for these values; it is read without looking at
//! a single key.
//!
//! serde_json stays the judge. A template takes only what it is certain of: strings without escapes,
//! numbers that are finite, times that the clock reads. With anything else it has no opinion, and the
//! record goes the long way, rejections among them. That both ways give the same is what `fuzz_decode`
//! shows.
//!
//! What a key is for follows from the settings and from the quantities known; these only grow, and when
//! they do all templates are forgotten. (A rejected record's are rolled back to where they were.)

mod apply;
mod learn;
mod number;
#[cfg(test)]
mod tests;
mod text;
mod trie;

use super::layout::Layout;
use text::Day;
use trie::Trie;

/// What stands between two literals.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Slot {
    IdText,
    IdInteger,
    TimeText,
    TimeNumber,
    AttributeText(u16),
    AttributeInteger(u16),
    /// Index in the quantities, and what the number is multiplied by.
    Quantity {
        index: u16,
        factor: f64,
    },
    SkippedText,
    SkippedNumber,
    /// The message is over, and this is what the template says of it as a whole.
    End(u32),
    /// An end that has no number yet.
    Open,
}

/// Learning takes longer than decoding does. There is credit for many producers at the start; after that
/// each record earns something, one that a template has read more than one that none has: of messages
/// that never repeat only every 64th is learnt.
const CREDIT_TO_LEARN: u32 = 64;
const CREDIT_FOR_HIT: u32 = 16;
const CREDIT_FOR_MISS: u32 = 1;
const CREDIT_MAX: u32 = 64 * CREDIT_TO_LEARN;
/// After so many records in a row that no template has read, only every eighth is tried, so that
/// messages that are never alike do not pay for the attempts.
const MISSES_MAX: u32 = 32;

#[derive(Debug)]
pub(super) struct Templates {
    trie: Trie,
    /// The number of quantities for which the templates hold.
    quantities: usize,
    credit: u32,
    /// Records in a row that no template has read.
    misses: u32,
    day: Option<Day>,
    enabled: bool,
}

impl Templates {
    pub(super) fn new() -> Templates {
        Templates {
            trie: Trie::new(),
            quantities: 0,
            credit: CREDIT_MAX,
            misses: 0,
            day: None,
            enabled: true,
        }
    }

    pub(super) fn disable(&mut self) {
        *self = Templates { enabled: false, ..Templates::new() };
    }

    /// After a record that no template has read, and that is a reading.
    pub(super) fn learn(&mut self, layout: &Layout, record: &[u8]) {
        if !self.enabled {
            return;
        }
        if self.quantities != layout.quantities().len() {
            self.quantities = layout.quantities().len();
            self.trie = Trie::new();
        }
        self.misses = if self.misses < 2 * MISSES_MAX - 1 { self.misses + 1 } else { MISSES_MAX };
        self.credit = (self.credit + CREDIT_FOR_MISS).min(CREDIT_MAX);
        if self.credit < CREDIT_TO_LEARN {
            return;
        }
        self.credit -= CREDIT_TO_LEARN;
        if let Some(template) = learn::learn(layout, record) {
            self.trie.add(&template, record);
        }
    }
}
