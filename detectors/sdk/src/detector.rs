//! What an author implements.

use serde::{Serialize, de::DeserializeOwned};

use crate::finding::Findings;
use crate::reading::Reading;

/// Event time: milliseconds since the Unix epoch, UTC.
pub type Timestamp = i64;

/// A kind of finding: its index in `Info::kinds` is what findings name.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    pub description: &'static str,
}

/// Which quantities a detector wants to see.
#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    /// These, by name. Indices everywhere (`Reading::value`, `Memory::cells`) are positions in this
    /// list, whether or not a quantity is there; an absent one reads NaN.
    Named(&'static [&'static str]),
    /// All there are. Indices are positions in the `quantities` given to `Detector::new`; when a new
    /// quantity turns up a new detector is made and the cells follow their names.
    Any,
}

/// What a detector says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Info {
    pub name: &'static str,
    pub version: &'static str,
    /// Raise it whenever `Sensor`, `Cell` or `Group` changes shape, and write `migrate`.
    pub state_version: u32,
    pub kinds: &'static [Kind],
    pub wanted: Wanted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity {
    pub name: String,
    pub unit: Option<String>,
}

/// A sensor as the host announces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SensorInfo {
    pub id: String,
    /// Sorted by name.
    pub attributes: Vec<(String, String)>,
}

impl SensorInfo {
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What a detector may look at and change while it judges one sensor.
pub struct Memory<'a, D: Detector> {
    /// What the attributes say of the sensor; rebuilt, not saved.
    pub facts: &'a D::Facts,
    pub sensor: &'a mut D::Sensor,
    /// One a quantity.
    pub cells: &'a mut [D::Cell],
    /// The sensor's group, where `group_of` names one.
    pub group: Option<&'a mut D::Group>,
}

/// A detector: pure functions over state that the SDK keeps, saves and restores.
///
/// Nothing but the arguments may decide what is found: no clock, no randomness, no `std` hash map,
/// no `std` transcendental functions (`gridwatch_sdk::math` has `libm`'s). How readings are cut into batches is not seen at all.
pub trait Detector: Sized + 'static {
    const INFO: Info;
    /// Whether `advance` is to be called. Off, a tick costs nothing.
    const ADVANCES: bool = false;

    type Parameters: Serialize + DeserializeOwned + schemars::JsonSchema + Default;
    /// Learnt from a sensor's attributes (nominal voltage, …); `()` where nothing is.
    type Facts: Default;
    /// State a sensor.
    type Sensor: Default + Serialize + DeserializeOwned;
    /// State a sensor and quantity.
    type Cell: Default + Serialize + DeserializeOwned;
    /// State a group of sensors (within a lane).
    type Group: Default + Serialize + DeserializeOwned;

    fn new(parameters: Self::Parameters, quantities: &[Quantity]) -> Result<Self, String>;

    fn facts(&self, _sensor: &SensorInfo) -> Self::Facts {
        Self::Facts::default()
    }

    /// The group that a sensor belongs to (often an attribute's value), if any.
    fn group_of(&self, _sensor: &SensorInfo) -> Option<String> {
        None
    }

    /// One reading, in the order in which the host accepted them.
    fn judge(&self, reading: &Reading<'_>, memory: Memory<'_, Self>, out: &mut Findings<'_>);

    /// Event time has reached `watermark`; called once for each sensor that has had a reading, in the
    /// order of their numbers. Later readings may still be older.
    fn advance(&self, _watermark: Timestamp, _memory: Memory<'_, Self>, _out: &mut Findings<'_>) {}
}
