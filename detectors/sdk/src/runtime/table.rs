//! Where the sensors' state lives: pages, so that growing never copies what is there. (A doubling
//! vector of all sensors would hold old and new at once, and WebAssembly's memory never shrinks.)

use crate::detector::Detector;

/// Sensors a page.
pub const PAGE_SENSORS: usize = 256;
/// Of a sensor that belongs to no group.
pub const NO_GROUP: u32 = u32::MAX;

pub struct Page<D: Detector> {
    pub facts: Box<[D::Facts]>,
    pub sensors: Box<[D::Sensor]>,
    /// Sensor-major: `width` cells a sensor.
    pub cells: Box<[D::Cell]>,
    pub groups: Box<[u32]>,
    known: Bits,
    seen: Bits,
}

/// One bit a sensor of a page.
#[derive(Default, Clone, Copy)]
struct Bits([u64; PAGE_SENSORS / 64]);

impl Bits {
    fn get(&self, slot: usize) -> bool {
        self.0[slot / 64] >> (slot % 64) & 1 != 0
    }

    fn set(&mut self, slot: usize, on: bool) {
        let bit = 1 << (slot % 64);
        if on {
            self.0[slot / 64] |= bit;
        } else {
            self.0[slot / 64] &= !bit;
        }
    }

    fn is_empty(&self) -> bool {
        self.0 == [0; PAGE_SENSORS / 64]
    }
}

fn defaults<T: Default>(count: usize) -> Box<[T]> {
    (0..count).map(|_| T::default()).collect()
}

impl<D: Detector> Page<D> {
    fn new(width: usize) -> Box<Self> {
        Box::new(Page {
            facts: defaults(PAGE_SENSORS),
            sensors: defaults(PAGE_SENSORS),
            cells: defaults(PAGE_SENSORS * width),
            groups: vec![NO_GROUP; PAGE_SENSORS].into_boxed_slice(),
            known: Bits::default(),
            seen: Bits::default(),
        })
    }

    /// Whether the sensor has had a reading.
    pub fn is_seen(&self, slot: usize) -> bool {
        self.seen.get(slot)
    }

    pub fn set_known(&mut self, slot: usize) {
        self.known.set(slot, true);
    }

    pub fn set_seen(&mut self, slot: usize) {
        self.seen.set(slot, true);
    }

    /// Slots of the sensors that have had a reading, ascending.
    pub fn seen_slots(&self) -> impl Iterator<Item = usize> + use<D> {
        let seen = self.seen;
        (0..PAGE_SENSORS).filter(move |slot| seen.get(*slot))
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

    /// The page of a sensor that may be new.
    pub fn page_for(&mut self, number: u32) -> &mut Page<D> {
        let index = number as usize / PAGE_SENSORS;
        if index >= self.pages.len() {
            self.pages.resize_with(index + 1, || None);
        }
        let width = self.width;
        self.pages[index].get_or_insert_with(|| Page::new(width))
    }

    /// The page of a sensor that has been announced.
    pub fn page_mut(&mut self, number: u32) -> Result<&mut Page<D>, String> {
        match self.pages.get_mut(number as usize / PAGE_SENSORS) {
            Some(Some(page)) if page.known.get(slot_of(number)) => Ok(page),
            _ => Err(unknown(number)),
        }
    }

    pub fn page(&self, number: u32) -> Result<&Page<D>, String> {
        match self.pages.get(number as usize / PAGE_SENSORS) {
            Some(Some(page)) if page.known.get(slot_of(number)) => Ok(page),
            _ => Err(unknown(number)),
        }
    }

    /// Forgets a sensor; a page without sensors is given back.
    pub fn forget(&mut self, number: u32) {
        let (width, slot) = (self.width, slot_of(number));
        let Some(entry) = self.pages.get_mut(number as usize / PAGE_SENSORS) else {
            return;
        };
        let Some(page) = entry else { return };
        page.known.set(slot, false);
        page.seen.set(slot, false);
        page.groups[slot] = NO_GROUP;
        page.facts[slot] = D::Facts::default();
        page.sensors[slot] = D::Sensor::default();
        page.cells[slot * width..(slot + 1) * width].fill_with(D::Cell::default);
        if page.known.is_empty() {
            *entry = None;
        }
    }
}

#[cold]
fn unknown(number: u32) -> String {
    format!("sensor {number} has not been announced by set-sensors, or has been removed")
}
