//! The templates, merged where they begin alike: a tree whose edges are literals with a slot behind.
//!
//! Messages that differ in one optional field share everything before it, so that nothing is read
//! twice where they part.

use super::Slot;
use super::learn::Template;

/// No edge.
pub(super) const NO_EDGE: u32 = u32::MAX;
/// Edges in all: for a message of ten values, hundreds of variants.
const EDGES_MAX: usize = 1024;
/// Edges that leave from one place; all of them are compared.
const SIBLINGS_MAX: usize = 16;
/// Bytes of all literals.
const LITERAL_BYTES_MAX: usize = 64 << 10;

/// A literal, and what comes after it.
#[derive(Debug)]
pub(super) struct Edge {
    /// The first 16 bytes as one word; those that are not of the literal are masked.
    head: u128,
    mask: u128,
    start: u32,
    len: u32,
    pub(super) slot: Slot,
    /// The first edge after the slot.
    pub(super) child: u32,
    /// The next edge from the same place, with a literal at most as long.
    sibling: u32,
}

/// What a message is that has matched to its end.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct End {
    /// Quantities under which there stands no number, by the literals.
    pub(super) malformed: Vec<u16>,
    /// Numbers for which there is no room.
    pub(super) left_out: u64,
}

#[derive(Debug)]
pub(super) struct Trie {
    edges: Vec<Edge>,
    literals: Vec<u8>,
    pub(super) ends: Vec<End>,
    pub(super) first: u32,
}

impl Trie {
    pub(super) fn new() -> Trie {
        Trie { edges: Vec::new(), literals: Vec::new(), ends: Vec::new(), first: NO_EDGE }
    }

    /// The edge at `place` (or beside it) whose literal stands in the record at `at`, and where it
    /// ends. Longer ones come first: `"id":"` before `"id":`, which would lead nowhere.
    #[inline(always)]
    pub(super) fn follow(&self, mut place: u32, record: &[u8], at: usize) -> Option<(&Edge, usize)> {
        let head = sixteen(record, at)?;
        loop {
            let edge = self.edges.get(place as usize)?;
            let end = at + edge.len as usize;
            if (head ^ edge.head) & edge.mask == 0
                && (edge.len <= 16 || record.get(at..end) == Some(self.literal(edge)))
            {
                return Some((edge, end));
            }
            place = edge.sibling;
        }
    }

    fn literal(&self, edge: &Edge) -> &[u8] {
        &self.literals[edge.start as usize..][..edge.len as usize]
    }

    /// Adds a template. Where there is no room, all others are forgotten for it: those that are still
    /// in use come again.
    pub(super) fn add(&mut self, template: &Template, record: &[u8]) {
        if self.insert(template, record).is_none() {
            *self = Trie::new();
            if self.insert(template, record).is_none() {
                *self = Trie::new();
            }
        }
    }

    /// `None` where there is no room; a part may have been inserted then.
    fn insert(&mut self, template: &Template, record: &[u8]) -> Option<()> {
        let mut above = NO_EDGE;
        for piece in &template.pieces {
            let literal = record.get(piece.literal.clone())?;
            let known =
                self.siblings(above).find(|place| self.literal(&self.edges[*place as usize]) == literal);
            above = match known {
                Some(place) => place,
                None => self.insert_edge(above, literal, piece.slot)?,
            };
        }
        if matches!(self.edges.get(above as usize)?.slot, Slot::Open) {
            self.edges[above as usize].slot = Slot::End(self.ends.len() as u32);
            self.ends.push(template.end.clone());
        }
        Some(())
    }

    fn insert_edge(&mut self, above: u32, literal: &[u8], slot: Slot) -> Option<u32> {
        let room = self.edges.len() < EDGES_MAX && self.literals.len() + literal.len() <= LITERAL_BYTES_MAX;
        if !room || self.siblings(above).count() >= SIBLINGS_MAX {
            return None;
        }
        let (mut head, mut mask) = ([0; 16], [0; 16]);
        for (at, byte) in literal.iter().take(16).enumerate() {
            (head[at], mask[at]) = (*byte, 0xff);
        }
        let start = self.literals.len() as u32;
        self.literals.extend_from_slice(literal);
        let new = self.edges.len() as u32;
        let longer = |place: &u32| self.edges[*place as usize].len as usize >= literal.len();
        let before = self.siblings(above).take_while(longer).last();
        let (head, mask) = (u128::from_le_bytes(head), u128::from_le_bytes(mask));
        let len = literal.len() as u32;
        self.edges.push(Edge { head, mask, start, len, slot, child: NO_EDGE, sibling: NO_EDGE });
        let link = match (before, above) {
            (Some(before), _) => &mut self.edges[before as usize].sibling,
            (None, NO_EDGE) => &mut self.first,
            (None, above) => &mut self.edges[above as usize].child,
        };
        let sibling = std::mem::replace(link, new);
        self.edges[new as usize].sibling = sibling;
        Some(new)
    }

    /// The edges that leave from behind `above`; from the beginning where that is `NO_EDGE`.
    fn siblings(&self, above: u32) -> impl Iterator<Item = u32> {
        let first = self.edges.get(above as usize).map_or(self.first, |edge| edge.child);
        let edge = |place: u32| (place != NO_EDGE).then_some(place);
        std::iter::successors(edge(first), move |place| edge(self.edges[*place as usize].sibling))
    }
}

/// The 16 bytes of `record` from `at` on as a word; where there are fewer, with zeros behind, which are
/// in no literal. `None`: the record is too short for all this.
#[inline(always)]
fn sixteen(record: &[u8], at: usize) -> Option<u128> {
    let rest = record.get(at..)?;
    match rest.first_chunk() {
        Some(head) => Some(u128::from_le_bytes(*head)),
        None => {
            let last = u128::from_le_bytes(*record.last_chunk()?);
            Some(last.checked_shr(8 * (16 - rest.len() as u32)).unwrap_or(0))
        }
    }
}
