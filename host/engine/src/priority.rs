//! Threads whose work can wait for the lanes.

/// From now on this thread steps back behind those of lanes, by so many degrees of 19. Where it cannot be so, it takes
/// what it gets.
pub fn yield_to_lanes(nice: i32) {
    // Of this thread alone, as Linux has it.
    if let Err(error) = rustix::process::setpriority_process(None, nice) {
        tracing::debug!(%error, "a thread that can wait has the priority of a lane's");
    }
}
