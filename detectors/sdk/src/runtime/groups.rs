//! State of groups of sensors, by name.
//!
//! A group's state must not depend on when its members were announced, which carries no meaning:
//! what counts are members that have had a reading.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::table::NO_GROUP;

pub struct Group<S> {
    pub name: Arc<str>,
    pub state: S,
    members: u32,
    members_seen: u32,
}

pub struct Groups<S> {
    entries: Vec<Option<Group<S>>>,
    by_name: BTreeMap<Arc<str>, u32>,
    free: Vec<u32>,
}

impl<S: Default> Groups<S> {
    pub fn new() -> Self {
        Groups { entries: Vec::new(), by_name: BTreeMap::new(), free: Vec::new() }
    }

    /// A member more; the group's index.
    pub fn join(&mut self, name: &str) -> u32 {
        if let Some(&index) = self.by_name.get(name) {
            if let Some(group) = self.get_mut(index) {
                group.members += 1;
            }
            return index;
        }
        let name: Arc<str> = name.into();
        let group = Group { name: name.clone(), state: S::default(), members: 1, members_seen: 0 };
        let index = match self.free.pop() {
            Some(index) => {
                self.entries[index as usize] = Some(group);
                index
            }
            None => {
                self.entries.push(Some(group));
                self.entries.len() as u32 - 1
            }
        };
        self.by_name.insert(name, index);
        index
    }

    /// A member less.
    pub fn leave(&mut self, index: u32, was_seen: bool) {
        let Some(group) = self.get_mut(index) else {
            return;
        };
        group.members -= 1;
        group.members_seen -= u32::from(was_seen);
        if group.members_seen == 0 {
            group.state = S::default();
        }
        if group.members == 0 {
            let name = group.name.clone();
            self.by_name.remove(&name);
            self.entries[index as usize] = None;
            self.free.push(index);
        }
    }

    /// A member had its first reading.
    pub fn see(&mut self, index: u32) {
        if let Some(group) = self.get_mut(index) {
            group.members_seen += 1;
        }
    }

    pub fn get_mut(&mut self, index: u32) -> Option<&mut Group<S>> {
        if index == NO_GROUP {
            return None;
        }
        self.entries.get_mut(index as usize)?.as_mut()
    }

    pub fn named(&mut self, name: &str) -> Option<&mut Group<S>> {
        self.get_mut(*self.by_name.get(name)?)
    }

    pub fn is_named(&self, index: u32, name: Option<&str>) -> bool {
        let group = self.entries.get(index as usize).and_then(Option::as_ref);
        group.map(|group| &*group.name) == name
    }

    /// Indices of groups that have had a reading, in the order of their names.
    pub fn seen(&self) -> impl Iterator<Item = &Group<S>> {
        let entry = |index: &u32| self.entries[*index as usize].as_ref();
        self.by_name.values().filter_map(entry).filter(|group| group.members_seen > 0)
    }

    /// As `seen`, to be changed.
    pub fn for_each_seen(&mut self, mut each: impl FnMut(&mut Group<S>)) {
        for index in self.by_name.values() {
            if let Some(group) = self.entries[*index as usize].as_mut()
                && group.members_seen > 0
            {
                each(group);
            }
        }
    }
}
