//! What becomes of picks that give no endpoint.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use evenkeel::policy::lb::petiole;
use evenkeel::{Pick, PickArgs, Picker, Policy, PolicyRegistry, Update, View, WaitForReady};
use evenkeel_core::EndpointIndex;
use evenkeel_testkit::pb::GetByIdRequest;
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::{Code, Request, Response, Status};

use crate::servers::{Answer, Attempt, Client, Servers, call, config, policy};

/// A policy whose next picks are the test's; the others are those of pick_first.
#[derive(Clone, Debug, Default)]
struct Picks(Arc<Mutex<Script>>);

#[derive(Debug, Default)]
struct Script {
    next: VecDeque<Pick>,
    made: usize,
    waker: Option<Waker>,
}

impl Picks {
    fn next(&self, picks: impl IntoIterator<Item = Pick>) {
        self.0.lock().next.extend(picks);
    }

    fn made(&self) -> usize {
        self.0.lock().made
    }

    /// Makes a new picker, which the calls that wait ask again.
    fn wake(&self) {
        let waker = self.0.lock().waker.clone();
        waker.unwrap().wake();
    }

    /// A channel to one server whose calls are picked for by this, and tried again by `retry`.
    async fn channel(&self, retry: &str) -> (Servers, Client) {
        let picks = self.clone();
        let mut registry = PolicyRegistry::default();
        registry.register_fn("test.picks", move |_| {
            let picks = picks.clone();
            Ok(move || Scripted(picks.clone()))
        });
        let servers = Servers::default();
        let builder = servers
            .builder(1)
            .policies(registry)
            .service_config(config(retry).replace("round_robin", "test.picks"));
        let channel = servers.build(builder).await;
        (servers, Client::new(channel))
    }
}

struct Scripted(Picks);

impl Policy for Scripted {
    fn update(&mut self, _: std::time::Instant, view: &View<'_>) -> Update {
        self.0.0.lock().waker = view.waker.cloned();
        petiole(view, |ready| {
            Arc::new(ScriptedPicker {
                picks: self.0.clone(),
                first: ready[0].0,
            })
        })
    }
}

#[derive(Debug)]
struct ScriptedPicker {
    picks: Picks,
    first: EndpointIndex,
}

impl Picker for ScriptedPicker {
    fn pick(&self, _: &PickArgs<'_>) -> Pick {
        let mut script = self.picks.0.lock();
        script.made += 1;
        let next = script.next.pop_front();
        next.unwrap_or(Pick::Endpoint(self.first))
    }
}

fn failing(code: Code) -> Pick {
    Pick::Fail(Status::new(code, "of the policy"))
}

fn dropping(code: Code) -> Pick {
    Pick::Drop(Status::new(code, "of the policy"))
}

async fn call_waiting(client: &mut Client) -> Result<Response<()>, Status> {
    let mut request = Request::new(GetByIdRequest { id: 1 });
    request.extensions_mut().insert(WaitForReady(true));
    let response = client.get_by_id(request).await?;
    Ok(response.map(drop))
}

fn unavailable(attempts: u32) -> String {
    policy(attempts, r#""UNAVAILABLE""#)
}

#[tokio::test(start_paused = true)]
async fn the_pick_is_below_the_retry_one_for_each_attempt() {
    let picks = Picks::default();
    let (servers, mut client) = picks.channel(&unavailable(4)).await;
    servers.answer([(); 2].map(|()| Answer::fails(Code::Unavailable)));
    call(&mut client).await.unwrap();
    assert_eq!((picks.made(), servers.count()), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_pick_that_fails_goes_through_the_retry_policy() {
    let picks = Picks::default();
    let (servers, mut client) = picks.channel(&unavailable(4)).await;
    picks.next([(); 2].map(|()| failing(Code::Unavailable)));
    let start = Instant::now();
    call(&mut client).await.unwrap();
    let waited = start.elapsed().as_secs_f64();
    assert!((2.4..=3.61).contains(&waited), "1 s and 2 s: {waited}");
    assert_eq!((picks.made(), servers.count()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_pick_that_fails_is_an_attempt_in_number_and_in_the_header() {
    let picks = Picks::default();
    let (servers, mut client) = picks.channel(&unavailable(3)).await;
    picks.next([failing(Code::Unavailable)]);
    servers.answer([(); 3].map(|()| Answer::fails(Code::Unavailable)));
    let status = call(&mut client).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let attempts = servers.attempts();
    let previous: Vec<_> = attempts.iter().map(Attempt::previous).collect();
    assert_eq!(previous, [Some("1"), Some("2")]);
}

#[tokio::test(start_paused = true)]
async fn a_channel_in_transient_failure_is_retried_as_unavailable() {
    let servers = Servers::default();
    let channel = servers.channel(1, &config(&unavailable(5))).await;
    let mut client = Client::new(channel.clone());
    servers.go_down();
    while channel.state() != evenkeel::ConnectivityState::TransientFailure {
        channel.wait_for_state_change(channel.state()).await;
    }
    let mut call = Box::pin(call(&mut client));
    assert!(call.as_mut().now_or_never().is_none(), "in its first delay");
    servers.come_up();
    channel.reset_backoff();
    call.await.unwrap();
    assert_eq!(servers.attempts()[0].previous(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_drop_fails_the_call_now_even_if_it_waits_for_ready() {
    let picks = Picks::default();
    let (servers, mut client) = picks.channel(&unavailable(4)).await;
    let start = Instant::now();
    picks.next([(); 2].map(|()| dropping(Code::Unavailable)));
    for status in [
        call(&mut client).await.unwrap_err(),
        call_waiting(&mut client).await.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.message(), "of the policy");
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!((picks.made(), servers.count()), (2, 0));

    // Also instead of a later attempt.
    servers.answer([Answer::fails(Code::Unavailable)]);
    picks.next([
        Pick::Endpoint(EndpointIndex(0)),
        dropping(Code::Unavailable),
    ]);
    call(&mut client).await.unwrap_err();
    assert_eq!(servers.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pick_that_is_queued_is_no_attempt() {
    let picks = Picks::default();
    let (servers, mut client) = picks.channel(&unavailable(2)).await;
    picks.next([(); 5].map(|()| Pick::Queue));
    servers.answer([Answer::fails(Code::Unavailable)]);
    is_queued_five_times(&picks, call(&mut client)).await;
    let attempts = servers.attempts();
    let previous: Vec<_> = attempts.iter().map(Attempt::previous).collect();
    assert_eq!(previous, [None, Some("1")]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_ready_is_queued_where_another_fails() {
    let picks = Picks::default();
    let (servers, mut client) = picks.channel(&unavailable(2)).await;
    picks.next([(); 5].map(|()| failing(Code::Unavailable)));
    is_queued_five_times(&picks, call_waiting(&mut client)).await;
    assert_eq!(servers.attempts()[0].previous(), None);
}

/// The call is picked for five times in vain, and then answered.
async fn is_queued_five_times<T>(picks: &Picks, call: impl Future<Output = Result<T, Status>>) {
    let before = picks.made();
    let wake = async {
        for asked in 1..=5 {
            while picks.made() < before + asked {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            picks.wake();
        }
    };
    let (result, ()) = tokio::join!(call, wake);
    result.map(drop).unwrap();
}

#[tokio::test(start_paused = true)]
async fn codes_that_only_a_server_may_give_are_internal_before_they_are_matched() {
    for code in [
        Code::InvalidArgument,
        Code::NotFound,
        Code::AlreadyExists,
        Code::FailedPrecondition,
        Code::Aborted,
        Code::OutOfRange,
        Code::DataLoss,
    ] {
        let picks = Picks::default();
        let number = code as i32;
        let (servers, mut client) = picks.channel(&policy(3, &number.to_string())).await;
        picks.next([failing(code)]);
        let status = call(&mut client).await.unwrap_err();
        assert_eq!((status.code(), servers.count()), (Code::Internal, 0));
        assert!(status.message().contains("of the policy"), "{status}");

        let (servers, mut client) = picks.channel(&policy(3, r#""INTERNAL""#)).await;
        picks.next([failing(code)]);
        call(&mut client).await.unwrap();
        assert_eq!(servers.attempts()[0].previous(), Some("1"));
    }
}
