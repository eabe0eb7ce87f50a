//! Failures that somebody else judges.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_classifier_says_what_a_failure_is_by_its_message() {
    let classifier = Classifier::new(|failure| match failure.message {
        "quota" => Verdict::Success,
        "unknown" => Verdict::Nothing,
        _ => Verdict::Failure,
    });
    let inner = Inner::new();
    let service = layer().classified_by(classifier).layer(inner.clone());
    let told = |code, message: &'static str| {
        refusal(code).map(|mut response| {
            let headers = response.headers_mut();
            headers.insert("grpc-message", HeaderValue::from_static(message));
            response
        })
    };
    let failures = || service.handle().status().consecutive_failures;
    fail(&inner, &service, told(Code::ResourceExhausted, "full")).await;
    assert_eq!(failures(), 1);
    fail(&inner, &service, told(Code::ResourceExhausted, "unknown")).await;
    assert_eq!(failures(), 1, "neither");
    fail(&inner, &service, told(Code::ResourceExhausted, "quota")).await;
    assert_eq!(failures(), 0, "an answer");
    // What the config's codes say does not count.
    fail(&inner, &service, told(Code::NotFound, "no shard")).await;
    fail(&inner, &service, lost()).await;
    assert_eq!(service.handle().status().state, Open);
}

#[tokio::test(start_paused = true)]
async fn a_classifier_is_not_asked_about_successes_and_what_says_nothing() {
    let inner = Inner::new();
    let classifier = Classifier::new(|failure| panic!("asked about {failure:?}"));
    let service = layer().classified_by(classifier).layer(inner.clone());
    succeed(&inner, &service).await;
    let unsent = AttemptError::new(Progress::NotSent, "connection lost");
    fail(&inner, &service, Err(unsent.into_status(Code::Unavailable))).await;
    inner.hang();
    let mut call = Box::pin(service.clone().oneshot(unary("hello")));
    assert!(call.as_mut().now_or_never().is_none());
}
