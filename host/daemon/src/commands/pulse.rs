//! Whether a command that sends for ever still does: `simulate --health`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::cli::Failure;
use crate::http::{Latch, Probe, Readiness};

/// Without anything acknowledged for so long, or for two of the meters' intervals, something is wrong.
const SILENCE_MIN: Duration = Duration::from_secs(120);

/// `/healthz` on an address of its own: alive once something is acknowledged, for as long as more is.
pub struct Pulse {
    latch: Latch,
    acknowledged: u64,
    since: Instant,
    silence_max: Duration,
    _probe: Probe,
}

impl Pulse {
    pub fn start(runtime: &Handle, listen: SocketAddr, interval: Duration) -> Result<Pulse, Failure> {
        let alive = Readiness::default();
        let latch = alive.condition("sending");
        let failed = |error| {
            Failure::Start(format!(
                "--health {listen}: {error}; name a free port of an address of this machine"
            ))
        };
        let probe = runtime.block_on(Probe::start(listen, alive)).map_err(failed)?;
        let silence_max = SILENCE_MIN.max(interval.saturating_mul(2));
        Ok(Pulse { latch, acknowledged: 0, since: Instant::now(), silence_max, _probe: probe })
    }

    /// So many records are acknowledged by now.
    pub fn look(&mut self, acknowledged: u64) {
        if acknowledged > self.acknowledged {
            self.acknowledged = acknowledged;
            self.since = Instant::now();
            self.latch.ready();
        } else if self.since.elapsed() > self.silence_max {
            let seconds = self.since.elapsed().as_secs();
            self.latch.failed(format!("nothing has been acknowledged for {seconds} s"));
        }
    }
}
