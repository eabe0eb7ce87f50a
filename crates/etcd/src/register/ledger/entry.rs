use evenkeel_discover::{Presence, RegistrationState};
use tokio::sync::watch;

use super::{Delete, Put, Refusal, Refused};

/// One key. Pure.
#[derive(Debug)]
pub(super) struct Entry {
    /// Which registration it belongs to.
    pub(super) id: u64,
    pub(super) values: Values,
    pub(super) presence: Presence,
    /// The number of what is wanted: a new one for each wish.
    pub(super) wanted: u64,
    /// The last write that etcd has confirmed under the present lease.
    pub(super) written: Option<Written>,
    /// Whether etcd may have the key under the present lease, confirmed or not.
    pub(super) sent: bool,
    /// A write was asked for, and etcd has not answered.
    pub(super) unanswered: bool,
    /// A member of etcd that hangs may still do a write under the present lease when it goes on,
    /// whatever was done since.
    pub(super) haunted: bool,
    /// To be taken out for good.
    pub(super) leaving: bool,
    /// Takes the key from whoever has it: it was asked for since. Afterwards the key is only
    /// taken when nobody has it, because whoever has it came later.
    pub(super) claims: bool,
    /// etcd does not want it as it is.
    pub(super) refused: Option<Refused>,
    state: watch::Sender<RegistrationState>,
}

/// What is written for an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::register) struct Values {
    pub(in crate::register) listed: Vec<u8>,
    /// The same with the word for draining, if the format has one.
    pub(in crate::register) draining: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) number: u64,
    pub(super) revision: i64,
    /// Whether clients read that it is draining.
    pub(super) draining: bool,
}

impl Entry {
    pub(super) const fn new(
        number: u64,
        values: Values,
        state: watch::Sender<RegistrationState>,
    ) -> Self {
        Self {
            id: number,
            values,
            presence: Presence::Listed,
            wanted: number,
            written: None,
            sent: false,
            unanswered: false,
            haunted: false,
            leaving: false,
            claims: true,
            refused: None,
            state,
        }
    }

    /// Whether etcd is to have the key.
    pub(super) fn is_listed(&self) -> bool {
        !self.leaving && self.presence != Presence::Paused
    }

    pub(super) fn has_work(&self) -> bool {
        match self.is_listed() {
            true => self.written.map(|written| written.number) != Some(self.wanted),
            false => self.sent,
        }
    }

    pub(super) fn is_written_at(&self, revision: i64) -> bool {
        let written = self.written.map(|written| written.revision);
        self.is_listed() && written == Some(revision)
    }

    /// Something else is wanted from now on.
    pub(super) fn want(&mut self, number: u64) {
        self.wanted = number;
        self.refused = None;
        self.tell(RegistrationState::Registering);
    }

    /// The write that is wanted, which is being sent now.
    pub(super) fn put(&mut self, key: &str) -> Put {
        self.sent = true;
        self.haunted |= std::mem::replace(&mut self.unanswered, true);
        let draining = self.values.draining.as_ref();
        let draining = draining.filter(|_| self.presence == Presence::Draining);
        Put {
            key: key.to_owned(),
            value: draining.unwrap_or(&self.values.listed).clone(),
            number: self.wanted,
            draining: draining.is_some(),
            claims: self.claims,
        }
    }

    pub(super) fn delete(&mut self, key: &str) -> Delete {
        Delete {
            key: key.to_owned(),
            number: self.wanted,
            goodbye: self.goodbye(),
        }
    }

    /// What clients are to read before the key goes, unless they read it already.
    pub(super) fn goodbye(&self) -> Option<Vec<u8>> {
        let told = self.written.is_some_and(|written| written.draining);
        let goodbye = self.values.draining.clone();
        goodbye.filter(|_| self.sent && !told)
    }

    /// Whether etcd does not have the key, but may get it by a late write of ours.
    pub(super) fn may_reappear(&self) -> bool {
        !self.is_listed() && !self.sent && (self.haunted || self.unanswered)
    }

    /// The lease is gone: under it nothing can be written any more.
    pub(super) fn lease_lost(&mut self) {
        self.unanswered = false;
        self.haunted = false;
        self.forgotten();
    }

    /// etcd does not have the key any more.
    pub(super) fn forgotten(&mut self) {
        self.written = None;
        self.sent = false;
        if self.presence == Presence::Paused {
            self.refused = None;
            self.tell(RegistrationState::Paused);
        }
    }

    /// etcd has refused it; true the first time.
    pub(super) fn refuse(&mut self, refusal: &Refusal<'_>) -> bool {
        let first = self.refused.is_none();
        let refused = self
            .refused
            .get_or_insert_with(|| Refused::new(refusal.now, refusal.backoff));
        refused.again(refusal);
        let since = refused.since;
        self.tell(RegistrationState::retrying(since, refusal.why));
        first
    }

    pub(super) fn tell(&self, state: RegistrationState) {
        self.state.send_replace(state);
    }
}
