use std::time::Duration;

use crate::EtcdError;
use crate::config::LONGEST;

/// What discovery makes of an etcd that misses, all at once, many of those it had.
///
/// Leases expire together when etcd loses its leader for long, a hand deletes a prefix, a backup
/// is restored: the list goes, and the servers are well.
///
/// ```
/// use std::time::Duration;
/// use evenkeel_etcd::{EtcdConfig, KeepLast, OnLoss};
///
/// let patient = KeepLast { limit: Duration::from_secs(600), ..KeepLast::default() };
/// let config = EtcdConfig { on_loss: OnLoss::KeepLast(patient), ..EtcdConfig::default() };
/// # drop(config);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum OnLoss {
    /// The last ones are kept for a while.
    KeepLast(KeepLast),
    /// etcd is believed, whatever it says; also that nobody is there.
    AcceptEmpty,
}

/// When endpoints are kept that etcd has lost, and until when.
///
/// Deletions that follow each other within [`Self::window`] are one burst. It is a loss when less
/// than half of the list is left of what there was when it began, newcomers included, and at least
/// two servers went or all there were; those that went first are taken back then, unless that was
/// longer ago than [`Self::limit`]. And it is one when etcd has less history than it had. No loss is
///
/// - a server that said before that it takes no calls (`draining`, `down`, weight 0),
/// - a key that goes while the server has another one, in the same answer or before.
///
/// A kept endpoint goes when its server is found in etcd again, under whatever key, when nobody
/// listens at its address, and when [`Self::limit`] is over.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data, made with `..KeepLast::default()`"
)]
pub struct KeepLast {
    /// How long an endpoint is kept at most, not counting the time in which etcd is not watched: an
    /// outage removes nobody, nor does its end. An etcd that has lost its history gives the whole
    /// time anew. Default 60 s; 0 keeps none.
    pub limit: Duration,
    /// Deletions with less than this between them are one burst, which may be a loss, however long
    /// it takes. Default 10 s.
    pub window: Duration,
    /// Kept endpoints are dialled (TCP, or a Unix socket; for 1 s at most): the first within this
    /// time, and all of them again after this long, twice, then four times as long, ±10 %. At most 50
    /// begin per second and service, and 32 are under way, so that a round of many takes longer:
    /// 1000 take 20 s, or 31 s when none answers. One that refuses is gone; any other outcome
    /// proves nothing. Default 1 s; at least 0.1 s. `Duration::MAX` never dials, for networks in
    /// which a connection is refused, or accepted, by others than the server.
    pub probe_every: Duration,
}

impl Default for OnLoss {
    fn default() -> Self {
        Self::KeepLast(KeepLast::default())
    }
}

impl Default for KeepLast {
    fn default() -> Self {
        Self {
            limit: Duration::from_secs(60),
            window: Duration::from_secs(10),
            probe_every: Duration::from_secs(1),
        }
    }
}

impl OnLoss {
    /// The same with times that can be added to any present; or what cannot work.
    pub(crate) fn checked(self) -> Result<Self, EtcdError> {
        let Self::KeepLast(mut keep) = self else {
            return Ok(self);
        };
        if keep.probe_every < Duration::from_millis(100) {
            let reason = format!("{:?} is too short", keep.probe_every);
            return Err(EtcdError::config("on_loss.probe_every", reason));
        }
        for time in [&mut keep.limit, &mut keep.window, &mut keep.probe_every] {
            *time = LONGEST.min(*time);
        }
        Ok(Self::KeepLast(keep))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_bounded() {
        let keep = |probe_every| {
            OnLoss::KeepLast(KeepLast {
                limit: Duration::MAX,
                probe_every,
                ..KeepLast::default()
            })
        };
        let error = keep(Duration::ZERO).checked().unwrap_err().to_string();
        assert!(error.contains("on_loss.probe_every"), "{error}");
        let OnLoss::KeepLast(kept) = keep(Duration::MAX).checked().unwrap() else {
            panic!()
        };
        assert_eq!((kept.limit, kept.probe_every), (LONGEST, LONGEST));
        assert_eq!(OnLoss::AcceptEmpty.checked().unwrap(), OnLoss::AcceptEmpty);
    }
}
