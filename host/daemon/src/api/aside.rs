//! Work that waits for the store or takes a core: on a thread of its own, since the store is not to be called from the
//! servers' runtime.

use tokio::sync::oneshot;

use super::problem::Problem;

/// How many of these there may be is for the caller to say.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let (sender, answer) = oneshot::channel();
    let spawned = std::thread::Builder::new().name("api".to_owned()).spawn(move || {
        // Whoever asked may have gone.
        let _ = sender.send(work());
    });
    spawned.map_err(|error| Problem::busy(format!("no thread for it: {error}")))?;
    answer.await.map_err(|_| Problem::busy("it has failed; see the log"))
}
