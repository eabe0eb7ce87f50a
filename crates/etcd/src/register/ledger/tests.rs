use std::time::Duration;

use super::*;

/// A ledger with one key that etcd has, as the worker would have brought it there.
fn registered() -> (Ledger, u64, watch::Receiver<RegistrationState>) {
    let mut ledger = Ledger::default();
    ledger.granted(1);
    let (id, state) = ledger.enter("k", b"v1".to_vec()).unwrap();
    assert!(write(&mut ledger, 10));
    (ledger, id, state)
}

/// Does the next write; etcd answers with `revision`.
fn write(ledger: &mut Ledger, revision: i64) -> bool {
    match ledger.next_work(now()) {
        Some(Work::Put { key, number, .. }) => ledger.put(&key, number, revision),
        other => panic!("{other:?}"),
    }
}

fn text(state: &watch::Receiver<RegistrationState>) -> &'static str {
    match &*state.borrow() {
        RegistrationState::Registering => "registering",
        RegistrationState::Registered => "registered",
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
    assert_eq!(
        (ledger.next_work(now()), text(&state)),
        (None, "registered")
    );
    assert!(ledger.update("k", id, b"v2".to_vec()));
    assert_eq!(text(&state), "registering");
    assert!(write(&mut ledger, 11));
    assert_eq!(
        (ledger.next_work(now()), text(&state)),
        (None, "registered")
    );
    assert_eq!(ledger.written(), [("k".to_owned(), 11)]);
}

#[test]
fn an_update_during_a_write_is_written_after_it() {
    let (mut ledger, id, state) = registered();
    ledger.update("k", id, b"v2".to_vec());
    let Some(Work::Put { number, .. }) = ledger.next_work(now()) else {
        panic!()
    };
    ledger.update("k", id, b"v3".to_vec());
    assert!(!ledger.put("k", number, 11));
    assert_eq!(text(&state), "registering");
    let Some(Work::Put { value, .. }) = ledger.next_work(now()) else {
        panic!()
    };
    assert_eq!(value, b"v3");
}

#[test]
fn an_entry_that_etcd_never_saw_leaves_at_once() {
    let mut ledger = Ledger::default();
    let (id, state) = ledger.enter("k", b"v".to_vec()).unwrap();
    assert!(!ledger.leave("k", id), "nothing to do in etcd");
    assert!(ledger.is_empty() && text(&state) == "deregistered");
}

#[test]
fn an_entry_that_leaves_during_its_write_is_deleted_after_it() {
    let mut ledger = Ledger::default();
    let (id, state) = ledger.enter("k", b"v".to_vec()).unwrap();
    let Some(Work::Put { number, .. }) = ledger.next_work(now()) else {
        panic!()
    };
    assert!(ledger.leave("k", id));
    ledger.put("k", number, 10);
    assert_eq!(text(&state), "registering", "never registered");
    assert_eq!(
        ledger.next_work(now()),
        Some(Work::Delete {
            key: "k".into(),
            id
        })
    );
    ledger.left("k", id);
    assert!(ledger.is_empty() && text(&state) == "deregistered");
    assert!(!ledger.leave("k", id), "the second time it does nothing");
}

#[test]
fn a_successor_ends_its_predecessor_and_is_not_touched_by_it() {
    let (mut ledger, old, old_state) = registered();
    ledger.leave("k", old);
    let (_, state) = ledger.enter("k", b"v2".to_vec()).unwrap();
    assert_eq!(text(&old_state), "deregistered");
    ledger.left("k", old); // its delete was under way
    assert!(!ledger.update("k", old, b"v3".to_vec()) && !ledger.leave("k", old));
    assert!(write(&mut ledger, 11));
    assert_eq!(text(&state), "registered");
}

#[test]
fn a_successor_that_leaves_at_once_takes_the_key_with_it() {
    let (mut ledger, ..) = registered();
    let (id, _state) = ledger.enter("k", b"v2".to_vec()).unwrap();
    assert!(ledger.leave("k", id), "etcd has the predecessor's value");
    assert_eq!(
        ledger.next_work(now()),
        Some(Work::Delete {
            key: "k".into(),
            id
        })
    );
}

#[test]
fn a_lost_lease_means_that_everything_is_written_again() {
    let (mut ledger, _, state) = registered();
    let (leaving, gone) = ledger.enter("gone", b"v".to_vec()).unwrap();
    write(&mut ledger, 11);
    ledger.leave("gone", leaving);
    ledger.lease_lost();
    assert_eq!(ledger.lease(), None);
    assert_eq!(text(&gone), "deregistered", "it went with the lease");
    ledger.failing(now(), "the lease was lost");
    assert_eq!(text(&state), "retrying");
    assert!(write(&mut ledger, 12));
    assert_eq!(
        (ledger.next_work(now()), text(&state)),
        (None, "registered")
    );
}

#[test]
fn an_outage_that_cost_nothing_ends_without_a_write() {
    let (mut ledger, _, state) = registered();
    ledger.failing(now(), "unreachable");
    assert_eq!(text(&state), "retrying");
    ledger.well();
    assert_eq!(
        (ledger.next_work(now()), text(&state)),
        (None, "registered")
    );
}

#[test]
fn a_lost_key_is_written_again_unless_that_has_happened() {
    let (mut ledger, _, state) = registered();
    assert!(!ledger.key_lost("k", 9, now(), "deleted"), "an old story");
    assert!(ledger.key_lost("k", 10, now(), "deleted"));
    assert_eq!(text(&state), "retrying");
    assert!(write(&mut ledger, 12));
    assert_eq!(text(&state), "registered");
}

#[test]
fn a_closed_ledger_takes_no_entries_and_gives_its_lease_away() {
    let (mut ledger, _, state) = registered();
    ledger.close();
    assert_eq!((ledger.take_lease(), ledger.take_lease()), (Some(1), None));
    assert!(ledger.enter("k2", Vec::new()).is_none());
    ledger.end();
    assert_eq!(text(&state), "deregistered");
}

#[test]
fn what_etcd_refuses_waits_and_holds_up_nothing_else() {
    let second = Duration::from_secs(1);
    let backoff = Backoff::new(second, 4 * second);
    let start = now();
    let mut ledger = Ledger::default();
    let (id, bad) = ledger.enter("bad", b"v".to_vec()).unwrap();
    let work = ledger.next_work(start).unwrap();
    let refuse =
        |ledger: &mut Ledger, work: &Work, at| ledger.refused(work, at, &backoff, 0.0, "no");
    assert!(refuse(&mut ledger, &work, start));
    assert_eq!(text(&bad), "retrying");
    assert_eq!(ledger.retry_at(), Some(start + second));

    let (_, good) = ledger.enter("good", b"v".to_vec()).unwrap();
    match ledger.next_work(start).unwrap() {
        Work::Put { key, number, .. } if key == "good" => ledger.put(&key, number, 2),
        other => panic!("{other:?}"),
    };
    assert_eq!((text(&good), ledger.next_work(start)), ("registered", None));
    ledger.well();
    assert_eq!(text(&bad), "retrying");

    let again = start + second;
    assert_eq!(ledger.next_work(again), Some(work));
    let work = ledger.next_work(again).unwrap();
    assert!(!refuse(&mut ledger, &work, again), "not the first time");
    assert_eq!(ledger.retry_at(), Some(again + 2 * second));

    // Another value is another matter, and so is leaving.
    ledger.update("bad", id, b"w".to_vec());
    assert_eq!(ledger.retry_at(), None);
    assert!(!refuse(&mut ledger, &work, again), "an old story");
    let work = ledger.next_work(again).unwrap();
    assert!(refuse(&mut ledger, &work, again));
    assert!(ledger.leave("bad", id));
    let work = ledger.next_work(again).unwrap();
    assert!(matches!(work, Work::Delete { .. }));
    assert!(refuse(&mut ledger, &work, again));
    assert_eq!(ledger.next_work(again), None);
    assert_eq!(ledger.next_work(again + second), Some(work));
}
