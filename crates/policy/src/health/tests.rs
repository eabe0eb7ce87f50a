use evenkeel_core::ConnectivityState::{Connecting, Ready, TransientFailure};
use tonic::Code;

use super::*;

/// What happens to a stream.
enum Event {
    Opening,
    /// These bytes come.
    Message(&'static [u8]),
    Ended(Code),
    Unimplemented,
}

use Event::{Ended, Message, Opening, Unimplemented};

/// Encoded answers.
const SERVING: Event = Message(&[8, 1]);
const NOT_SERVING: Event = Message(&[8, 2]);

/// The states that are shown after each event; `None` where nothing is new.
fn run(mut machine: Machine, events: &[(Event, Option<ConnectivityState>)]) {
    for (place, (event, expected)) in events.iter().enumerate() {
        let health = match event {
            Opening => machine.opening(),
            Message(bytes) => machine.received(bytes),
            Ended(code) => machine.ended(&Status::new(*code, "scripted")),
            Unimplemented => machine.unimplemented(),
        };
        let shown = health.and_then(Health::state);
        assert_eq!(shown, *expected, "event {place}: {:?}", machine.health());
    }
}

#[test]
fn a_new_connection_is_connecting_until_the_first_answer() {
    assert_eq!(Machine::new().health().state(), Some(Connecting));
    run(Machine::new(), &[(Opening, None), (SERVING, Some(Ready))]);
    run(
        Machine::default(),
        &[(Opening, None), (NOT_SERVING, Some(TransientFailure))],
    );
}

#[test]
fn a_connection_in_use_keeps_its_state_until_the_first_answer() {
    let in_use = Machine::for_connection_in_use;
    assert_eq!(in_use().health().state(), None);
    run(in_use(), &[(Opening, None), (SERVING, Some(Ready))]);
    for event in [NOT_SERVING, Ended(Code::Unavailable)] {
        run(
            in_use(),
            &[(Opening, None), (event, Some(TransientFailure))],
        );
    }
    run(in_use(), &[(Opening, None), (Unimplemented, Some(Ready))]);
}

#[test]
fn only_serving_is_healthy() {
    for (bytes, status) in [
        (&[][..], ServingStatus::Unknown),
        (&[8, 2], ServingStatus::NotServing),
        (&[8, 3], ServingStatus::ServiceUnknown),
        (&[8, 7], ServingStatus::Other(7)),
    ] {
        let mut machine = Machine::new();
        let expected = Health::NotServing(NotHealthyReason::Status(status));
        assert_eq!(machine.received(bytes), Some(&expected), "{bytes:?}");
        assert_eq!(machine.received(&[8, 1]), Some(&Health::Serving));
    }
}

#[test]
fn unknown_fields_are_ignored_and_what_cannot_be_read_is_no_health() {
    let mut machine = Machine::new();
    assert_eq!(machine.received(&[8, 1, 18, 1, 65]), Some(&Health::Serving));
    let expected = Health::NotServing(NotHealthyReason::Unreadable);
    assert_eq!(machine.received(&[8]), Some(&expected));
    assert_eq!(machine.received(b"garbage"), None, "neither is this");
}

#[test]
fn the_same_answer_again_is_nothing_new() {
    run(
        Machine::new(),
        &[
            (SERVING, Some(Ready)),
            (SERVING, None),
            (NOT_SERVING, Some(TransientFailure)),
            (NOT_SERVING, None),
            (Message(&[8, 3]), Some(TransientFailure)),
            (SERVING, Some(Ready)),
        ],
    );
}

#[test]
fn a_stream_that_ended_fails_until_it_is_opened_again_and_then_connects() {
    run(
        Machine::new(),
        &[
            (SERVING, Some(Ready)),
            (Ended(Code::Unavailable), Some(TransientFailure)),
            (Opening, Some(Connecting)),
            (Ended(Code::Internal), Some(TransientFailure)),
            (Opening, Some(Connecting)),
            (NOT_SERVING, Some(TransientFailure)),
            (Ended(Code::Ok), Some(TransientFailure)),
            (Opening, Some(Connecting)),
            (SERVING, Some(Ready)),
        ],
    );
}

#[test]
fn a_server_without_the_method_is_as_good_as_healthy() {
    run(Machine::new(), &[(Unimplemented, Some(Ready))]);
    run(
        Machine::new(),
        &[
            (NOT_SERVING, Some(TransientFailure)),
            (Ended(Code::Ok), Some(TransientFailure)),
            (Opening, Some(Connecting)),
            (Unimplemented, Some(Ready)),
        ],
    );
}
