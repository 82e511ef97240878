//! WASI preview 1 for core modules that import it: a small module that the encoder puts beside the guest's.
//!
//! It needs no memory and no allocation of the guest (Go's runtime falls over an adapter that allocates before
//! it has started). What it cannot answer by itself it asks of an interface of ours that no dropped file
//! may import.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmList};
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::answers;
use super::world::Printed;
use crate::instance::Inside;

/// The module that guests import its functions from.
pub const PREVIEW_1: &str = "wasi_snapshot_preview1";
const INTERFACE: &str = "gridwatch:host/virtual@0.1.0";
const WIT: &str = "package gridwatch:host@0.1.0;
    interface virtual {
      print: func(file: u32, bytes: list<u8>);
      now: func() -> u64;
      random: func() -> u64;
      exit: func(status: u32);
    }
    world preview1 { import virtual; }";

/// The adapter as the encoder wants it. It takes a millisecond to make, and is wanted for few modules.
pub fn adapter() -> Result<Vec<u8>, String> {
    let mut module = wat::parse_str(include_str!("preview1.wat")).map_err(|e| e.to_string())?;
    let mut resolve = Resolve::default();
    let embedded = resolve
        .push_str("virtual.wit", WIT)
        .and_then(|package| resolve.select_world(&[package], None))
        .and_then(|world| embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8));
    embedded.map_err(|e| format!("{e:#}"))?;
    Ok(module)
}

pub fn is_adapters(import: &str) -> bool {
    import == INTERFACE
}

pub fn link(linker: &mut Linker<Inside>) -> wasmtime::Result<()> {
    let mut world = linker.instance(INTERFACE)?;
    world.func_wrap(
        "print",
        |mut store: StoreContextMut<'_, Inside>, (file, bytes): (u32, WasmList<u8>)| {
            let bytes = bytes.as_le_slice(&store).to_vec();
            let to = if file == 2 { Printed::Error } else { Printed::Out };
            answers::print(&mut store, to, &bytes);
            Ok(())
        },
    )?;
    world.func_wrap("now", |store: StoreContextMut<'_, Inside>, ()| Ok((store.data().world.time_ns(),)))?;
    world.func_wrap("random", |store: StoreContextMut<'_, Inside>, ()| {
        Ok((store.data().world.random_u64(),))
    })?;
    world.func_wrap("exit", |_: StoreContextMut<'_, Inside>, (status,): (u32,)| {
        answers::exit(u8::try_from(status).unwrap_or(u8::MAX))
    })
}
