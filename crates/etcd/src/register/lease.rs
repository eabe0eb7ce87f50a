use std::time::Duration;

use etcd_client::{Client, LeaseKeepAliveStream, LeaseKeeper};
use tokio::time::Instant;

use crate::{Etcd, EtcdError};

const RENEW: &str = "renew the lease";

/// A lease and the stream that renews it.
pub(super) struct Lease {
    id: i64,
    ttl: Duration,
    /// Until when it lives at least.
    until: Instant,
    keeper: LeaseKeeper,
    stream: LeaseKeepAliveStream,
}

impl Lease {
    /// The id of a new lease and its time to live.
    pub(super) async fn grant(
        etcd: &Etcd,
        client: &mut Client,
        ttl: Duration,
    ) -> Result<(i64, Duration), EtcdError> {
        let whole = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        let seconds = i64::try_from(whole).unwrap_or(i64::MAX);
        let grant = client.lease_grant(seconds, None);
        let granted = etcd.answer("grant a lease", grant).await?;
        // etcd rounds up what is too short for its elections.
        let ttl = u64::try_from(granted.ttl()).map_or(ttl, Duration::from_secs);
        Ok((granted.id(), ttl))
    }

    /// A lease that etcd has granted before, renewed; [`EtcdError::LeaseLost`] if it is gone.
    pub(super) async fn resume(
        etcd: &Etcd,
        client: &mut Client,
        id: i64,
        ttl: Duration,
    ) -> Result<Self, EtcdError> {
        let asked = Instant::now();
        let opened = etcd.answer(RENEW, async {
            match client.lease_keep_alive(id).await {
                // How etcd-client tells that the first answer has a time to live of 0.
                Err(etcd_client::Error::LeaseKeepAliveError(_)) => Ok(None),
                opened => opened.map(Some),
            }
        });
        let (keeper, stream) = opened.await?.ok_or(EtcdError::LeaseLost)?;
        Ok(Self {
            id,
            ttl,
            until: asked + ttl,
            keeper,
            stream,
        })
    }

    pub(super) const fn id(&self) -> i64 {
        self.id
    }

    /// Until when etcd has promised to keep it, even if it is not renewed.
    pub(super) const fn until(&self) -> Instant {
        self.until
    }

    /// When to renew it next: after a third of its time to live, ±10 %.
    pub(super) fn renew_at(&self) -> Instant {
        let jitter = 0.9 + 0.2 * fastrand::f64();
        Instant::now() + self.ttl.mul_f64(jitter / 3.0)
    }

    /// Renews it; gives up in time for another member to do it.
    pub(super) async fn renew(&mut self, etcd: &Etcd) -> Result<(), EtcdError> {
        let asked = Instant::now();
        let renewed = etcd.answer_within(self.ttl / 3, RENEW, async {
            self.keeper.keep_alive().await?;
            self.stream.message().await
        });
        self.ttl = remaining(renewed.await?)?;
        self.until = asked + self.ttl;
        Ok(())
    }

    /// Resolves when the stream ends although nobody has asked for anything. Cancel safe.
    pub(super) async fn broken(&mut self) -> EtcdError {
        loop {
            match self.stream.message().await {
                Ok(answer) => match remaining(answer) {
                    // An answer that came too late for `renew`.
                    Ok(_) => {}
                    Err(error) => return error,
                },
                Err(error) => return EtcdError::request(RENEW, error),
            }
        }
    }
}

/// The time to live that etcd confirms; 0 means that the lease is gone.
fn remaining(answer: Option<etcd_client::LeaseKeepAliveResponse>) -> Result<Duration, EtcdError> {
    let Some(answer) = answer else {
        return Err(EtcdError::ended(RENEW, "the stream was closed"));
    };
    match u64::try_from(answer.ttl()) {
        Ok(0) | Err(_) => Err(EtcdError::LeaseLost),
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
    }
}
