use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderValue;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tonic::{Code, Status};

use super::health::Health;
use super::load_report::OrcaLoadReport;

/// What a server does with the calls it gets.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_enums, reason = "tests choose, they never match")]
pub enum Behaviour {
    /// Answers at once.
    #[default]
    Answer,
    /// Answers after this time.
    AnswerAfter(Duration),
    /// Answers with this status.
    Fail(Status),
    /// Answers, lets this many messages of a stream pass, and ends it with this status. A unary
    /// call fails if the number is 0.
    FailAfter(usize, Status),
    /// Answers the first of each so many calls with this status, and the others at once.
    FailEach(u64, Status),
    /// Does nothing, and reads nothing, until another behaviour is chosen.
    Hang,
}

impl Behaviour {
    /// Fails with `code`.
    #[must_use]
    pub fn fail(code: Code) -> Self {
        Self::Fail(scripted(code))
    }
}

pub(super) fn scripted(code: Code) -> Status {
    Status::new(code, format!("scripted: {code:?}"))
}

/// The behaviour of a server, common to all its calls.
#[derive(Debug, Default)]
pub(super) struct Script {
    behaviour: watch::Sender<Behaviour>,
    failing: Mutex<Option<Failing>>,
    avatar_len: AtomicUsize,
    /// Calls that [`Behaviour::FailEach`] has counted.
    counted: AtomicU64,
    load_report: Mutex<Option<HeaderValue>>,
    load_stream: watch::Sender<Option<OrcaLoadReport>>,
    /// By the names of services.
    health: watch::Sender<HashMap<String, Health>>,
    pub(super) gate: Gate,
}

#[derive(Debug)]
struct Failing {
    left: u32,
    code: Code,
}

impl Script {
    pub(super) fn behave(&self, behaviour: Behaviour) {
        self.behaviour.send_replace(behaviour);
    }

    pub(super) fn fail_next(&self, count: u32, code: Code) {
        *self.failing.lock() = Some(Failing { left: count, code });
    }

    pub(super) fn set_avatar_len(&self, bytes: usize) {
        self.avatar_len.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn avatar(&self) -> String {
        "x".repeat(self.avatar_len.load(Ordering::Relaxed))
    }

    pub(super) fn report_load(&self, report: Option<&OrcaLoadReport>) {
        *self.load_report.lock() = report.map(OrcaLoadReport::header);
    }

    pub(super) fn load_report(&self) -> Option<HeaderValue> {
        self.load_report.lock().clone()
    }

    pub(super) fn stream_load(&self, report: Option<&OrcaLoadReport>) {
        self.load_stream.send_replace(report.cloned());
    }

    /// The load to stream, and whatever takes its place.
    pub(super) fn streamed_load(&self) -> watch::Receiver<Option<OrcaLoadReport>> {
        self.load_stream.subscribe()
    }

    pub(super) fn set_health(&self, service: &str, health: Health) {
        self.health.send_modify(|known| {
            known.insert(service.to_owned(), health);
        });
    }

    /// What is said of each service, and whatever takes its place.
    pub(super) fn healths(&self) -> watch::Receiver<HashMap<String, Health>> {
        self.health.subscribe()
    }

    /// What happens to one call: how it may go on, or the status it fails with.
    pub(super) async fn admit(&self) -> Result<Admitted, Status> {
        if let Some(code) = self.take_failure() {
            return Err(scripted(code));
        }
        let mut behaviour = self.behaviour.subscribe();
        loop {
            let present = behaviour.borrow_and_update().clone();
            match present {
                Behaviour::Answer => return Ok(Admitted::default()),
                Behaviour::AnswerAfter(delay) => {
                    tokio::time::sleep(delay).await;
                    return Ok(Admitted::default());
                }
                Behaviour::Fail(status) | Behaviour::FailAfter(0, status) => return Err(status),
                Behaviour::FailEach(calls, status) => {
                    let before = self.counted.fetch_add(1, Ordering::Relaxed);
                    return match before.is_multiple_of(calls) {
                        true => Err(status),
                        false => Ok(Admitted::default()),
                    };
                }
                Behaviour::FailAfter(messages, status) => {
                    return Ok(Admitted {
                        then: Some((messages, status)),
                    });
                }
                Behaviour::Hang => {
                    if behaviour.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            }
        }
    }

    fn take_failure(&self) -> Option<Code> {
        let mut failing = self.failing.lock();
        let one = failing.as_mut()?;
        if one.left == 0 {
            *failing = None;
            return None;
        }
        one.left -= 1;
        Some(one.code)
    }
}

/// How an admitted call goes on.
#[derive(Debug, Default)]
pub(super) struct Admitted {
    then: Option<(usize, Status)>,
}

impl Admitted {
    /// Whether one more message of the stream may pass.
    pub(super) fn message(&mut self) -> Result<(), Status> {
        match &mut self.then {
            Some((0, status)) => Err(status.clone()),
            Some((left, _)) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// Stands between the messages of streams.
#[derive(Debug)]
pub(super) struct Gate {
    open: watch::Sender<bool>,
    permits: Semaphore,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            open: watch::Sender::new(true),
            permits: Semaphore::new(0),
        }
    }
}

impl Gate {
    pub(super) fn open(&self) {
        self.open.send_replace(true);
    }

    pub(super) fn close(&self) {
        self.permits.forget_permits(usize::MAX);
        self.open.send_replace(false);
    }

    pub(super) fn let_through(&self, count: usize) {
        self.permits.add_permits(count);
    }

    /// Waits until one message may pass. Cancel safe.
    pub(super) async fn pass(&self) {
        let mut open = self.open.subscribe();
        tokio::select! {
            biased;
            _ = open.wait_for(|open| *open) => {}
            permit = self.permits.acquire() => {
                permit.expect("never closed").forget();
            }
        }
    }
}
