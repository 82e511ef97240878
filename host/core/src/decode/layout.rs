//! Where in a record what stands, and which quantities there are.
//!
//! A tree of nodes, one for each object that a path leads into; a field is a key with its role.
//! Quantities are found by *slots*: a name with unit and factor, and an index once it was seen.
//! Keys that mean nothing (yet) are remembered, too, up to a maximum, only so that the next record
//! finds its way by comparing each key with the one that followed last time.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::settings::{DecodeSettings, IdSource, Mapping, NAME_BYTES_MAX, Selection, SettingsError};
use super::take::Parts;
use super::time::Clock;
use super::units::unit_of;
use crate::reading::Quantity;

/// No field, no slot, no node.
pub(super) const NONE: u16 = u16::MAX;
pub(super) const ROOT: u16 = 0;
/// Keys without a meaning that are remembered.
const IGNORED_FIELDS_MAX: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Role {
    Id,
    Timestamp,
    Attribute(u16),
    Quantity(u16),
    /// Nothing, or only the way to something.
    Ignored,
}

#[derive(Debug)]
pub(super) struct Field {
    name: Box<str>,
    pub(super) role: Role,
    /// The node below, where a path goes on.
    pub(super) child: u16,
    /// The field that followed in the last record.
    next: u16,
}

#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) fields: Vec<Field>,
    lookup: HashMap<Box<str>, u16, FixedState>,
    first: u16,
}

/// A quantity that may come, or has.
#[derive(Debug)]
pub(super) struct Slot {
    name: Box<str>,
    unit: Option<String>,
    pub(super) factor: f64,
    /// Index in `quantities`.
    pub(super) index: u16,
    /// Built in or mapped: known without having been seen.
    pub(super) named: bool,
}

/// Where a mapped quantity has been seen.
#[derive(Debug, Clone, Copy, Default)]
struct Came {
    mapped: bool,
    by_name: bool,
}

#[derive(Debug)]
pub(super) struct Layout {
    settings: DecodeSettings,
    pub(super) clock: Clock,
    nodes: Vec<Node>,
    /// Those of the mappings first, in their order.
    pub(super) slots: Vec<Slot>,
    /// For each mapping.
    came: Vec<Came>,
    quantities: Vec<Quantity>,
    ignored: usize,
    /// Quantities built in or mapped that have not been seen: there is always room for them.
    reserved: usize,
    /// The key that was not found last.
    pending: String,
    /// For each quantity the record that carried it last.
    pub(super) seen_in: Vec<u32>,
    pub(super) parts: Parts,
}

impl Layout {
    pub(super) fn new(
        settings: &DecodeSettings,
        quantities: Vec<Quantity>,
    ) -> Result<Layout, Vec<SettingsError>> {
        settings.check()?;
        let clock = Clock::new(&settings.time)
            .map_err(|what| vec![SettingsError { setting: "time".into(), what }])?;
        let mut layout = Layout {
            settings: settings.clone(),
            clock,
            nodes: Vec::new(),
            slots: Vec::new(),
            came: vec![Came::default(); settings.mappings.len()],
            quantities,
            ignored: 0,
            reserved: 0,
            pending: String::new(),
            seen_in: Vec::new(),
            parts: Parts::default(),
        };
        layout.build();
        Ok(layout)
    }

    /// Makes the tree from the settings and the quantities, with nothing remembered.
    fn build(&mut self) {
        self.nodes.clear();
        self.slots.clear();
        self.seen_in.resize(self.quantities.len(), 0);
        self.ignored = 0;
        self.reserved = self.settings.named().iter().filter(|name| !self.knows(name)).count();
        self.add_node();
        let settings = self.settings.clone();
        if let IdSource::Path(path) = &settings.id {
            self.add_path(path, Role::Id);
        }
        self.add_path(&settings.timestamp, Role::Timestamp);
        for (index, attribute) in settings.attributes.iter().enumerate() {
            self.add_path(&attribute.path, Role::Attribute(index as u16));
        }
        for mapping in &settings.mappings {
            let unit = mapping.unit.clone().or_else(|| unit_of(&mapping.name).map(str::to_owned));
            let slot = self.add_slot(&mapping.name, unit, mapping.factor, true);
            self.add_path(&mapping.path, Role::Quantity(slot));
        }
        if settings.quantities == Selection::All {
            self.add_names(&settings);
        }
    }

    /// Every known name is a top-level key, too, unless the settings need that key for something else.
    fn add_names(&mut self, settings: &DecodeSettings) {
        for name in settings.named() {
            let mapping = settings.mappings.iter().find(|mapping| mapping.name == name);
            let unit = mapping.and_then(|mapping| mapping.unit.clone());
            self.add_name(&name, unit.or_else(|| unit_of(&name).map(str::to_owned)), true);
        }
        for quantity in self.quantities.clone() {
            self.add_name(&quantity.name, quantity.unit, false);
        }
    }

    fn add_name(&mut self, name: &str, unit: Option<String>, named: bool) {
        let taken = self.field_named(ROOT, name);
        if taken.is_none_or(|field| self.nodes[0].fields[field as usize].role == Role::Ignored) {
            let slot = self.add_slot(name, unit, 1.0, named);
            let field = self.field_or_new(ROOT, name);
            self.nodes[0].fields[field as usize].role = Role::Quantity(slot);
        }
    }

    fn add_node(&mut self) -> u16 {
        self.nodes.push(Node { first: NONE, ..Node::default() });
        (self.nodes.len() - 1) as u16
    }

    fn add_slot(&mut self, name: &str, unit: Option<String>, factor: f64, named: bool) -> u16 {
        let index = self.quantities.iter().position(|quantity| quantity.name == name);
        if let (Some(index), true) = (index, named) {
            self.quantities[index].unit = unit.clone();
        }
        self.slots.push(Slot {
            name: name.into(),
            unit,
            factor,
            // One that has a name beforehand is looked up when it is met: so it is noted where it came.
            index: index.filter(|_| !named).map_or(NONE, |index| index as u16),
            named,
        });
        (self.slots.len() - 1) as u16
    }

    /// `path` has been checked.
    fn add_path(&mut self, path: &str, role: Role) {
        let tokens = path_tokens(path).unwrap_or_default();
        let mut node = ROOT;
        for (step, token) in tokens.iter().enumerate() {
            let field = self.field_or_new(node, token) as usize;
            if step + 1 == tokens.len() {
                self.nodes[node as usize].fields[field].role = role;
            } else {
                if self.nodes[node as usize].fields[field].child == NONE {
                    let child = self.add_node();
                    self.nodes[node as usize].fields[field].child = child;
                }
                node = self.nodes[node as usize].fields[field].child;
            }
        }
    }

    fn field_or_new(&mut self, node: u16, name: &str) -> u16 {
        match self.field_named(node, name) {
            Some(field) => field,
            None => {
                let node = &mut self.nodes[node as usize];
                let field = node.fields.len() as u16;
                let new = Field { name: name.into(), role: Role::Ignored, child: NONE, next: NONE };
                node.fields.push(new);
                node.lookup.insert(name.into(), field);
                field
            }
        }
    }

    pub(super) fn field_named(&self, node: u16, name: &str) -> Option<u16> {
        self.nodes[node as usize].lookup.get(name).copied()
    }

    /// The field of `key`, looked for behind `before` first; `NONE` if there is none, and the key is kept
    /// until its value comes.
    #[inline]
    pub(super) fn find(&mut self, node: u16, before: u16, key: &str) -> u16 {
        let node = &mut self.nodes[node as usize];
        let guess = match node.fields.get(before as usize) {
            Some(field) => field.next,
            None => node.first,
        };
        if let Some(field) = node.fields.get(guess as usize)
            && *field.name == *key
        {
            return guess;
        }
        match node.lookup.get(key) {
            Some(&found) => {
                match node.fields.get_mut(before as usize) {
                    Some(field) => field.next = found,
                    None => node.first = found,
                }
                found
            }
            None => {
                self.pending.clear();
                self.pending.push_str(key);
                NONE
            }
        }
    }

    #[inline]
    pub(super) fn field(&self, node: u16, field: u16) -> Option<&Field> {
        self.nodes[node as usize].fields.get(field as usize)
    }

    /// Makes the key of `field` the pending one.
    pub(super) fn recall(&mut self, field: u16) {
        self.pending.clear();
        if let Some(field) = self.nodes[ROOT as usize].fields.get(field as usize) {
            self.pending.push_str(&field.name);
        }
    }

    /// Gives the pending key a field, unless there are too many or its name is too long. A quantity's
    /// field is always given: there are at most `quantities_max`, since a rejection rebuilds the tree.
    pub(super) fn remember(&mut self, node: u16, role: Role) {
        let ignored = role == Role::Ignored;
        if ignored && self.field_named(node, &self.pending).is_some() {
            return;
        }
        if ignored && (self.ignored >= IGNORED_FIELDS_MAX || self.pending.len() > NAME_BYTES_MAX) {
            return;
        }
        self.ignored += usize::from(ignored);
        let name = std::mem::take(&mut self.pending);
        let field = self.field_or_new(node, &name);
        self.nodes[node as usize].fields[field as usize].role = role;
        self.pending = name;
    }

    /// Makes the pending key a new quantity's slot; `None` if its name is no name.
    pub(super) fn new_slot(&mut self) -> Option<u16> {
        if self.pending.is_empty() || self.pending.len() > NAME_BYTES_MAX || self.is_full() {
            return None;
        }
        let name = std::mem::take(&mut self.pending);
        let slot = self.add_slot(&name, unit_of(&name).map(str::to_owned), 1.0, false);
        self.pending = name;
        Some(slot)
    }

    fn is_full(&self) -> bool {
        self.quantities.len() + self.reserved >= self.settings.quantities_max
    }

    fn knows(&self, name: &str) -> bool {
        self.quantities.iter().any(|quantity| quantity.name == name)
    }

    /// The index of a slot's quantity, which becomes known by this.
    pub(super) fn index_of(&mut self, slot: u16) -> u16 {
        let at = slot as usize;
        let slot = &mut self.slots[at];
        if slot.index == NONE {
            match self.came.get_mut(at) {
                Some(came) => came.mapped = true,
                None => {
                    let mappings = self.settings.mappings.iter().zip(&mut self.came);
                    let of_name = mappings.filter(|(mapping, _)| *mapping.name == *slot.name);
                    of_name.for_each(|(_, came)| came.by_name = true);
                }
            }
            let known = self.quantities.iter().position(|quantity| *quantity.name == *slot.name);
            slot.index = known.unwrap_or(self.quantities.len()) as u16;
            if known.is_none() {
                let name = slot.name.to_string();
                self.quantities.push(Quantity { name, unit: slot.unit.clone() });
                self.seen_in.push(0);
                self.reserved -= usize::from(slot.named);
            }
        }
        slot.index
    }

    /// Mappings whose quantity came, and only from elsewhere: under its plain name.
    pub(super) fn shadowed(&self) -> impl Iterator<Item = &Mapping> {
        let mappings = || self.settings.mappings.iter().zip(&self.came);
        let is_mapped =
            move |name: &str| mappings().any(|(mapping, came)| came.mapped && mapping.name == name);
        let by_name = mappings().filter(|(_, came)| came.by_name);
        by_name.map(|(mapping, _)| mapping).filter(move |mapping| !is_mapped(&mapping.name))
    }

    pub(super) fn takes_all(&self) -> bool {
        self.settings.quantities == Selection::All
    }

    pub(super) fn fixed_id(&self) -> Option<&str> {
        match &self.settings.id {
            IdSource::Fixed(id) => Some(id),
            IdSource::Path(_) => None,
        }
    }

    pub(super) fn quantities(&self) -> &[Quantity] {
        &self.quantities
    }

    /// Forgets quantities that a rejected record brought.
    pub(super) fn roll_back(&mut self, known: usize) {
        if self.quantities.len() > known {
            self.quantities.truncate(known);
            self.build();
        }
    }

    /// For messages: how the settings name the id and the timestamp.
    pub(super) fn paths(&self) -> (&str, &str) {
        let id = match &self.settings.id {
            IdSource::Path(path) | IdSource::Fixed(path) => path,
        };
        (id, &self.settings.timestamp)
    }
}

/// A path's steps: a plain key, or the tokens of a JSON pointer.
pub(super) fn path_tokens(path: &str) -> Result<Vec<String>, String> {
    if path.is_empty() {
        return Err("a path is a key, or a JSON pointer that begins with `/`".into());
    }
    let Some(pointer) = path.strip_prefix('/') else {
        return Ok(vec![path.to_owned()]);
    };
    let tokens = pointer.split('/').map(|token| {
        let unescaped = token.replace("~1", "/").replace("~0", "~");
        let escapes = token.matches('~').count();
        let valid = token.matches("~0").count() + token.matches("~1").count();
        if escapes == valid {
            Ok(unescaped)
        } else {
            Err(format!("`{path}` is no JSON pointer: `~` stands only in `~0` and `~1`"))
        }
    });
    tokens.collect()
}
