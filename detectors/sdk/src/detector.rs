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

/// What a detector may look at and change while it judges one sensor. Made by the SDK alone.
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
/// no `std` transcendental functions (`gridwatch_sdk::math` has `libm`'s). How readings are cut into
/// batches is not seen at all.
///
/// State is saved with postcard, which does not describe itself: `serde(flatten)`, `untagged` and
/// `skip_serializing_if` cannot be read back. Every bit of a float survives.
pub trait Detector: Sized + 'static {
    const INFO: Info;
    /// Whether `advance` is to be called. Off, a tick costs nothing.
    const ADVANCES: bool = false;

    type Parameters: Serialize + DeserializeOwned + schemars::JsonSchema + Default;
    /// Learnt from a sensor's attributes (nominal voltage, …); `()` where nothing is.
    type Facts: Default;
    /// State a sensor.
    type Sensor: Default + Serialize + DeserializeOwned;
    /// State a sensor and quantity. What `Default` gives is saved as a single byte.
    type Cell: Default + Serialize + DeserializeOwned;
    /// State a group of sensors (within a lane). It begins with the first reading of a member and ends
    /// when the last member that had one leaves.
    type Group: Default + Serialize + DeserializeOwned;

    fn new(parameters: Self::Parameters, quantities: &[Quantity]) -> Result<Self, String>;

    /// Called when a sensor is announced and whenever its attributes change.
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

    /// After `advance` of the sensors, once for each group that has had a reading, in the order of the
    /// groups' names. What is found speaks of the group. Only called if `ADVANCES`.
    fn advance_group(
        &self,
        _watermark: Timestamp,
        _name: &str,
        _group: &mut Self::Group,
        _out: &mut Findings<'_>,
    ) {
    }

    /// State saved under an older `Info::state_version` as the present one: the sensor's, and one a
    /// quantity in the order saved (the SDK puts them where they belong). `state::decode` reads the
    /// old types. The answer has as many cells as were given.
    fn migrate(
        from_version: u32,
        _sensor: &[u8],
        _cells: &[&[u8]],
    ) -> Result<(Self::Sensor, Vec<Self::Cell>), String> {
        Err(no_migration(&Self::INFO, from_version))
    }

    /// As `migrate`, for a group's state. Not called where it was saved empty.
    fn migrate_group(from_version: u32, _group: &[u8]) -> Result<Self::Group, String> {
        Err(no_migration(&Self::INFO, from_version))
    }

    /// Indices of the quantities that `band` can say something about.
    fn traced(&self) -> Vec<usize> {
        Vec::new()
    }

    /// What `judge` is about to hold the reading's quantity against, for plots; called before it.
    fn band(&self, _reading: &Reading<'_>, _memory: &Memory<'_, Self>, _quantity: usize) -> Option<Band> {
        None
    }
}

fn no_migration(info: &Info, from_version: u32) -> String {
    format!(
        "{} {} keeps state of version {} and has no migration from version {from_version}",
        info.name, info.version, info.state_version
    )
}

/// What a plot shows around a reading's value; NaN leaves a gap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// 0 (ordinary) to 1 (certain).
    pub score: f64,
    pub expected: f64,
    pub lower: f64,
    pub upper: f64,
}
