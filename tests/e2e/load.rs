//! Callers that call without a pause, and count.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use evenkeel::Channel;
use evenkeel_testkit::pb::GetByIdRequest;
use evenkeel_testkit::within;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tonic::Status;

use crate::Client;

/// Several callers, each with a clone of the channel; dropping it ends them.
pub(crate) struct Load {
    counts: Arc<Counts>,
    callers: JoinSet<()>,
}

#[derive(Default)]
struct Counts {
    done: AtomicU64,
    failures: parking_lot::Mutex<Vec<Status>>,
    progress: Notify,
    stop: AtomicBool,
}

impl Load {
    pub(crate) fn start(channel: &Channel, callers: usize) -> Self {
        let counts = Arc::new(Counts::default());
        let mut tasks = JoinSet::new();
        for _ in 0..callers {
            tasks.spawn(run(Client::new(channel.clone()), counts.clone()));
        }
        Self {
            counts,
            callers: tasks,
        }
    }

    /// Calls that have ended.
    pub(crate) fn done(&self) -> u64 {
        self.counts.done.load(Ordering::Relaxed)
    }

    /// Waits until `count` more calls have ended.
    #[track_caller]
    pub(crate) fn pass(&self, count: u64) -> impl Future<Output = ()> {
        let until = self.done() + count;
        within("more calls", async move {
            while self.done() < until {
                let progress = self.counts.progress.notified();
                if self.done() < until {
                    progress.await;
                }
            }
        })
    }

    /// Ends the callers after their present calls; gives how many calls there were, and those
    /// that failed.
    pub(crate) async fn stop(mut self) -> (u64, Vec<Status>) {
        self.counts.stop.store(true, Ordering::Relaxed);
        let end = async {
            while let Some(ended) = self.callers.join_next().await {
                ended.unwrap();
            }
        };
        within("the callers' last calls", end).await;
        let failures = std::mem::take(&mut *self.counts.failures.lock());
        (self.done(), failures)
    }
}

async fn run(mut client: Client, counts: Arc<Counts>) {
    while !counts.stop.load(Ordering::Relaxed) {
        let call = client.get_by_id(GetByIdRequest { id: 1 });
        if let Err(status) = call.await {
            counts.failures.lock().push(status);
        }
        counts.done.fetch_add(1, Ordering::Relaxed);
        counts.progress.notify_waiters();
    }
}
