//! WASI as far as toolchains drag it in, with no world behind it.
//!
//! A guest built for `wasm32-wasip1` imports WASI whether or not it uses it: a hash map wants random keys, a
//! panic wants to be printed, a C library looks for open files. Each is answered such that what a detector
//! says stays a function of what it read, however that was cut into batches and whenever it was restored:
//!
//! - clocks stand at the last tick that `advance` told (1 s after 1970 before the first). They do not move
//!   within a call, nor from call to call but by `advance`: how many calls there are carries no meaning.
//! - random numbers are those of a stream made from the module's digest, and each draw begins it anew: any
//!   other rule would let the number of calls before show. A guest that wants more than one draw makes a
//!   generator of the first, and keeps it in its state.
//! - what is printed goes to the log by lines, standard error as errors. There is nothing to read.
//! - no files, environment or arguments. Whoever waits goes on at once; the clock stays where it is.
//! - `exit`, and all else that needs a world, is a trap that names it.
//!
//! Functions are defined for each component as it names them, so that any 0.2 will do; nothing of this is
//! there for a component that does not ask for it.

mod adapter;
mod answers;
mod world;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, LinkerInstance, ResourceType};

use crate::instance::Inside;

pub use adapter::{PREVIEW_1, adapter, is_adapters, link as link_adapter};
pub use world::World;

/// Packages whose interfaces are answered. No sockets, no HTTP.
const PACKAGES: [&str; 5] = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/"];

/// Whether a component's import is one that is answered: `wasi:io/streams@0.2.3`.
pub fn is_offered(import: &str) -> bool {
    interface(import).is_some()
}

/// `io/streams` of `wasi:io/streams@0.2.3`.
fn interface(import: &str) -> Option<&str> {
    let (name, version) = import.split_once('@')?;
    let is_answered = version.starts_with("0.2.") && PACKAGES.iter().any(|package| name.starts_with(package));
    if is_answered { name.strip_prefix("wasi:") } else { None }
}

/// Defines what of WASI the component imports. A function under a known name and with other types is found
/// when the component is linked.
pub fn link(linker: &mut Linker<Inside>, component: &Component) -> wasmtime::Result<()> {
    let engine = linker.engine().clone();
    for (import, item) in component.component_type().imports(&engine) {
        let (ComponentItem::ComponentInstance(instance), Some(interface)) = (item.ty, interface(import))
        else {
            continue;
        };
        let mut offered = linker.instance(import)?;
        for (name, item) in instance.exports(&engine) {
            match item.ty {
                ComponentItem::Resource(_) => resource(&mut offered, name)?,
                ComponentItem::ComponentFunc(_) => function(&mut offered, import, interface, name)?,
                _ => {}
            }
        }
    }
    Ok(())
}

fn resource(offered: &mut LinkerInstance<'_, Inside>, name: &str) -> wasmtime::Result<()> {
    let kind = match name {
        "input-stream" => ResourceType::host::<answers::InputStream>(),
        "output-stream" => ResourceType::host::<answers::OutputStream>(),
        "pollable" => ResourceType::host::<answers::Pollable>(),
        "error" => ResourceType::host::<answers::IoError>(),
        "descriptor" => ResourceType::host::<answers::Descriptor>(),
        "terminal-input" => ResourceType::host::<answers::TerminalInput>(),
        "terminal-output" => ResourceType::host::<answers::TerminalOutput>(),
        _ => ResourceType::host::<Other>(),
    };
    offered.resource(name, kind, |mut store, _| {
        store.data_mut().world.release();
        Ok(())
    })
}

/// Of a kind that nothing here gives out.
struct Other;

/// Answered, or else a trap that says what was called.
fn function(
    offered: &mut LinkerInstance<'_, Inside>,
    import: &str,
    interface: &str,
    name: &str,
) -> wasmtime::Result<()> {
    if answers::define(offered, interface, name)? {
        return Ok(());
    }
    let called = format!("{import}#{name}");
    offered.func_new(name, move |_, _, _, _| Err(Called(called.clone()).into()))
}

/// A guest has called what a detector is not given.
#[derive(Debug, thiserror::Error)]
#[error("called {0}, which detectors are not given")]
struct Called(String);
