use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::error::{AttemptError, BreakerOpen, cause};
use evenkeel_core::{
    Address, Admit, BoxError, BreakerState, Connectivity, ConnectivityState, Deadline, Endpoint,
    EndpointStats, LoadStream, Outcome, Progress, Report,
};
use evenkeel_policy::breaker::BreakerConfig;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Code, Status};
use tower::ServiceExt;
use tower_layer::Layer;
use tower_service::Service;

use super::*;
use crate::scripted::{
    Answer, Scripted, TestBody, body, collect, data, endless, refusal, trailers, unary,
};
use BreakerState::{Closed, HalfOpen, Open};
use ConnectivityState::{Connecting, Ready, TransientFailure};
use watched::{Watched, watched, watched_with};

mod calls;
mod classifier;
mod connectivity;
mod handle;
mod last_resort;
mod probes;
mod watched;
mod windows;

const SECOND: Duration = Duration::from_secs(1);

fn config() -> BreakerConfig {
    BreakerConfig {
        consecutive_failures: 2,
        open_time: SECOND,
        jitter: 0.0,
        ..Default::default()
    }
}

fn layer() -> BreakerLayer {
    BreakerLayer::new(config())
}

type Inner = Scripted<TestBody>;

fn service() -> (Inner, Breaker<Inner>) {
    let inner = Scripted::new();
    (inner.clone(), layer().named("user-service").layer(inner))
}

fn lost() -> Answer {
    Err(AttemptError::new(Progress::Sent, "connection lost").into_status(Code::Unavailable))
}

async fn fail(inner: &Inner, service: &Breaker<Inner>, answer: Answer) {
    inner.reply(|| answer);
    if let Ok(response) = service.clone().oneshot(unary("hello")).await {
        drop(response.into_body().collect().await);
    }
}

async fn trip(inner: &Inner, service: &Breaker<Inner>) {
    fail(inner, service, lost()).await;
    fail(inner, service, lost()).await;
    assert_eq!(service.handle().status().state, Open);
}

async fn succeed(inner: &Inner, service: &Breaker<Inner>) {
    inner.echo();
    let response = service.clone().oneshot(unary("hello")).await.unwrap();
    assert_eq!(collect(response).await, ("hello".into(), Some(Code::Ok)));
}
