//! Locals that may hold a NaN of the guest's own making (from memory, a parameter, a bit pattern), at one
//! place of a function that is read forwards. What is in the others is a result, a number or the canonical
//! NaN, so that a check after `local.get` changes nothing that WebAssembly fixes.

use std::collections::BTreeMap;

use super::flow::Control;
use super::live::{PASSES_MAX, Set, is_too_much, join};

pub struct Foreign {
    now: Set,
    parameters: Set,
    frames: Vec<Frame>,
    /// Of each loop: what branches back to it bring.
    heads: BTreeMap<u32, Set>,
    has_grown: bool,
    passes: u32,
    /// It would take too long: all locals, everywhere.
    all: bool,
}

struct Frame {
    /// Where it is a loop, the operator that begins it.
    head: Option<u32>,
    /// What branches to its end bring.
    end: Set,
    /// At the beginning of `else`, or what gets past an `if` without.
    otherwise: Option<Set>,
}

impl Foreign {
    /// `parameters`: which of the locals are.
    pub fn new(locals: u32, operators: usize, parameters: &[u32]) -> Foreign {
        let words = locals.div_ceil(64) as usize;
        let mut foreign = Foreign {
            now: vec![0; words],
            parameters: Vec::new(),
            frames: Vec::new(),
            heads: BTreeMap::new(),
            has_grown: false,
            passes: 0,
            all: is_too_much(locals, operators),
        };
        parameters.iter().for_each(|local| foreign.set(*local, true));
        foreign.parameters = foreign.now.clone();
        foreign
    }

    /// From before an operator to behind it, as control goes.
    pub fn on(&mut self, at: u32, control: &Control) {
        if self.all {
            return;
        }
        match control {
            Control::On => {}
            Control::Block => self.enter(None, None),
            Control::If => self.enter(None, Some(self.now.clone())),
            Control::Loop => {
                if let Some(head) = self.heads.get(&at) {
                    join(&mut self.now, head);
                }
                self.enter(Some(at), None);
            }
            Control::Else => {
                if let Some(frame) = self.frames.last_mut() {
                    join(&mut frame.end, &self.now);
                    self.now = frame.otherwise.take().unwrap_or_default();
                }
            }
            Control::End(_) => {
                if let Some(frame) = self.frames.pop() {
                    join(&mut self.now, &frame.end);
                    if let Some(otherwise) = frame.otherwise {
                        join(&mut self.now, &otherwise);
                    }
                }
            }
            Control::Branch(depth) => {
                self.bring(*depth);
                self.now.fill(0);
            }
            Control::BranchIf(depth) => self.bring(*depth),
            Control::BranchTable(depths) => {
                depths.iter().for_each(|depth| self.bring(*depth));
                self.now.fill(0);
            }
            Control::Out => self.now.fill(0),
        }
    }

    fn enter(&mut self, head: Option<u32>, otherwise: Option<Set>) {
        self.frames.push(Frame { head, end: vec![0; self.now.len()], otherwise });
    }

    fn bring(&mut self, depth: u32) {
        // None for a branch out of the function.
        let Some(frame) = self.frames.iter_mut().rev().nth(depth as usize) else {
            return;
        };
        match frame.head {
            None => {
                join(&mut frame.end, &self.now);
            }
            Some(at) => {
                let head = self.heads.entry(at).or_insert_with(|| vec![0; self.now.len()]);
                self.has_grown |= join(head, &self.now);
            }
        }
    }

    pub fn has(&self, local: u32) -> bool {
        let word = self.now.get(local as usize / 64);
        self.all || word.is_none_or(|word| word >> (local % 64) & 1 != 0)
    }

    pub fn set(&mut self, local: u32, is_foreign: bool) {
        if let Some(word) = self.now.get_mut(local as usize / 64) {
            let bit = 1 << (local % 64);
            *word = if is_foreign { *word | bit } else { *word & !bit };
        }
    }

    /// Whether another pass would say the same; begins it otherwise.
    pub fn is_settled(&mut self) -> bool {
        if self.all || !self.has_grown {
            return true;
        }
        self.passes += 1;
        self.all = self.passes >= PASSES_MAX;
        self.has_grown = false;
        self.now.clone_from(&self.parameters);
        self.frames.clear();
        false
    }
}
