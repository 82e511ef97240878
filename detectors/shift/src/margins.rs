//! How far a limit stands above what is usual.

use crate::parameters::Parameters;
use crate::state::Cell;

/// Blocks from which on margins no longer change.
const BLOCKS: u16 = 1024;

/// Of the three limits. Wider where the past is short: it has not seen much.
#[derive(Debug, Clone, Copy, Default)]
pub struct Margins {
    pub level: f32,
    pub spread: f32,
    pub course: f32,
}

/// By blocks seen; the last one holds for all longer pasts.
pub struct Table(Box<[Margins; BLOCKS as usize]>);

impl Table {
    pub fn new(parameters: &Parameters) -> Self {
        let margins = |blocks: usize| {
            let young = parameters.margin_young / (blocks.max(1) as f32).sqrt();
            Margins {
                level: parameters.level_margin + young,
                spread: parameters.spread_margin + young / 2.0,
                course: parameters.course_margin + young / 2.0,
            }
        };
        Table(Box::new(std::array::from_fn(margins)))
    }

    #[inline(always)]
    pub fn of(&self, cell: &Cell) -> &Margins {
        &self.0[usize::from(cell.blocks.min(BLOCKS - 1))]
    }
}
