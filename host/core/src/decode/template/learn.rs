//! A record that serde_json has taken, cut into literals and slots.
//!
//! The record is known to be good JSON and a reading, so this only finds the ends of things; whatever
//! is unusual is not learnt, and such records stay with serde_json.

use std::ops::Range;

use super::super::layout::{Layout, NONE, ROOT, Role};
use super::Slot;
use super::number::{Number, number, whole};
use super::trie::End;

/// Longer records are not learnt.
const RECORD_BYTES_MAX: usize = 16 << 10;
const SLOTS_MAX: usize = 512;
/// serde_json passes over what nobody asked for to any depth; this calls itself.
const DEPTH_MAX: usize = 32;

#[derive(Debug)]
pub(super) struct Template {
    pub(super) pieces: Vec<Piece>,
    pub(super) end: End,
}

/// A literal of the record, and what stood behind it.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) literal: Range<usize>,
    pub(super) slot: Slot,
}

/// The template of `record`, which `layout` has just taken. `None`: records like this cannot be read
/// by a template.
pub(super) fn learn(layout: &Layout, record: &[u8]) -> Option<Template> {
    if record.len() > RECORD_BYTES_MAX {
        return None;
    }
    let end = End { malformed: Vec::new(), left_out: 0 };
    let template = Template { pieces: Vec::new(), end };
    let mut learner = Learner { layout, record, at: 0, cut: 0, template, claims: Vec::new() };
    learner.space();
    learner.object(ROOT, 0)?;
    learner.space();
    (learner.at == record.len()).then_some(())?;
    learner.slot(Slot::Open, record.len(), record.len())?;
    learner.is_whole().then_some(learner.template)
}

/// What a member of the record was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    Id,
    Timestamp,
    Attribute(u16),
    Quantity(u16),
}

struct Learner<'a> {
    layout: &'a Layout,
    record: &'a [u8],
    at: usize,
    /// Where the literal begins that goes up to the next slot.
    cut: usize,
    template: Template,
    claims: Vec<Claim>,
}

impl Learner<'_> {
    /// Of equal keys the last wins: which that is, a template does not ask. And a template that has no
    /// slot for the id, say, would not give what made this record a reading.
    fn is_whole(&mut self) -> bool {
        self.claims.sort_unstable();
        let twice = self.claims.windows(2).any(|pair| pair[0] == pair[1]);
        let pieces = &self.template.pieces;
        let has = |wanted: fn(&Slot) -> bool| pieces.iter().any(|piece| wanted(&piece.slot));
        let id =
            self.layout.fixed_id().is_some() || has(|slot| matches!(slot, Slot::IdText | Slot::IdInteger));
        let time = has(|slot| matches!(slot, Slot::TimeText | Slot::TimeNumber));
        let quantity = has(|slot| matches!(slot, Slot::Quantity { .. }));
        !twice && id && time && (quantity || !self.template.end.malformed.is_empty())
    }

    /// What stands within `from..to` may vary.
    fn slot(&mut self, slot: Slot, from: usize, to: usize) -> Option<()> {
        let literal = std::mem::replace(&mut self.cut, to)..from;
        self.template.pieces.push(Piece { literal, slot });
        (self.template.pieces.len() <= SLOTS_MAX).then_some(())
    }

    fn object(&mut self, node: u16, depth: usize) -> Option<()> {
        self.open(b'{')?;
        while self.peek()? != b'}' {
            let key = self.string()?;
            let field = if node == NONE { None } else { self.field(node, key)? };
            self.space();
            self.open(b':')?;
            self.value(node, field, depth)?;
            self.comma(b'}')?;
        }
        self.open(b'}')
    }

    fn array(&mut self, node: u16, depth: usize) -> Option<()> {
        self.open(b'[')?;
        let mut position = 0_u64;
        while self.peek()? != b']' {
            let named = |node| self.layout.field_named(node, &position.to_string());
            let field = if node == NONE { None } else { named(node) };
            self.value(node, field, depth)?;
            position += 1;
            self.comma(b']')?;
        }
        self.open(b']')
    }

    fn field(&self, node: u16, key: Range<usize>) -> Option<Option<u16>> {
        let plain = std::str::from_utf8(self.record.get(key.clone())?).ok()?;
        if !plain.contains('\\') {
            return Some(self.layout.field_named(node, plain));
        }
        let quoted = self.record.get(key.start - 1..=key.end)?;
        let key: String = serde_json::from_slice(quoted).ok()?;
        Some(self.layout.field_named(node, &key))
    }

    fn value(&mut self, node: u16, field: Option<u16>, depth: usize) -> Option<()> {
        let field = field.and_then(|field| self.layout.field(node, field));
        let (role, child) = field.map_or((Role::Ignored, NONE), |field| (field.role, field.child));
        (depth < DEPTH_MAX).then_some(())?;
        match self.peek()? {
            b'"' => self.text(role),
            b'-' | b'0'..=b'9' => self.number(node, role),
            b'{' => self.unfit(role).and_then(|()| self.object(child, depth + 1)),
            b'[' => self.unfit(role).and_then(|()| self.array(child, depth + 1)),
            _ => {
                let word = self.record.get(self.at..)?.iter().take_while(|byte| byte.is_ascii_alphabetic());
                self.at += word.count();
                self.unfit(role)
            }
        }
    }

    fn text(&mut self, role: Role) -> Option<()> {
        let Range { start, end } = self.string()?;
        let slot = match role {
            // Such as "NaN": seldom anything else in the next record, so it stays in the literal.
            Role::Quantity(_) => return self.unfit(role),
            Role::Id => Slot::IdText,
            Role::Timestamp => Slot::TimeText,
            Role::Attribute(index) => Slot::AttributeText(index),
            Role::Ignored => Slot::SkippedText,
        };
        self.claim(role)?;
        self.slot(slot, start, end)
    }

    fn number(&mut self, node: u16, role: Role) -> Option<()> {
        let rest = self.record.get(self.at..)?;
        let (value, len) = whole(rest)?;
        let slot = match role {
            Role::Quantity(slot) => {
                let slot = self.layout.slots.get(slot as usize)?;
                // Malformed by its value, not by its literal.
                (value * slot.factor).is_finite().then_some(())?;
                Slot::Quantity { index: slot.index, factor: slot.factor }
            }
            Role::Id => Slot::IdInteger,
            Role::Timestamp => Slot::TimeNumber,
            // Floats are written anew, as their shortest text.
            Role::Attribute(index) => match number(rest)?.0 {
                Number::Integer(_) => Slot::AttributeInteger(index),
                Number::Float(_) => return None,
            },
            Role::Ignored => {
                // The record was taken, and this is no quantity after it: there was no room.
                self.template.end.left_out += u64::from(node == ROOT && self.layout.takes_all());
                Slot::SkippedNumber
            }
        };
        self.claim(role)?;
        let from = self.at;
        self.at += len;
        self.slot(slot, from, self.at)
    }

    /// Neither a number nor a slot: under a quantity it is malformed, elsewhere as good as absent.
    fn unfit(&mut self, role: Role) -> Option<()> {
        if let Role::Quantity(slot) = role {
            self.template.end.malformed.push(self.layout.slots.get(slot as usize)?.index);
        }
        self.claim(role)
    }

    fn claim(&mut self, role: Role) -> Option<()> {
        self.claims.push(match role {
            Role::Id => Claim::Id,
            Role::Timestamp => Claim::Timestamp,
            Role::Attribute(index) => Claim::Attribute(index),
            Role::Quantity(slot) => {
                let index = self.layout.slots.get(slot as usize)?.index;
                (index != NONE).then_some(Claim::Quantity(index))?
            }
            Role::Ignored => return Some(()),
        });
        Some(())
    }

    /// Passes over a string, to behind its closing quote; its place between the quotes.
    fn string(&mut self) -> Option<Range<usize>> {
        self.open(b'"')?;
        let start = self.at;
        loop {
            match self.record.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(start..self.at - 1)
    }

    fn open(&mut self, byte: u8) -> Option<()> {
        self.space();
        (self.record.get(self.at) == Some(&byte)).then(|| self.at += 1)
    }

    /// Passes over a comma, unless this is the end.
    fn comma(&mut self, end: u8) -> Option<()> {
        match self.peek()? {
            b',' => self.at += 1,
            byte => (byte == end).then_some(())?,
        }
        Some(())
    }

    fn peek(&mut self) -> Option<u8> {
        self.space();
        self.record.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.record.get(self.at), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }
}
