//! The clock that interrupts guests: it moves the engine's epoch on, at a fixed pace.

use std::time::Duration;

use wasmtime::Engine;

/// How often a running guest can be looked at. Short against any deadline worth setting, long enough
/// that a hundred wake-ups a second cost nothing.
pub const TICK: Duration = Duration::from_millis(10);

/// Starts the thread. It holds the engine weakly and ends when the last sandbox, module and instance
/// is gone.
pub fn start(engine: &Engine) -> std::io::Result<()> {
    let weak = engine.weak();
    std::thread::Builder::new().name("epoch".to_owned()).spawn(move || {
        while let Some(engine) = weak.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    })?;
    Ok(())
}
