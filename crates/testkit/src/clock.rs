use std::sync::mpsc;

use crate::wait::PATIENCE;

/// Stops the clock of a runtime whose time is paused: it moves only where the test moves it, and
/// not while real servers are waited for. When this is dropped, or after four times [`PATIENCE`], it
/// runs on from timer to timer, and what is waited for in vain fails.
#[derive(Debug)]
#[must_use]
pub struct StoppedClock(#[expect(dead_code, reason = "dropped with it")] mpsc::Sender<()>);

impl StoppedClock {
    /// Stops the clock of the current runtime.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[expect(clippy::new_without_default, reason = "it does something")]
    pub fn new() -> Self {
        let (holder, held) = mpsc::channel();
        // Time that is paused does not run on while something blocks.
        tokio::task::spawn_blocking(move || held.recv_timeout(4 * PATIENCE));
        Self(holder)
    }
}
