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
fn breakers_that_hold_all_endpoints_back_are_the_source() {
    let endpoint = |port: u16| {
        let address = format!("10.0.0.1:{port}").parse::<crate::Address>();
        Arc::new(Endpoint::new(address.unwrap()))
    };
    let state = ConnectivityState::TransientFailure;
    #[expect(clippy::disallowed_methods, reason = "an Instant has no constant")]
    let start = std::time::Instant::now();
    // Each is reported a while before the one that probes first is.
    let open = |port: u16, at: u64| {
        let retry_in = std::time::Duration::from_secs(1_000 - at);
        let failure = "UNAVAILABLE: lost".to_owned();
        let open = BreakerOpen::new(endpoint(port).to_string(), retry_in, failure);
        let open = open.probing_at(start + std::time::Duration::from_secs(at));
        NotReady::because(endpoint(port), state, Some(&open))
    };
    let mut probing = open(5, 900);
    probing.breaker.as_mut().unwrap().probes_at = None;
    let mut held = open(3, 0);
    held.breaker = held.breaker.map(BreakerOpen::held);
    let lost = NotReady::new(endpoint(4), state, Some("connection refused".into()));
    let cases = [
        (vec![open(1, 900), open(2, 100)], Some("10.0.0.1:2")),
        (vec![open(1, 100), open(2, 900)], Some("10.0.0.1:1")),
        (vec![open(1, 100), probing], Some("10.0.0.1:5")),
        (vec![held.clone(), open(1, 900)], Some("10.0.0.1:1")),
        (vec![held], Some("10.0.0.1:3")),
        (vec![open(1, 900), lost], None),
        (vec![], None),
    ];
    for (endpoints, expected) in cases {
        let count = endpoints.len();
        let status = Status::from(NoEndpoint::new(endpoints, None));
        let found = cause::<BreakerOpen>(&status).map(|open| open.endpoint.as_str());
        assert_eq!(found, expected);
        let text = status.message().matches("tripped by: UNAVAILABLE: lost");
        assert!(text.count() >= count.saturating_sub(1), "{status}");
    }
}

#[test]
fn a_refusal_says_how_the_breaker_refuses() {
    let refusal = |millis| {
        let retry_in = std::time::Duration::from_millis(millis);
        BreakerOpen::new("a".into(), retry_in, "UNAVAILABLE".into())
    };
    let mut unknown = refusal(0);
    unknown.tripped_by = String::new();
    for (refusal, expected) in [
        (refusal(0), "is probing; tripped by: UNAVAILABLE"),
        (
            refusal(7),
            "is open, it probes in 7 ms; tripped by: UNAVAILABLE",
        ),
        (refusal(0).held(), "is held open; tripped by: UNAVAILABLE"),
        (
            refusal(0).shedding(0.417),
            "sheds 42 % of its calls; last failure: UNAVAILABLE",
        ),
        (unknown.shedding(1.0), "sheds 100 % of its calls"),
    ] {
        assert_eq!(
            refusal.to_string(),
            format!("circuit breaker of a {expected}")
        );
    }
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

#[test]
fn an_unhealthy_server_is_named_with_the_service_and_what_it_says() {
    let endpoint = Arc::new(Endpoint::new(
        "10.0.0.1:1".parse::<crate::Address>().unwrap(),
    ));
    let ended = |message: &str| NotHealthyReason::Ended {
        code: Code::Internal,
        message: message.to_owned(),
    };
    for (service, reason, expected) in [
        (
            "UserService",
            NotHealthyReason::Status(ServingStatus::NotServing),
            r#"10.0.0.1:1: health check failed, status=NOT_SERVING (service "UserService")"#,
        ),
        (
            "",
            NotHealthyReason::Status(ServingStatus::from(7)),
            r#"10.0.0.1:1: health check failed, status=7 (service "")"#,
        ),
        (
            "a",
            ended("boom"),
            r#"10.0.0.1:1: health check failed, its stream ended with INTERNAL: boom (service "a")"#,
        ),
        (
            "a",
            ended(""),
            r#"10.0.0.1:1: health check failed, its stream ended with INTERNAL (service "a")"#,
        ),
        (
            "a",
            NotHealthyReason::NotAnswered,
            r#"10.0.0.1:1: health check not answered yet (service "a")"#,
        ),
    ] {
        let error = NotHealthy::new(endpoint.clone(), service.into(), reason);
        assert_eq!(error.to_string(), expected);
    }
}
