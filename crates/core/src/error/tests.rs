use super::*;
use crate::{ConnectivityState, Endpoint, Progress};

#[test]
fn an_unsent_request_comes_back_once_and_only_as_its_own_type() {
    let request = http::Request::new(String::from("body"));
    let status = AttemptError::unsent(request, "connection lost").into_status(Code::Unavailable);
    let error = cause::<AttemptError>(&status).unwrap();
    assert_eq!(error.progress(), Progress::NotSent);
    assert!(error.take_request::<Vec<u8>>().is_none());
    assert_eq!(error.take_request::<String>().unwrap().into_body(), "body");
    assert!(error.take_request::<String>().is_none());
}

#[test]
fn no_endpoint_names_each_endpoint_and_its_error() {
    let not_ready = |address: &str| {
        let endpoint = Arc::new(Endpoint::new(address.parse::<crate::Address>().unwrap()));
        let state = ConnectivityState::TransientFailure;
        NotReady::new(endpoint, state, Some("connection refused".into()))
    };
    let error = NoEndpoint::new(vec![not_ready("10.0.0.1:1"), not_ready("10.0.0.2:2")], None);
    assert_eq!(
        error.to_string(),
        "0 of 2 endpoints READY: 10.0.0.1:1: TRANSIENT_FAILURE, connection refused; \
         10.0.0.2:2: TRANSIENT_FAILURE, connection refused"
    );
    let status = Status::from(error);
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(cause::<NoEndpoint>(&status).unwrap().endpoints.len(), 2);
}

#[test]
fn a_long_list_is_cut_and_says_so() {
    let endpoint = Arc::new(Endpoint::new(
        "10.0.0.1:1".parse::<crate::Address>().unwrap(),
    ));
    let one = NotReady::new(endpoint, ConnectivityState::TransientFailure, None);
    let text = NoEndpoint::new(vec![one; 20], Some("empty".into())).to_string();
    assert!(text.ends_with("; and 12 more; discovery: empty"), "{text}");
}

#[test]
fn a_status_in_the_chain_keeps_its_code() {
    let status = into_status(Box::new(Status::resource_exhausted("full")));
    assert_eq!(
        (status.code(), status.message()),
        (Code::ResourceExhausted, "full")
    );
    assert_eq!(into_status("boom".into()).code(), Code::Unknown);
}

#[test]
fn a_layers_own_error_around_a_status_loses_nothing_of_it() {
    #[derive(Debug, thiserror::Error)]
    #[error("the layer gave up")]
    struct Layer(#[source] BoxError);

    let request = http::Request::new(String::from("body"));
    let mut status = AttemptError::unsent(request, "connection lost").into_status(Code::Aborted);
    status
        .metadata_mut()
        .insert("retry-in", "1s".parse().unwrap());
    let nested = Layer(Box::new(Layer(Box::new(status))));

    let status = into_status(Box::new(nested));
    assert_eq!(
        (status.code(), status.message()),
        (Code::Aborted, "connection lost")
    );
    assert_eq!(status.metadata().get("retry-in").unwrap(), "1s");
    assert!(cause::<Layer>(&status).is_some());
    let attempt = cause::<AttemptError>(&status).unwrap();
    assert_eq!(attempt.progress(), Progress::NotSent);
    assert!(attempt.take_request::<String>().is_some());
}
