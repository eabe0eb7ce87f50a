use std::time::Duration;

use evenkeel_core::{Deadline as DeadlineAt, WaitForReady, headers};
use http::Request;
use tokio::time::Instant;

use crate::method::Method;
use crate::timeout::{self, GRPC_TIMEOUT};

/// What a request says of its call's time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    /// Its `grpc-timeout`.
    pub(crate) timeout: Option<Duration>,
    /// Its extensions.
    pub(crate) deadline: Option<DeadlineAt>,
    pub(crate) wait_for_ready: Option<WaitForReady>,
}

impl Terms {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let timeout = headers::get(request.headers(), &GRPC_TIMEOUT);
        let extensions = request.extensions();
        Self {
            timeout: timeout.and_then(timeout::decode),
            deadline: extensions.get().copied(),
            wait_for_ready: extensions.get().copied(),
        }
    }

    /// When a call ends that starts now and has no other terms.
    #[inline]
    pub(crate) fn end(&self) -> Option<Instant> {
        match (self.deadline, self.timeout) {
            (Some(DeadlineAt(at)), _) => Some(at.into()),
            (None, Some(timeout)) => Instant::now().checked_add(timeout),
            (None, None) => None,
        }
    }
}

impl Method {
    /// Finds when a call ends, and writes it into the request and its `terms`.
    ///
    /// # Errors
    ///
    /// The time is over before it has begun.
    #[inline]
    pub(crate) fn apply<B>(
        &self,
        request: &mut Request<B>,
        terms: &mut Terms,
    ) -> Result<Option<Instant>, Over> {
        if self.wait_for_ready == Some(true) && terms.wait_for_ready.is_none() {
            request.extensions_mut().insert(WaitForReady(true));
            terms.wait_for_ready = Some(WaitForReady(true));
        }
        if self.timeout.is_none() && terms.timeout.is_none() && terms.deadline.is_none() {
            return Ok(None);
        }
        self.write(request, terms)
    }

    fn write<B>(
        &self,
        request: &mut Request<B>,
        terms: &mut Terms,
    ) -> Result<Option<Instant>, Over> {
        let configured = self.timeout.as_ref();
        let now = Instant::now();
        let earlier = terms.deadline;
        let left =
            earlier.map(|DeadlineAt(at)| Instant::from_std(at).saturating_duration_since(now));
        let configured_for = configured.map(|timeout| timeout.duration);
        let shortest = [configured_for, terms.timeout, left]
            .into_iter()
            .flatten()
            .min();
        // What does not fit into an Instant lasts longer than the process.
        let at = shortest.and_then(|timeout| now.checked_add(timeout));
        let (Some(timeout), Some(at)) = (shortest, at) else {
            return Ok(None);
        };
        if timeout.is_zero() {
            return Err(Over(at));
        }
        if earlier.is_none_or(|DeadlineAt(earlier)| at.into_std() < earlier) {
            let deadline = DeadlineAt(at.into_std());
            request.extensions_mut().insert(deadline);
            terms.deadline = Some(deadline);
        }
        if terms.timeout != Some(timeout) {
            let header = match configured {
                Some(configured) if configured.duration == timeout => configured.header.clone(),
                _ => timeout::encode(timeout),
            };
            request.headers_mut().insert(&GRPC_TIMEOUT, header);
            terms.timeout = Some(timeout);
        }
        Ok(Some(at))
    }
}

/// A call's time was over at that instant, before it had begun.
#[derive(Debug)]
pub(crate) struct Over(pub(crate) Instant);
