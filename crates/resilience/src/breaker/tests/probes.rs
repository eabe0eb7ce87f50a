//! Half-open.

use proptest::prelude::*;

use super::*;

#[tokio::test(start_paused = true)]
async fn one_probe_at_a_time_decides_and_a_dropped_one_gives_its_place_back() {
    let (inner, service) = service();
    trip(&inner, &service).await;
    tokio::time::advance(SECOND).await;
    inner.hang();
    let mut probe = Box::pin(service.clone().oneshot(unary("hello")));
    assert!(probe.as_mut().now_or_never().is_none());
    let status = service.clone().oneshot(unary("hello")).await.unwrap_err();
    assert!(status.message().contains("is probing"), "{status}");
    assert_eq!(service.handle().status().state, HalfOpen);

    drop(probe);
    inner.reply_with(async |_| Ok(Response::new(endless([data("x")]))));
    let response = service.clone().oneshot(unary("hello")).await.unwrap();
    assert_eq!(
        service.handle().status().state,
        HalfOpen,
        "not before the trailers"
    );
    drop(response);
    assert!(service.handle().status().admits);

    succeed(&inner, &service).await;
    assert_eq!(service.handle().status().state, Closed);
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_doubles_the_open_time() {
    let (inner, service) = service();
    trip(&inner, &service).await;
    tokio::time::advance(SECOND).await;
    fail(&inner, &service, lost()).await;
    let status = service.handle().status();
    assert_eq!(status.state, Open);
    assert_eq!(
        status.wake_at,
        Some((Instant::now() + 2 * SECOND).into_std())
    );
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_streams_on_closes_it_when_it_has_lost_its_place() {
    let (inner, service) = service();
    let handle = service.handle();
    trip(&inner, &service).await;
    tokio::time::advance(SECOND).await;
    inner.reply_with(async |_| Ok(Response::new(endless([data("x")]))));
    let stream = service.clone().oneshot(unary("hello")).await.unwrap();
    let status = handle.status();
    assert_eq!((status.state, status.admits), (HalfOpen, false));
    tokio::time::advance(SECOND).await;
    assert_eq!(handle.status().state, Closed);
    drop(stream);
    assert_eq!(handle.status().state, Closed);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_a_failure_is_no_answer_of_a_probe() {
    let (inner, service) = service();
    trip(&inner, &service).await;
    tokio::time::advance(SECOND).await;
    inner.reply_with(async |_| refusal(Code::Unavailable));
    let response = service.clone().oneshot(unary("hello")).await.unwrap();
    assert_eq!(service.handle().status().state, Open);
    tokio::time::advance(SECOND).await;
    assert_eq!(service.handle().status().state, Open, "twice as long");
    drop(response);
}

#[tokio::test(start_paused = true)]
async fn refusals_of_different_times_agree_on_when_it_probes() {
    let (inner, service) = service();
    trip(&inner, &service).await;
    let at = Instant::now() + SECOND;
    for _ in 0..3 {
        let status = service.clone().oneshot(unary("hello")).await.unwrap_err();
        let open = cause::<BreakerOpen>(&status).unwrap();
        assert_eq!(open.probes_at, Some(at.into_std()));
        assert_eq!(open.retry_in, at - Instant::now());
        tokio::time::advance(SECOND / 4).await;
    }
    tokio::time::advance(SECOND).await;
    inner.hang();
    let mut probe = Box::pin(service.clone().oneshot(unary("hello")));
    assert!(probe.as_mut().now_or_never().is_none());
    let status = service.clone().oneshot(unary("hello")).await.unwrap_err();
    assert_eq!(cause::<BreakerOpen>(&status).unwrap().probes_at, None);
}

/// What becomes of calls, as their callers and time have it.
#[derive(Clone, Copy, Debug)]
enum Step {
    Start,
    Drop(usize),
    Answer(usize, Code),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let code = prop_oneof![
        Just(Code::Ok),
        Just(Code::Unavailable),
        Just(Code::Unavailable)
    ];
    prop_oneof![
        5 => Just(Step::Start),
        2 => any::<usize>().prop_map(Step::Drop),
        4 => (any::<usize>(), code).prop_map(|(call, code)| Step::Answer(call, code)),
        2 => (0_u64..1_500).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whoever_drops_what_probes_are_bounded_and_every_place_comes_back(
        steps in prop::collection::vec(step(), 1..80),
        probes in 1_u32..4,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(&steps, probes));
    }
}

async fn run(steps: &[Step], probes: u32) {
    let inner = Inner::new();
    let config = BreakerConfig { probes, ..config() };
    let service = BreakerLayer::new(config).layer(inner.clone());
    let handle = service.handle();
    let mut running = Vec::new();
    for step in steps {
        match *step {
            Step::Start => {
                let (answer, answered) = tokio::sync::oneshot::channel();
                inner.reply_with(async |_| answered.await.unwrap());
                let before = (inner.calls(), handle.status());
                let mut call = Box::pin(service.clone().oneshot(unary("hello")));
                let refused = call.as_mut().now_or_never();
                if refused.is_some() {
                    assert_eq!(inner.calls(), before.0);
                    assert!(!before.1.admits, "{:?}", before.1);
                    // Nobody has taken the reply.
                    inner.forget_replies();
                } else {
                    assert!(before.1.admits, "{:?}", before.1);
                    running.push((call, answer, before.1, Instant::now()));
                }
            }
            Step::Drop(call) if !running.is_empty() => {
                drop(running.swap_remove(call % running.len()));
            }
            Step::Answer(call, code) if !running.is_empty() => {
                let (call, answer, ..) = running.swap_remove(call % running.len());
                answer.send(refusal(code)).ok().unwrap();
                drop(call.await);
            }
            Step::Drop(_) | Step::Answer(..) => {}
            Step::Pass(millis) => tokio::time::advance(Duration::from_millis(millis)).await,
        }
        let status = handle.status();
        let is_fresh = |since: &Instant| since.elapsed() < SECOND;
        let probing = running.iter().filter(|(_, _, before, since)| {
            before.state == HalfOpen && before.changes == status.changes && is_fresh(since)
        });
        let probing = probing.count();
        assert!(probing <= probes as usize);
        if status.state == HalfOpen {
            assert_eq!(status.admits, probing < probes as usize, "{status:?}");
        }
    }
    running.clear();
    tokio::time::advance(Duration::from_secs(100)).await;
    assert!(handle.status().admits, "every place has come back");
}
