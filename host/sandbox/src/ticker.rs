//! The clock that interrupts guests: it moves the engine's epoch on, at a fixed pace.

use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::Engine;

/// How often a running guest can be looked at. Short against any deadline worth setting, long enough
/// that a hundred wake-ups a second cost nothing.
pub const TICK: Duration = Duration::from_millis(10);

/// Starts the thread. It holds the engine weakly and ends when the last sandbox, module and instance
/// is gone.
pub fn start(engine: &Engine) -> std::io::Result<JoinHandle<()>> {
    let weak = engine.weak();
    std::thread::Builder::new().name("epoch".to_owned()).spawn(move || {
        while let Some(engine) = weak.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    #[test]
    fn ends_with_the_engine() {
        let engine = wasmtime::Engine::default();
        let thread = super::start(&engine).unwrap();
        drop(engine);
        thread.join().unwrap();
    }
}
