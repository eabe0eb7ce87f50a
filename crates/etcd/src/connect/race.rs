use std::sync::Arc;
use std::time::Duration;

use etcd_client::Client;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::dial::{ACTION, dial};
use crate::{EtcdConfig, EtcdError};

/// A member that has not answered after this long no longer keeps the next one waiting.
const STAGGER: Duration = Duration::from_millis(250);

/// How a round over the members has ended.
pub(super) struct Outcome {
    /// The first member to answer.
    pub(super) winner: Result<(Arc<str>, Client), EtcdError>,
    /// Those that failed, or were asked before the winner and were slower.
    pub(super) failed: Vec<Arc<str>>,
}

/// Asks the members one after the other, without waiting long for any, until one answers: a round
/// takes little more than the time limit of one member. Drops what is under way when dropped.
pub(super) async fn race(config: Arc<EtcdConfig>, order: Vec<Arc<str>>) -> Outcome {
    let share = u32::try_from(order.len()).unwrap_or(u32::MAX).max(1);
    let stagger = STAGGER.min(config.request_timeout / share);
    let mut to_ask = order.into_iter();
    let mut asked = Vec::new();
    let (mut failed, mut errors) = (Vec::new(), Vec::new());
    let mut attempts = JoinSet::new();
    loop {
        let next = to_ask.next();
        let is_last = next.is_none();
        if let Some(member) = next {
            asked.push(Arc::clone(&member));
            let config = Arc::clone(&config);
            attempts.spawn(async move { (dial(&config, &member).await, member) });
        }
        let ended = if is_last {
            attempts.join_next().await
        } else {
            match timeout(stagger, attempts.join_next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            }
        };
        match ended {
            Some(Ok((Ok(client), member))) => {
                let slower = asked.into_iter().take_while(|other| *other != member);
                failed.extend(slower);
                return Outcome {
                    winner: Ok((member, client)),
                    failed,
                };
            }
            Some(Ok((Err(error), member))) => {
                errors.push(error);
                failed.push(member);
            }
            Some(Err(error)) => errors.push(EtcdError::ended(ACTION, error.to_string())),
            None if is_last => {
                return Outcome {
                    winner: Err(EtcdError::all(ACTION, errors)),
                    failed,
                };
            }
            None => {}
        }
    }
}
