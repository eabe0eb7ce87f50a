//! The ring that A42 describes, and what a policy makes of it.

use evenkeel_core::{ConnectivityState, EndpointIndex, Pick, Picker, Policy};
use evenkeel_policy::script::Script;
use tonic::Code;
use twox_hash::XxHash64;

use crate::chosen::policy;

pub(crate) const NAME: &str = "ring_hash_experimental";

pub(crate) fn by_user() -> Box<dyn Policy> {
    policy(NAME, r#"{"requestHashHeader": "user"}"#)
}

pub(crate) fn hash(text: &str) -> u64 {
    XxHash64::oneshot(0, text.as_bytes())
}

/// The ring that A42 describes, of endpoints with these keys and so many entries each.
pub(crate) fn ring(endpoints: &[(String, usize)]) -> Vec<(u64, u64)> {
    let mut ring = Vec::new();
    for (id, (key, entries)) in (0..).zip(endpoints) {
        ring.extend((0..*entries).map(|number| (hash(&format!("{key}_{number}")), id)));
    }
    ring.sort_unstable();
    ring
}

/// The ids along the ring from a hash on, each once.
pub(crate) fn walk(ring: &[(u64, u64)], from: u64) -> Vec<u64> {
    let start = ring.iter().position(|(entry, _)| *entry >= from);
    let start = start.unwrap_or(0);
    let mut ids = Vec::new();
    for (_, id) in ring[start..].iter().chain(&ring[..start]) {
        if !ids.contains(id) {
            ids.push(*id);
        }
    }
    ids
}

pub(crate) fn address(id: u64) -> String {
    format!("10.0.0.{id}:80")
}

/// The ring of the default config: each of few endpoints has as many entries as its share of 1024,
/// rounded up.
pub(crate) fn default_ring(endpoints: u64) -> Vec<(u64, u64)> {
    let each = 1024_u64.div_ceil(endpoints) as usize;
    ring(
        &(0..endpoints)
            .map(|id| (address(id), each))
            .collect::<Vec<_>>(),
    )
}

/// Endpoints whose states are given in the order in which the user comes to them.
pub(crate) fn along_the_ring(user: &str, states: &[ConnectivityState]) -> (Script, Vec<u64>) {
    let mut script = Script::new(states);
    script.header("user", user);
    let ids = walk(&default_ring(states.len() as u64), hash(user));
    for (id, state) in ids.iter().zip(states) {
        script.set(*id, *state);
    }
    (script, ids)
}

/// What is picked, as the place along the ring.
pub(crate) fn answer(script: &Script, ids: &[u64], picker: &dyn Picker, random: u64) -> Answer {
    let at = |index: EndpointIndex| {
        let id = script.endpoints[index.0].id.0;
        ids.iter().position(|known| *known == id).unwrap()
    };
    match script.answer(picker, &[], random) {
        Pick::Endpoint(index) => To(at(index)),
        Pick::Queue => Queue,
        Pick::Connect(index) => Connect(at(index)),
        Pick::Fail(status) => Fail(status.code()),
        Pick::Drop(status) => panic!("{status}"),
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Answer {
    To(usize),
    Queue,
    /// Queued, and this one is told to connect.
    Connect(usize),
    Fail(Code),
}
use Answer::{Connect, Fail, Queue, To};
