//! Calls that carry an id, and what became of each of them on both sides.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use evenkeel::Channel;
use evenkeel_testkit::pb::GetByIdRequest;
use evenkeel_testkit::server::CALL_ID;
use evenkeel_testkit::{UserServer, within};
use evenkeel_tests::Client;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tonic::{Request, Status};

/// `message` as the call that servers know by `id`.
pub(crate) fn with_id<T>(id: u64, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(CALL_ID, id.into());
    request
}

/// How often servers have begun each call.
pub(crate) fn executions(servers: &[UserServer]) -> HashMap<u64, u32> {
    let mut executions = HashMap::new();
    for id in servers.iter().flat_map(UserServer::executed) {
        *executions.entry(id).or_default() += 1;
    }
    executions
}

/// Callers that call as fast as they can; dropping it ends them.
pub(crate) struct Load {
    ledger: Arc<Ledger>,
    callers: JoinSet<()>,
}

/// What became of the calls at their callers.
struct Ledger {
    most: u64,
    /// Between the calls of one caller.
    pause: Duration,
    is_over: AtomicBool,
    next: AtomicU64,
    ended: AtomicU64,
    failures: Mutex<HashMap<u64, Status>>,
    progress: Notify,
}

/// What all calls have come to.
pub(crate) struct Outcome {
    /// How many there were; their ids are 0 and up.
    pub(crate) calls: u64,
    pub(crate) failures: HashMap<u64, Status>,
}

impl Load {
    /// `callers` make calls until they are [stopped](Self::stop), or have made `most` in all.
    pub(crate) fn start(channel: &Channel, callers: usize, most: u64) -> Self {
        Self::begin(channel, callers, most, Duration::ZERO)
    }

    /// `callers` make calls until they are [stopped](Self::stop), each with a pause after each, so
    /// that they leave the machine to others.
    pub(crate) fn gentle(channel: &Channel, callers: usize, pause: Duration) -> Self {
        Self::begin(channel, callers, u64::MAX, pause)
    }

    fn begin(channel: &Channel, callers: usize, most: u64, pause: Duration) -> Self {
        let ledger = Arc::new(Ledger {
            most,
            pause,
            is_over: AtomicBool::new(false),
            next: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            failures: Mutex::default(),
            progress: Notify::new(),
        });
        let mut tasks = JoinSet::new();
        for _ in 0..callers {
            tasks.spawn(run(Client::new(channel.clone()), ledger.clone()));
        }
        Self {
            ledger,
            callers: tasks,
        }
    }

    /// Calls that have ended.
    pub(crate) fn ended(&self) -> u64 {
        self.ledger.ended.load(Ordering::Relaxed)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended() == self.ledger.most
    }

    /// Waits until `count` more calls have ended, or all.
    #[track_caller]
    pub(crate) fn pass(&self, count: u64) -> impl Future<Output = ()> {
        let until = self.ended().saturating_add(count).min(self.ledger.most);
        within("more calls", async move {
            while self.ended() < until {
                let progress = self.ledger.progress.notified();
                if self.ended() < until {
                    progress.await;
                }
            }
        })
    }

    /// No further call begins.
    pub(crate) fn stop(&self) {
        self.ledger.is_over.store(true, Ordering::Relaxed);
    }

    /// Waits for the last calls.
    pub(crate) async fn finish(mut self) -> Outcome {
        while !self.has_ended() && !self.ledger.is_over.load(Ordering::Relaxed) {
            self.pass(100).await;
        }
        within("the last calls", async {
            while let Some(ended) = self.callers.join_next().await {
                ended.unwrap();
            }
        })
        .await;
        Outcome {
            calls: self.ended(),
            failures: std::mem::take(&mut *self.ledger.failures.lock()),
        }
    }
}

async fn run(mut client: Client, ledger: Arc<Ledger>) {
    while !ledger.is_over.load(Ordering::Relaxed) {
        let id = ledger.next.fetch_add(1, Ordering::Relaxed);
        if id >= ledger.most {
            return;
        }
        let asked = i64::try_from(id).unwrap();
        let call = client.get_by_id(with_id(id, GetByIdRequest { id: asked }));
        match call.await {
            Ok(answer) => assert_eq!(answer.into_inner().user.unwrap().id, asked),
            Err(status) => drop(ledger.failures.lock().insert(id, status)),
        }
        ledger.ended.fetch_add(1, Ordering::Relaxed);
        ledger.progress.notify_waiters();
        if !ledger.pause.is_zero() {
            tokio::time::sleep(ledger.pause).await;
        }
    }
}
