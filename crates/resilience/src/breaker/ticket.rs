use std::sync::Arc;
use std::time::Instant;

use evenkeel_core::error::{AttemptError, cause, code_name};
use evenkeel_core::observe::Ticket;
use evenkeel_core::{Outcome, Progress};
use evenkeel_policy::breaker::Admission;
use tonic::{Code, Status, TimeoutExpired};

use super::shared::{Shared, now};

/// One admitted attempt.
pub(super) struct BreakerTicket {
    shared: Arc<Shared>,
    admission: Admission,
    /// When its call must have ended.
    deadline: Option<Instant>,
}

impl BreakerTicket {
    pub(super) const fn new(
        shared: Arc<Shared>,
        admission: Admission,
        deadline: Option<Instant>,
    ) -> Self {
        Self {
            shared,
            admission,
            deadline,
        }
    }

    /// The response has begun, and does not say that it is a failure.
    pub(super) fn answered(&self) {
        self.shared.answered(self.admission);
    }

    /// The attempt failed with `status`.
    pub(super) fn settle_status(self, status: &Status) {
        let attempt = cause::<AttemptError>(status);
        if attempt.is_some_and(|it| it.progress() == Progress::NotSent) {
            // It never left: whatever the time, that says nothing about whoever would have answered.
            let message = status.message();
            return self
                .shared
                .settle(self.admission, Outcome::Abandoned, message);
        }
        let outcome = if cause::<TimeoutExpired>(status).is_some() {
            Outcome::Failure(Code::DeadlineExceeded)
        } else {
            Outcome::Failure(status.code())
        };
        self.settle_with(outcome, status.message());
    }

    /// The attempt ended, with the text of its failure.
    pub(super) fn settle_with(self, outcome: Outcome, message: &str) {
        let outcome = self.truth(outcome);
        self.shared.settle(self.admission, outcome, message);
    }

    /// A call that is given up at its deadline has failed, even if only its caller knows.
    fn truth(&self, outcome: Outcome) -> Outcome {
        let given_up = matches!(
            outcome,
            Outcome::Abandoned | Outcome::Failure(Code::Cancelled)
        );
        if given_up && self.deadline.is_some_and(|deadline| deadline <= now()) {
            return Outcome::Failure(Code::DeadlineExceeded);
        }
        outcome
    }
}

impl Ticket for BreakerTicket {
    fn settle(self, outcome: Outcome) {
        self.settle_with(outcome, "");
    }

    fn fail(self, outcome: Outcome, message: &str) {
        self.settle_with(outcome, message);
    }
}

/// How a breaker tells the failure that tripped it.
#[cold]
pub(super) fn failure_text(outcome: Outcome, message: &str) -> String {
    let code = match outcome {
        Outcome::Failure(code) => code_name(code),
        Outcome::Success | Outcome::Abandoned => "no failure",
    };
    match message {
        "" => code.to_owned(),
        message => format!("{code}: {message}"),
    }
}
