use std::sync::Arc;

use tokio::time::{Duration, Instant};
use tracing::debug;

use super::alive::CHECK;
use super::{AFTER_REFUSAL, Etcd, dial};
use crate::EtcdError;

/// A member that answers checks and nothing else has this many times the limit of an answer.
const SLOW: u32 = 3;

impl Etcd {
    /// Takes note of a failure. Unless it was etcd's own answer, the connection is given up: the
    /// next one is new, and to another member if there is one.
    pub(crate) async fn discard(&self, generation: usize, error: &EtcdError) {
        let about_the_member = error.is_about_the_member();
        let about_the_password = error.is_about_the_password();
        if !about_the_member && !about_the_password && !error.is_about_the_token() {
            return;
        }
        let shared = &self.shared;
        let mut current = shared.current.lock().await;
        if current.generation != generation || current.client.is_none() {
            return;
        }
        if about_the_password {
            // Who is connected stays so: watches do not end with the token.
            let until = Instant::now() + AFTER_REFUSAL;
            current.refused_until.get_or_insert(until);
            current.failure = Some(error.clone());
            return;
        }
        current.client = None;
        shared.in_use.lock().connected = false;
        if about_the_member {
            let member = Arc::clone(&shared.in_use.lock().member);
            debug!(%member, "giving up a connection to etcd: {error}");
            self.blame(&member);
        }
        shared.given_up.send_replace(generation);
    }

    /// As [`Self::discard`], but one answer that did not come in time is no proof: an etcd that is
    /// busy would lose all its watches for it, and be busier. Who answers a check, or has answered
    /// somebody else meanwhile, is there.
    pub(crate) async fn suspect(&self, generation: usize, error: &EtcdError) {
        if let EtcdError::Timeout { action, within, .. } = error
            && *action != CHECK
            && self.is_there(generation, *within).await
        {
            debug!("etcd is slow: {error}");
            return;
        }
        self.discard(generation, error).await;
    }

    async fn is_there(&self, generation: usize, waited: Duration) -> bool {
        let (heard_for, slow_for) = {
            let in_use = self.shared.in_use.lock();
            let slow_for = in_use.slow_since.map(|since| since.elapsed());
            (in_use.heard_at.elapsed(), slow_for)
        };
        let limit = self.config().request_timeout.saturating_mul(SLOW);
        if slow_for.is_some_and(|slow_for| slow_for >= limit) {
            return false;
        }
        if heard_for < waited {
            return true;
        }
        let client = {
            let current = self.shared.current.lock().await;
            match &current.client {
                Some(client) if current.generation == generation => client.clone(),
                _ => return false,
            }
        };
        let check = dial::check(&client);
        match self.answer_within(waited / 4, CHECK, check).await {
            Ok(()) => true,
            Err(error) => !error.is_about_the_member(),
        }
    }
}

#[cfg(test)]
mod tests;
