//! Flags that a reading sets or does not, told when two of three readings in a row set them: the sign of
//! power, and a power factor beyond 1.

use gridwatch_sdk::prelude::*;

/// A flag that was set for as long as this says is usual for its sensor (a roof that feeds in, which nobody
/// has told us of): 400 readings within an episode, 40 outside, less one for each that is not set since.
const USUAL: u16 = 1600;
const USUAL_MAX: u16 = 10_000;
const SET_OPEN: u16 = 4;
const SET_CLOSED: u16 = 40;

/// One flag; 16 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Flag {
    /// The latest readings, newest lowest.
    recent: u8,
    usual: u16,
    episode: Episode,
}

impl Flag {
    /// Whether there is anything to see in a reading; what is as always is taken in here.
    #[inline(always)]
    pub fn is_worth_a_look(&mut self, is_set: bool) -> bool {
        if is_set || self.recent != 0 || self.episode.is_open() {
            return true;
        }
        self.usual = self.usual.saturating_sub(1);
        false
    }

    /// `is_set` as the reading has it. A flag that comes and goes as a matter of course is not told.
    pub fn see(
        &mut self,
        is_set: bool,
        severity: Severity,
        out: &mut Findings<'_>,
        finding: impl Fn() -> Finding,
    ) {
        self.recent = (self.recent << 1) | u8::from(is_set);
        let in_three = (self.recent & 0b111).count_ones();
        let weight = if self.episode.is_open() { SET_OPEN } else { SET_CLOSED };
        self.usual = if is_set { (self.usual + weight).min(USUAL_MAX) } else { self.usual.saturating_sub(1) };
        if in_three >= 2 && self.usual < USUAL {
            out.raise(&mut self.episode, severity, finding);
        } else if self.recent & 0b1_1111 == 0 || self.usual >= USUAL {
            out.clear(&mut self.episode, finding);
        }
    }
}
