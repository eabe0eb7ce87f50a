use std::future::poll_fn;

use super::*;
use crate::scripted::Scripted;

/// What discovery said, the simple way: key, endpoint and whether it takes new calls.
type Model = Vec<(u16, Scripted, bool)>;

/// Does one random thing to both.
fn step(
    random: &mut fastrand::Rng,
    model: &mut Model,
    endpoints: &mut Endpoints<u16, Scripted>,
    cx: &mut Context<'_>,
) {
    let known = model.iter().map(|one| one.0);
    match random.u8(..10) {
        0..4 => {
            let key = random.u16(1..40);
            let endpoint = Scripted::new(key);
            endpoints.insert(key, endpoint.clone(), cx);
            match model.iter_mut().find(|one| one.0 == key) {
                Some(one) => *one = (key, endpoint, true),
                None => model.push((key, endpoint, true)),
            }
        }
        4..7 => {
            let key = random.choice(known).unwrap_or(7);
            endpoints.remove(&key);
            model.retain(|one| one.0 != key);
        }
        7 => {
            if let Some((_, endpoint, takes_calls)) = random.choice(model) {
                *takes_calls = !*takes_calls;
                endpoint.weigh(if *takes_calls { 3.0 } else { 0.0 });
            }
        }
        _ => {
            let states = [ConnectivityState::Ready, ConnectivityState::Connecting];
            if let Some((_, endpoint, _)) = random.choice(model) {
                endpoint.set(states[random.usize(..2)]);
            }
        }
    }
}

#[tokio::test]
async fn views_slots_and_directory_are_in_the_order_of_discovery() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut model = Model::new();
        let mut endpoints = Endpoints::new(Arc::default(), Weak::new());
        for _ in 0..30 {
            for _ in 0..random.usize(..12) {
                poll_fn(|cx| {
                    step(&mut random, &mut model, &mut endpoints, cx);
                    Poll::Ready(())
                })
                .await;
            }
            let all_in = |cx: &mut Context<'_>| {
                while endpoints.poll_reports(cx).is_ready() {}
                Poll::Ready(())
            };
            tokio::task::unconstrained(poll_fn(all_in)).await;

            let port = |endpoint: &Endpoint| endpoint.to_string();
            let (views, slots) = endpoints.present();
            let shown: Vec<_> = views
                .iter()
                .map(|view| (port(&view.endpoint), view.state))
                .collect();
            let expected: Vec<_> = model
                .iter()
                .filter(|one| one.2)
                .map(|(key, endpoint, _)| {
                    (format!("10.0.0.1:{key}"), endpoint.report.borrow().state)
                })
                .collect();
            assert_eq!(shown, expected, "seed {seed}");
            let ids: Vec<_> = views.iter().map(|view| view.id).collect();
            let of_slots: Vec<_> = slots.iter().map(|slot| slot.id).collect();
            assert_eq!(ids, of_slots, "seed {seed}");
            let same = |(view, slot): (&EndpointView, &Arc<Slot<_>>)| {
                Arc::ptr_eq(&view.stats, &slot.stats)
            };
            assert!(views.iter().zip(&*slots).all(same), "seed {seed}");

            let directory = endpoints.directory();
            let listed = directory.iter().map(|slot| port(&slot.endpoint()));
            let all = model.iter().map(|one| format!("10.0.0.1:{}", one.0));
            assert!(listed.eq(all), "seed {seed}");
            assert_eq!(endpoints.len(), model.len(), "seed {seed}");
        }
    }
}

#[tokio::test]
async fn a_new_state_leaves_slots_and_directory_as_they_are() {
    let mut endpoints = Endpoints::new(Arc::default(), Weak::new());
    let endpoint = Scripted::new(1);
    poll_fn(|cx| {
        endpoints.insert(1, endpoint.clone(), cx);
        Poll::Ready(())
    })
    .await;
    let (_, before) = endpoints.present();
    endpoint.set(ConnectivityState::Connecting);
    poll_fn(|cx| endpoints.poll_reports(cx)).await;
    let (views, slots) = endpoints.present();
    assert_eq!(views[0].state, ConnectivityState::Connecting);
    assert!(Arc::ptr_eq(&before, &slots));
    assert!(Arc::ptr_eq(&before, &endpoints.directory()));
}
