use std::future::Future;
use std::io;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

/// A thread with a current-thread runtime that runs one future and everything it spawns.
///
/// Killing it (or dropping this) ends all of that at once: sockets are closed by the time the
/// kill returns, and nothing gets the chance to say goodbye.
#[derive(Debug)]
pub(crate) struct Worker {
    kill: Option<oneshot::Sender<()>>,
    gone: oneshot::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Runs the future that `make` makes; it is made on the new thread, within its runtime.
    pub(crate) fn spawn<F: Future<Output = ()>>(
        name: String,
        make: impl FnOnce() -> F + Send + 'static,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (kill, killed) = oneshot::channel();
        let (going, gone) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    biased;
                    _ = killed => {}
                    () = async move { make().await } => {}
                }
            });
            drop(runtime);
            // Nobody may be waiting.
            let _ = going.send(());
        })?;
        Ok(Self {
            kill: Some(kill),
            gone,
            thread: Some(thread),
        })
    }

    /// Ends everything now, and waits until it has ended.
    pub(crate) async fn kill(mut self) {
        self.kill = None;
        // An error means that the thread is gone already.
        let _ = (&mut self.gone).await;
    }

    /// Waits until the future has ended by itself.
    pub(crate) async fn finished(&mut self) {
        let _ = (&mut self.gone).await;
    }

    /// Whether the future has ended by itself.
    pub(crate) fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed, and failed the call that caused it.
            let _ = thread.join();
        }
    }
}
