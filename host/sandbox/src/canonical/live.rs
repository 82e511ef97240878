//! Locals whose present value may still be seen, at one place of a function that is read backwards.

use std::collections::BTreeMap;

use super::flow::Control;

/// Times that a function is read until loops have settled. Each settles one level of nesting or more.
pub const PASSES_MAX: u32 = 16;
/// Operators times 64 locals: above this (no compiler makes such functions) all counts as seen.
const WORK_MAX: usize = 1 << 26;

/// One bit a local.
pub type Set = Vec<u64>;

/// Whether a function with so many locals and operators is too much.
pub fn is_too_much(locals: u32, operators: usize) -> bool {
    (locals.div_ceil(64) as usize).saturating_mul(operators) > WORK_MAX
}

pub struct Live {
    now: Set,
    /// Blocks that have been entered from behind.
    frames: Vec<Frame>,
    /// At the beginning of each loop, as far as is known.
    heads: BTreeMap<u32, Set>,
    has_grown: bool,
    passes: u32,
    /// It would take too long: all locals, everywhere.
    all: bool,
}

struct Frame {
    /// Where a branch to it leads.
    label: Set,
    /// Behind its end.
    after: Set,
    /// At the beginning of `else`.
    otherwise: Option<Set>,
}

impl Live {
    /// For a function with so many locals and operators.
    pub fn new(locals: u32, operators: usize) -> Live {
        let words = locals.div_ceil(64) as usize;
        Live {
            now: vec![0; words],
            frames: Vec::new(),
            heads: BTreeMap::new(),
            has_grown: false,
            passes: 0,
            all: is_too_much(locals, operators),
        }
    }

    /// From behind an operator to before it, as control goes.
    pub fn back(&mut self, at: u32, control: &Control) {
        if self.all {
            return;
        }
        match control {
            Control::On => {}
            Control::End(opener) => self.enter(*opener),
            Control::Else => {
                if let Some(frame) = self.frames.last_mut() {
                    let otherwise = std::mem::replace(&mut self.now, frame.after.clone());
                    frame.otherwise = Some(otherwise);
                }
            }
            Control::If => {
                if let Some(frame) = self.frames.pop() {
                    join(&mut self.now, &frame.otherwise.unwrap_or(frame.after));
                }
            }
            Control::Block => {
                self.frames.pop();
            }
            Control::Loop => {
                self.frames.pop();
                let head = self.heads.entry(at).or_insert_with(|| vec![0; self.now.len()]);
                self.has_grown |= join(head, &self.now);
            }
            Control::Branch(depth) => {
                self.now.fill(0);
                self.join_label(*depth);
            }
            Control::BranchIf(depth) => self.join_label(*depth),
            Control::BranchTable(depths) => {
                self.now.fill(0);
                depths.iter().for_each(|depth| self.join_label(*depth));
            }
            Control::Out => self.now.fill(0),
        }
    }

    fn enter(&mut self, opener: Option<u32>) {
        let label = match opener {
            // Behind the function no local is left.
            None => vec![0; self.now.len()],
            Some(opener) => self.heads.get(&opener).unwrap_or(&self.now).clone(),
        };
        self.frames.push(Frame { label, after: self.now.clone(), otherwise: None });
    }

    fn join_label(&mut self, depth: u32) {
        let frame = self.frames.iter().rev().nth(depth as usize);
        if let Some(frame) = frame {
            join(&mut self.now, &frame.label);
        }
    }

    /// The local's value is seen.
    pub fn add(&mut self, local: u32) {
        if let Some(word) = self.now.get_mut(local as usize / 64) {
            *word |= 1 << (local % 64);
        }
    }

    /// The local gets a value: whether that is seen. What it had before is not, from here.
    pub fn take(&mut self, local: u32) -> bool {
        let bit = 1 << (local % 64);
        let Some(word) = self.now.get_mut(local as usize / 64) else {
            return true;
        };
        let is_live = self.all || *word & bit != 0;
        *word &= !bit;
        is_live
    }

    /// Whether another pass would say the same; begins it otherwise.
    pub fn is_settled(&mut self) -> bool {
        if self.all || !self.has_grown {
            return true;
        }
        self.passes += 1;
        self.all = self.passes >= PASSES_MAX;
        self.has_grown = false;
        self.now.fill(0);
        self.frames.clear();
        false
    }
}

/// Whether the first has grown.
pub fn join(set: &mut Set, other: &Set) -> bool {
    let mut has_grown = false;
    for (word, other) in set.iter_mut().zip(other) {
        has_grown |= other & !*word != 0;
        *word |= other;
    }
    has_grown
}
