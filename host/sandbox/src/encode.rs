//! A plain core module, built against the world, made into a component.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::anatomy::{Anatomy, CONTRACT};
use crate::refusal::Refusal;
use crate::wasi;

/// The custom section in which wit-bindgen keeps the world starts with this.
const WORLD_SECTION: &str = "component-type";
/// How the canonical ABI names exports of the contract: this, the version, `#` and the function.
const EXPORT: &str = "gridwatch:detector/detector@";

/// `anatomy` is that of `module`, whose imports have been looked at.
pub fn component(module: &[u8], anatomy: &Anatomy) -> Result<Vec<u8>, Refusal> {
    let with_world;
    let module = if anatomy.custom.iter().any(|name| name.starts_with(WORLD_SECTION)) {
        module
    } else {
        with_world = world_of(module, anatomy)?;
        &with_world
    };
    let mut encoder = ComponentEncoder::default().validate(true).module(module).map_err(|e| unfit(&e))?;
    if anatomy.imports.iter().any(|import| import.split('.').next() == Some(wasi::PREVIEW_1)) {
        let adapter = wasi::adapter().map_err(|e| unfit(&e))?;
        encoder = encoder.adapter(wasi::PREVIEW_1, &adapter).map_err(|e| unfit(&e))?;
    }
    encoder.encode().map_err(|e| unfit(&e))
}

/// A module that says nothing of its world, but whose exports have the contract's names: whoever writes in a
/// language without bindings needs no tool but a compiler.
fn world_of(module: &[u8], anatomy: &Anatomy) -> Result<Vec<u8>, Refusal> {
    let named = anatomy.exports.iter().find_map(|name| name.strip_prefix(EXPORT)?.split('#').next());
    let found = named.ok_or(Refusal::NoWorld)?;
    if CONTRACT.rsplit('@').next() != Some(found) {
        return Err(Refusal::WrongContract { found: found.to_owned(), spoken: CONTRACT });
    }
    let mut module = module.to_vec();
    let mut resolve = Resolve::default();
    resolve
        .push_str("detector.wit", include_str!("../../../wit/detector.wit"))
        .and_then(|package| resolve.select_world(&[package], None))
        .and_then(|world| embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8))
        .map_err(|e| unfit(&e))?;
    Ok(module)
}

fn unfit(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::CoreUnfit { what: format!("{error:#}").replace('\n', " ") }
}
