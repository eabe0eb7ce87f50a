use std::sync::Arc;

use evenkeel_core::error::NoEndpoint;
use tonic::Status;

/// No endpoint that a call's headers allow could take it: UNAVAILABLE.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no endpoint for {asked}: {}", fmt_reason(.endpoints.as_ref(), .there_is))]
#[non_exhaustive]
pub struct NoMatch {
    /// What the call asked for, by the names in the metadata: `version "v3", region "eu"`.
    pub asked: String,
    /// What endpoints have.
    pub there_is: Arc<str>,
    /// The endpoints that match, if there are any, and what is wrong with them.
    #[source]
    pub endpoints: Option<NoEndpoint>,
}

fn fmt_reason(endpoints: Option<&NoEndpoint>, there_is: &str) -> String {
    match endpoints {
        Some(endpoints) => endpoints.to_string(),
        None => format!("there are {there_is}"),
    }
}

impl From<NoMatch> for Status {
    fn from(error: NoMatch) -> Self {
        let mut status = Self::unavailable(error.to_string());
        status.set_source(Arc::new(error));
        status
    }
}
