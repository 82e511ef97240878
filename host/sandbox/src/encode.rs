//! A plain core module, built against the world, made into a component.

use wit_component::ComponentEncoder;

use crate::anatomy::Anatomy;
use crate::refusal::Refusal;

/// The custom section in which wit-bindgen keeps the world starts with this.
const WORLD_SECTION: &str = "component-type";

/// `anatomy` is that of `module`, whose imports have been looked at.
pub fn component(module: &[u8], anatomy: &Anatomy) -> Result<Vec<u8>, Refusal> {
    if !anatomy.custom.iter().any(|name| name.starts_with(WORLD_SECTION)) {
        return Err(Refusal::NoWorld);
    }
    let mut encoder = ComponentEncoder::default().validate(true).module(module).map_err(|e| unfit(&e))?;
    encoder.encode().map_err(|e| unfit(&e))
}

fn unfit(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::CoreUnfit { what: format!("{error:#}").replace('\n', " ") }
}
