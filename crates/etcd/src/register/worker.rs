use std::convert::Infallible;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, TxnOpResponse};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info, warn};

use super::lease::Lease;
use super::ledger::{Delete, Put, Refusal, Work};
use super::requests::{self, CHUNK};
use super::schedule::Schedule;
use super::{RegistrarConfig, Shared};
use crate::backoff::Backoff;
use crate::{Etcd, EtcdError};

/// The first delay before something that etcd has refused.
const MIN_BACKOFF: Duration = Duration::from_millis(500);

/// No attempt is further from the last one, however long leases live.
const LONGEST_WINDOW: Duration = Duration::from_secs(10);

/// Brings etcd to what the ledger says and keeps it there.
pub(super) struct Worker {
    etcd: Etcd,
    ttl: Duration,
    /// How long a member may take to delete something, so that another one can still do it.
    delete_within: Duration,
    shared: Arc<Shared>,
    /// For what etcd refuses.
    backoff: Backoff,
    /// For an etcd that cannot be reached.
    schedule: Schedule,
    /// Since when it has not been possible to register.
    failing_since: Option<Instant>,
    /// Until when etcd keeps our keys even if it does not hear from us.
    lease_until: Option<Instant>,
}

impl Worker {
    pub(super) fn new(etcd: Etcd, config: &RegistrarConfig, shared: Arc<Shared>) -> Self {
        Self {
            etcd,
            ttl: config.ttl,
            delete_within: config.shutdown_timeout / 4,
            backoff: Backoff::new(MIN_BACKOFF, config.max_backoff),
            schedule: Schedule::new(config.max_backoff.min(LONGEST_WINDOW)),
            shared,
            failing_since: None,
            lease_until: None,
        }
    }

    /// Never ends by itself.
    pub(super) async fn run(mut self) {
        loop {
            while self.shared.ledger.lock().is_empty() {
                self.shared.changed.notified().await;
            }
            let Err(error) = self.hold().await;
            self.failed(&error);
            self.wait().await;
        }
    }

    /// Waits for the next attempt; not long when somebody asks for something.
    async fn wait(&mut self) {
        let now = Instant::now();
        let until = self.lease_until.unwrap_or(now);
        let left = until.saturating_duration_since(now);
        let mut next = now + self.schedule.next(left, fastrand::f64());
        // Drawn once: who asks often is no sooner there.
        let soon = self.schedule.soon(fastrand::f64());
        if self.shared.ledger.lock().is_leaving() {
            next = next.min(now + soon);
        }
        loop {
            tokio::select! {
                () = sleep_until(next) => return,
                () = self.shared.changed.notified() => next = next.min(Instant::now().max(now + soon)),
            }
        }
    }

    /// Holds lease and keys until something fails.
    async fn hold(&mut self) -> Result<Infallible, EtcdError> {
        let mut connection = self.etcd.connection().await?;
        let generation = connection.generation();
        let Err(error) = self.hold_on(&mut connection.client, generation).await;
        if !error.is_not_found() {
            self.etcd.discard(generation, &error).await;
        }
        Err(error)
    }

    async fn hold_on(
        &mut self,
        client: &mut Client,
        generation: usize,
    ) -> Result<Infallible, EtcdError> {
        let mut lease = self.lease(client).await?;
        self.lease_until = Some(lease.until());
        let mut renew_at = lease.renew_at();
        self.verify(client, renew_at).await?;
        self.banish(client, lease.id()).await?;
        self.write(client, lease.id(), renew_at).await?;
        self.well();
        loop {
            let retry_at = self.shared.ledger.lock().retry_at();
            let retry_at = retry_at.map(Instant::from_std);
            tokio::select! {
                // First of all, because what has to be written may never end.
                biased;
                () = sleep_until(renew_at) => {
                    lease.renew(&self.etcd).await?;
                    self.lease_until = Some(lease.until());
                    renew_at = lease.renew_at();
                    self.verify(client, renew_at).await?;
                    self.banish(client, lease.id()).await?;
                }
                error = lease.broken() => return Err(error),
                // Sooner than the next renewal, when somebody else has noticed.
                error = self.etcd.lost(generation) => return Err(error),
                () = self.shared.changed.notified() => {}
                () = sleep_until(retry_at.unwrap_or(renew_at)), if retry_at.is_some() => {}
            }
            self.write(client, lease.id(), renew_at).await?;
        }
    }

    /// The lease we had, if etcd still has it, or a new one.
    async fn lease(&self, client: &mut Client) -> Result<Lease, EtcdError> {
        let held = self.shared.ledger.lock().lease();
        if let Some(id) = held {
            match Lease::resume(&self.etcd, client, id, self.ttl).await {
                Err(error) if error.is_not_found() => self.shared.ledger.lock().lease_lost(),
                lease => return lease,
            }
            warn!(etcd = %self.etcd.name(), "etcd has lost the lease, registering anew");
        }
        let (id, ttl) = Lease::grant(&self.etcd, client, self.ttl).await?;
        // At once: if it cannot be renewed now, it is the next attempt's, and not one more.
        self.shared.ledger.lock().granted(id);
        Lease::resume(&self.etcd, client, id, ttl).await
    }

    /// Puts what etcd does not have and deletes what it should not have any more. What etcd refuses
    /// is left for later: it is no reason to hold up the others. Neither is all of it a reason to
    /// let the lease run out: returns when it is time to renew that. An etcd that is overloaded or
    /// full is not asked for anything else before it is time to try again.
    async fn write(
        &self,
        client: &mut Client,
        lease: i64,
        renew_at: Instant,
    ) -> Result<(), EtcdError> {
        loop {
            let now = Instant::now();
            if now >= renew_at {
                return Ok(());
            }
            let work = self.shared.ledger.lock().next_work(now.into_std(), CHUNK);
            let Some(work) = work else {
                return Ok(());
            };
            let mut parts = vec![work];
            while let Some(work) = parts.pop() {
                match self.perform(client, lease, &work).await {
                    Err(error) if error.is_about_the_key() => match work.halves() {
                        Ok(halves) => parts.extend(halves),
                        Err(one) => self.refused(&one, &error),
                    },
                    Err(error) if error.is_exhaustion() => {
                        self.refused(&work, &error);
                        return Ok(());
                    }
                    done => done?,
                }
                if Instant::now() >= renew_at {
                    return Ok(());
                }
            }
        }
    }

    async fn perform(&self, client: &mut Client, lease: i64, work: &Work) -> Result<(), EtcdError> {
        match work {
            Work::Puts(puts) => {
                let txn = client.txn(requests::put(puts, lease));
                let answer = self.etcd.answer("register", txn).await?;
                let revision = answer.header().map_or(0, |header| header.revision());
                for (put, answer) in puts.iter().zip(answer.op_responses()) {
                    match requests::holder(&answer) {
                        Some(other) => self.held(put, other),
                        None => {
                            if self.shared.ledger.lock().put(put, revision) {
                                info!(key = %put.key, "registered");
                            }
                        }
                    }
                }
            }
            Work::Deletes(deletes) => {
                let goodbyes = deletes.iter().filter_map(|delete| {
                    let goodbye = delete.goodbye.as_deref()?;
                    Some((delete.key.as_str(), goodbye))
                });
                if let Some(goodbye) = requests::goodbye(goodbyes, lease) {
                    say_goodbye(GOODBYE, client.txn(goodbye)).await;
                }
                let txn = client.txn(requests::delete(deletes, lease));
                let deleted = self
                    .etcd
                    .answer_within(self.delete_within, "deregister", txn);
                deleted.await?;
                for delete in deletes {
                    self.shared.ledger.lock().left(&delete.key);
                    info!(key = %delete.key, "deregistered");
                }
            }
        }
        Ok(())
    }

    fn refused(&self, work: &Work, error: &EtcdError) {
        let etcd = self.etcd.name();
        let why = format!("{etcd}: {error}");
        // One for all of them, so that what was asked for together is asked for together again.
        let refusal = Refusal {
            alone: error.is_about_the_key(),
            ..self.refusal(&why)
        };
        let mut ledger = self.shared.ledger.lock();
        for (key, number) in work.keys() {
            if ledger.refused(key, number, &refusal) {
                warn!(%key, %etcd, "etcd refuses it, trying again for ever: {error}");
            }
        }
    }

    /// Another process has the key. It came later, so it is the one that clients should find; if
    /// we took the key back, it would take it back from us.
    fn held(&self, put: &Put, lease: i64) {
        let error = EtcdError::held(&put.key, lease).to_string();
        let mut ledger = self.shared.ledger.lock();
        if ledger.held(put, lease, &self.refusal(&error)) {
            warn!("{error}; waiting until it is gone");
        }
    }

    fn refusal<'a>(&'a self, why: &'a str) -> Refusal<'a> {
        Refusal {
            now: Instant::now().into_std(),
            backoff: &self.backoff,
            random: fastrand::f64(),
            alone: true,
            why,
        }
    }

    /// Finds keys that somebody has deleted or overwritten: as many as there is time for before the
    /// lease has to be renewed, others each time.
    async fn verify(&self, client: &mut Client, renew_at: Instant) -> Result<(), EtcdError> {
        let mut written = self.shared.ledger.lock().written();
        fastrand::shuffle(&mut written);
        let mut parts: Vec<_> = written.chunks(CHUNK).collect();
        while let Some(keys) = parts.pop().filter(|_| Instant::now() < renew_at) {
            let txn = client.txn(requests::verify(keys));
            let answer = match self.etcd.answer("verify the keys", txn).await {
                Err(error) if error.is_about_the_key() => {
                    match keys {
                        [(key, revision)] => self.key_hidden(key, *revision, &error),
                        _ => parts.extend(<[_; 2]>::from(keys.split_at(keys.len() / 2))),
                    }
                    continue;
                }
                answer => answer?,
            };
            if answer.succeeded() {
                continue;
            }
            for ((key, revision), found) in keys.iter().zip(answer.op_responses()) {
                let TxnOpResponse::Get(found) = found else {
                    continue;
                };
                let found = found.kvs().first().map(|found| found.mod_revision());
                if found != Some(*revision) {
                    self.key_lost(key, *revision);
                }
            }
        }
        Ok(())
    }

    /// Deletes keys that have come back: a member that has hung has done late what it was asked for
    /// in vain. A process that holds the key by now gets it back, because it waits for that.
    async fn banish(&self, client: &mut Client, lease: i64) -> Result<(), EtcdError> {
        let absent = self.shared.ledger.lock().absent();
        for keys in absent.chunks(CHUNK) {
            let found = client.txn(requests::absent(keys, lease));
            let found = match self.etcd.answer("look for late writes", found).await {
                Err(error) if error.is_about_the_key() => {
                    debug!("nobody knows whether keys have come back: {error}");
                    continue;
                }
                found => found?,
            };
            if found.succeeded() {
                continue;
            }
            let ghosts = keys.iter().zip(found.op_responses());
            let ghosts = ghosts.filter(|(_, found)| requests::holder(found) == Some(lease));
            let ghosts = ghosts.map(|(key, _)| Delete {
                key: key.clone(),
                number: 0,
                goodbye: None,
            });
            let ghosts: Vec<_> = ghosts.collect();
            let delete = client.txn(requests::delete(&ghosts, lease));
            let deleted = self
                .etcd
                .answer_within(self.delete_within, "deregister", delete);
            deleted.await?;
            for ghost in ghosts {
                warn!(key = %ghost.key, "a late write has brought it back; deleted again");
            }
        }
        Ok(())
    }

    fn key_hidden(&self, key: &str, revision: i64, error: &EtcdError) {
        let etcd = self.etcd.name();
        let why = format!("{etcd}: {error}");
        let mut ledger = self.shared.ledger.lock();
        if ledger.key_hidden(key, revision, &self.refusal(&why)) {
            warn!(%key, %etcd, "nobody knows whether it is still there: {error}");
        }
    }

    fn key_lost(&self, key: &str, revision: i64) {
        let now = Instant::now().into_std();
        let error = EtcdError::KeyLost { key: key.into() }.to_string();
        let mut ledger = self.shared.ledger.lock();
        if ledger.key_lost(key, revision, now, &error) {
            warn!("{error}, registering it again");
        }
    }

    fn failed(&mut self, error: &EtcdError) {
        let now = Instant::now();
        let etcd = self.etcd.name();
        if self.failing_since.is_none() {
            warn!(%etcd, "registration is failing, trying again for ever: {error}");
        } else {
            debug!(%etcd, "registration is still failing: {error}");
        }
        let since = *self.failing_since.get_or_insert(now);
        let mut ledger = self.shared.ledger.lock();
        if error.is_not_found() {
            self.lease_until = None;
            ledger.lease_lost();
        }
        ledger.failing(since.into_std(), &format!("{etcd}: {error}"));
    }

    /// etcd has everything.
    fn well(&mut self) {
        self.schedule.reset();
        self.shared.ledger.lock().well();
        if let Some(since) = self.failing_since.take() {
            let down_for = since.elapsed();
            info!(etcd = %self.etcd.name(), ?down_for, "registration works again");
        }
    }
}

/// The longest that clients are told of a goodbye before it happens.
pub(super) const GOODBYE: Duration = Duration::from_millis(500);

/// Lets clients know before a key goes that this was meant. Nice to have: an etcd that is slow, or
/// does not want it, does not hold up the rest.
pub(super) async fn say_goodbye<T, E: Display>(
    within: Duration,
    goodbye: impl Future<Output = Result<T, E>>,
) {
    match timeout(within, goodbye).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => debug!("clients were not told that servers are going: {error}"),
        Err(_) => debug!("clients were not told in time that servers are going"),
    }
}
