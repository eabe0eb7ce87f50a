use std::fmt;
use std::sync::Arc;

use tonic::Code;

use super::code_name;
use crate::Endpoint;

/// The endpoint is connected and gets no calls, because its server does not say that it is healthy
/// (gRFC A17).
#[derive(Clone, Debug, thiserror::Error)]
#[error("{endpoint}: health check {reason} (service {service:?})")]
#[non_exhaustive]
pub struct NotHealthy {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// What its server was asked about; empty for the server as a whole.
    pub service: Arc<str>,
    /// What came of it.
    pub reason: NotHealthyReason,
}

/// What came of asking a server for its health.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotHealthyReason {
    /// Nothing yet.
    #[error("not answered yet")]
    NotAnswered,
    /// It says that it is not SERVING.
    #[error("failed, status={0}")]
    Status(ServingStatus),
    /// It says something, but not this.
    #[error("failed, the answer cannot be read")]
    Unreadable,
    /// It has stopped saying, or could not be asked; it is asked again.
    #[error("failed, its stream ended with {}{}", code_name(*.code), after_colon(.message))]
    Ended {
        /// The status of the stream.
        code: Code,
        /// What that said.
        message: String,
    },
}

/// `grpc.health.v1.HealthCheckResponse.ServingStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServingStatus {
    /// It does not know.
    Unknown,
    /// The only one that is healthy.
    Serving,
    /// It wants no calls.
    NotServing,
    /// It has no service of this name, or none yet.
    ServiceUnknown,
    /// A number that the protocol has no name for.
    Other(i32),
}

impl From<i32> for ServingStatus {
    fn from(number: i32) -> Self {
        match number {
            0 => Self::Unknown,
            1 => Self::Serving,
            2 => Self::NotServing,
            3 => Self::ServiceUnknown,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for ServingStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("UNKNOWN"),
            Self::Serving => f.write_str("SERVING"),
            Self::NotServing => f.write_str("NOT_SERVING"),
            Self::ServiceUnknown => f.write_str("SERVICE_UNKNOWN"),
            Self::Other(number) => number.fmt(f),
        }
    }
}

impl NotHealthy {
    /// Its server was asked about `service`, and `reason` came of it.
    #[must_use]
    pub const fn new(endpoint: Arc<Endpoint>, service: Arc<str>, reason: NotHealthyReason) -> Self {
        Self {
            endpoint,
            service,
            reason,
        }
    }
}

fn after_colon(message: &str) -> String {
    match message {
        "" => String::new(),
        message => format!(": {message}"),
    }
}
