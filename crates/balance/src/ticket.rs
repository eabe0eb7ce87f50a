use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use evenkeel_core::error::{AttemptError, BoxError, cause};
use evenkeel_core::observe::{Ticket, waited_for};
use evenkeel_core::{Admit, Connectivity, Outcome, Progress};
use http::{HeaderMap, HeaderName};
use tonic::{Code, Status, TimeoutExpired};

use crate::snapshot::Slot;

/// An attempt that an endpoint has admitted.
pub struct EndpointTicket<S: Connectivity> {
    slot: Arc<Slot<S>>,
    admission: S::Admission,
    /// When its call must have ended.
    deadline: Option<Instant>,
    /// When it started, if the policy wants to know how long it takes and the answer has not begun.
    timed_since: Option<Instant>,
}

impl<S: Connectivity> EndpointTicket<S> {
    /// Counts an attempt that starts, if its endpoint admits it.
    #[inline]
    pub(crate) fn begin(
        slot: &Arc<Slot<S>>,
        admit: Admit,
        deadline: Option<Instant>,
    ) -> Result<(S::Sender, Self), BoxError> {
        let (sender, admission) = slot.service.admit(admit)?;
        slot.stats.begin();
        let ticket = Self {
            slot: Arc::clone(slot),
            admission,
            deadline,
            timed_since: slot.demand.wants_latency().then(now),
        };
        Ok((sender, ticket))
    }

    pub(crate) const fn slot(&self) -> &Arc<Slot<S>> {
        &self.slot
    }

    /// It never left, and goes elsewhere.
    pub(crate) fn take_back(self) {
        self.slot.stats.unsent();
        let admission = self.admission;
        self.slot.service.settle(admission, Outcome::Abandoned, "");
    }

    /// It was answered with a failure, or failed without an answer.
    pub(crate) fn settle_status(self, status: &Status) {
        let attempt = cause::<AttemptError>(status);
        // An error is never a success, whatever its code.
        let outcome = Outcome::Failure(status.code());
        if attempt.is_some_and(|it| it.progress() == Progress::NotSent) {
            // The connection's business: it says nothing about whoever answers there.
            self.slot.stats.unsent();
            self.slot
                .service
                .settle(self.admission, Outcome::Abandoned, "");
        } else if cause::<TimeoutExpired>(status).is_some() {
            let outcome = Outcome::Failure(Code::DeadlineExceeded);
            self.settle_with(outcome, status.message());
        } else {
            self.settle_with(outcome, status.message());
        }
    }

    pub(crate) fn settle_with(self, outcome: Outcome, message: &str) {
        let outcome = self.truth(outcome);
        self.end(outcome);
        self.slot.service.settle(self.admission, outcome, message);
    }

    #[inline]
    fn end(&self, outcome: Outcome) {
        self.slot.stats.end(outcome);
        match outcome {
            Outcome::Failure(code) if self.is_watched() => self.observe_failure(code),
            _ => self.time(outcome),
        }
    }

    /// The answer has begun, and does not say that it is a failure.
    #[inline]
    pub(crate) fn answered(&mut self) {
        self.time(Outcome::Success);
        self.timed_since = None;
        self.slot.service.answered(&self.admission);
    }

    #[inline]
    fn time(&self, outcome: Outcome) {
        if let Some(since) = self.timed_since {
            self.record_latency(Some(since), outcome);
        }
    }

    /// Whether the policy may want to know that it has failed.
    fn is_watched(&self) -> bool {
        let demand = &self.slot.demand;
        demand.wants_failures() || demand.wants_latency() || self.timed_since.is_some()
    }

    #[cold]
    fn observe_failure(&self, code: Code) {
        let demand = &self.slot.demand;
        let latency = demand.observe().latency;
        let is_failure = latency.is_some_and(|latency| latency.failures.contains(code));
        // One whose answer had begun was timed; that it failed is another matter.
        if is_failure || self.timed_since.is_some() {
            self.record_latency(self.timed_since, Outcome::Failure(code));
        }
        if demand.wants_failures() && demand.observe().failures.contains(code) {
            demand.tell_failure();
        }
    }

    #[cold]
    fn record_latency(&self, since: Option<Instant>, outcome: Outcome) {
        if let Some(latency) = &self.slot.demand.observe().latency {
            let now = now();
            let took = since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
            self.slot.stats.record_latency(now, took, outcome, latency);
        }
    }

    #[cold]
    fn read_load(&self, trailers: &HeaderMap) {
        let observe = self.slot.demand.observe();
        if let Some(reader) = &observe.load
            && let Some(weight) = load_report(trailers, |report| reader.weight(report))
        {
            self.slot.stats.record_load(now(), weight);
        }
    }

    /// A call that is given up at its deadline has failed, even if only its caller knows: the
    /// endpoint was too slow.
    fn truth(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Abandoned | Outcome::Failure(Code::Cancelled)
                if self.deadline.is_some_and(|at| now() >= at) =>
            {
                if outcome == Outcome::Abandoned {
                    waited_for(&self.slot.picked().endpoint);
                }
                Outcome::Failure(Code::DeadlineExceeded)
            }
            outcome => outcome,
        }
    }
}

/// The time as tokio has it, which tests pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

static LOAD_REPORT: HeaderName = HeaderName::from_static("endpoint-load-metrics-bin");

/// What `read` makes of an encoded `OrcaLoadReport`; `None` when there is none, more than one, a
/// garbled one (gRFC A58), or one of more than 64 KiB.
fn load_report<T>(trailers: &HeaderMap, read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
    /// What nearly all fit into, so that they cost no allocation.
    const SHORT: usize = 258;
    const LONGEST: usize = 65_536;
    let most = |bytes: usize| bytes.div_ceil(3) * 4;
    let mut reports = trailers.get_all(&LOAD_REPORT).iter();
    let (Some(report), None) = (reports.next(), reports.next()) else {
        return None;
    };
    if report.len() > most(LONGEST) {
        None
    } else if report.len() > most(SHORT) {
        read(&BINARY.decode(report).ok()?)
    } else {
        let mut bytes = [0; SHORT];
        let length = BINARY.decode_slice(report, &mut bytes).ok()?;
        read(&bytes[..length])
    }
}

/// gRPC's binary metadata: with padding or without.
const BINARY: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl<S: Connectivity> Ticket for EndpointTicket<S> {
    #[inline]
    fn ends_with(&mut self, trailers: &HeaderMap) {
        if self.slot.demand.wants_load() {
            self.read_load(trailers);
        }
    }

    #[inline]
    fn settle(self, outcome: Outcome) {
        self.settle_with(outcome, "");
    }

    fn fail(self, outcome: Outcome, message: &str) {
        self.settle_with(outcome, message);
    }
}

impl<S: Connectivity> fmt::Debug for EndpointTicket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EndpointTicket")
            .field(&self.slot.id)
            .finish()
    }
}
