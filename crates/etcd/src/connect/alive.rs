use std::sync::Arc;

use etcd_client::Client;
use tokio::time::{Duration, Instant, sleep_until};
use tracing::warn;

use super::{Etcd, dial};
use crate::EtcdError;

pub(super) const CHECK: &str = "check the connection";

/// When to ask for the members again after that has failed.
const SYNC_AGAIN: Duration = Duration::from_secs(10);

impl Etcd {
    /// For who waits for news on a stream: resolves when the member does not answer any more, or
    /// when others have given the connection up. Asks only when nothing else was heard from it for
    /// [`EtcdConfig::check_every`]. Cancel safe.
    pub(crate) async fn lost(&self, generation: usize) -> EtcdError {
        let mut given_up = self.shared.given_up.subscribe();
        let given_up = given_up.wait_for(|last| *last >= generation);
        tokio::select! {
            _ = given_up => EtcdError::ended(CHECK, "it was given up"),
            error = self.silence(generation) => error,
        }
    }

    async fn silence(&self, generation: usize) -> EtcdError {
        let client = {
            let current = self.shared.current.lock().await;
            match &current.client {
                Some(client) if current.generation == generation => client.clone(),
                _ => return EtcdError::ended(CHECK, "it was given up"),
            }
        };
        loop {
            // Not all who wait for it ask at the same time: one answer is enough for them.
            let jitter = 0.9 + 0.2 * fastrand::f64();
            let quiet = self.shared.config.check_every.mul_f64(jitter);
            self.sync_if_due(&client).await;
            let (heard_at, sync_at) = {
                let in_use = self.shared.in_use.lock();
                (in_use.heard_at, in_use.sync_at)
            };
            let check_at = heard_at + quiet;
            if Instant::now() < check_at {
                sleep_until(sync_at.map_or(check_at, |at| at.min(check_at))).await;
                continue;
            }
            if let Err(error) = self.answer(CHECK, dial::check(&client)).await
                && error.is_about_the_member()
            {
                return error;
            }
            if self.shared.in_use.lock().heard_at == heard_at {
                // Whoever refuses is there, too.
                self.heard();
            }
        }
    }

    /// Asks for all members, if that is wanted and it is time.
    pub(super) async fn sync_if_due(&self, client: &Client) {
        let shared = &self.shared;
        let Some(every) = shared.config.sync_members else {
            return;
        };
        let now = Instant::now();
        let asked = {
            let mut in_use = shared.in_use.lock();
            if in_use.sync_at.is_some_and(|at| now < at) {
                return;
            }
            // Nobody else needs to ask meanwhile; but who asks may be dropped.
            in_use.sync_at = Some(now + shared.config.request_timeout);
            Arc::clone(&in_use.member)
        };
        let mut client = client.cluster_client();
        let answer = self.answer("list the members", client.member_list()).await;
        let next = if answer.is_ok() {
            every
        } else {
            every.min(SYNC_AGAIN)
        };
        shared.in_use.lock().sync_at = Some(Instant::now() + next);
        match answer {
            Ok(list) => {
                let members = list.members().iter().filter(|member| !member.is_learner());
                let urls = members.flat_map(|member| member.client_urls());
                shared
                    .members
                    .lock()
                    .learned(&asked, urls.map(String::as_str));
            }
            Err(error) => warn!("the members of etcd stay as they were known: {error}"),
        }
    }
}
