use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::ConnectivityState::{self, Connecting, Idle, Ready, Shutdown, TransientFailure};
use evenkeel_core::{CodeSet, EndpointIndex, LatencyConfig, Pick, PickArgs, Picker};
use tonic::Code;

use super::*;
use crate::lb::{PickFirst, RoundRobin};
use crate::script::Script;

/// Says what it was told to say: its number as the picked place.
#[derive(Clone)]
struct Says {
    number: usize,
    state: ConnectivityState,
    reconfigurable: bool,
    wake_after: Option<Duration>,
}

impl Says {
    fn new(number: usize, state: ConnectivityState) -> Self {
        Self {
            number,
            state,
            reconfigurable: false,
            wake_after: None,
        }
    }
}

#[derive(Debug)]
struct Always(usize);

impl Picker for Always {
    fn pick(&self, _: &PickArgs<'_>) -> Pick {
        Pick::Endpoint(EndpointIndex(self.0))
    }
}

impl Policy for Says {
    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        let mut update = Update::new(self.state, Arc::new(Always(self.number)));
        update.connect = vec![EndpointIndex(self.number)];
        update.disconnect = vec![EndpointIndex(9 - self.number)];
        update.wake_at = self.wake_after.map(|after| now + after);
        let code = [Code::NotFound, Code::Aborted][self.number % 2];
        update.observe.failures = CodeSet::of(&[code]);
        if view.call_waiting {
            update.connect.push(EndpointIndex(9));
        }
        update
    }
}

impl BuildPolicy for Says {
    fn build(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }

    fn reconfigure(&self, running: &mut dyn Any) -> bool {
        let Some(running) = running.downcast_mut::<Self>() else {
            return false;
        };
        running.state = self.state;
        self.reconfigurable
    }
}

fn script() -> Script {
    Script::new(&[Ready; 10])
}

#[test]
fn the_next_policy_takes_over_when_it_is_not_connecting_or_the_serving_one_is_not_ready() {
    let states = [Idle, Connecting, Ready, TransientFailure, Shutdown];
    for serving in states {
        for next in states {
            let mut switch = GracefulSwitch::new("old", &Says::new(0, serving));
            switch.switch_to("new", &Says::new(1, next));
            let script = script();
            let update = script.update(&mut switch);
            let stays = serving == Ready && next == Connecting;
            let picked = script.pick(&*update.picker, &[], 0);
            assert_eq!(picked, if stays { 0 } else { 1 }, "{serving} {next}");
            assert_eq!(update.state, if stays { serving } else { next });
            assert_eq!(switch.serving(), if stays { "old" } else { "new" });
            assert_eq!(switch.next(), stays.then_some("new"));
        }
    }
}

#[test]
fn while_both_run_both_are_served_and_nothing_is_closed() {
    let mut old = Says::new(0, Ready);
    old.wake_after = Some(Duration::from_secs(5));
    let mut new = Says::new(1, Connecting);
    new.wake_after = Some(Duration::from_secs(3));
    let mut switch = GracefulSwitch::new("old", &old);
    switch.switch_to("new", &new);
    let mut script = script();
    script.call_waiting = true;
    let update = script.update(&mut switch);
    assert_eq!(script.ids(&update.connect), [0, 9, 1, 9]);
    assert!(update.disconnect.is_empty());
    assert_eq!(update.wake_at, Some(script.now() + Duration::from_secs(3)));
    let both = CodeSet::of(&[Code::NotFound, Code::Aborted]);
    assert_eq!(update.observe.failures, both, "the next one learns already");
}

#[test]
fn a_policy_that_took_over_closes_what_it_does_not_need() {
    let mut switch = GracefulSwitch::new("old", &Says::new(0, Ready));
    switch.switch_to("new", &Says::new(1, Ready));
    let script = script();
    let update = script.update(&mut switch);
    assert_eq!(script.ids(&update.connect), [1]);
    assert_eq!(script.ids(&update.disconnect), [8]);
}

#[test]
fn a_policy_of_the_same_name_is_reconfigured_if_it_can_be() {
    for can in [false, true] {
        let mut switch = GracefulSwitch::new("same", &Says::new(0, Ready));
        let mut changed = Says::new(1, Connecting);
        changed.reconfigurable = can;
        let taken_by = switch.switch_to("same", &changed).taken_by;
        let expected = [TakenBy::New, TakenBy::Serving][usize::from(can)];
        assert_eq!(taken_by, expected);
        assert_eq!(switch.next(), (!can).then_some("same"));
    }
}

#[test]
fn a_policy_of_another_name_is_never_reconfigured() {
    let mut switch = GracefulSwitch::new("old", &Says::new(0, Ready));
    let mut new = Says::new(1, Connecting);
    new.reconfigurable = true;
    switch.switch_to("new", &new);
    assert_eq!(switch.next(), Some("new"));
}

#[test]
fn the_last_switch_counts() {
    let mut new = Says::new(1, Connecting);
    new.reconfigurable = true;
    let mut switch = GracefulSwitch::new("a", &Says::new(0, Ready));
    let script = script();
    let decided = |taken_by, given_up: Option<&str>| Switch {
        taken_by,
        given_up: given_up.map(Into::into),
    };
    assert_eq!(switch.switch_to("b", &new), decided(TakenBy::New, None));
    script.update(&mut switch);
    // The next one is reconfigured as well.
    assert_eq!(switch.switch_to("b", &new), decided(TakenBy::Next, None));
    assert_eq!((switch.serving(), switch.next()), ("a", Some("b")));
    let switched = switch.switch_to("c", &new);
    assert_eq!(switched, decided(TakenBy::New, Some("b")));
    assert_eq!((switch.serving(), switch.next()), ("a", Some("c")));
    // Back to what serves: nothing to go over to.
    let mut same = Says::new(0, Ready);
    same.reconfigurable = true;
    let switched = switch.switch_to("a", &same);
    assert_eq!(switched, decided(TakenBy::Serving, Some("c")));
    assert_eq!((switch.serving(), switch.next()), ("a", None));
    script.update(&mut switch);
    assert_eq!(switch.serving(), "a");
}

#[test]
fn pick_first_goes_over_to_round_robin_without_a_call_that_waits() {
    let mut script = Script::new(&[Ready, Idle, Idle]);
    let mut switch = GracefulSwitch::new(PickFirst::NAME, &PickFirst::default);
    assert_eq!(script.picks(&*script.update(&mut switch).picker, 2), [0, 0]);
    switch.switch_to(RoundRobin::NAME, &RoundRobin::new);
    let update = script.update(&mut switch);
    assert_eq!(switch.serving(), RoundRobin::NAME);
    assert_eq!(update.state, Ready);
    assert_eq!(script.picks(&*update.picker, 1), [0]);
    assert_eq!(script.ids(&update.connect), [1, 2]);
    script.set(1, Ready);
    script.set(2, Ready);
    // And back: one connection is kept, the others are closed.
    switch.switch_to(PickFirst::NAME, &PickFirst::default);
    let update = script.update(&mut switch);
    assert_eq!(script.ids(&update.disconnect), [1, 2]);
    assert_eq!(script.picks(&*update.picker, 2), [0, 0]);
}

#[test]
fn of_two_ways_to_measure_the_serving_one_counts() {
    let latency = |secs| LatencyConfig {
        decay: Duration::from_secs(secs),
        ..LatencyConfig::default()
    };
    let mut one = evenkeel_core::Observe::default();
    let mut other = evenkeel_core::Observe::default();
    other.latency = Some(latency(2));
    assert_eq!(both(one.clone(), &other).latency, Some(latency(2)));
    one.latency = Some(latency(1));
    assert_eq!(both(one, &other).latency, Some(latency(1)));
}

/// Weighs nothing.
#[derive(Debug)]
struct Nothing;

impl evenkeel_core::ReadLoad for Nothing {
    fn weight(&self, _: &[u8]) -> Option<f64> {
        None
    }
}

#[test]
fn load_is_streamed_as_often_as_the_more_impatient_wants_for_the_serving_one() {
    let readers = [(); 2].map(|()| Arc::new(Nothing));
    let streams = |place: usize, seconds: Option<u64>| {
        let mut observe = evenkeel_core::Observe::default();
        observe.load_stream = seconds.map(|seconds| evenkeel_core::LoadStream {
            interval: Duration::from_secs(seconds),
            reader: readers[place].clone(),
        });
        observe
    };
    for (one, other, expected) in [
        (Some(10), None, Some((10, 0))),
        (None, Some(20), Some((20, 1))),
        (Some(10), Some(20), Some((10, 0))),
        (Some(20), Some(10), Some((10, 0))),
        (None, None, None),
    ] {
        let merged = both(streams(0, one), &streams(1, other)).load_stream;
        let is_reader = |place: usize, stream: &evenkeel_core::LoadStream| {
            std::ptr::addr_eq(Arc::as_ptr(&stream.reader), Arc::as_ptr(&readers[place]))
        };
        match (merged, expected) {
            (Some(merged), Some((seconds, place))) => {
                assert_eq!(merged.interval.as_secs(), seconds, "{one:?} {other:?}");
                assert!(is_reader(place, &merged), "{one:?} {other:?}");
            }
            (merged, expected) => assert_eq!(merged.is_some(), expected.is_some()),
        }
    }
}

#[test]
fn health_counts_if_it_does_for_either() {
    let heeds = |health: bool| {
        let mut observe = evenkeel_core::Observe::default();
        observe.health = health;
        observe
    };
    for (one, other) in [(false, false), (true, false), (false, true), (true, true)] {
        assert_eq!(both(heeds(one), &heeds(other)).health, one || other);
    }
}
