use evenkeel_core::error::{NoEndpoint, NotReady, chain};
use evenkeel_core::{Discovery, Pick, PickArgs, Picker, View};
use tonic::Status;

/// Fails every call that does not wait for ready: the channel is in TRANSIENT_FAILURE.
#[derive(Clone, Debug)]
pub struct FailPicker {
    status: Status,
}

impl FailPicker {
    /// Fails with `status`.
    #[must_use]
    pub const fn new(status: Status) -> Self {
        Self { status }
    }

    /// Fails with UNAVAILABLE and a [`NoEndpoint`] that says what is wrong with each endpoint of
    /// `view`, and what discovery said last. The text is made here, once, and not per call.
    #[must_use]
    pub fn no_endpoint(view: &View<'_>) -> Self {
        let endpoints: Vec<_> = view
            .endpoints
            .iter()
            .map(|one| {
                let error = one.error.as_deref().map(|error| error as _);
                NotReady::because(one.endpoint.clone(), one.state, error)
            })
            .collect();
        let discovery = match view.discovery {
            Discovery::Failed(error) => Some(chain(error)),
            Discovery::Resolved if endpoints.is_empty() => {
                Some("it lists none that accepts calls".to_owned())
            }
            Discovery::Resolved => None,
        };
        Self::new(NoEndpoint::new(endpoints, discovery).into())
    }
}

impl Picker for FailPicker {
    fn pick(&self, _: &PickArgs<'_>) -> Pick {
        Pick::Fail(self.status.clone())
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_core::ConnectivityState::{Connecting, TransientFailure};
    use evenkeel_core::error::cause;
    use http::HeaderMap;
    use tonic::Code;

    use super::*;
    use crate::script::Script;

    fn failure(view: &View<'_>) -> Status {
        let headers = HeaderMap::new();
        match FailPicker::no_endpoint(view).pick(&PickArgs::new("/s/m", &headers, 0)) {
            Pick::Fail(status) => status,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_failure_names_each_endpoint_its_state_and_its_error() {
        let mut script = Script::new(&[TransientFailure, Connecting]);
        script.fail(0, "connection refused");
        let status = failure(&script.view());
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(
            status.message(),
            "0 of 2 endpoints READY: 10.0.0.0:80: TRANSIENT_FAILURE, connection refused; \
             10.0.0.1:80: CONNECTING"
        );
        assert_eq!(cause::<NoEndpoint>(&status).unwrap().endpoints.len(), 2);
    }

    #[test]
    fn without_endpoints_it_says_what_discovery_said() {
        let script = Script::new(&[]);
        assert_eq!(
            failure(&script.view()).message(),
            "no endpoints; discovery: it lists none that accepts calls"
        );
        let error = std::io::Error::other("etcd is unreachable");
        assert_eq!(
            failure(&script.view().with_discovery(Discovery::Failed(&error))).message(),
            "no endpoints; discovery: etcd is unreachable"
        );
    }
}
