use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use evenkeel_core::error::{
    AttemptError, CallDropped, ChannelClosed, DeadlineExceeded, DiscoveryRecovered, NoEndpoint,
    cause,
};
use evenkeel_core::{
    Attempt, Availability, Deadline, EndpointIndex, Metadata, Pick, PickArgs, Picked, Picker,
    Progress, Tried, Update, View, WaitForReady,
};
use evenkeel_policy::lb::{PickFirst, RoundRobin};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use tokio::time::timeout;
use tonic::Code;
use tower::discover::Change;

use super::fake::{Answer, Changes, FakeEndpoint, RequestBody, discover, status};
use super::*;

type Channel = Balance<FakeEndpoint>;

mod attempts;
mod custom;
mod discovery;
mod ends;
mod live;
mod observe;

fn round_robin(endpoints: &[(&'static str, &FakeEndpoint)]) -> (Channel, Changes) {
    over(endpoints, Box::new(RoundRobin::default()))
}

fn over(
    endpoints: &[(&'static str, &FakeEndpoint)],
    policy: Box<dyn Policy>,
) -> (Channel, Changes) {
    let (changes, stream) = discover();
    for (key, endpoint) in endpoints {
        changes
            .send(Ok(Change::Insert(*key, (*endpoint).clone())))
            .unwrap();
    }
    (Balance::new(stream, policy), changes)
}

fn request() -> Request<RequestBody> {
    Request::builder()
        .uri("/UserService/GetById")
        .body(Full::new(Bytes::new()))
        .unwrap()
}

/// One call to its end: the code its trailers or its error gave.
async fn call(channel: &Channel, request: Request<RequestBody>) -> Result<Code, Status> {
    let response = timeout(Duration::from_secs(3600), channel.clone().call(request));
    let response = response.await.expect("a call that nothing holds up ends")?;
    let head = evenkeel_core::observe::head_status(&response);
    let trailers = response.into_body().collect().await?.trailers().cloned();
    let trailing = trailers
        .as_ref()
        .and_then(evenkeel_core::observe::grpc_status);
    Ok(head.or(trailing).expect("a status"))
}

/// The same, by a task that ends with the test's runtime.
fn in_background(channel: &Channel, request: Request<RequestBody>) -> Waiting {
    let channel = channel.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { call(&channel, request).await });
    Waiting(tasks)
}

struct Waiting(JoinSet<Result<Code, Status>>);

impl Waiting {
    fn is_finished(&mut self) -> bool {
        self.0.try_join_next().is_some()
    }

    async fn end(mut self) -> Result<Code, Status> {
        self.0.join_next().await.unwrap().unwrap()
    }
}

async fn ready(channel: &Channel) {
    timeout(Duration::from_secs(3600), channel.wait_until_ready())
        .await
        .unwrap()
        .unwrap();
}

async fn state(channel: &Channel, wanted: ConnectivityState) {
    let mut state = channel.state();
    while state != wanted {
        let change = channel.wait_for_state_change(state);
        state = timeout(Duration::from_secs(3600), change)
            .await
            .expect("the state is reached");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_discovery_and_for_the_first_ready_endpoint() {
    let endpoint = FakeEndpoint::new("10.0.0.1:1", ConnectivityState::Idle);
    let (channel, changes) = round_robin(&[]);
    assert_eq!(channel.state(), ConnectivityState::Connecting);
    let mut waiting = in_background(&channel, request());
    changes
        .send(Ok(Change::Insert("a", endpoint.clone())))
        .unwrap();
    while endpoint.shared.connects.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    endpoint.set(ConnectivityState::Connecting, None);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    endpoint.set(ConnectivityState::Ready, None);
    assert_eq!(waiting.end().await.unwrap(), Code::Ok);
    assert_eq!(channel.state(), ConnectivityState::Ready);
}

#[tokio::test(start_paused = true)]
async fn with_no_endpoint_left_calls_fail_naming_each_and_its_error() {
    let (a, b) = (
        FakeEndpoint::ready("10.0.0.1:1"),
        FakeEndpoint::ready("10.0.0.2:2"),
    );
    let (channel, _changes) = round_robin(&[("a", &a), ("b", &b)]);
    ready(&channel).await;
    a.set(
        ConnectivityState::TransientFailure,
        Some("connection refused"),
    );
    b.set(
        ConnectivityState::TransientFailure,
        Some("certificate expired"),
    );
    state(&channel, ConnectivityState::TransientFailure).await;
    let error = call(&channel, request()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    for part in [
        "10.0.0.1:1",
        "connection refused",
        "10.0.0.2:2",
        "certificate expired",
    ] {
        assert!(
            error.message().contains(part),
            "{part}: {}",
            error.message()
        );
    }
    assert!(cause::<NoEndpoint>(&error).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_ready_waits_through_failures() {
    let endpoint = FakeEndpoint::new("10.0.0.1:1", ConnectivityState::TransientFailure);
    let (channel, _changes) = round_robin(&[("a", &endpoint)]);
    state(&channel, ConnectivityState::TransientFailure).await;
    let mut patient = request();
    patient.extensions_mut().insert(WaitForReady(true));
    let mut waiting = in_background(&channel, patient);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    endpoint.set(ConnectivityState::Ready, None);
    assert_eq!(waiting.end().await.unwrap(), Code::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_in_the_queue_says_what_the_call_waited_for() {
    let endpoint = FakeEndpoint::new("10.0.0.1:1", ConnectivityState::Connecting);
    let (channel, _changes) = round_robin(&[("a", &endpoint)]);
    let mut hurried = request();
    let at = tokio::time::Instant::now() + Duration::from_secs(5);
    hurried.extensions_mut().insert(Deadline(at.into_std()));
    let error = call(&channel, hurried).await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded);
    assert!(
        error.message().contains("/UserService/GetById"),
        "{}",
        error.message()
    );
    assert!(
        error.message().contains("10.0.0.1:1: CONNECTING"),
        "{}",
        error.message()
    );
    assert!(cause::<DeadlineExceeded>(&error).is_some());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_failed_is_not_waited_for_while_it_tries_again() {
    let endpoint = FakeEndpoint::new("10.0.0.1:1", ConnectivityState::TransientFailure);
    let (channel, _changes) = round_robin(&[("a", &endpoint)]);
    state(&channel, ConnectivityState::TransientFailure).await;
    let changed = channel.changed();
    endpoint.set(ConnectivityState::Connecting, None);
    changed.await;
    assert_eq!(
        channel.endpoints()[0].state,
        ConnectivityState::Connecting,
        "observers see it"
    );
    assert_eq!(
        channel.state(),
        ConnectivityState::TransientFailure,
        "A62: the channel does not"
    );
    assert!(call(&channel, request()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_left_goes_elsewhere_and_is_no_failure() {
    let (a, b) = (
        FakeEndpoint::ready("10.0.0.1:1"),
        FakeEndpoint::ready("10.0.0.2:2"),
    );
    let (channel, _changes) = round_robin(&[("a", &a), ("b", &b)]);
    ready(&channel).await;
    a.script([Answer::Unsent]);
    b.script([Answer::Unsent]);
    a.script([Answer::Ok, Answer::Ok]);
    // Whichever is picked gives it back, and so does the other: it waits for news of either.
    let mut waiting = in_background(&channel, request());
    while a.calls() + b.calls() < 2 {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    b.set(ConnectivityState::TransientFailure, None);
    assert_eq!(waiting.end().await.unwrap(), Code::Ok);
    assert_eq!((a.calls(), b.calls()), (2, 1));
    for report in channel.endpoints() {
        assert_eq!((report.stats.failed(), report.stats.in_flight()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_names_its_endpoint_and_how_far_it_got() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    let (channel, _changes) = round_robin(&[("a", &endpoint)]);
    ready(&channel).await;
    endpoint.script([Answer::Lost]);
    let error = call(&channel, request()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(error.message(), "10.0.0.1:1: connection reset");
    let attempt = cause::<AttemptError>(&error).unwrap();
    assert_eq!(attempt.progress(), Progress::Sent);
    assert_eq!(attempt.picked().unwrap().endpoint.to_string(), "10.0.0.1:1");
    assert_eq!(channel.endpoints()[0].stats.failed(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_trailers_only_failure_carries_its_endpoint() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    let (channel, _changes) = round_robin(&[("a", &endpoint)]);
    ready(&channel).await;
    endpoint.script([Answer::TrailersOnly(Code::ResourceExhausted)]);
    let response = channel.clone().call(request()).await.unwrap();
    let picked = response.extensions().get::<Picked>().unwrap();
    assert_eq!(picked.id, channel.endpoints()[0].id);
    let response = channel.clone().call(request()).await.unwrap();
    assert!(
        response.extensions().is_empty(),
        "nothing is attached to what succeeds"
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_avoids_the_endpoints_that_were_tried() {
    let (a, b) = (
        FakeEndpoint::ready("10.0.0.1:1"),
        FakeEndpoint::ready("10.0.0.2:2"),
    );
    let (channel, _changes) = round_robin(&[("a", &a), ("b", &b)]);
    ready(&channel).await;
    let tried: Tried = [channel.endpoints()[0].id].into_iter().collect();
    for _ in 0..10 {
        let mut again = request();
        again
            .extensions_mut()
            .insert(Attempt::new(2, tried.clone()));
        call(&channel, again).await.unwrap();
    }
    assert_eq!((a.calls(), b.calls()), (0, 10));
}

#[tokio::test(start_paused = true)]
async fn a_draining_endpoint_gets_no_new_calls_while_its_stream_goes_on() {
    let (a, b) = (
        FakeEndpoint::ready("10.0.0.1:1"),
        FakeEndpoint::ready("10.0.0.2:2"),
    );
    let (channel, _changes) = over(&[("a", &a)], Box::new(RoundRobin::default()));
    ready(&channel).await;
    a.script([Answer::Stream]);
    let mut stream = channel.clone().call(request()).await.unwrap().into_body();
    _changes.send(Ok(Change::Insert("b", b.clone()))).unwrap();
    a.set_metadata(Metadata::default().with_availability(Availability::Draining));
    while channel.endpoints().len() < 2
        || channel.endpoints()[0].endpoint.metadata().accepts_calls()
    {
        channel.changed().await;
    }
    for _ in 0..6 {
        call(&channel, request()).await.unwrap();
    }
    assert_eq!((a.calls(), b.calls()), (1, 6));
    let frames = a.shared.streams.lock().pop().unwrap();
    frames
        .send(Ok(Frame::data(Bytes::from_static(b"late"))))
        .unwrap();
    assert!(stream.frame().await.unwrap().unwrap().is_data());
    assert_eq!(channel.endpoints()[0].stats.in_flight(), 1);
    frames.send(Ok(Frame::trailers(status(Code::Ok)))).unwrap();
    stream.frame().await.unwrap().unwrap();
    assert_eq!(channel.endpoints()[0].stats.in_flight(), 0);
    assert_eq!(channel.endpoints()[0].stats.succeeded(), 1);
}

#[tokio::test(start_paused = true)]
async fn layers_that_are_not_ready_are_waited_for() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    let (channel, _changes) = round_robin(&[("a", &endpoint)]);
    ready(&channel).await;
    endpoint.shared.unready.store(true, Ordering::Relaxed);
    assert_eq!(call(&channel, request()).await.unwrap(), Code::Ok);
    assert_eq!(channel.endpoints()[0].stats.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn layers_that_fail_for_good_are_avoided_and_fail_the_call_when_there_are_no_others() {
    let (a, b) = (
        FakeEndpoint::ready("10.0.0.1:1"),
        FakeEndpoint::ready("10.0.0.2:2"),
    );
    let (channel, _changes) = round_robin(&[("a", &a), ("b", &b)]);
    ready(&channel).await;
    a.shared.broken.store(true, Ordering::Relaxed);
    for _ in 0..4 {
        assert_eq!(call(&channel, request()).await.unwrap(), Code::Ok);
    }
    b.shared.broken.store(true, Ordering::Relaxed);
    let error = call(&channel, request()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(
        error.message().contains("the buffer's worker is gone"),
        "{}",
        error.message()
    );
    assert!(
        channel
            .endpoints()
            .iter()
            .all(|report| report.stats.in_flight() == 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_wakes_an_idle_channel() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    let (channel, _changes) = over(&[("a", &endpoint)], Box::new(PickFirst::default()));
    ready(&channel).await;
    let connects = || endpoint.shared.connects.load(Ordering::Relaxed);
    let before = connects();
    endpoint.set(ConnectivityState::Idle, None);
    state(&channel, ConnectivityState::Idle).await;
    assert_eq!(
        connects(),
        before,
        "pick_first does not reconnect by itself"
    );
    let waiting = in_background(&channel, request());
    while connects() == before {
        tokio::task::yield_now().await;
    }
    endpoint.set(ConnectivityState::Ready, None);
    assert_eq!(waiting.end().await.unwrap(), Code::Ok);
}

/// Always answers the same, and counts its updates.
struct Fixed(Pick, Arc<AtomicUsize>);

#[derive(Debug)]
struct FixedPicker(Pick);

impl Policy for Fixed {
    fn update(&mut self, _: Instant, _: &View<'_>) -> Update {
        self.1.fetch_add(1, Ordering::Relaxed);
        Update::new(
            ConnectivityState::Ready,
            Arc::new(FixedPicker(self.0.clone())),
        )
    }
}

impl Picker for FixedPicker {
    fn pick(&self, _: &PickArgs<'_>) -> Pick {
        self.0.clone()
    }
}
