//! The ledger against a model: whatever is wished for and whatever etcd does, once everything is
//! done etcd has exactly what was wished for last.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Enter(usize),
    Update(usize),
    Present(usize, Presence),
    Leave(usize),
    /// The worker sends a request for so many keys.
    Send(usize),
    /// etcd does it and says so.
    Answer,
    /// etcd does it, and the answer is lost with the connection.
    Lose,
    /// A member that hangs has it: the answer is lost, and it is done at any time from now on.
    Hang,
    /// A member that has hung does what it was asked for.
    Late,
    Refuse,
    LeaseLost,
    /// Somebody deletes a key by hand, and the worker sees it.
    Deleted(usize),
    /// Another process writes a key, and the worker sees it.
    Taken(usize),
    /// The other process is gone.
    Released(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..4_usize;
    let presence = prop_oneof![
        Just(Presence::Listed),
        Just(Presence::Draining),
        Just(Presence::Paused)
    ];
    prop_oneof![
        2 => key.clone().prop_map(Step::Enter),
        2 => key.clone().prop_map(Step::Update),
        3 => (key.clone(), presence).prop_map(|(key, presence)| Step::Present(key, presence)),
        1 => key.clone().prop_map(Step::Leave),
        5 => (1..4_usize).prop_map(Step::Send),
        5 => Just(Step::Answer),
        1 => Just(Step::Lose),
        1 => Just(Step::Hang),
        1 => Just(Step::Late),
        1 => Just(Step::Refuse),
        1 => Just(Step::LeaseLost),
        1 => key.clone().prop_map(Step::Deleted),
        1 => key.clone().prop_map(Step::Taken),
        1 => key.prop_map(Step::Released),
    ]
}

/// The lease of another process.
const OTHER: i64 = -1;

/// A key in etcd.
struct Stored {
    value: Vec<u8>,
    lease: i64,
    revision: i64,
}

/// A registration and what is wished of it.
struct Wish {
    id: u64,
    state: watch::Receiver<RegistrationState>,
    values: Values,
    presence: Presence,
}

struct World {
    ledger: Ledger,
    wishes: BTreeMap<String, Wish>,
    store: BTreeMap<String, Stored>,
    /// A request that etcd has not answered.
    sent: Option<Work>,
    /// What members that hang may still do, and under which lease.
    late: Vec<(Work, i64)>,
    revision: i64,
    lease: i64,
    now: Instant,
    backoff: Backoff,
}

impl World {
    fn new() -> Self {
        let mut ledger = Ledger::default();
        ledger.granted(1);
        Self {
            ledger,
            wishes: BTreeMap::new(),
            store: BTreeMap::new(),
            sent: None,
            late: Vec::new(),
            revision: 0,
            lease: 1,
            now: now(),
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(4)),
        }
    }

    fn fresh_values(&mut self) -> Values {
        self.revision += 1;
        values(&format!("v{}", self.revision))
    }

    fn wish(&mut self, step: Step) {
        let name = |key: usize| format!("k{key}");
        match step {
            Step::Enter(key) => {
                let values = self.fresh_values();
                let (id, state) = self.ledger.enter(&name(key), values.clone()).unwrap();
                let wish = Wish {
                    id,
                    state,
                    values,
                    presence: Presence::Listed,
                };
                if let Some(old) = self.wishes.insert(name(key), wish) {
                    assert_eq!(text(&old.state), "deregistered");
                }
            }
            Step::Update(key) => {
                let values = self.fresh_values();
                if let Some(wish) = self.wishes.get_mut(&name(key)) {
                    wish.values = values.clone();
                    self.ledger.update(&name(key), wish.id, values).unwrap();
                }
            }
            Step::Present(key, presence) => {
                if let Some(wish) = self.wishes.get_mut(&name(key)) {
                    wish.presence = presence;
                    let done = self.ledger.present(&name(key), wish.id, presence);
                    done.unwrap();
                }
            }
            Step::Leave(key) => {
                if let Some(wish) = self.wishes.remove(&name(key)) {
                    self.ledger.leave(&name(key), wish.id);
                }
            }
            other => self.happens(other),
        }
    }

    fn happens(&mut self, step: Step) {
        let name = |key: usize| format!("k{key}");
        match step {
            Step::Send(most) if self.sent.is_none() => {
                self.sent = self.ledger.next_work(self.now, most);
            }
            Step::Answer => self.answer(),
            Step::Lose => {
                if let Some(work) = self.sent.take() {
                    self.store(&work);
                    self.ledger.failing(self.now, "lost");
                    self.verify();
                }
            }
            Step::Hang => {
                if let Some(work) = self.sent.take() {
                    self.late.push((work, self.lease));
                    self.ledger.failing(self.now, "hangs");
                    self.verify();
                }
            }
            Step::Late => self.late(),
            Step::Refuse => {
                if let Some(work) = self.sent.take() {
                    for (key, number) in work.keys() {
                        let refusal = refusal(&self.backoff, self.now);
                        self.ledger.refused(key, number, &refusal);
                    }
                }
            }
            Step::LeaseLost => {
                // What was under way came too late.
                self.sent = None;
                self.store.retain(|_, stored| stored.lease != self.lease);
                self.ledger.lease_lost();
                self.lease += 1;
                self.ledger.granted(self.lease);
            }
            Step::Deleted(key) => {
                self.store.remove(&name(key));
                self.verify();
            }
            Step::Taken(key) => {
                self.revision += 1;
                let stored = Stored {
                    value: b"other".to_vec(),
                    lease: OTHER,
                    revision: self.revision,
                };
                self.store.insert(name(key), stored);
                self.verify();
            }
            Step::Released(key) => {
                let others = |stored: &Stored| stored.lease == OTHER;
                if self.store.get(&name(key)).is_some_and(others) {
                    self.store.remove(&name(key));
                }
            }
            _ => {}
        }
    }

    /// Whether etcd has the key and lets another lease than ours have it.
    fn is_held(&self, key: &str) -> bool {
        let stored = self.store.get(key);
        stored.is_some_and(|stored| stored.lease != self.lease)
    }

    /// What etcd does with a request; the keys that somebody else holds.
    fn store(&mut self, work: &Work) -> Vec<String> {
        self.revision += 1;
        let mut held = Vec::new();
        match work {
            Work::Puts(puts) => {
                for put in puts {
                    if !put.claims && self.is_held(&put.key) {
                        held.push(put.key.clone());
                        continue;
                    }
                    let stored = Stored {
                        value: put.value.clone(),
                        lease: self.lease,
                        revision: self.revision,
                    };
                    self.store.insert(put.key.clone(), stored);
                }
            }
            Work::Deletes(deletes) => {
                for delete in deletes {
                    if !self.is_held(&delete.key) {
                        self.store.remove(&delete.key);
                    }
                }
            }
        }
        held
    }

    fn answer(&mut self) {
        let Some(work) = self.sent.take() else {
            return;
        };
        let held = self.store(&work);
        match &work {
            Work::Puts(puts) => {
                for put in puts {
                    if held.contains(&put.key) {
                        let refusal = refusal(&self.backoff, self.now);
                        self.ledger.held(put, OTHER, &refusal);
                    } else {
                        self.ledger.put(put, self.revision);
                    }
                }
            }
            Work::Deletes(deletes) => {
                for delete in deletes {
                    self.ledger.left(&delete.key);
                }
            }
        }
    }

    fn late(&mut self) {
        if let Some((work, lease)) = self.late.pop() {
            // Nothing is written under a lease that is gone, and nothing else is deleted.
            if lease == self.lease {
                self.store(&work);
            }
        }
    }

    fn verify(&mut self) {
        for key in self.ledger.absent() {
            let ours = |stored: &Stored| stored.lease == self.lease;
            if self.store.get(&key).is_some_and(ours) {
                self.store.remove(&key);
            }
        }
        for (key, revision) in self.ledger.written() {
            let stored = self.store.get(&key);
            if stored.map(|stored| stored.revision) != Some(revision) {
                self.ledger.key_lost(&key, revision, self.now, "lost");
            }
        }
    }

    /// Lets etcd be well and everybody else be gone, and the worker do all that it has to.
    fn settle(&mut self) {
        self.store.retain(|_, stored| stored.lease != OTHER);
        self.answer();
        while !self.late.is_empty() {
            self.late();
        }
        self.verify();
        for _ in 0..100 {
            self.now += Duration::from_secs(10);
            self.sent = self.ledger.next_work(self.now, 2);
            self.answer();
        }
        self.ledger.well();
    }
}

proptest! {
    #[test]
    fn in_the_end_etcd_has_what_was_wished_for_last(
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        let mut world = World::new();
        for step in steps {
            world.wish(step);
        }
        world.settle();
        let mut expected = BTreeMap::new();
        for (key, wish) in &world.wishes {
            let value = match wish.presence {
                Presence::Listed => Some(wish.values.listed.clone()),
                Presence::Draining => wish.values.draining.clone(),
                Presence::Paused => None,
            };
            let state = if value.is_some() { "registered" } else { "paused" };
            prop_assert_eq!(text(&wish.state), state);
            expected.extend(value.map(|value| (key.clone(), value)));
        }
        let stored = world.store.into_iter().map(|(key, stored)| (key, stored.value));
        prop_assert_eq!(stored.collect::<BTreeMap<_, _>>(), expected);
        prop_assert_eq!(world.ledger.is_empty(), world.wishes.is_empty());
    }
}
