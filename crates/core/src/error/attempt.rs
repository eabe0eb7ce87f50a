use std::any::Any;
use std::error::Error;
use std::fmt;

use parking_lot::Mutex;
use tonic::{Code, Status};

use super::{BoxError, chain, status};
use crate::{Picked, Progress};

/// An attempt failed on this side of the wire: not by the server's word.
///
/// It says how far the attempt got, where it went, and gives the request back when it never left.
pub struct AttemptError {
    progress: Progress,
    picked: Option<Picked>,
    source: BoxError,
    request: Mutex<Option<Box<dyn Any + Send>>>,
}

impl AttemptError {
    /// An attempt that got as far as `progress` and failed because of `source`.
    pub fn new(progress: Progress, source: impl Into<BoxError>) -> Self {
        Self {
            progress,
            picked: None,
            source: source.into(),
            request: Mutex::new(None),
        }
    }

    /// An attempt that never left, with its whole request.
    pub fn unsent<B: Send + 'static>(
        request: http::Request<B>,
        source: impl Into<BoxError>,
    ) -> Self {
        let mut error = Self::new(Progress::NotSent, source);
        error.request = Mutex::new(Some(Box::new(request)));
        error
    }

    /// The same, with the endpoint it went to.
    #[must_use]
    pub fn with_picked(mut self, picked: Picked) -> Self {
        self.picked = Some(picked);
        self
    }

    /// How far the attempt got.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// The endpoint it went to, as the balancer picked it.
    #[must_use]
    pub const fn picked(&self) -> Option<&Picked> {
        self.picked.as_ref()
    }

    /// Takes the request of an attempt that never left; once, and only with its own body type.
    #[must_use]
    pub fn take_request<B: 'static>(&self) -> Option<http::Request<B>> {
        let mut slot = self.request.lock();
        match slot.take()?.downcast::<http::Request<B>>() {
            Ok(request) => Some(*request),
            Err(other) => {
                *slot = Some(other);
                None
            }
        }
    }

    /// The status a caller sees if nothing tries again.
    #[must_use]
    pub fn into_status(self, code: Code) -> Status {
        status(code, self)
    }
}

impl fmt::Debug for AttemptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptError")
            .field("progress", &self.progress)
            .field("picked", &self.picked)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for AttemptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.picked {
            Some(picked) => write!(f, "{}: {}", picked.endpoint, chain(&*self.source)),
            None => f.write_str(&chain(&*self.source)),
        }
    }
}

impl Error for AttemptError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
