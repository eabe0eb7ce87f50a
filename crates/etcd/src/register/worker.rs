use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, Compare, CompareOp, PutOptions, Txn, TxnOp, TxnOpResponse};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, info, warn};

use super::lease::Lease;
use super::ledger::Work;
use super::{RegistrarConfig, Shared};
use crate::backoff::Backoff;
use crate::{Etcd, EtcdError};

/// The first delay between attempts.
const MIN_BACKOFF: Duration = Duration::from_millis(500);
/// Keys looked at in one transaction; etcd takes 128 operations unless told otherwise.
const CHUNK: usize = 100;

/// Brings etcd to what the ledger says and keeps it there.
pub(super) struct Worker {
    etcd: Etcd,
    ttl: Duration,
    shared: Arc<Shared>,
    backoff: Backoff,
    /// Since when it has not been possible to register.
    failing_since: Option<Instant>,
}

impl Worker {
    pub(super) fn new(etcd: Etcd, config: &RegistrarConfig, shared: Arc<Shared>) -> Self {
        Self {
            etcd,
            ttl: config.ttl,
            backoff: Backoff::new(MIN_BACKOFF, config.max_backoff),
            shared,
            failing_since: None,
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
            sleep(self.backoff.next(fastrand::f64())).await;
        }
    }

    /// Holds lease and keys until something fails.
    async fn hold(&mut self) -> Result<Infallible, EtcdError> {
        let mut connection = self.etcd.connection().await?;
        let Err(error) = self.hold_on(&mut connection.client).await;
        if !error.is_not_found() {
            self.etcd.discard(connection.generation()).await;
        }
        Err(error)
    }

    async fn hold_on(&mut self, client: &mut Client) -> Result<Infallible, EtcdError> {
        let mut lease = self.lease(client).await?;
        self.verify(client).await?;
        self.write(client, lease.id()).await?;
        self.well();
        let mut renew_at = lease.renew_at();
        loop {
            let retry_at = self.shared.ledger.lock().retry_at();
            let retry_at = retry_at.map(Instant::from_std);
            tokio::select! {
                () = sleep_until(retry_at.unwrap_or(renew_at)), if retry_at.is_some() => {
                    self.write(client, lease.id()).await?;
                }
                () = self.shared.changed.notified() => self.write(client, lease.id()).await?,
                error = lease.broken() => return Err(error),
                () = sleep_until(renew_at) => {
                    lease.renew(&self.etcd).await?;
                    self.verify(client).await?;
                    self.write(client, lease.id()).await?;
                    renew_at = lease.renew_at();
                }
            }
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
        let lease = Lease::grant(&self.etcd, client, self.ttl).await?;
        self.shared.ledger.lock().granted(lease.id());
        Ok(lease)
    }

    /// Puts what etcd does not have and deletes what it should not have any more. What etcd refuses
    /// is left for later: it is no reason to hold up the others.
    async fn write(&self, client: &mut Client, lease: i64) -> Result<(), EtcdError> {
        loop {
            let now = Instant::now().into_std();
            let Some(work) = self.shared.ledger.lock().next_work(now) else {
                return Ok(());
            };
            match self.perform(client, lease, &work).await {
                Err(error) if error.is_about_the_key() => self.refused(&work, &error),
                done => done?,
            }
        }
    }

    async fn perform(&self, client: &mut Client, lease: i64, work: &Work) -> Result<(), EtcdError> {
        match work {
            Work::Put { key, value, number } => {
                let options = PutOptions::new().with_lease(lease);
                let put = client.put(key.as_str(), value.as_slice(), Some(options));
                let put = self.etcd.answer("register", put).await?;
                let revision = put.header().map_or(0, |header| header.revision());
                if self.shared.ledger.lock().put(key, *number, revision) {
                    info!(%key, "registered");
                }
            }
            Work::Delete { key, id } => {
                // Only while it is ours: a successor may have it by now.
                let ours = Compare::lease(key.as_str(), CompareOp::Equal, lease);
                let delete = TxnOp::delete(key.as_str(), None);
                let txn = client.txn(Txn::new().when([ours]).and_then([delete]));
                self.etcd.answer("deregister", txn).await?;
                self.shared.ledger.lock().left(key, *id);
                info!(%key, "deregistered");
            }
        }
        Ok(())
    }

    fn refused(&self, work: &Work, error: &EtcdError) {
        let (Work::Put { key, .. } | Work::Delete { key, .. }) = work;
        let etcd = self.etcd.name();
        let (now, random) = (Instant::now().into_std(), fastrand::f64());
        let why = format!("{etcd}: {error}");
        let mut ledger = self.shared.ledger.lock();
        if ledger.refused(work, now, &self.backoff, random, &why) {
            warn!(%key, %etcd, "etcd refuses it, trying again for ever: {error}");
        }
    }

    /// Finds keys that somebody has deleted or overwritten.
    async fn verify(&self, client: &mut Client) -> Result<(), EtcdError> {
        let written = self.shared.ledger.lock().written();
        for keys in written.chunks(CHUNK) {
            let untouched = |(key, revision): &(String, i64)| {
                Compare::mod_revision(key.as_str(), CompareOp::Equal, *revision)
            };
            let read = |(key, _): &(String, i64)| TxnOp::get(key.as_str(), None);
            let txn = Txn::new()
                .when(keys.iter().map(untouched).collect::<Vec<_>>())
                .or_else(keys.iter().map(read).collect::<Vec<_>>());
            let answer = self.etcd.answer("verify the keys", client.txn(txn)).await?;
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
            ledger.lease_lost();
        }
        ledger.failing(since.into_std(), &format!("{etcd}: {error}"));
    }

    /// etcd has everything.
    fn well(&mut self) {
        self.backoff.reset();
        self.shared.ledger.lock().well();
        if let Some(since) = self.failing_since.take() {
            let down_for = since.elapsed();
            info!(etcd = %self.etcd.name(), ?down_for, "registration works again");
        }
    }
}
