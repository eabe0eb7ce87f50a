mod model;

use std::time::Duration;

use super::*;

fn values(text: &str) -> Values {
    Values {
        listed: text.into(),
        draining: Some(format!("{text} draining").into()),
    }
}

/// A ledger with one key that etcd has, as the worker would have brought it there.
fn registered() -> (Ledger, u64, watch::Receiver<RegistrationState>) {
    let mut ledger = Ledger::default();
    ledger.granted(1);
    let (id, state) = ledger.enter("k", values("v1")).unwrap();
    assert!(write(&mut ledger, 10));
    (ledger, id, state)
}

/// The next writes, however many.
fn puts(ledger: &mut Ledger) -> Vec<Put> {
    match ledger.next_work(now(), 100) {
        Some(Work::Puts(puts)) => puts,
        other => panic!("{other:?}"),
    }
}

fn next_put(ledger: &mut Ledger) -> Put {
    let mut puts = puts(ledger);
    assert_eq!(puts.len(), 1);
    puts.remove(0)
}

fn next_delete(ledger: &mut Ledger) -> Delete {
    match ledger.next_work(now(), 100) {
        Some(Work::Deletes(mut deletes)) if deletes.len() == 1 => deletes.remove(0),
        other => panic!("{other:?}"),
    }
}

/// Does the next write; etcd answers with `revision`.
fn write(ledger: &mut Ledger, revision: i64) -> bool {
    let put = next_put(ledger);
    ledger.put(&put, revision)
}

fn idle(ledger: &mut Ledger) -> bool {
    ledger.next_work(now(), 100).is_none()
}

fn text(state: &watch::Receiver<RegistrationState>) -> &'static str {
    match &*state.borrow() {
        RegistrationState::Registering => "registering",
        RegistrationState::Registered => "registered",
        RegistrationState::Paused => "paused",
        RegistrationState::Retrying { .. } => "retrying",
        _ => "deregistered",
    }
}

#[expect(clippy::disallowed_methods, reason = "any time will do")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn an_entry_is_written_once_and_once_more_for_each_value() {
    let (mut ledger, id, state) = registered();
    assert!(idle(&mut ledger) && text(&state) == "registered");
    ledger.update("k", id, values("v2")).unwrap();
    assert_eq!(text(&state), "registering");
    assert!(write(&mut ledger, 11));
    assert!(idle(&mut ledger) && text(&state) == "registered");
    assert_eq!(ledger.written(), [("k".to_owned(), 11)]);
}

#[test]
fn an_update_during_a_write_is_written_after_it() {
    let (mut ledger, id, state) = registered();
    ledger.update("k", id, values("v2")).unwrap();
    let put = next_put(&mut ledger);
    ledger.update("k", id, values("v3")).unwrap();
    assert!(!ledger.put(&put, 11));
    assert_eq!(text(&state), "registering");
    assert_eq!(next_put(&mut ledger).value, b"v3");
}

#[test]
fn an_entry_that_etcd_never_saw_leaves_at_once() {
    let mut ledger = Ledger::default();
    let (id, state) = ledger.enter("k", values("v")).unwrap();
    assert!(!ledger.leave("k", id), "nothing to do in etcd");
    assert!(ledger.is_empty() && text(&state) == "deregistered");
}

#[test]
fn an_entry_that_leaves_during_its_write_is_deleted_after_it() {
    let mut ledger = Ledger::default();
    let (id, state) = ledger.enter("k", values("v")).unwrap();
    let put = next_put(&mut ledger);
    assert!(ledger.leave("k", id));
    assert!(!ledger.put(&put, 10));
    assert_eq!(text(&state), "registering", "never registered");
    assert_eq!(next_delete(&mut ledger).key, "k");
    ledger.left("k");
    assert!(ledger.is_empty() && text(&state) == "deregistered");
    assert!(!ledger.leave("k", id), "the second time it does nothing");
}

#[test]
fn a_successor_ends_its_predecessor_and_is_not_touched_by_it() {
    let (mut ledger, old, old_state) = registered();
    ledger.leave("k", old);
    next_delete(&mut ledger);
    let (_, state) = ledger.enter("k", values("v2")).unwrap();
    assert_eq!(text(&old_state), "deregistered");
    ledger.left("k"); // the predecessor's delete was under way
    assert_eq!(ledger.update("k", old, values("v3")), Err(Denied::Ended));
    assert!(!ledger.leave("k", old));
    assert!(write(&mut ledger, 11));
    assert_eq!(text(&state), "registered");
}

#[test]
fn a_successor_that_leaves_at_once_takes_the_key_with_it() {
    let (mut ledger, ..) = registered();
    let (id, _state) = ledger.enter("k", values("v2")).unwrap();
    assert!(ledger.leave("k", id), "etcd has the predecessor's value");
    assert_eq!(next_delete(&mut ledger).key, "k");
}

#[test]
fn a_paused_entry_is_taken_out_with_a_goodbye_and_claims_its_place_again() {
    let (mut ledger, id, state) = registered();
    for _ in 0..2 {
        ledger.present("k", id, Presence::Paused).unwrap();
        assert_eq!(text(&state), "registering");
    }
    let delete = next_delete(&mut ledger);
    assert_eq!(delete.goodbye.as_deref(), Some(&b"v1 draining"[..]));
    ledger.left("k");
    assert!(idle(&mut ledger) && text(&state) == "paused");
    ledger.present("k", id, Presence::Paused).unwrap();
    ledger.update("k", id, values("v2")).unwrap();
    ledger.failing(now(), "unreachable");
    ledger.well();
    assert!(idle(&mut ledger) && text(&state) == "paused", "still");
    assert!(ledger.written().is_empty());

    ledger.present("k", id, Presence::Listed).unwrap();
    assert_eq!(text(&state), "registering");
    let put = next_put(&mut ledger);
    assert!(put.claims && put.value == b"v2");
    assert!(ledger.put(&put, 12));
    assert_eq!(text(&state), "registered");
}

#[test]
fn a_draining_entry_stays_and_says_so_until_it_resumes() {
    let (mut ledger, id, state) = registered();
    ledger.present("k", id, Presence::Draining).unwrap();
    let put = next_put(&mut ledger);
    assert_eq!(
        (put.value.as_slice(), put.claims),
        (&b"v1 draining"[..], false)
    );
    assert!(ledger.put(&put, 11));
    assert_eq!(text(&state), "registered");
    ledger.update("k", id, values("v2")).unwrap();
    assert_eq!(next_put(&mut ledger).value, b"v2 draining");
    assert!(write(&mut ledger, 12));
    ledger.present("k", id, Presence::Listed).unwrap();
    assert_eq!(next_put(&mut ledger).value, b"v2");

    // Who has said that it is draining need not say goodbye.
    let (mut ledger, id, _state) = registered();
    ledger.present("k", id, Presence::Draining).unwrap();
    write(&mut ledger, 11);
    assert!(ledger.goodbyes().is_empty());
    ledger.leave("k", id);
    assert_eq!(next_delete(&mut ledger).goodbye, None);
}

#[test]
fn a_format_without_a_word_for_draining_says_so_and_leaves_without_goodbye() {
    let plain = || Values {
        listed: b"v".into(),
        draining: None,
    };
    let mut ledger = Ledger::default();
    let (id, state) = ledger.enter("k", plain()).unwrap();
    write(&mut ledger, 10);
    let drained = ledger.present("k", id, Presence::Draining);
    assert_eq!(drained, Err(Denied::NoWord));
    assert!(idle(&mut ledger) && text(&state) == "registered");
    assert!(ledger.goodbyes().is_empty());
    ledger.present("k", id, Presence::Paused).unwrap();
    assert_eq!(next_delete(&mut ledger).goodbye, None);
}

#[test]
fn of_all_wishes_during_an_outage_the_last_one_counts() {
    use Presence::{Draining, Listed, Paused};
    for (wishes, value, end) in [
        (&[Paused, Listed][..], Some(&b"v1"[..]), "registered"),
        (&[Paused, Draining], Some(b"v1 draining"), "registered"),
        (&[Draining, Paused], None, "paused"),
        (&[Paused, Listed, Paused], None, "paused"),
        (&[Draining, Paused, Listed], Some(b"v1"), "registered"),
    ] {
        let (mut ledger, id, state) = registered();
        ledger.failing(now(), "unreachable");
        for &wish in wishes {
            ledger.present("k", id, wish).unwrap();
        }
        match value {
            Some(value) => {
                assert_eq!(next_put(&mut ledger).value, value, "{wishes:?}");
                write(&mut ledger, 11);
            }
            None => {
                next_delete(&mut ledger);
                ledger.left("k");
            }
        }
        assert!(idle(&mut ledger) && text(&state) == end, "{wishes:?}");
    }
}

#[test]
fn a_pause_that_is_over_before_its_delete_is_done_writes_the_key_again() {
    let (mut ledger, id, state) = registered();
    ledger.present("k", id, Presence::Paused).unwrap();
    next_delete(&mut ledger);
    ledger.present("k", id, Presence::Listed).unwrap();
    ledger.left("k");
    assert_eq!(text(&state), "registering");
    assert!(write(&mut ledger, 12));
    assert_eq!(text(&state), "registered");
}

#[test]
fn a_pause_before_the_first_write_writes_nothing() {
    let mut ledger = Ledger::default();
    let (id, state) = ledger.enter("k", values("v")).unwrap();
    ledger.present("k", id, Presence::Paused).unwrap();
    assert!(idle(&mut ledger) && text(&state) == "paused");
    assert!(!ledger.leave("k", id));
    assert_eq!(text(&state), "deregistered");
}

#[test]
fn a_lost_lease_means_that_everything_is_written_again() {
    let (mut ledger, _, state) = registered();
    let (leaving, gone) = ledger.enter("gone", values("v")).unwrap();
    let (pausing, paused) = ledger.enter("paused", values("v")).unwrap();
    for put in puts(&mut ledger) {
        ledger.put(&put, 11);
    }
    ledger.leave("gone", leaving);
    ledger.present("paused", pausing, Presence::Paused).unwrap();
    ledger.lease_lost();
    assert_eq!(ledger.lease(), None);
    assert_eq!(text(&gone), "deregistered", "it went with the lease");
    assert_eq!(text(&paused), "paused", "so did this one");
    ledger.failing(now(), "the lease was lost");
    assert_eq!((text(&state), text(&paused)), ("retrying", "paused"));
    assert!(write(&mut ledger, 12));
    assert!(idle(&mut ledger) && text(&state) == "registered");
}

#[test]
fn a_write_without_an_answer_is_looked_for_until_its_lease_is_gone() {
    let (mut ledger, id, _state) = registered();
    let (paused, _other) = ledger.enter("paused", values("v")).unwrap();
    next_put(&mut ledger); // never answered
    write(&mut ledger, 11);
    ledger.leave("k", id);
    ledger.present("paused", paused, Presence::Paused).unwrap();
    ledger.next_work(now(), 100);
    for key in ["k", "paused"] {
        ledger.left(key);
    }
    assert_eq!(ledger.absent(), ["paused"], "k was answered");
    ledger.leave("paused", paused);
    assert!(ledger.is_empty());
    assert_eq!(ledger.absent(), ["paused"]);
    // Who registers it again wants it; when that is over it is looked for again.
    let (again, _state) = ledger.enter("paused", values("v")).unwrap();
    assert!(ledger.absent().is_empty());
    write(&mut ledger, 12);
    ledger.leave("paused", again);
    ledger.left("paused");
    assert_eq!(ledger.absent(), ["paused"]);
    ledger.lease_lost();
    assert!(ledger.absent().is_empty());
}

#[test]
fn what_an_exhausted_etcd_has_refused_is_asked_for_together_and_after_the_rest() {
    let second = Duration::from_secs(1);
    let backoff = Backoff::new(second, 4 * second);
    let start = now();
    let mut ledger = Ledger::default();
    for n in 0..100 {
        ledger.enter(&format!("k{n}"), values("v")).unwrap();
    }
    let refusal = Refusal {
        alone: false,
        ..refusal(&backoff, start)
    };
    let work = ledger.next_work(start, 100).unwrap();
    for (key, number) in work.keys() {
        assert!(ledger.refused(key, number, &refusal));
    }
    assert_eq!(ledger.next_work(start, 100), None);
    ledger.enter("new", values("v")).unwrap();
    assert_eq!(next_put(&mut ledger).key, "new");
    let again = start + second;
    write(&mut ledger, 2);
    let work = ledger.next_work(again, 100).unwrap();
    assert_eq!(work.keys().len(), 100);
}

#[test]
fn an_outage_that_cost_nothing_ends_without_a_write() {
    let (mut ledger, _, state) = registered();
    ledger.failing(now(), "unreachable");
    assert_eq!(text(&state), "retrying");
    ledger.well();
    assert!(idle(&mut ledger) && text(&state) == "registered");
}

#[test]
fn a_lost_key_is_written_again_unless_that_has_happened() {
    let (mut ledger, _, state) = registered();
    assert!(!ledger.key_lost("k", 9, now(), "deleted"), "an old story");
    assert!(ledger.key_lost("k", 10, now(), "deleted"));
    assert_eq!(text(&state), "retrying");
    let put = next_put(&mut ledger);
    assert!(!put.claims, "if it is somebody else's now, it stays so");
    assert!(ledger.put(&put, 12));
    assert_eq!(text(&state), "registered");
}

fn refusal(backoff: &Backoff, now: Instant) -> Refusal<'_> {
    Refusal {
        now,
        backoff,
        random: 0.0,
        alone: true,
        why: "no",
    }
}

#[test]
fn a_key_that_somebody_else_holds_is_waited_for() {
    let second = Duration::from_secs(1);
    let backoff = Backoff::new(second, 4 * second);
    let start = now();
    let (mut ledger, _, state) = registered();
    ledger.key_lost("k", 10, start, "overwritten");
    let put = next_put(&mut ledger);
    assert!(ledger.held(&put, 99, &refusal(&backoff, start)), "news");
    assert_eq!(text(&state), "retrying");
    assert_eq!(ledger.next_work(start, 100), None);
    let again = start + second;
    assert!(ledger.next_work(again, 100).is_some());
    assert!(!ledger.held(&put, 99, &refusal(&backoff, again)), "no news");
    assert_eq!(ledger.retry_at(), Some(again + 2 * second));

    // A lease that was ours is nobody else's.
    let (mut ledger, ..) = registered();
    ledger.lease_lost();
    ledger.granted(2);
    let put = next_put(&mut ledger);
    assert!(!put.claims && !ledger.held(&put, 1, &refusal(&backoff, start)));
    assert!(next_put(&mut ledger).claims);
}

#[test]
fn a_key_that_we_may_not_look_at_is_not_taken_for_well() {
    let second = Duration::from_secs(1);
    let backoff = Backoff::new(second, 4 * second);
    let start = now();
    let (mut ledger, _, state) = registered();
    assert!(ledger.key_hidden("k", 10, &refusal(&backoff, start)));
    assert!(!ledger.key_hidden("k", 10, &refusal(&backoff, start)));
    ledger.well();
    assert_eq!(text(&state), "retrying");
    assert_eq!(ledger.next_work(start, 100), None);
    let Some(Work::Puts(puts)) = ledger.next_work(start + second, 100) else {
        panic!()
    };
    assert!(ledger.put(&puts[0], 12));
    assert_eq!(text(&state), "registered");
}

#[test]
fn a_closed_ledger_takes_no_entries() {
    let (mut ledger, _, state) = registered();
    ledger.close();
    assert!(ledger.is_listed());
    let goodbye = (String::from("k"), b"v1 draining".to_vec());
    assert_eq!(ledger.goodbyes(), [goodbye]);
    assert!(ledger.enter("k2", Values::default()).is_none());
    ledger.end();
    assert_eq!(text(&state), "deregistered");
}

#[test]
fn many_keys_are_one_request_and_deletes_come_first() {
    let mut ledger = Ledger::default();
    let mut ids = Vec::new();
    for n in 0..250 {
        let key = format!("k{n}");
        let (id, state) = ledger.enter(&key, values("v")).unwrap();
        ids.push((key, id, state));
    }
    let mut sizes = Vec::new();
    while let Some(Work::Puts(puts)) = ledger.next_work(now(), 100) {
        sizes.push(puts.len());
        for put in puts {
            assert!(ledger.put(&put, 7));
        }
    }
    assert_eq!(sizes, [100, 100, 50]);
    for (key, id, _) in &ids[..150] {
        assert!(ledger.leave(key, *id));
    }
    ledger.enter("new", values("v")).unwrap();
    let mut sizes = Vec::new();
    while let Some(Work::Deletes(deletes)) = ledger.next_work(now(), 100) {
        sizes.push(deletes.len());
        for delete in deletes {
            ledger.left(&delete.key);
        }
    }
    assert_eq!(sizes, [100, 50]);
    assert_eq!(next_put(&mut ledger).key, "new");
}

#[test]
fn a_request_is_halved_until_one_key_is_left() {
    let put = |n: u64| Put {
        key: n.to_string(),
        value: Vec::new(),
        number: n,
        draining: false,
        claims: true,
    };
    let mut parts = vec![Work::Puts((0..100).map(put).collect())];
    let (mut requests, mut single) = (0, Vec::new());
    while let Some(work) = parts.pop() {
        requests += 1;
        // etcd does not want number 7.
        let keys: Vec<_> = work.keys().into_iter().map(|(_, number)| number).collect();
        if keys.contains(&7) {
            match work.halves() {
                Ok(halves) => parts.extend(halves),
                Err(one) => single = one.keys().into_iter().map(|(_, number)| number).collect(),
            }
        }
    }
    assert_eq!(single, [7]);
    assert!(requests <= 15, "{requests}");
}

#[test]
fn what_etcd_refuses_waits_and_holds_up_nothing_else() {
    let second = Duration::from_secs(1);
    let backoff = Backoff::new(second, 4 * second);
    let start = now();
    let mut ledger = Ledger::default();
    let (id, bad) = ledger.enter("bad", values("v")).unwrap();
    let work = ledger.next_work(start, 100).unwrap();
    let refuse = |ledger: &mut Ledger, work: &Work, at| {
        let [(key, number)] = work.keys()[..] else {
            panic!("{work:?}")
        };
        ledger.refused(key, number, &refusal(&backoff, at))
    };
    assert!(refuse(&mut ledger, &work, start));
    assert_eq!(text(&bad), "retrying");
    assert_eq!(ledger.retry_at(), Some(start + second));

    let (_, good) = ledger.enter("good", values("v")).unwrap();
    match ledger.next_work(start, 100).unwrap() {
        Work::Puts(puts) if puts.len() == 1 && puts[0].key == "good" => ledger.put(&puts[0], 2),
        other => panic!("{other:?}"),
    };
    assert_eq!(text(&good), "registered");
    assert_eq!(ledger.next_work(start, 100), None);
    ledger.well();
    assert_eq!(text(&bad), "retrying");

    // When it is time it is alone, so that it spoils no request for others.
    let again = start + second;
    ledger.enter("other", values("v")).unwrap();
    let other = ledger.next_work(start, 100).unwrap();
    assert_eq!(other.keys().len(), 1);
    let Work::Puts(puts) = other else { panic!() };
    ledger.put(&puts[0], 3);
    assert_eq!(ledger.next_work(again, 100), Some(work));
    let work = ledger.next_work(again, 100).unwrap();
    assert!(!refuse(&mut ledger, &work, again), "not the first time");
    assert_eq!(ledger.retry_at(), Some(again + 2 * second));

    // Another value is another matter, and so is leaving.
    ledger.update("bad", id, values("w")).unwrap();
    assert_eq!(ledger.retry_at(), None);
    assert!(!refuse(&mut ledger, &work, again), "an old story");
    let work = ledger.next_work(again, 100).unwrap();
    assert!(refuse(&mut ledger, &work, again));
    assert!(ledger.leave("bad", id));
    let work = ledger.next_work(again, 100).unwrap();
    assert!(matches!(work, Work::Deletes(_)));
    assert!(refuse(&mut ledger, &work, again));
    assert_eq!(ledger.next_work(again, 100), None);
    assert_eq!(ledger.next_work(again + second, 100), Some(work));
}
