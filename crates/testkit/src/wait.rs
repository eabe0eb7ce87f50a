use std::future::Future;
use std::time::Duration;

/// How long a test waits for what must happen: far longer than it ever takes, on any machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The output of `future`.
///
/// # Panics
///
/// When it has not come within [`PATIENCE`]; the text says that `what` is missing.
#[track_caller]
pub fn within<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(output) => output,
            Err(_) => panic!("{caller}: waited {PATIENCE:?} in vain: {what}"),
        }
    }
}

/// Waits until `condition` holds, for conditions that nothing announces; asks every few
/// milliseconds.
///
/// # Panics
///
/// When it does not hold within [`PATIENCE`]; the text says that `what` is missing.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    within(what, async move {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
}
