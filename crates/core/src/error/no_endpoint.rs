use std::error::Error;
use std::fmt;
use std::sync::Arc;

use tonic::{Code, Status};

use super::{BreakerOpen, cause, chain, status};
use crate::{ConnectivityState, Endpoint};

/// No endpoint could take the call: UNAVAILABLE. Names each endpoint and what is wrong with it.
///
/// If their breakers hold all of them back, its source is a [`BreakerOpen`]: that of the endpoint which
/// probes first. The call is not tried again then, as after any refusal of a breaker.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NoEndpoint {
    /// The endpoints there are, none of them READY.
    pub endpoints: Vec<NotReady>,
    /// What discovery said last, when it failed or found nothing.
    pub discovery: Option<String>,
}

/// One endpoint that could not take a call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NotReady {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its state.
    pub state: ConnectivityState,
    /// Its last error, if it has had one.
    pub error: Option<String>,
    /// How its breaker refuses calls, if that is what is wrong with it; as of when it was reported,
    /// and so is what the text says of it.
    pub breaker: Option<BreakerOpen>,
}

impl NotReady {
    /// An endpoint that is in `state`, with its last error.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, state: ConnectivityState, error: Option<String>) -> Self {
        Self {
            endpoint,
            state,
            error,
            breaker: None,
        }
    }

    /// The same with the error itself.
    #[must_use]
    pub fn because(
        endpoint: Arc<Endpoint>,
        state: ConnectivityState,
        error: Option<&(dyn Error + 'static)>,
    ) -> Self {
        let mut this = Self::new(endpoint, state, error.map(chain));
        this.breaker = error.and_then(|error| cause::<BreakerOpen>(error).cloned());
        this
    }
}

impl NoEndpoint {
    /// How many endpoints the text names one by one.
    const NAMED: usize = 8;

    /// None of `endpoints` could take the call.
    #[must_use]
    pub fn new(endpoints: Vec<NotReady>, discovery: Option<String>) -> Self {
        Self {
            endpoints,
            discovery,
        }
    }

    /// How the breaker refuses calls that probes first, if breakers hold all endpoints back.
    #[must_use]
    pub fn breaker(&self) -> Option<&BreakerOpen> {
        let mut first: Option<&BreakerOpen> = None;
        for one in &self.endpoints {
            let breaker = one.breaker.as_ref()?;
            // Each was reported at a time of its own, so how long it takes says nothing.
            let order = |it: &BreakerOpen| (it.held, it.probes_at);
            if first.is_none_or(|first| order(breaker) < order(first)) {
                first = Some(breaker);
            }
        }
        first
    }
}

impl fmt::Display for NoEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.endpoints.is_empty() {
            f.write_str("no endpoints")?;
        } else {
            write!(f, "0 of {} endpoints READY", self.endpoints.len())?;
        }
        for (index, one) in self.endpoints.iter().take(Self::NAMED).enumerate() {
            write!(
                f,
                "{} {}: {}",
                if index == 0 { ":" } else { ";" },
                one.endpoint,
                one.state
            )?;
            if let Some(error) = &one.error {
                write!(f, ", {error}")?;
            }
        }
        if self.endpoints.len() > Self::NAMED {
            write!(f, "; and {} more", self.endpoints.len() - Self::NAMED)?;
        }
        if let Some(discovery) = &self.discovery {
            write!(f, "; discovery: {discovery}")?;
        }
        Ok(())
    }
}

impl Error for NoEndpoint {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.breaker().map(|breaker| breaker as _)
    }
}

impl From<NoEndpoint> for Status {
    fn from(error: NoEndpoint) -> Self {
        status(Code::Unavailable, error)
    }
}
