//! More than one connection (gRFC A105).

mod threads;

use std::pin::{Pin, pin};
use std::sync::atomic::AtomicBool;
use std::task::Waker;

use http_body::{Body, Frame};
use parking_lot::Mutex;

use super::*;

/// Dials that wait until the test answers them.
#[derive(Clone)]
struct Dialler(mpsc::UnboundedSender<Answer>);

type Answer = oneshot::Sender<Result<Connected<Peer>, ConnectError>>;

/// A connection, known by its number, that lets so many streams be open.
#[derive(Clone)]
struct Peer {
    number: i32,
    limit: Watched,
    open: Watched,
    /// Says nothing when a stream ends.
    is_silent: Arc<AtomicBool>,
}

/// A number, and who wants to know of another one.
type Watched = Arc<Mutex<(usize, Option<Waker>)>>;

/// A stream that is open until this is dropped: the body of a response, without an end.
struct Open(Peer);

impl Connect for Dialler {
    type Connection = Peer;
    type Future = BoxFuture<'static, Result<Connected<Peer>, ConnectError>>;

    fn connect(&self, _: &Address, _: &Endpoint) -> Self::Future {
        let (answer, answered) = oneshot::channel();
        self.0.send(answer).unwrap();
        async { answered.await.expect("the test answers") }.boxed()
    }
}

impl Connection for Peer {
    type ResponseBody = Open;
    type Future<B: RequestBody> = BoxFuture<'static, Result<Response<Open>, Status>>;

    fn send<B: RequestBody>(&self, _: Request<B>) -> Self::Future<B> {
        let open = self.open();
        async { Ok(Response::new(open)) }.boxed()
    }

    fn max_concurrent_streams(&self) -> usize {
        self.limit.lock().0
    }

    fn open_streams(&self) -> Option<usize> {
        Some(self.open.lock().0)
    }

    fn wake_at_stream_end(&self, cx: &Context<'_>) {
        if !self.is_silent.load(Ordering::Relaxed) {
            self.open.lock().1 = Some(cx.waker().clone());
        }
    }

    fn poll_max_concurrent_streams(&self, seen: usize, cx: &Context<'_>) -> Poll<usize> {
        let mut limit = self.limit.lock();
        if limit.0 == seen {
            limit.1 = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(limit.0)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = self.0.open.lock();
        open.0 -= 1;
        if let Some(waker) = open.1.take() {
            waker.wake();
        }
    }
}

impl Body for Open {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Pending
    }
}

impl Peer {
    fn new(number: i32, streams: usize) -> Self {
        Self {
            number,
            limit: Arc::new(Mutex::new((streams, None))),
            open: Arc::default(),
            is_silent: Arc::default(),
        }
    }

    /// A stream that nobody was given.
    fn open(&self) -> Open {
        self.open.lock().0 += 1;
        Open(self.clone())
    }

    fn allow(&self, streams: usize) {
        let mut limit = self.limit.lock();
        limit.0 = streams;
        if let Some(waker) = limit.1.take() {
            waker.wake();
        }
    }
}

struct Test {
    subchannel: Subchannel<Dialler>,
    dials: mpsc::UnboundedReceiver<Answer>,
    connections: i32,
}

/// A connection as the test has it.
struct Line {
    peer: Peer,
    close: oneshot::Sender<CloseReason>,
}

/// An attempt that was admitted.
struct Call {
    running: Option<Open>,
    sender: crate::Connected<Peer>,
    _admission: Admission<Peer>,
}

impl Call {
    /// The number of the connection that it goes over, if it need not wait.
    async fn over(&mut self) -> Option<i32> {
        if self.running.is_none() && self.is_ready().await {
            let sent = self
                .sender
                .call(Request::new(Full::new(Bytes::new())))
                .now_or_never();
            self.running = Some(sent.unwrap().unwrap().into_body());
        }
        self.running.as_ref().map(|running| running.0.number)
    }

    /// Whether it need not wait.
    async fn is_ready(&mut self) -> bool {
        match self.poll_ready().await {
            Poll::Ready(ready) => {
                ready.unwrap();
                true
            }
            Poll::Pending => false,
        }
    }

    /// Whether there is no connection left that it could wait for.
    async fn is_left_behind(&mut self) -> bool {
        match self.poll_ready().await {
            Poll::Ready(Err(status)) => cause::<LeftBehind>(&status).is_some(),
            _ => false,
        }
    }

    async fn poll_ready(&mut self) -> Poll<Result<(), Status>> {
        settled().await;
        let mut cx = Context::from_waker(Waker::noop());
        Service::<Request<Full<Bytes>>>::poll_ready(&mut self.sender, &mut cx)
    }
}

/// Lets the driver do all that it can.
async fn settled() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

impl Test {
    /// With so many connections allowed, and the first one made.
    async fn connected(most: u32, streams: usize) -> (Self, Line) {
        let (dials_to, dials) = mpsc::unbounded_channel();
        let mut config = SubchannelConfig::default();
        config.backoff.jitter = 0.0;
        let subchannel = Subchannel::new(endpoint(), Dialler(dials_to), config);
        let mut test = Self {
            subchannel,
            dials,
            connections: 0,
        };
        test.subchannel.allow_connections(most);
        test.subchannel.connect();
        let line = test.answer(streams).await;
        assert_eq!(test.state(), ConnectivityState::Ready);
        (test, line)
    }

    fn state(&self) -> ConnectivityState {
        self.subchannel.report().state
    }

    fn begin(&self) -> Call {
        let (sender, admission) = self.subchannel.admit(Admit::Normally).unwrap();
        Call {
            running: None,
            sender,
            _admission: admission,
        }
    }

    async fn dial(&mut self) -> Answer {
        let dial = timeout(Duration::from_secs(600), self.dials.recv());
        dial.await.expect("it dials").unwrap()
    }

    async fn dials(&mut self) -> bool {
        settled().await;
        !self.dials.is_empty()
    }

    /// Lets the next dial succeed.
    async fn answer(&mut self, streams: usize) -> Line {
        let answer = self.dial().await;
        let (close, closed) = oneshot::channel();
        let peer = Peer::new(self.connections, streams);
        self.connections += 1;
        let connected = Connected::new(peer.clone(), closed);
        answer.send(Ok(connected)).ok().unwrap();
        settled().await;
        Line { peer, close }
    }
}

#[tokio::test(start_paused = true)]
async fn while_one_connection_is_allowed_nobody_is_counted_or_waits() {
    let (mut test, _line) = Test::connected(1, 1).await;
    let mut calls: Vec<_> = (0..5).map(|_| test.begin()).collect();
    for call in &mut calls {
        assert_eq!(call.over().await, Some(0));
    }
    assert!(test.subchannel.shared().pool.get().is_none());
    assert!(!test.dials().await);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_stream_waits_for_another_connection() {
    let (mut test, _first) = Test::connected(3, 2).await;
    let mut calls: Vec<_> = (0..3).map(|_| test.begin()).collect();
    assert_eq!(calls[0].over().await, Some(0));
    assert_eq!(calls[1].over().await, Some(0));
    assert_eq!(calls[2].over().await, None);
    let _second = test.answer(1).await;
    assert_eq!(calls[2].over().await, Some(1));
    // The oldest one comes first again.
    calls.remove(0);
    assert_eq!(test.begin().over().await, Some(0));
    assert_eq!(test.state(), ConnectivityState::Ready);
    assert!(!test.dials().await);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_one_at_a_time_until_there_are_enough() {
    let (mut test, _first) = Test::connected(3, 1).await;
    let mut calls: Vec<_> = (0..4).map(|_| test.begin()).collect();
    let second = test.dial().await;
    assert!(!test.dials().await, "one at a time");
    // Unanswered, it is lost: the fake connector panics then.
    let (_close, closed) = oneshot::channel();
    let peer = Peer::new(1, 1);
    second.send(Ok(Connected::new(peer, closed))).ok().unwrap();
    assert_eq!(calls[1].over().await, Some(1));
    test.connections = 2;
    let _third = test.answer(1).await;
    assert_eq!(calls[2].over().await, Some(2));
    assert_eq!(calls[3].over().await, None);
    assert!(!test.dials().await, "three are enough");
}

#[tokio::test(start_paused = true)]
async fn no_more_connections_than_the_limit_of_the_channel() {
    let (test, _line) = Test::connected(1_000, 1).await;
    let pool = test.subchannel.shared().pool.get().unwrap();
    assert_eq!(pool.most(), 10);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_fails_leaves_it_ready_and_backs_off() {
    let (mut test, first) = Test::connected(2, 1).await;
    let mut calls = [test.begin(), test.begin()];
    let begun = Instant::now();
    for backoff in [1_000, 1_600] {
        let began = Instant::now();
        test.dial().await.send(Err(refused())).ok().unwrap();
        settled().await;
        assert_eq!(test.state(), ConnectivityState::Ready);
        assert!(!test.dials().await);
        tokio::time::sleep_until(began + Duration::from_millis(backoff - 10)).await;
        assert!(!test.dials().await, "{:?}", begun.elapsed());
        tokio::time::sleep(Duration::from_millis(15)).await;
        assert!(test.dials().await, "{:?}", begun.elapsed());
    }
    test.dial().await.send(Err(refused())).ok().unwrap();
    settled().await;
    // Its stream is free before the backoff ends: then nobody waits for another connection.
    calls[0] = test.begin();
    assert_eq!(calls[1].over().await, Some(0));
    drop(calls);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(!test.dials().await);
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn resetting_the_backoff_tries_again_at_once() {
    let (mut test, _first) = Test::connected(2, 1).await;
    let mut calls = [test.begin(), test.begin()];
    test.dial().await.send(Err(refused())).ok().unwrap();
    settled().await;
    test.subchannel.reset_backoff();
    let _second = test.answer(1).await;
    assert_eq!(calls[1].over().await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn who_waits_goes_in_order_when_a_call_ends_and_whoever_is_given_up_lets_the_others_pass() {
    let (mut test, _first) = Test::connected(2, 1).await;
    let first = test.begin();
    let [mut a, b, mut c] = [test.begin(), test.begin(), test.begin()];
    assert_eq!(a.over().await, None);
    drop(first);
    assert_eq!(a.over().await, Some(0));
    assert_eq!(c.over().await, None);
    drop(b);
    drop(a);
    assert_eq!(c.over().await, Some(0));
    // The attempt that was made for them goes on.
    let _second = test.answer(1).await;
    assert_eq!(test.begin().over().await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_is_woken() {
    let (mut test, _first) = Test::connected(2, 1).await;
    let _call = test.begin();
    let mut waiting = test.begin();
    let ready = poll_fn(|cx| Service::<Request<Full<Bytes>>>::poll_ready(&mut waiting.sender, cx));
    let mut ready = pin!(ready);
    assert!((&mut ready).now_or_never().is_none());
    let _second = test.answer(1).await;
    timeout(Duration::from_secs(1), ready)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_allows_more_streams_takes_those_who_wait() {
    let (mut test, first) = Test::connected(2, 0).await;
    let mut call = test.begin();
    assert_eq!(call.over().await, None);
    first.peer.allow(1);
    assert_eq!(call.over().await, Some(0));
    let second = test.answer(0).await;
    let mut other = test.begin();
    assert_eq!(other.over().await, None);
    second.peer.allow(1);
    assert_eq!(other.over().await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_lost_takes_nobody_with_it_but_the_last_does() {
    let (mut test, first) = Test::connected(2, 1).await;
    let _calls = [test.begin(), test.begin()];
    let second = test.answer(1).await;
    let mut waiting = test.begin();
    drop(first.close);
    assert_eq!(waiting.over().await, None);
    assert_eq!(test.state(), ConnectivityState::Ready);
    assert!(test.dials().await, "for the call that waits");
    let dial = test.dial().await;
    drop(second.close);
    assert!(waiting.is_left_behind().await);
    assert_eq!(test.state(), ConnectivityState::Connecting);
    assert!(test.subchannel.admit(Admit::Normally).is_err());
    let (_close, closed) = oneshot::channel();
    let peer = second.peer.clone();
    dial.send(Ok(Connected::new(peer, closed))).ok().unwrap();
    settled().await;
    assert_eq!(test.state(), ConnectivityState::Ready);
}

#[tokio::test(start_paused = true)]
async fn in_backoff_without_a_connection_it_is_in_transient_failure_and_connects_by_itself() {
    let (mut test, first) = Test::connected(2, 1).await;
    let _calls = [test.begin(), test.begin()];
    test.dial().await.send(Err(refused())).ok().unwrap();
    settled().await;
    drop(first.close);
    settled().await;
    assert_eq!(test.state(), ConnectivityState::TransientFailure);
    let _again = test.answer(1).await;
    assert_eq!(test.state(), ConnectivityState::Ready);
    assert_eq!(test.begin().over().await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_that_is_left_serves_when_the_first_is_lost() {
    let (mut test, first) = Test::connected(2, 1).await;
    let _calls = [test.begin(), test.begin()];
    let second = test.answer(2).await;
    drop(first.close);
    assert_eq!(test.begin().over().await, Some(1));
    drop(second.close);
    settled().await;
    assert_eq!(test.state(), ConnectivityState::Idle);
    assert!(!test.dials().await);
}

#[tokio::test(start_paused = true)]
async fn another_number_counts_at_once_and_closes_none() {
    let (mut test, first) = Test::connected(1, 1).await;
    let early = test.begin();
    test.subchannel.allow_connections(2);
    settled().await;
    // What came before was not counted here.
    let mut calls = vec![test.begin(), test.begin()];
    assert_eq!(calls[0].over().await, Some(0));
    let second = test.answer(1).await;
    assert_eq!(calls[1].over().await, Some(1));
    test.subchannel.allow_connections(1);
    settled().await;
    assert!(!first.close.is_closed() && !second.close.is_closed());
    calls.clear();
    let mut calls = [test.begin(), test.begin(), test.begin()];
    assert_eq!(calls[1].over().await, Some(1));
    assert_eq!(calls[2].over().await, None);
    // It is not replaced.
    drop(second.close);
    settled().await;
    assert!(!test.dials().await);
    test.subchannel.allow_connections(2);
    let _third = test.answer(1).await;
    assert_eq!(calls[2].over().await, Some(2));
    drop(early);
}

#[tokio::test(start_paused = true)]
async fn streams_from_before_there_could_be_several_count_until_they_end() {
    let (mut test, first) = Test::connected(1, 1).await;
    let early = first.peer.open();
    test.subchannel.allow_connections(2);
    settled().await;
    let mut call = test.begin();
    assert_eq!(call.over().await, None);
    let dial = test.dial().await;
    drop(early);
    assert_eq!(call.over().await, Some(0));
    let mut other = test.begin();
    assert_eq!(other.over().await, None);
    drop(call);
    assert_eq!(other.over().await, Some(0));
    drop(dial.send(Err(refused())));
}

#[tokio::test(start_paused = true)]
async fn disconnecting_lets_go_of_all_of_them() {
    let (mut test, first) = Test::connected(3, 1).await;
    let mut calls = vec![test.begin(), test.begin()];
    let second = test.answer(1).await;
    let (mut given, mut waiting) = (test.begin(), test.begin());
    let dial = test.dial().await;
    drop(calls.remove(0));
    assert!(given.is_ready().await);
    test.subchannel.disconnect();
    settled().await;
    assert_eq!(test.state(), ConnectivityState::Idle);
    assert!(first.close.is_closed() && second.close.is_closed() && dial.is_closed());
    assert!(waiting.is_left_behind().await, "nobody waits any longer");
    // What has a stream has it still: from what is closed, the request would come back unsent.
    assert_eq!(given.over().await, Some(0));
    assert!(test.subchannel.admit(Admit::Normally).is_err());
}

/// With one call that has a stream and was not counted, and one that waits for it in vain: no other
/// connection could be made.
async fn waits_for_an_uncounted_one() -> (Test, Line, Call, Call) {
    let (mut test, first) = Test::connected(1, 1).await;
    let mut early = test.begin();
    assert_eq!(early.over().await, Some(0));
    test.subchannel.allow_connections(2);
    settled().await;
    let mut waiting = test.begin();
    test.dial().await.send(Err(refused())).ok().unwrap();
    assert_eq!(waiting.over().await, None);
    (test, first, early, waiting)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_goes_when_a_call_ends_that_was_not_counted() {
    let (test, _first, early, mut waiting) = waits_for_an_uncounted_one().await;
    drop(early);
    assert_eq!(waiting.over().await, Some(0));
    let mut next = test.begin();
    assert_eq!(next.over().await, None);
    drop(waiting);
    assert_eq!(next.over().await, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_goes_when_the_backoff_ends_if_there_is_a_stream_by_then() {
    let (mut test, first) = Test::connected(1, 1).await;
    first.peer.is_silent.store(true, Ordering::Relaxed);
    let early = first.peer.open();
    test.subchannel.allow_connections(2);
    settled().await;
    let mut waiting = test.begin();
    test.dial().await.send(Err(refused())).ok().unwrap();
    settled().await;
    drop(early);
    assert_eq!(waiting.over().await, None, "nobody has looked");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(waiting.over().await, Some(0));
    assert!(!test.dials().await, "nobody waits for another connection");
}

#[tokio::test(start_paused = true)]
async fn one_stream_is_given_to_one_call_though_it_has_not_opened_it() {
    let (mut test, first) = Test::connected(2, 1).await;
    let early = first.peer.open();
    let [mut a, mut b, mut c] = [test.begin(), test.begin(), test.begin()];
    let _dial = test.dial().await;
    drop(early);
    assert!(a.is_ready().await);
    assert!(!b.is_ready().await);
    assert!(!test.begin().is_ready().await);
    assert_eq!(a.over().await, Some(0));
    assert!(!b.is_ready().await);
    // Given up before it is sent.
    drop(a);
    assert!(b.is_ready().await);
    drop(b);
    assert_eq!(c.over().await, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_settled_at_its_head_has_its_stream_until_its_body_ends() {
    let (test, _first) = Test::connected(2, 1).await;
    let mut call = test.begin();
    assert_eq!(call.over().await, Some(0));
    let body = call.running.take();
    drop(call);
    let mut next = test.begin();
    assert_eq!(next.over().await, None);
    drop(body);
    assert_eq!(next.over().await, Some(0));
}

#[tokio::test(start_paused = true)]
async fn the_stream_of_the_health_check_counts_and_is_given_when_it_ends() {
    let (mut test, first) = Test::connected(2, 2).await;
    test.subchannel.check_health(Some(&"".into()));
    settled().await;
    assert_eq!(first.peer.open_streams(), Some(1));
    let mut calls = [test.begin(), test.begin()];
    assert_eq!(calls[0].over().await, Some(0));
    assert_eq!(calls[1].over().await, None);
    let _dial = test.dial().await;
    test.subchannel.check_health(None);
    assert_eq!(calls[1].over().await, Some(0));
}
