//! Which tasks live on the test's own runtime.

use tokio::runtime::Handle;

use crate::wait::eventually;

/// How many tasks the current runtime has; the future that `block_on` runs is none of them.
///
/// # Panics
///
/// Outside a runtime.
#[must_use]
pub fn alive() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Waits until no more than `most` tasks are alive: aborted tasks go when the runtime gets to
/// them.
///
/// # Panics
///
/// When there are still more after [`PATIENCE`](crate::PATIENCE), and outside a runtime.
pub async fn at_most(most: usize) {
    let what = format!("the end of all but {most} tasks");
    eventually(&what, || alive() <= most).await;
}
