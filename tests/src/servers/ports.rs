//! Ports for servers that refuse to choose one themselves.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Failure;

/// Below the range from which the kernel takes the local ports of outgoing connections: a client that knocks at
/// the port of a killed server must not get it for its own end, or it would talk to itself and keep the server
/// from coming back.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// Whether nobody listens there on the loopback address.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// A port that is free now. Each call gives another; processes begin at different ones.
pub fn pick() -> Result<u16, Failure> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (std::process::id().wrapping_mul(2_654_435_761).wrapping_add(step)) % COUNT;
        let port = u16::try_from(port).map_err(|error| Failure(error.to_string()))?;
        if is_free(port) {
            return Ok(port);
        }
    }
    Err(Failure(format!("no free port among {COUNT} from {FIRST} on")))
}
