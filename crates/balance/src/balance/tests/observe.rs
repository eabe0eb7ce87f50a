//! What a policy gets to know of attempts, and when it is asked again.

use std::sync::atomic::AtomicBool;
use std::task::Waker;

use evenkeel_core::{Admit, CodeSet, LatencyConfig, LoadStream, Observe, ReadLoad};
use http::{HeaderMap, HeaderValue};
use tokio::time::advance;

use super::*;

/// round_robin, with other wishes.
struct Wishes {
    inner: RoundRobin,
    observe: Observe,
    updates: Arc<AtomicUsize>,
}

impl Wishes {
    fn new(observe: Observe) -> Self {
        Self {
            inner: RoundRobin::new(),
            observe,
            updates: Arc::default(),
        }
    }
}

impl Policy for Wishes {
    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        self.updates.fetch_add(1, Ordering::Relaxed);
        let mut update = self.inner.update(now, view);
        update.observe = self.observe.clone();
        update
    }
}

/// The report's length is the weight.
#[derive(Debug)]
struct Length;

impl ReadLoad for Length {
    fn weight(&self, report: &[u8]) -> Option<f64> {
        (!report.is_empty()).then_some(report.len() as f64)
    }
}

fn observe() -> Observe {
    let mut observe = Observe::default();
    observe.latency = Some(LatencyConfig::default());
    observe.load = Some(Arc::new(Length));
    observe
}

/// The trailers of a call that went well, with these load reports.
fn reporting(reports: &[&'static str]) -> HeaderMap {
    let mut trailers = status(Code::Ok);
    for report in reports {
        let value = HeaderValue::from_static(report);
        trailers.append("endpoint-load-metrics-bin", value);
    }
    trailers
}

/// Answers one call with `trailers`: its head comes after 5 ms, its end after an hour.
async fn answered(channel: &Channel, endpoint: &FakeEndpoint, trailers: HeaderMap) {
    endpoint.script([Answer::Stream]);
    let response = channel.clone().call(request());
    advance(Duration::from_millis(5)).await;
    let response = response.await.unwrap();
    advance(Duration::from_secs(3_600)).await;
    let frames = endpoint.shared.streams.lock().pop().unwrap();
    frames.send(Ok(Frame::trailers(trailers))).unwrap();
    drop(frames);
    response.into_body().collect().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn latency_and_load_are_recorded_for_a_policy_that_asks() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    let (channel, _changes) = over(&[("a", &endpoint)], Box::new(Wishes::new(observe())));
    ready(&channel).await;
    let stats = channel.endpoints()[0].stats.clone();
    answered(&channel, &endpoint, reporting(&["aGVsbG8="])).await;
    assert_eq!(stats.latency(), Some(Duration::from_millis(5)));
    assert_eq!(stats.load().unwrap().weight, 5.0);
    // Unpadded is as good; garbled, empty or repeated ones are ignored.
    answered(&channel, &endpoint, reporting(&["aGk"])).await;
    for reports in [&["%%"][..], &[""], &["aGVsbG8=", "aGVsbG8="], &[]] {
        answered(&channel, &endpoint, reporting(reports)).await;
        assert_eq!(stats.load().unwrap().weight, 2.0, "{reports:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_is_read_up_to_64_kib() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    let (channel, _changes) = over(&[("a", &endpoint)], Box::new(Wishes::new(observe())));
    ready(&channel).await;
    let stats = channel.endpoints()[0].stats.clone();
    for (characters, bytes) in [
        (340, 255.0),
        (343, 257.0),
        (344, 258.0),
        (346, 259.0),
        (87_380, 65_535.0),
        (87_382, 65_536.0),
        (87_388, 65_536.0),
        (100_000, 65_536.0),
    ] {
        let mut trailers = status(Code::Ok);
        let report = HeaderValue::try_from("A".repeat(characters)).unwrap();
        trailers.insert("endpoint-load-metrics-bin", report);
        answered(&channel, &endpoint, trailers).await;
        assert_eq!(stats.load().unwrap().weight, bytes, "{characters}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_in_the_head_of_a_failure_counts() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    let (channel, _changes) = over(&[("a", &endpoint)], Box::new(Wishes::new(observe())));
    ready(&channel).await;
    let mut head = status(Code::Unavailable);
    let report = HeaderValue::from_static("aGVsbG8=");
    head.insert("endpoint-load-metrics-bin", report);
    endpoint.script([Answer::Head(head)]);
    assert_eq!(call(&channel, request()).await.unwrap(), Code::Unavailable);
    let stats = &channel.endpoints()[0].stats;
    assert_eq!(stats.load().unwrap().weight, 5.0);
    assert!(stats.latency().unwrap() >= LatencyConfig::default().failure_floor);
}

#[tokio::test(start_paused = true)]
async fn who_fails_after_a_fast_head_is_slow_and_who_answers_with_a_code_is_not() {
    for (code, expected) in [
        (Code::Ok, Duration::from_millis(5)),
        (Code::NotFound, Duration::from_millis(5)),
        (Code::Unavailable, LatencyConfig::default().failure_floor),
    ] {
        let endpoint = FakeEndpoint::ready("10.0.0.1:1");
        let (channel, _changes) = over(&[("a", &endpoint)], Box::new(Wishes::new(observe())));
        ready(&channel).await;
        answered(&channel, &endpoint, status(code)).await;
        let stats = &channel.endpoints()[0].stats;
        assert_eq!(stats.latency(), Some(expected), "{code:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_recorded_for_a_policy_that_does_not_ask() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    let (channel, _changes) = round_robin(&[("a", &endpoint)]);
    ready(&channel).await;
    answered(&channel, &endpoint, reporting(&["aGVsbG8="])).await;
    let stats = &channel.endpoints()[0].stats;
    assert_eq!((stats.latency(), stats.load()), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_policy_hears_once_of_many_failures_with_its_codes() {
    let endpoint = FakeEndpoint::ready("10.0.0.1:1");
    let mut observe = Observe::default();
    observe.failures = CodeSet::of(&[Code::ResourceExhausted]);
    let policy = Wishes::new(observe);
    let updates = policy.updates.clone();
    let (channel, _changes) = over(&[("a", &endpoint)], Box::new(policy));
    ready(&channel).await;
    let before = updates.load(Ordering::Relaxed);
    let heard = || updates.load(Ordering::Relaxed) - before;
    for _ in 0..9 {
        endpoint.script([Answer::TrailersOnly(Code::ResourceExhausted)]);
        call(&channel, request()).await.unwrap();
        // The driver gets its turn, and time passes.
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(heard(), 0);
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(heard(), 1, "of all of them");
    call(&channel, request()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(heard(), 1, "a success is none");
    endpoint.script([Answer::TrailersOnly(Code::NotFound)]);
    call(&channel, request()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(heard(), 1, "of a code that it did not ask for");
    endpoint.script([Answer::TrailersOnly(Code::ResourceExhausted)]);
    call(&channel, request()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(heard(), 2);
}

/// Wants to be asked again and again, to no avail.
#[derive(Debug)]
struct Restless {
    updates: Arc<AtomicUsize>,
    waker: Option<Waker>,
}

impl Policy for Restless {
    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        self.updates.fetch_add(1, Ordering::Relaxed);
        let picker = Self {
            updates: self.updates.clone(),
            waker: view.waker.cloned(),
        };
        let mut update = Update::new(ConnectivityState::Idle, Arc::new(picker));
        update.wake_at = Some(now);
        update
    }
}

impl Picker for Restless {
    fn pick(&self, _: &PickArgs<'_>) -> Pick {
        self.waker.as_ref().unwrap().wake_by_ref();
        Pick::Queue
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_never_rests_does_not_take_a_core() {
    let endpoint = FakeEndpoint::new("10.0.0.1:1", ConnectivityState::Idle);
    let policy = Restless {
        updates: Arc::default(),
        waker: None,
    };
    let updates = policy.updates.clone();
    let (channel, _changes) = over(&[("a", &endpoint)], Box::new(policy));
    let _waiting = in_background(&channel, request());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = updates.load(Ordering::Relaxed);
    assert!((20..=220).contains(&asked), "{asked}");
}

/// Connects to its first endpoint for each call.
#[derive(Debug)]
struct OnDemand;

impl Policy for OnDemand {
    fn update(&mut self, _: Instant, view: &View<'_>) -> Update {
        let first = view.endpoints.first().map(|one| one.state);
        let state = first.unwrap_or(ConnectivityState::Connecting);
        Update::new(state, Arc::new(Self))
    }
}

impl Picker for OnDemand {
    fn pick(&self, _: &PickArgs<'_>) -> Pick {
        Pick::Connect(EndpointIndex(0))
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_was_removed_is_not_connected_for_a_late_call() {
    let endpoint = FakeEndpoint::new("10.0.0.1:1", ConnectivityState::Connecting);
    let (channel, changes) = over(&[("a", &endpoint)], Box::new(OnDemand));
    let connects = || endpoint.shared.connects.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(10)).await;
    let _waiting = in_background(&channel, request());
    tokio::time::sleep(Duration::from_millis(10)).await;
    let before = connects();
    assert!(before > 0);

    // As a call that picks from an old snapshot would.
    let slot = channel.shared().directory.load()[0].clone();
    changes.send(Ok(Change::Remove("a"))).unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    slot.connect();
    assert_eq!(connects(), before);
}

/// Connects to whom a call wants: the last one.
#[derive(Debug, Default)]
struct Lazy {
    wanted: Arc<AtomicBool>,
}

impl Policy for Lazy {
    fn update(&mut self, _: Instant, view: &View<'_>) -> Update {
        let last = EndpointIndex(view.endpoints.len() - 1);
        if view.endpoints[last.0].state == ConnectivityState::Ready {
            return Update::new(ConnectivityState::Ready, Arc::new(Always(last)));
        }
        let wants = Wants {
            wanted: self.wanted.clone(),
            waker: view.waker.unwrap().clone(),
        };
        let mut update = Update::new(ConnectivityState::Connecting, Arc::new(wants));
        if self.wanted.load(Ordering::Relaxed) {
            update.connect.push(last);
        }
        update
    }
}

#[derive(Debug)]
struct Wants {
    wanted: Arc<AtomicBool>,
    waker: Waker,
}

impl Picker for Wants {
    fn pick(&self, _: &PickArgs<'_>) -> Pick {
        if !self.wanted.swap(true, Ordering::Relaxed) {
            self.waker.wake_by_ref();
        }
        Pick::Queue
    }
}

#[derive(Debug)]
struct Always(EndpointIndex);

impl Picker for Always {
    fn pick(&self, _: &PickArgs<'_>) -> Pick {
        Pick::Endpoint(self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_picker_may_have_the_policy_asked_again() {
    let idle = |address| FakeEndpoint::new(address, ConnectivityState::Idle);
    let (a, b) = (idle("10.0.0.1:1"), idle("10.0.0.2:1"));
    let (channel, _changes) = over(&[("a", &a), ("b", &b)], Box::new(Lazy::default()));
    let connects = || {
        let of = |one: &FakeEndpoint| one.shared.connects.load(Ordering::Relaxed);
        (of(&a), of(&b))
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(connects(), (0, 0));
    let waiting = in_background(&channel, request());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(connects(), (0, 1), "once, though the call still waits");
    b.set(ConnectivityState::Ready, None);
    assert_eq!(waiting.end().await.unwrap(), Code::Ok);
    assert_eq!((a.calls(), b.calls()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_is_the_last_resort() {
    let (a, b) = (
        FakeEndpoint::ready("10.0.0.1:1"),
        FakeEndpoint::ready("10.0.0.2:1"),
    );
    let (channel, _changes) = round_robin(&[("a", &a), ("b", &b)]);
    ready(&channel).await;
    a.hold_back();
    channel.changed().await;
    for _ in 0..4 {
        call(&channel, request()).await.unwrap();
    }
    assert_eq!((a.calls(), b.calls()), (0, 4));
    assert_eq!(*b.shared.admitted.lock(), [Admit::Normally; 4]);
    b.set(ConnectivityState::TransientFailure, Some("refused"));
    channel.changed().await;
    call(&channel, request()).await.unwrap();
    assert_eq!(*a.shared.admitted.lock(), [Admit::LastResort]);
    assert_eq!(channel.state(), ConnectivityState::Ready);
}

/// round_robin that says of its first endpoint that it was ejected, while it shall.
struct Ejects(Arc<AtomicBool>);

impl Policy for Ejects {
    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        let mut update = RoundRobin::new().update(now, view);
        if self.0.load(Ordering::Relaxed) {
            let reason = std::io::Error::other("half of its calls failed");
            update.ejected.push((EndpointIndex(0), Arc::new(reason)));
        }
        update
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoints_report_says_why_the_policy_ejected_it() {
    let (a, b) = (
        FakeEndpoint::ready("10.0.0.1:1"),
        FakeEndpoint::ready("10.0.0.2:1"),
    );
    let ejects = Arc::new(AtomicBool::new(true));
    let (channel, _changes) = over(&[("a", &a), ("b", &b)], Box::new(Ejects(ejects.clone())));
    ready(&channel).await;
    let ejected = || -> Vec<_> {
        let endpoints = channel.endpoints().into_iter();
        endpoints
            .map(|one| one.ejected.map(|reason| reason.to_string()))
            .collect()
    };
    assert_eq!(
        ejected(),
        [Some("half of its calls failed".to_owned()), None]
    );
    ejects.store(false, Ordering::Relaxed);
    let changed = channel.changed();
    b.set_metadata(Metadata::default().with_weight(2.0));
    changed.await;
    assert_eq!(ejected(), [None, None]);
}

/// round_robin that wants load reports this often; 0 wants none.
struct Streams(Arc<AtomicUsize>, Arc<Length>);

impl Policy for Streams {
    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        let mut update = RoundRobin::new().update(now, view);
        let seconds = self.0.load(Ordering::Relaxed);
        update.observe.load_stream = (seconds > 0).then(|| LoadStream {
            interval: Duration::from_secs(seconds as u64),
            reader: self.1.clone(),
        });
        update
    }
}

/// What an endpoint was told of load reports, in seconds; 0 is none.
fn told(endpoint: &FakeEndpoint) -> Vec<u64> {
    let told = endpoint.shared.load_streams.lock();
    told.iter()
        .map(|(interval, _)| interval.unwrap_or_default().as_secs())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn each_endpoint_hears_once_how_it_is_to_stream_its_load() {
    let [a, b] = ["10.0.0.1:1", "10.0.0.2:1"].map(FakeEndpoint::ready);
    let seconds = Arc::new(AtomicUsize::new(10));
    let policy = Streams(seconds.clone(), Arc::new(Length));
    let (channel, changes) = over(&[("a", &a)], Box::new(policy));
    ready(&channel).await;
    assert_eq!(told(&a), [10]);
    let stats = a.shared.load_streams.lock()[0].1.clone();
    assert!(Arc::ptr_eq(&stats, &channel.endpoints()[0].stats));

    let changed = channel.changed();
    changes.send(Ok(Change::Insert("b", b.clone()))).unwrap();
    changed.await;
    assert_eq!((told(&a), told(&b)), (vec![10], vec![10]));
    for wanted in [20, 0] {
        seconds.store(wanted, Ordering::Relaxed);
        let changed = channel.changed();
        a.set_metadata(Metadata::default().with_weight(wanted as f64 + 1.0));
        changed.await;
    }
    assert_eq!((told(&a), told(&b)), (vec![10, 20, 0], vec![10, 20, 0]));
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_streams_no_load_whatever_calls_are_running() {
    let [a, b] = ["10.0.0.1:1", "10.0.0.2:1"].map(FakeEndpoint::ready);
    let policy = Streams(Arc::new(AtomicUsize::new(10)), Arc::new(Length));
    let (mut channel, changes) = over(&[("a", &a), ("b", &b)], Box::new(policy));
    ready(&channel).await;
    for endpoint in [&a, &b] {
        endpoint.script([Answer::Stream]);
    }
    let _running = [
        channel.call(request()).await.unwrap(),
        channel.call(request()).await.unwrap(),
    ];
    let changed = channel.changed();
    changes.send(Ok(Change::Remove("a"))).unwrap();
    changed.await;
    assert_eq!((told(&a), told(&b)), (vec![10, 0], vec![10]));
    drop(channel);
    while told(&b).len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(told(&b), [10, 0]);
}
