use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::error::{DeadlineExceeded, cause};
use evenkeel_core::{Deadline as DeadlineAt, WaitForReady};
use evenkeel_service_config::ServiceConfig;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::time::Instant;
use tonic::{Code, Status, TimeoutExpired};
use tower::ServiceExt;
use tower_layer::Layer;
use tower_service::Service;

use super::*;
use crate::scripted::{self, Scripted, TestBody, body, data, endless, refusal, trailers};

const SECOND: Duration = Duration::from_secs(1);

fn config(json: &str) -> ServiceConfig {
    ServiceConfig::parse(json).unwrap()
}

fn one_second() -> ServiceConfig {
    config(r#"{"methodConfig":[{"name":[{"service":"test.Service"}],"timeout":"1s"}]}"#)
}

fn service(config: &ServiceConfig) -> (Scripted<TestBody>, Deadline<Scripted<TestBody>>) {
    let inner = Scripted::new();
    (inner.clone(), DeadlineLayer::new(config).layer(inner))
}

fn unary() -> Request<TestBody> {
    scripted::unary("hello")
}

fn asking(timeout: &'static str) -> Request<TestBody> {
    let mut request = unary();
    let headers = request.headers_mut();
    headers.insert("grpc-timeout", HeaderValue::from_static(timeout));
    request
}

fn assert_exceeded(status: &Status) {
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    let error = cause::<DeadlineExceeded>(status).unwrap();
    assert_eq!(error.path, "/test.Service/Method");
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_deadline_passes_unchanged() {
    let (inner, service) = service(&ServiceConfig::default());
    inner.echo();
    let response = service.oneshot(unary()).await.unwrap();
    let (message, code) = scripted::collect(response).await;
    assert_eq!((message, code), (Bytes::from("hello"), Some(Code::Ok)));
    let head = &inner.heads()[0];
    assert!(head.extensions.is_empty());
    assert_eq!(head.headers, *unary().headers());
}

#[tokio::test(start_paused = true)]
async fn a_timeout_longer_than_any_process_is_none() {
    let longest = config(
        r#"{"methodConfig":[{"name":[{"service":"test.Service"}],"timeout":"315576000000s"}]}"#,
    );
    let layers = [
        DeadlineLayer::for_all(Duration::MAX),
        DeadlineLayer::new(&longest),
    ];
    for layer in layers {
        for request in [unary(), asking("99999999H")] {
            let inner = Scripted::new();
            inner.hang();
            let mut call = Box::pin(layer.layer(inner.clone()).oneshot(request));
            assert!(call.as_mut().now_or_never().is_none());
            tokio::time::advance(365 * 24 * 3_600 * SECOND).await;
            assert!(call.as_mut().now_or_never().is_none());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_call_has_the_timeout_of_its_own_method_whichever_was_called_before() {
    let config = config(
        r#"{"methodConfig":[
            {"name":[{"service":"test.Service","method":"Fast"}],"timeout":"1s"},
            {"name":[{"service":"test.Service","method":"Slow"}],"timeout":"2s"}]}"#,
    );
    let (inner, mut service) = service(&config);
    let paths = ["Fast", "Slow", "Slow", "Other", "Fast", "Fast", "Other"];
    for method in paths {
        inner.echo();
        let mut request = unary();
        // Each with a path of its own in memory, as those that are read from somewhere have.
        *request.uri_mut() = format!("/test.Service/{method}").parse().unwrap();
        drop(service.ready().await.unwrap().call(request).await.unwrap());
    }
    let sent: Vec<_> = inner
        .heads()
        .iter()
        .map(|head| {
            Some(
                head.headers
                    .get("grpc-timeout")?
                    .to_str()
                    .unwrap()
                    .to_owned(),
            )
        })
        .collect();
    let (fast, slow) = (Some("1000000u".to_owned()), Some("2000000u".to_owned()));
    let expected = [&fast, &slow, &slow, &None, &fast, &fast, &None];
    assert!(sent.iter().eq(expected), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_zero_ends_the_call_before_it_begins() {
    let inner = Scripted::<TestBody>::new();
    let layer = DeadlineLayer::for_all(Duration::ZERO);
    assert_exceeded(
        &layer
            .layer(inner.clone())
            .oneshot(unary())
            .await
            .unwrap_err(),
    );
    assert_eq!(inner.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_smaller_of_config_and_callers_timeout_counts() {
    for (request, config, expected, header) in [
        (unary(), one_second(), SECOND, "1000000u"),
        (asking("3S"), one_second(), SECOND, "1000000u"),
        (asking("200m"), one_second(), SECOND / 5, "200m"),
        (asking("200m"), ServiceConfig::default(), SECOND / 5, "200m"),
        (asking("nonsense"), one_second(), SECOND, "1000000u"),
    ] {
        let (inner, service) = service(&config);
        inner.echo();
        let start = Instant::now();
        service.oneshot(request).await.unwrap();
        let head = &inner.heads()[0];
        let DeadlineAt(at) = *head.extensions.get().unwrap();
        assert_eq!(at, (start + expected).into_std());
        assert_eq!(head.headers["grpc-timeout"], header);
    }
}

#[tokio::test(start_paused = true)]
async fn an_earlier_deadline_of_an_outer_layer_stays() {
    let (inner, service) = service(&one_second());
    inner.hang();
    let start = Instant::now();
    let mut request = unary();
    let at = DeadlineAt((start + SECOND / 2).into_std());
    request.extensions_mut().insert(at);
    assert_exceeded(&service.oneshot(request).await.unwrap_err());
    assert_eq!(start.elapsed(), SECOND / 2);
    assert_eq!(inner.heads()[0].extensions.get(), Some(&at));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_is_deadline_exceeded_and_dropped() {
    let (inner, service) = service(&one_second());
    let (held, mut dropped) = tokio::sync::oneshot::channel::<()>();
    inner.reply_with(async move |_| {
        let _held = held;
        pending().await
    });
    let start = Instant::now();
    let status = service.oneshot(unary()).await.unwrap_err();
    assert_exceeded(&status);
    assert!(status.message().ends_with("no response yet"), "{status}");
    assert_eq!(start.elapsed(), SECOND);
    assert!(
        dropped
            .try_recv()
            .is_err_and(|it| it == tokio::sync::oneshot::error::TryRecvError::Closed)
    );
}

#[tokio::test(start_paused = true)]
async fn a_response_stream_ends_at_the_deadline() {
    let (inner, service) = service(&one_second());
    let (held, mut dropped) = tokio::sync::mpsc::channel::<()>(1);
    inner.reply_with(async move |_| {
        let first = [data("one")].into_iter().inspect(move |_| {
            let _held = &held;
        });
        Ok(Response::new(endless(first)))
    });
    let start = Instant::now();
    let mut body = pin!(service.oneshot(unary()).await.unwrap().into_body());
    assert!(body.frame().await.unwrap().unwrap().is_data());
    let status = body.frame().await.unwrap().unwrap_err();
    assert_exceeded(&status);
    assert_eq!(start.elapsed(), SECOND);
    assert!(body.frame().await.is_none() && body.is_end_stream());
    assert_eq!(dropped.recv().await, None, "the stream was dropped");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_always_ready_ends_at_the_deadline_too() {
    let (inner, service) = service(&one_second());
    inner.reply_with(async |_| Ok(Response::new(body(std::iter::repeat_with(|| data("x"))))));
    let mut body = pin!(service.oneshot(unary()).await.unwrap().into_body());
    assert!(body.frame().now_or_never().unwrap().unwrap().is_ok());
    tokio::time::advance(SECOND).await;
    let status = body.frame().now_or_never().unwrap().unwrap().unwrap_err();
    assert_exceeded(&status);
}

#[tokio::test(start_paused = true)]
async fn no_time_at_all_fails_without_a_call() {
    let (inner, service) = service(&ServiceConfig::default());
    let status = service.oneshot(asking("0n")).await.unwrap_err();
    assert_exceeded(&status);
    assert_eq!(inner.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_layers_below_say_of_the_deadline_is_kept() {
    let (inner, service) = service(&one_second());
    inner.reply_with(async |_| {
        tokio::time::sleep(SECOND).await;
        Err(DeadlineExceeded::new("/test.Service/Method")
            .with_last("0 of 2 endpoints READY")
            .into())
    });
    let status = service.oneshot(unary()).await.unwrap_err();
    assert!(
        status.message().contains("0 of 2 endpoints READY"),
        "{status}"
    );
}

#[tokio::test(start_paused = true)]
async fn tonics_cancelled_at_the_deadline_is_deadline_exceeded() {
    let (inner, layered) = service(&one_second());
    inner.reply_with(async |_| Err(Status::from_error(Box::new(TimeoutExpired(())))));
    assert_exceeded(&layered.oneshot(unary()).await.unwrap_err());

    let (inner, layered) = service(&one_second());
    inner.reply_with(async |_| {
        tokio::time::sleep(SECOND).await;
        refusal(Code::Cancelled)
    });
    assert_exceeded(&layered.oneshot(unary()).await.unwrap_err());

    let (inner, layered) = service(&one_second());
    inner.reply_with(async |_| Ok(Response::new(body([trailers(Code::Cancelled)]))));
    let mut body = pin!(layered.oneshot(unary()).await.unwrap().into_body());
    tokio::time::advance(SECOND).await;
    assert_exceeded(&body.frame().await.unwrap().unwrap_err());
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_before_the_deadline_is_the_servers_word() {
    let (inner, service) = service(&one_second());
    inner.reply(|| Err(Status::cancelled("by the server")));
    let status = service.oneshot(unary()).await.unwrap_err();
    assert_eq!(status.code(), Code::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_deadline_exceeded_keeps_its_word() {
    let (inner, service) = service(&one_second());
    inner.reply(|| Err(Status::deadline_exceeded("of my own")));
    let status = service.oneshot(unary()).await.unwrap_err();
    assert_eq!(status.message(), "of my own");
}

#[tokio::test(start_paused = true)]
async fn wait_for_ready_comes_from_the_config_unless_the_caller_says() {
    let config =
        config(r#"{"methodConfig":[{"name":[{"service":"test.Service"}],"waitForReady":true}]}"#);
    for (asked, expected) in [(None, true), (Some(false), false), (Some(true), true)] {
        let (inner, service) = service(&config);
        inner.echo();
        let mut request = unary();
        if let Some(asked) = asked {
            request.extensions_mut().insert(WaitForReady(asked));
        }
        service.oneshot(request).await.unwrap();
        let heads = inner.heads();
        assert_eq!(heads[0].extensions.get(), Some(&WaitForReady(expected)));
    }
}

#[tokio::test(start_paused = true)]
async fn clones_and_every_call_have_their_own_deadline() {
    let (inner, mut first) = service(&one_second());
    inner.hang().hang();
    let mut second = first.clone();
    let start = Instant::now();
    let early = first.ready().await.unwrap().call(unary());
    tokio::time::advance(SECOND / 2).await;
    let late = second.ready().await.unwrap().call(unary());
    assert_exceeded(&early.await.unwrap_err());
    assert_eq!(start.elapsed(), SECOND);
    assert_exceeded(&late.await.unwrap_err());
    assert_eq!(start.elapsed(), SECOND + SECOND / 2);
}

#[tokio::test(start_paused = true)]
async fn a_pending_inner_service_is_not_called() {
    let layer = DeadlineLayer::for_all(SECOND);
    let (mut service, mut handle) =
        tower_test::mock::spawn_layer::<Request<TestBody>, Response<TestBody>, _>(layer);
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
}
