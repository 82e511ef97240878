//! WASI 0.2's functions, one by one. The arguments' types are wasmtime's proof that a component means the
//! same function; names are as in WASI's own WIT.

use wasmtime::component::{ComponentType, LinkerInstance, Lower, Resource};
use wasmtime::{Result, StoreContextMut};

use super::world::{Printed, WorldError};
use crate::instance::Inside;

pub struct InputStream;
pub struct OutputStream;
pub struct Pollable;
pub struct IoError;
pub struct Descriptor;
pub struct TerminalInput;
pub struct TerminalOutput;

/// What streams answer where they cannot do it.
#[derive(ComponentType, Lower)]
#[component(variant)]
enum StreamError {
    /// Nothing here fails in this way; it is part of the type.
    #[component(name = "last-operation-failed")]
    #[allow(dead_code)]
    Failed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

type Store<'a> = StoreContextMut<'a, Inside>;
type Stream<T> = std::result::Result<T, StreamError>;
type Offered<'a, 'l> = &'a mut LinkerInstance<'l, Inside>;
type Bytes = Vec<u8>;

/// What a stream takes at a time.
const WRITE_BYTES: u64 = 4096;
const CLOCK_RESOLUTION_NS: u64 = 1_000_000;

/// Defines one function; false where there is none of that name here.
pub fn define(offered: Offered<'_, '_>, interface: &str, name: &str) -> Result<bool> {
    match interface.split_once('/') {
        Some(("cli", interface)) => cli(offered, interface, name),
        Some(("clocks", interface)) => clocks(offered, interface, name),
        Some(("random", _)) => random(offered, name),
        Some(("io", "poll")) => poll(offered, name),
        Some(("io", "streams")) => streams(offered, name),
        Some(("filesystem", "preopens")) if name == "get-directories" => {
            offered
                .func_wrap(name, |_: Store<'_>, ()| Ok((Vec::<(Resource<Descriptor>, String)>::new(),)))?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn cli(offered: Offered<'_, '_>, interface: &str, name: &str) -> Result<bool> {
    match (interface, name) {
        ("environment", "get-environment") => {
            offered.func_wrap(name, |_: Store<'_>, ()| Ok((Vec::<(String, String)>::new(),)))?
        }
        ("environment", "get-arguments") => {
            offered.func_wrap(name, |_: Store<'_>, ()| Ok((Vec::<String>::new(),)))?
        }
        ("environment", "initial-cwd") => {
            offered.func_wrap(name, |_: Store<'_>, ()| Ok((None::<String>,)))?
        }
        ("exit", "exit") => offered
            .func_wrap(name, |_: Store<'_>, (status,): (std::result::Result<(), ()>,)| {
                exit(status.is_err().into())
            })?,
        ("exit", "exit-with-code") => {
            offered.func_wrap(name, |_: Store<'_>, (status,): (u8,)| exit(status))?
        }
        ("stdin", "get-stdin") => {
            offered.func_wrap(name, |store: Store<'_>, ()| own::<InputStream>(store, 0))?
        }
        ("stdout", "get-stdout") => {
            offered.func_wrap(name, |store: Store<'_>, ()| own::<OutputStream>(store, OUT))?
        }
        ("stderr", "get-stderr") => {
            offered.func_wrap(name, |store: Store<'_>, ()| own::<OutputStream>(store, ERROR))?
        }
        ("terminal-stdin", "get-terminal-stdin") => {
            offered.func_wrap(name, |_: Store<'_>, ()| Ok((None::<Resource<TerminalInput>>,)))?
        }
        ("terminal-stdout", "get-terminal-stdout") | ("terminal-stderr", "get-terminal-stderr") => {
            offered.func_wrap(name, |_: Store<'_>, ()| Ok((None::<Resource<TerminalOutput>>,)))?
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn clocks(offered: Offered<'_, '_>, interface: &str, name: &str) -> Result<bool> {
    match (interface, name) {
        ("wall-clock", "now") => offered.func_wrap(name, |store: Store<'_>, ()| {
            let ms = store.data().world.time_ms();
            Ok((Datetime { seconds: ms / 1000, nanoseconds: (ms % 1000) as u32 * 1_000_000 },))
        })?,
        ("wall-clock", "resolution") => offered.func_wrap(name, |_: Store<'_>, ()| {
            Ok((Datetime { seconds: 0, nanoseconds: CLOCK_RESOLUTION_NS as u32 },))
        })?,
        ("monotonic-clock", "now") => {
            offered.func_wrap(name, |store: Store<'_>, ()| Ok((store.data().world.time_ns(),)))?
        }
        ("monotonic-clock", "resolution") => {
            offered.func_wrap(name, |_: Store<'_>, ()| Ok((CLOCK_RESOLUTION_NS,)))?
        }
        ("monotonic-clock", "subscribe-instant" | "subscribe-duration") => {
            offered.func_wrap(name, |store: Store<'_>, (_,): (u64,)| own::<Pollable>(store, 0))?
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn random(offered: Offered<'_, '_>, name: &str) -> Result<bool> {
    match name {
        "get-random-bytes" | "get-insecure-random-bytes" => offered
            .func_wrap(name, |store: Store<'_>, (len,): (u64,)| Ok((store.data().world.random(len)?,)))?,
        "get-random-u64" | "get-insecure-random-u64" => {
            offered.func_wrap(name, |store: Store<'_>, ()| Ok((store.data().world.random_u64(),)))?
        }
        "insecure-seed" => offered.func_wrap(name, |store: Store<'_>, ()| {
            let seed = store.data().world.random_u64();
            Ok(((seed, seed.rotate_left(32)),))
        })?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// All that can be waited for is there already.
fn poll(offered: Offered<'_, '_>, name: &str) -> Result<bool> {
    match name {
        "poll" => offered.func_wrap(name, |_: Store<'_>, (waits,): (Vec<Resource<Pollable>>,)| {
            Ok(((0..waits.len() as u32).collect::<Vec<u32>>(),))
        })?,
        "[method]pollable.ready" => {
            offered.func_wrap(name, |_: Store<'_>, (_,): (Resource<Pollable>,)| Ok((true,)))?
        }
        "[method]pollable.block" => {
            offered.func_wrap(name, |_: Store<'_>, (_,): (Resource<Pollable>,)| Ok(()))?
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn streams(offered: Offered<'_, '_>, name: &str) -> Result<bool> {
    type In = Resource<InputStream>;
    type Out = Resource<OutputStream>;
    match name {
        "[method]input-stream.read" | "[method]input-stream.blocking-read" => {
            offered.func_wrap(name, |_: Store<'_>, (_, _): (In, u64)| Ok((closed::<Bytes>(),)))?
        }
        "[method]input-stream.skip" | "[method]input-stream.blocking-skip" => {
            offered.func_wrap(name, |_: Store<'_>, (_, _): (In, u64)| Ok((closed::<u64>(),)))?
        }
        "[method]input-stream.subscribe" => {
            offered.func_wrap(name, |store: Store<'_>, (_,): (In,)| own::<Pollable>(store, 0))?
        }
        "[method]output-stream.subscribe" => {
            offered.func_wrap(name, |store: Store<'_>, (_,): (Out,)| own::<Pollable>(store, 0))?
        }
        "[method]output-stream.check-write" => {
            offered.func_wrap(name, |_: Store<'_>, (_,): (Out,)| Ok((Stream::Ok(WRITE_BYTES),)))?
        }
        "[method]output-stream.write" | "[method]output-stream.blocking-write-and-flush" => offered
            .func_wrap(name, |mut store: Store<'_>, (to, bytes): (Out, Bytes)| {
                let to = if to.rep() == ERROR { Printed::Error } else { Printed::Out };
                print(&mut store, to, &bytes);
                Ok((Stream::Ok(()),))
            })?,
        "[method]output-stream.flush" | "[method]output-stream.blocking-flush" => {
            offered.func_wrap(name, |_: Store<'_>, (_,): (Out,)| Ok((Stream::Ok(()),)))?
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// What an output stream's handle stands for.
const OUT: u32 = 1;
const ERROR: u32 = 2;

pub fn print(store: &mut Store<'_>, to: Printed, bytes: &[u8]) {
    let inside = store.data_mut();
    inside.world.print(to, bytes, &mut inside.log);
}

pub fn exit(status: u8) -> Result<()> {
    Err(WorldError::Exit { status }.into())
}

fn own<T: 'static>(mut store: Store<'_>, what: u32) -> Result<(Resource<T>,)> {
    store.data_mut().world.hold()?;
    Ok((Resource::new_own(what),))
}

fn closed<T>() -> Stream<T> {
    Err(StreamError::Closed)
}
