//! What calls see of it.

use http_body::Frame;

use super::*;

#[tokio::test(start_paused = true)]
async fn closed_passes_through_unchanged() {
    let (inner, service) = service();
    succeed(&inner, &service).await;
    assert_eq!(inner.heads()[0].headers, *unary("hello").headers());
}

#[tokio::test(start_paused = true)]
async fn open_refuses_without_calling_inner_and_gives_the_request_back() {
    let (inner, service) = service();
    trip(&inner, &service).await;
    tokio::time::advance(SECOND / 4).await;
    let status = service.clone().oneshot(unary("hello")).await.unwrap_err();
    assert_eq!(inner.calls(), 2);
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(
        status.message(),
        "circuit breaker of user-service is open, it probes in 750 ms; \
         tripped by: UNAVAILABLE: connection lost (2 consecutive failures)"
    );
    assert!(cause::<BreakerOpen>(&status).is_some());
    let attempt = cause::<AttemptError>(&status).unwrap();
    assert_eq!(attempt.progress(), Progress::NotSent);
    let request = attempt.take_request::<TestBody>().unwrap();
    assert_eq!(request.uri().path(), "/test.Service/Method");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "hello");
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_failure_counts_where_it_shows() {
    let proxy = || Ok(Response::builder().status(503).body(body([])).unwrap());
    let in_trailers = || {
        let told = trailers(Code::Internal).map(|frame| {
            let mut trailers = frame.into_trailers().expect("trailers");
            trailers.insert("grpc-message", HeaderValue::from_static("no%20luck"));
            Frame::trailers(trailers)
        });
        Ok(Response::new(body([data("x"), told])))
    };
    let cut = || {
        let frames = [data("x"), Err(Status::unknown("cut"))];
        Ok(Response::new(body(frames)))
    };
    type Kind = (&'static str, fn() -> Answer);
    let kinds: [Kind; 5] = [
        ("UNAVAILABLE: connection lost", lost),
        ("RESOURCE_EXHAUSTED: full", || {
            refusal(Code::ResourceExhausted).map(|mut response| {
                let headers = response.headers_mut();
                headers.insert("grpc-message", HeaderValue::from_static("full"));
                response
            })
        }),
        ("UNAVAILABLE", proxy),
        ("INTERNAL: no luck", in_trailers),
        ("UNKNOWN: cut", cut),
    ];
    for (text, answer) in kinds {
        let (inner, service) = service();
        fail(&inner, &service, answer()).await;
        assert_eq!(service.handle().status().state, Closed);
        fail(&inner, &service, answer()).await;
        let status = service.handle().status();
        assert_eq!(status.state, Open, "{text}");
        let expected = format!("{text} (2 consecutive failures)");
        assert_eq!(status.tripped_by.as_deref(), Some(&*expected));
    }
}

#[tokio::test(start_paused = true)]
async fn business_errors_and_unsent_attempts_do_not_trip() {
    let (inner, service) = service();
    for _ in 0..5 {
        fail(&inner, &service, refusal(Code::NotFound)).await;
        let unsent = AttemptError::new(Progress::NotSent, "connection lost");
        fail(&inner, &service, Err(unsent.into_status(Code::Unavailable))).await;
    }
    assert_eq!(service.handle().status().state, Closed);
}

#[tokio::test(start_paused = true)]
async fn a_success_at_the_trailers_forgets_failures() {
    let (inner, service) = service();
    for _ in 0..3 {
        fail(&inner, &service, lost()).await;
        succeed(&inner, &service).await;
    }
    assert_eq!(service.handle().status().state, Closed);

    fail(&inner, &service, lost()).await;
    inner.echo();
    drop(service.clone().oneshot(unary("unread")).await.unwrap());
    fail(&inner, &service, lost()).await;
    assert_eq!(
        service.handle().status().state,
        Open,
        "unread is no success"
    );
}

#[tokio::test(start_paused = true)]
async fn dropped_attempts_count_only_when_their_deadline_has_passed() {
    let (inner, service) = service();
    let hang = |deadline: Option<Duration>| {
        inner.hang();
        let mut request = unary("hello");
        if let Some(deadline) = deadline {
            let at = Instant::now() + deadline;
            request.extensions_mut().insert(Deadline(at.into_std()));
        }
        let mut call = Box::pin(service.clone().oneshot(request));
        assert!(call.as_mut().now_or_never().is_none());
        call
    };
    for _ in 0..5 {
        drop(hang(None));
        drop(hang(Some(SECOND)));
    }
    assert_eq!(service.handle().status().state, Closed);
    for _ in 0..2 {
        let call = hang(Some(SECOND));
        tokio::time::advance(SECOND).await;
        drop(call);
    }
    let status = service.handle().status();
    assert_eq!(status.state, Open);
    let text = status.tripped_by.unwrap();
    assert!(text.starts_with("DEADLINE_EXCEEDED"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn what_never_left_says_nothing_even_if_its_deadline_has_passed() {
    let (inner, service) = service();
    for _ in 0..5 {
        inner.reply_with(async |_| {
            tokio::time::sleep(SECOND).await;
            let unsent = AttemptError::new(Progress::NotSent, "no connection in time");
            Err(unsent.into_status(Code::Unavailable))
        });
        let mut request = unary("hello");
        let deadline = Instant::now() + SECOND;
        request
            .extensions_mut()
            .insert(Deadline(deadline.into_std()));
        service.clone().oneshot(request).await.unwrap_err();
        assert_eq!(Instant::now(), deadline);
    }
    let status = service.handle().status();
    assert_eq!((status.state, status.consecutive_failures), (Closed, 0));
}

#[tokio::test(start_paused = true)]
async fn clones_share_the_breaker() {
    let (inner, service) = service();
    let mut other = service.clone();
    trip(&inner, &service).await;
    let status = other.ready().await.unwrap().call(unary("hello")).await;
    assert!(cause::<BreakerOpen>(&status.unwrap_err()).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_pending_inner_service_is_not_called_and_open_is_no_error_of_readiness() {
    let (mut service, mut handle) =
        tower_test::mock::spawn_layer::<Request<TestBody>, Response<TestBody>, _>(layer());
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    service.get_ref().handle().hold_open();
    assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));
}

#[tokio::test(start_paused = true)]
async fn a_response_keeps_its_message() {
    let (inner, service) = service();
    inner.reply(|| Ok(Response::new(body([data("x"), trailers(Code::Ok)]))));
    let response = service.oneshot(unary("hello")).await.unwrap();
    assert_eq!(collect(response).await, (Bytes::from("x"), Some(Code::Ok)));
}
