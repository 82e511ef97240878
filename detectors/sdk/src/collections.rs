//! Maps and sets with a fixed hasher: `std`'s takes its keys from the platform, so that the order of
//! iteration would differ from run to run.
//!
//! The order still depends on the history of insertions, which saving and restoring forgets: where
//! the order shows in findings or in saved bytes, take the `BTreeMap`.

use std::hash::{BuildHasherDefault, Hasher};

pub use std::collections::{BTreeMap, BTreeSet, VecDeque};

#[expect(
    clippy::disallowed_types,
    reason = "the hasher is what is wrong with std's, and it is replaced here"
)]
pub type HashMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<FixedHasher>>;
#[expect(
    clippy::disallowed_types,
    reason = "the hasher is what is wrong with std's, and it is replaced here"
)]
pub type HashSet<K> = std::collections::HashSet<K, BuildHasherDefault<FixedHasher>>;

/// Multiply and rotate after each word, as rustc's FxHash; not safe against chosen keys, which a
/// detector's memory limit bounds anyway.
#[derive(Debug, Clone, Copy, Default)]
pub struct FixedHasher(u64);

/// 2^64 divided by π, made odd.
const FACTOR: u64 = 0x517c_c1b7_2722_0a95;

impl FixedHasher {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    }
}

impl Hasher for FixedHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
    }

    fn write_u32(&mut self, word: u32) {
        self.add(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.add(word);
    }

    fn write_usize(&mut self, word: usize) {
        // Widened, so that 32 and 64 bits hash alike.
        self.add(word as u64);
    }

    fn finish(&self) -> u64 {
        // The table looks at the top bits as well as at the bottom ones.
        self.0.rotate_left(26)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault};

    use super::*;

    #[test]
    fn the_same_key_hashes_alike_everywhere() {
        let hasher = BuildHasherDefault::<FixedHasher>::default();
        assert_eq!(hasher.hash_one("feeder-07"), hasher.hash_one(String::from("feeder-07")));
        // A number that a change of the hasher, or of the platform, would change.
        assert_eq!(hasher.hash_one(7_u32), (7_u64.wrapping_mul(FACTOR)).rotate_left(26));
        assert_eq!(hasher.hash_one(7_usize), hasher.hash_one(7_u64));
    }
}
