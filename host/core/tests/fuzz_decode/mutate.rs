//! Small damage to records, from a seed.

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`, or 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

const TOKENS: [&str; 27] = [
    "1e999",
    "-",
    "0",
    "null",
    "true",
    "\"NaN\"",
    "\"\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\ud800",
    "\\u0000",
    "\"voltage\":",
    "\"sensor_id\":",
    "\"timestamp\":",
    "\"meta\":{",
    "1767225600123",
    "\r\n",
    "\u{feff}",
    "2099-01-01T00:00:00Z",
    "\"x\":1,",
    "9999999999999999999999",
];

/// One of the corpus after one to four changes.
pub fn mutate(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut record = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(record.len() + 1);
        let to = (at + 1 + random.below(24)).min(record.len());
        match random.below(8) {
            0 if at < record.len() => record[at] ^= 1 << random.below(8),
            1 if at < record.len() => record[at] = random.next() as u8,
            2 => drop(record.drain(at.min(to)..to)),
            3 => record.truncate(at),
            4 => {
                let copied = record[at.min(to)..to].to_vec();
                let place = random.below(record.len() + 1);
                record.splice(place..place, copied);
            }
            5 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                record.truncate(at);
                record.extend_from_slice(&other[from..]);
            }
            _ => {
                let token = TOKENS[random.below(TOKENS.len())].bytes();
                let until = if random.below(2) == 0 { at } else { to.max(at) };
                record.splice(at..until, token);
            }
        }
    }
    record
}
