use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use evenkeel_core::error::{AttemptError, BoxError, cause};
use evenkeel_core::observe::Ticket;
use evenkeel_core::{Connectivity, Outcome, Progress};
use tonic::{Code, Status, TimeoutExpired};

use crate::snapshot::Slot;

/// An attempt that an endpoint has admitted.
pub struct EndpointTicket<S: Connectivity> {
    slot: Arc<Slot<S>>,
    admission: S::Admission,
    /// When its call must have ended.
    deadline: Option<Instant>,
}

impl<S: Connectivity> EndpointTicket<S> {
    /// Counts an attempt that starts, if its endpoint admits it.
    #[inline]
    pub(crate) fn begin(
        slot: &Arc<Slot<S>>,
        deadline: Option<Instant>,
    ) -> Result<(S::Sender, Self), BoxError> {
        let (sender, admission) = slot.service.admit()?;
        slot.stats.begin();
        let ticket = Self {
            slot: Arc::clone(slot),
            admission,
            deadline,
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
            self.slot.stats.end(outcome);
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
        self.slot.stats.end(outcome);
        self.slot.service.settle(self.admission, outcome, message);
    }

    /// A call that is given up at its deadline has failed, even if only its caller knows: the
    /// endpoint was too slow.
    fn truth(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Abandoned | Outcome::Failure(Code::Cancelled)
                if self
                    .deadline
                    .is_some_and(|at| tokio::time::Instant::now().into_std() >= at) =>
            {
                Outcome::Failure(Code::DeadlineExceeded)
            }
            outcome => outcome,
        }
    }
}

impl<S: Connectivity> Ticket for EndpointTicket<S> {
    #[inline]
    fn settle(self, outcome: Outcome) {
        self.settle_with(outcome, "");
    }
}

impl<S: Connectivity> fmt::Debug for EndpointTicket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EndpointTicket")
            .field(&self.slot.id)
            .finish()
    }
}
