//! The quantities that gridwatch knows by name, and their units.

/// Name and unit; `None` where the quantity is a pure number.
pub(super) const BUILT_IN: [(&str, Option<&str>); 14] = [
    ("voltage", Some("V")),
    ("voltage_l1", Some("V")),
    ("voltage_l2", Some("V")),
    ("voltage_l3", Some("V")),
    ("current", Some("A")),
    ("current_l1", Some("A")),
    ("current_l2", Some("A")),
    ("current_l3", Some("A")),
    ("power", Some("W")),
    ("reactive_power", Some("var")),
    ("apparent_power", Some("VA")),
    ("power_factor", None),
    ("frequency", Some("Hz")),
    ("temperature", Some("°C")),
];

/// The unit of a built-in quantity; `None` for pure numbers and for names that are not built in.
pub fn unit_of(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, _)| *known == name).and_then(|(_, unit)| *unit)
}
