//! Which levels are connected, and which calls wait for them.

use super::*;

#[test]
fn calls_wait_for_a_level_that_connects_for_the_first_time_but_not_for_ever() {
    for warm in [true, false] {
        let config = PriorityConfig {
            warm,
            ..PriorityConfig::default()
        };
        let mut scene = Scene::new(config, &[(0, Connecting), (10, Ready)]);
        let update = scene.update();
        assert_eq!(update.state, Connecting);
        let now = scene.script.now();
        assert_eq!(update.wake_at, Some(now + config.failover_delay));
        scene.script.advance(LATER);
        assert_eq!(scene.served(), [10]);
        // And back as soon as it is there.
        scene.script.set(0, Ready);
        assert_eq!(scene.served(), [0]);
    }
}

#[test]
fn a_failed_level_is_not_waited_for() {
    let mut scene = Scene::new(PriorityConfig::default(), &[(0, Connecting), (10, Ready)]);
    scene.update();
    scene.script.fail(0, "refused");
    assert_eq!(scene.served(), [10]);
}

#[test]
fn calls_that_went_somewhere_do_not_wait_for_a_better_level() {
    // The first level is lost within its first seconds, and then another one appears.
    let mut scene = Scene::new(PriorityConfig::default(), &[(0, Ready), (20, Ready)]);
    assert_eq!(scene.served(), [0]);
    scene.script.set(0, Connecting);
    assert_eq!(scene.served(), [20]);
    scene.add(10, Connecting);
    assert_eq!(scene.served(), [20]);
    scene.script.set(10, Ready);
    assert_eq!(scene.served(), [10]);
}

#[test]
fn warm_levels_are_connected_before_they_are_needed() {
    let mut scene = Scene::new(
        PriorityConfig::default(),
        &[(0, Ready), (10, Idle), (20, Idle), (30, Idle)],
    );
    assert_eq!(scene.wanted(), (vec![10, 20], vec![]));
}

#[test]
fn cold_levels_are_connected_one_after_the_other_and_let_go_when_they_are_not_needed() {
    let mut scene = Scene::new(lazy(), &[(0, Idle), (10, Idle), (20, Idle)]);
    assert_eq!(scene.wanted(), (vec![0], vec![]));
    scene.script.set(0, Connecting);
    assert_eq!(scene.wanted(), (vec![], vec![]));
    // It has had its time: the next one is tried too.
    scene.script.advance(LATER);
    assert_eq!(scene.wanted(), (vec![10], vec![]));
    scene.script.set(10, Ready);
    assert_eq!(scene.served(), [10]);
    scene.script.set(0, Ready);
    let update = scene.update();
    let until = scene.script.now() + KEPT_CONNECTED;
    assert_eq!(update.wake_at, Some(until));
    assert_eq!(scene.wanted(), (vec![], vec![]));
    scene.script.advance(KEPT_CONNECTED);
    assert_eq!(scene.wanted(), (vec![], vec![10]));
    scene.script.set(10, Idle);
    let update = scene.update();
    assert!(update.connect.is_empty() && update.wake_at.is_none());
    // Needed again.
    scene.script.fail(0, "refused");
    assert_eq!(scene.wanted(), (vec![10], vec![]));
}

#[test]
fn an_endpoint_in_no_level_is_closed() {
    let mut scene = Scene::new(
        PriorityConfig::default(),
        &[(0, Ready), (30, Ready), (31, Idle)],
    );
    assert_eq!(scene.wanted(), (vec![], vec![30]));
}

#[test]
fn a_level_that_connects_on_demand_gets_the_calls_that_it_connects_for() {
    let ring: Arc<dyn BuildPolicy> = Arc::new(RingHashConfig {
        hash_on: Some(HashOn::Path),
        ..RingHashConfig::default()
    });
    for config in [PriorityConfig::default(), lazy()] {
        // The first level comes when the second serves already.
        let mut scene = Scene::new(config, &[(10, Ready)]);
        scene.policy = PriorityBuilder::new(config, levels(), ring.clone()).build();
        assert_eq!(scene.served(), [10]);
        scene.add(0, Idle);
        let update = scene.update();
        assert_eq!(update.state, Idle);
        assert!(update.connect.is_empty());
        match scene.script.answer(&*update.picker, &[], 0) {
            Pick::Connect(index) => assert_eq!(scene.script.ids(&[index]), [0]),
            other => panic!("{other:?}"),
        }
        scene.script.set(0, Connecting);
        assert_eq!(scene.update().state, Connecting);
        scene.script.advance(LATER);
        assert_eq!(scene.served(), [10], "it has had its time");
        scene.script.set(0, Ready);
        assert_eq!(scene.served(), [0]);
        // The connection is lost later.
        scene.script.set(0, Idle);
        let update = scene.update();
        assert!(matches!(
            scene.script.answer(&*update.picker, &[], 0),
            Pick::Connect(_)
        ));
        scene.script.set(0, Connecting);
        assert_eq!(scene.served(), [10]);
    }
}

#[test]
fn pick_first_stays_idle_after_its_connection_while_no_other_level_serves() {
    let config = PriorityConfig::default();
    let build = PriorityBuilder::new(config, levels(), Arc::new(PickFirst::default));
    let mut scene = Scene::new(config, &[(0, Ready)]);
    scene.policy = build.build();
    assert_eq!(scene.served(), [0]);
    scene.script.set(0, Idle);
    for (call_waiting, state) in [(false, Idle), (false, Idle), (true, Connecting)] {
        scene.script.call_waiting = call_waiting;
        let update = scene.update();
        assert_eq!(update.state, state);
        assert_eq!(update.connect.is_empty(), !call_waiting);
    }
}

#[test]
fn what_is_connected_in_a_level_that_was_never_needed_is_closed() {
    use TransientFailure as Fail;
    let endpoints = [
        (0, Ready),
        (10, Ready),
        (11, Connecting),
        (12, Fail),
        (13, Idle),
    ];
    let mut scene = Scene::new(lazy(), &endpoints);
    assert_eq!(scene.wanted(), (vec![], vec![10, 11, 12]));
    let mut scene = Scene::new(PriorityConfig::default(), &endpoints);
    assert_eq!(scene.wanted(), (vec![13], vec![]));
}

#[test]
fn a_delay_may_be_for_ever() {
    let config = PriorityConfig {
        failover_delay: Duration::MAX,
        ..PriorityConfig::default()
    };
    let mut scene = Scene::new(config, &[(0, Connecting), (10, Ready)]);
    assert_eq!(scene.update().state, Connecting);
    scene.script.advance(LATER);
    assert_eq!(scene.update().state, Connecting);
}

#[test]
fn a_retry_has_another_level_connect_and_waits_for_none_while_one_is_ready() {
    let ring: Arc<dyn BuildPolicy> = Arc::new(RingHashConfig {
        hash_on: Some(HashOn::Path),
        ..RingHashConfig::default()
    });
    let mut scene = Scene::new(
        PriorityConfig::default(),
        &[(0, Ready), (10, Idle), (11, Idle)],
    );
    scene.policy = PriorityBuilder::new(PriorityConfig::default(), levels(), ring).build();
    let picker = scene.update().picker;
    let Pick::Connect(own) = scene.script.answer(&*picker, &[0], 0) else {
        panic!("nobody connects for it");
    };
    let own = scene.script.ids(&[own])[0];
    let other = if own == 10 { 11 } else { 10 };
    scene.script.set(other, Ready);
    let picker = scene.update().picker;
    let answer = scene.script.answer(&*picker, &[0], 0);
    assert!(matches!(answer, Pick::Connect(_)), "{answer:?}");
    scene.script.set(own, Connecting);
    let picker = scene.update().picker;
    assert_eq!(scene.script.pick(&*picker, &[0], 0), other);
    scene.script.set(other, Connecting);
    let picker = scene.update().picker;
    assert_eq!(scene.script.pick(&*picker, &[0], 0), 0, "it does not wait");
    scene.script.set(other, Ready);
    scene.script.set(own, Ready);
    let picker = scene.update().picker;
    assert_eq!(scene.script.pick(&*picker, &[0], 0), own);
    scene.script.fail(own, "refused");
    let picker = scene.update().picker;
    assert_eq!(scene.script.pick(&*picker, &[0], 0), other);
    assert_eq!(scene.script.pick(&*picker, &[], 0), 0);
}

#[test]
fn an_idle_level_is_connected_again_while_another_one_serves() {
    let build = PriorityBuilder::new(
        PriorityConfig::default(),
        levels(),
        Arc::new(PickFirst::default),
    );
    let mut scene = Scene::new(PriorityConfig::default(), &[(0, Ready), (10, Ready)]);
    scene.policy = build.build();
    assert_eq!(scene.served(), [0]);
    // Its connection is lost, and pick_first waits for a call.
    scene.script.set(0, Idle);
    let update = scene.update();
    assert_eq!(scene.script.ids(&update.connect), [0]);
    assert_eq!(scene.script.picks(&*update.picker, 1), [10]);
    scene.script.set(0, Connecting);
    assert_eq!(scene.served(), [10]);
    scene.script.set(0, Ready);
    assert_eq!(scene.served(), [0]);
}

#[test]
fn endpoints_that_pick_first_leaves_alone_do_not_make_a_level_unhealthy() {
    let config = PriorityConfig {
        min_healthy_percent: 100,
        ..PriorityConfig::default()
    };
    let build = PriorityBuilder::new(config, levels(), Arc::new(PickFirst::default));
    let endpoints = [(0, Ready), (1, Idle), (2, Idle), (10, Ready)];
    let mut scene = Scene::new(config, &endpoints);
    scene.policy = build.build();
    assert_eq!(scene.served(), [0]);
}
