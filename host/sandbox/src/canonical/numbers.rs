//! Results that are no NaN at all, so that none has to be checked: what is kept within a limit.
//!
//! Of `select(x > 1, x, 1)` either is a number: where the comparison holds `x` is one, since no NaN is greater
//! than anything. Followed only as far as control goes straight on, which is how compilers write it.

use super::class::Class;
use super::flow::{Control, Step};

/// Of each operator: whether what it gives is a number for certain. `locals`: how many there are.
pub fn numbers(steps: &[Step], locals: usize) -> Vec<bool> {
    let mut straight = Straight { from: 0, written: vec![(0, false); locals] };
    let mut names: Vec<Option<Name>> = Vec::with_capacity(steps.len());
    let mut numbers: Vec<bool> = Vec::with_capacity(steps.len());
    for (at, step) in steps.iter().enumerate() {
        if !matches!(step.control, Control::On) {
            straight.from = at;
        }
        let operand = |step: &Step, place: usize| step.operands.get(place).copied().flatten();
        let is_number =
            |place: usize| operand(step, place).is_some_and(|from| numbers.get(from as usize) == Some(&true));
        let name = |step: &Step, place: usize| {
            operand(step, place).and_then(|from| names.get(from as usize).copied().flatten())
        };
        // `select`: what is on top of the stack is what the operator before gave.
        let is_chosen_as_number = || {
            let chosen = name(step, 0);
            let order = at.checked_sub(1).and_then(|before| steps.get(before));
            let order = order.filter(|order| matches!(order.class, Class::Orders));
            chosen.is_some() && order.is_some_and(|order| (0..2).any(|place| name(order, place) == chosen))
        };
        let is_select = step.operands.len() > 1;
        numbers.push(match step.class {
            Class::Numbers => true,
            Class::Carries if is_select => (is_number(0) || is_chosen_as_number()) && is_number(1),
            Class::Carries | Class::LocalTee(_) | Class::LocalSet(_) => is_number(0),
            Class::LocalGet(local) => straight.is_number(local),
            _ => false,
        });
        if let Class::LocalSet(local) | Class::LocalTee(local) = step.class {
            straight.write(local, at, numbers.last() == Some(&true));
        }
        names.push(match step.class {
            Class::LocalGet(local) | Class::LocalTee(local) => Some(straight.name(local)),
            _ => None,
        });
    }
    numbers
}

/// A local, and since which operator it has held its value at the earliest: the same twice is the same value.
type Name = (u32, usize);

/// Locals, as far as is known since control last went anywhere but to the next operator.
struct Straight {
    from: usize,
    /// By which operator, and whether with a number for certain.
    written: Vec<(usize, bool)>,
}

impl Straight {
    fn write(&mut self, local: u32, at: usize, is_number: bool) {
        if let Some(written) = self.written.get_mut(local as usize) {
            *written = (at, is_number);
        }
    }

    fn name(&self, local: u32) -> Name {
        let at = self.written.get(local as usize).map_or(0, |(at, _)| *at);
        (local, at.max(self.from))
    }

    fn is_number(&self, local: u32) -> bool {
        self.written.get(local as usize).is_some_and(|(at, is_number)| *is_number && *at > self.from)
    }
}
