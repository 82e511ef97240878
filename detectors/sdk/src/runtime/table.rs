//! Where the sensors' state lives: pages, so that growing never copies what is there. (A doubling
//! vector of all sensors would hold old and new at once, and WebAssembly's memory never shrinks.)

use crate::detector::Detector;

/// Sensors a page.
pub const PAGE_SENSORS: usize = 256;
/// Of a sensor that belongs to no group.
pub const NO_GROUP: u32 = u32::MAX;

/// What is kept of one sensor but for its cells, side by side in memory.
pub struct Entry<D: Detector> {
    pub facts: D::Facts,
    pub sensor: D::Sensor,
    pub group: u32,
    pub stage: Stage,
}

/// How far a number has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Never announced, or removed.
    Unknown,
    /// Announced.
    Known,
    /// Has had a reading.
    Seen,
}

impl<D: Detector> Default for Entry<D> {
    fn default() -> Self {
        Entry {
            facts: D::Facts::default(),
            sensor: D::Sensor::default(),
            group: NO_GROUP,
            stage: Stage::Unknown,
        }
    }
}

/// Its length is known, so that no slot has to be checked.
pub struct Page<D: Detector> {
    pub entries: [Entry<D>; PAGE_SENSORS],
    /// Sensor-major: `width` cells a sensor.
    pub cells: Box<[D::Cell]>,
}

impl<D: Detector> Page<D> {
    fn new(width: usize) -> Box<Self> {
        Box::new(Page {
            entries: std::array::from_fn(|_| Entry::default()),
            cells: (0..PAGE_SENSORS * width).map(|_| D::Cell::default()).collect(),
        })
    }
}

/// By number: page `number / 256`, slot `number % 256`.
pub struct Table<D: Detector> {
    pub pages: Vec<Option<Box<Page<D>>>>,
    pub width: usize,
}

pub fn slot_of(number: u32) -> usize {
    number as usize % PAGE_SENSORS
}

impl<D: Detector> Table<D> {
    pub fn new(width: usize) -> Self {
        Table { pages: Vec::new(), width }
    }

    /// What is kept of a sensor that may be new.
    pub fn entry_for(&mut self, number: u32) -> &mut Entry<D> {
        let index = number as usize / PAGE_SENSORS;
        if index >= self.pages.len() {
            self.pages.resize_with(index + 1, || None);
        }
        let width = self.width;
        &mut self.pages[index].get_or_insert_with(|| Page::new(width)).entries[slot_of(number)]
    }

    /// What is kept of a sensor that has been announced, and its cells.
    #[inline(always)]
    pub fn get_mut(&mut self, number: u32) -> Result<(&mut Entry<D>, &mut [D::Cell]), String> {
        let (width, slot) = (self.width, slot_of(number));
        if let Some(Some(page)) = self.pages.get_mut(number as usize / PAGE_SENSORS) {
            let entry = &mut page.entries[slot];
            if entry.stage != Stage::Unknown {
                return Ok((entry, &mut page.cells[slot * width..(slot + 1) * width]));
            }
        }
        Err(unknown(number))
    }

    /// As `get_mut`.
    pub fn get(&self, number: u32) -> Result<(&Entry<D>, &[D::Cell]), String> {
        let (width, slot) = (self.width, slot_of(number));
        if let Some(Some(page)) = self.pages.get(number as usize / PAGE_SENSORS) {
            let entry = &page.entries[slot];
            if entry.stage != Stage::Unknown {
                return Ok((entry, &page.cells[slot * width..(slot + 1) * width]));
            }
        }
        Err(unknown(number))
    }

    /// Forgets a sensor; a page without sensors is given back.
    pub fn forget(&mut self, number: u32) {
        let (width, slot) = (self.width, slot_of(number));
        let Some(place) = self.pages.get_mut(number as usize / PAGE_SENSORS) else {
            return;
        };
        let Some(page) = place else { return };
        page.entries[slot] = Entry::default();
        page.cells[slot * width..(slot + 1) * width].fill_with(D::Cell::default);
        if page.entries.iter().all(|entry| entry.stage == Stage::Unknown) {
            *place = None;
        }
    }
}

#[cold]
fn unknown(number: u32) -> String {
    format!("sensor {number} has not been announced by set-sensors, or has been removed")
}
