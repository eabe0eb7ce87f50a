use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::ConnectivityState::{self, Connecting, Idle, Ready, TransientFailure};
use evenkeel_core::{BuildPolicy, CodeSet, Outcome};
use proptest::prelude::*;
use tonic::Code;

use super::*;
use crate::lb::{BuildWrapper, LeastRequest, LeastRequestConfig, RoundRobin};
use crate::script::Script;

const INTERVAL: Duration = Duration::from_secs(10);

fn config() -> OutlierDetectionConfig {
    OutlierDetectionConfig {
        max_ejection_percent: 100,
        failure_percentage: Some(FailurePercentageEjection {
            minimum_hosts: 1,
            request_volume: 10,
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn around(child: impl Policy, config: OutlierDetectionConfig) -> OutlierDetection {
    OutlierDetection::new(config, Box::new(child))
}

/// Lets these endpoints fail for an interval.
fn eject(script: &mut Script, policy: &mut dyn Policy, bad: &[u64]) -> Update {
    script.update(policy);
    for id in bad {
        script.end(*id, 10, Outcome::Failure(Code::Unavailable));
    }
    script.advance(INTERVAL);
    script.update(policy)
}

#[test]
fn an_ejected_endpoint_gets_no_calls_until_it_is_let_in_again() {
    let mut script = Script::new(&[Ready; 4]);
    let mut policy = around(RoundRobin::new(), config());
    let update = eject(&mut script, &mut policy, &[1]);
    assert_eq!((update.state, update.last_resort), (Ready, false));
    let picks = script.picks(&*update.picker, 300);
    assert!(!picks.contains(&1));
    let (index, error) = &update.ejected[0];
    assert_eq!((index.0, update.ejected.len()), (1, 1));
    assert!(
        error
            .to_string()
            .starts_with("ejected as an outlier for 30s: ")
    );
    assert!(error.downcast_ref::<Ejected>().is_some());
    assert!(update.disconnect.is_empty(), "it stays connected");

    script.advance(Duration::from_secs(31));
    let update = script.update(&mut policy);
    assert!(update.ejected.is_empty());
    assert!(script.picks(&*update.picker, 4).contains(&1));
}

#[test]
fn a_pool_that_is_all_ejected_is_the_last_resort() {
    let mut script = Script::new(&[Ready, Ready, TransientFailure]);
    let mut policy = around(RoundRobin::new(), config());
    let update = eject(&mut script, &mut policy, &[0, 1]);
    assert_eq!((update.state, update.last_resort), (Ready, true));
    let mut picks = script.picks(&*update.picker, 2);
    picks.sort_unstable();
    assert_eq!(picks, [0, 1]);
}

#[test]
fn an_ejection_shows_in_endpoints_that_are_ready_only() {
    let mut script = Script::new(&[Ready; 3]);
    let mut policy = around(RoundRobin::new(), config());
    eject(&mut script, &mut policy, &[0]);
    for (state, connects) in [(Idle, true), (Connecting, false), (TransientFailure, false)] {
        script.set(0, state);
        let update = script.update(&mut policy);
        assert_eq!(
            script.ids(&update.connect),
            if connects { &[0][..] } else { &[] }
        );
        assert_eq!(script.picks(&*update.picker, 9).iter().min(), Some(&1));
    }
    script.set(0, Ready);
    let update = script.update(&mut policy);
    assert_eq!(
        script.picks(&*update.picker, 9).iter().min(),
        Some(&1),
        "reconnected, ejected"
    );
}

#[test]
fn pick_first_keeps_its_endpoint() {
    let mut script = Script::new(&[Ready, Ready]);
    let mut policy = around(PickFirst::default(), config());
    let update = eject(&mut script, &mut policy, &[0]);
    assert_eq!(script.picks(&*update.picker, 2), [0, 0]);
    assert!(update.ejected.is_empty());
}

#[test]
fn a_pick_first_that_took_over_from_another_child_keeps_its_endpoint_too() {
    let mut script = Script::new(&[Ready, Ready]);
    let mut policy = around(RoundRobin::new(), config());
    script.update(&mut policy);
    let build = BuildWrapper::<OutlierDetection>::new(config(), Arc::new(PickFirst::default));
    assert!(build.reconfigure(&mut policy));
    let update = eject(&mut script, &mut policy, &[0]);
    assert_eq!(script.picks(&*update.picker, 2), [0, 0]);
    assert!(update.ejected.is_empty());
}

/// Wakes at a time of its own, and says all that there is to say.
struct Talkative(Duration);

impl Policy for Talkative {
    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        let mut update = RoundRobin::new().update(now, view);
        update.wake_at = Some(now + self.0);
        update.observe.failures = CodeSet::SERVER_FAILURES;
        update.last_resort = true;
        update.disconnect = vec![evenkeel_core::EndpointIndex(0)];
        update
    }
}

#[test]
fn what_the_child_says_is_passed_on_and_the_earlier_timer_counts() {
    let script = Script::new(&[Ready, Idle]);
    for (seconds, expected) in [(3, 3), (30, 10)] {
        let mut policy = around(Talkative(Duration::from_secs(seconds)), config());
        let update = script.update(&mut policy);
        assert_eq!(
            update.wake_at,
            Some(script.now() + Duration::from_secs(expected))
        );
        assert_eq!(update.observe.failures, CodeSet::SERVER_FAILURES);
        assert!(update.last_resort);
        assert_eq!(script.ids(&update.disconnect), [0]);
        assert_eq!(script.ids(&update.connect), [1]);
    }
    let mut idle = around(RoundRobin::new(), OutlierDetectionConfig::default());
    assert_eq!(script.update(&mut idle).wake_at, None);
}

#[test]
fn a_new_config_keeps_ejections_and_a_child_that_cannot_take_it_is_replaced() {
    let mut script = Script::new(&[Ready; 4]);
    let build = |config, child| BuildWrapper::<OutlierDetection>::new(config, child);
    let first = build(config(), Arc::new(RoundRobin::new) as Arc<dyn BuildPolicy>);
    let mut policy = first.build();
    eject(&mut script, &mut *policy, &[1]);

    let child = || LeastRequest::new(LeastRequestConfig::default());
    let longer = OutlierDetectionConfig {
        interval: Duration::from_secs(60),
        ..config()
    };
    assert!(build(longer, Arc::new(child)).reconfigure(&mut *policy));
    let update = script.update(&mut *policy);
    assert_eq!(update.ejected.len(), 1);
    assert_eq!(update.wake_at, Some(script.now() + Duration::from_secs(60)));
    let picker = format!("{:?}", update.picker);
    assert!(picker.contains("LeastRequest"), "{picker}");
    assert!(!first.reconfigure(&mut RoundRobin::new()), "another policy");
}

fn any_state() -> impl Strategy<Value = ConnectivityState> {
    prop_oneof![
        Just(Idle),
        Just(Connecting),
        Just(Ready),
        Just(TransientFailure)
    ]
}

proptest! {
    #[test]
    fn only_connected_endpoints_are_picked_and_ejected_ones_only_when_no_other_is_ready(
        states in proptest::collection::vec((any_state(), any::<bool>()), 1..12),
        random: u64,
    ) {
        let ids = 0..states.len() as u64;
        let mut script = Script::new(&vec![Ready; states.len()]);
        script.random = random;
        let mut policy = around(RoundRobin::new(), config());
        let bad: Vec<u64> = ids.clone().filter(|id| states[*id as usize].1).collect();
        eject(&mut script, &mut policy, &bad);
        for id in ids {
            script.set(id, states[id as usize].0);
        }
        let update = script.update(&mut policy);
        prop_assert_eq!(update.ejected.len(), bad.len());
        let is_well = |(state, is_bad): &(_, bool)| *state == Ready && !is_bad;
        let any_well = states.iter().any(is_well);
        prop_assert_eq!(any_well, update.state == Ready && !update.last_resort);
        if update.state == Ready {
            for id in script.picks(&*update.picker, 20) {
                let one = &states[id as usize];
                let may_be = if any_well { is_well(one) } else { one.0 == Ready };
                prop_assert!(may_be, "{id}");
            }
        }
    }
}
