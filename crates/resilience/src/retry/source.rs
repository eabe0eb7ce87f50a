use std::sync::Arc;

use bytes::Bytes;
use evenkeel_core::error::BoxError;
use http_body::Body;

use super::layer::Settings;
use super::replay::{Lease, Replay, ReplayBody, Upfront};
use crate::limits::RequestLimit;

/// Where the bodies of further attempts come from.
pub(super) enum Source<B> {
    Full {
        data: Option<Bytes>,
        /// Held until the call is committed or over.
        _lease: Lease,
    },
    Shared {
        replay: Arc<Replay<B>>,
        /// The reader of the attempt that was started last.
        reader: u32,
    },
}

impl<B> Source<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// The body of the first attempt, and where others come from; `None` when there can be none.
    /// `upfront` was read of `body`, and `limited` looks at the rest of it.
    #[inline]
    pub(super) fn split(
        body: B,
        upfront: Upfront,
        limited: Option<Box<RequestLimit>>,
        settings: &Settings,
    ) -> (ReplayBody<B>, Option<Self>) {
        let (limit, budget) = (settings.config.call_buffer, &settings.budget);
        match upfront {
            Upfront::Complete(data) => {
                let length = data.as_ref().map_or(0, Bytes::len);
                let lease = (length <= limit).then(|| budget.lease(length)).flatten();
                let source = lease.map(|lease| Self::Full {
                    data: data.clone(),
                    _lease: lease,
                });
                (ReplayBody::full(data), source)
            }
            Upfront::Partial(frames, trailers) => {
                let replay =
                    Replay::new(body, frames, trailers, limited, limit, budget.empty_lease());
                let first = ReplayBody::shared(&replay);
                let reader = replay.last_reader();
                (first, Some(Self::Shared { replay, reader }))
            }
        }
    }

    /// The body of the next attempt.
    pub(super) fn next(&mut self) -> ReplayBody<B> {
        match self {
            Self::Full { data, .. } => ReplayBody::full(data.clone()),
            Self::Shared { replay, reader } => {
                let body = ReplayBody::shared(replay);
                *reader = replay.last_reader();
                body
            }
        }
    }
}

impl<B> Source<B> {
    /// Which reader of the body the attempt is that was started last; `None` when each attempt has
    /// all of it for itself.
    pub(super) const fn reader(&self) -> Option<u32> {
        match self {
            Self::Full { .. } => None,
            Self::Shared { reader, .. } => Some(*reader),
        }
    }

    /// The attempt that is `reader` of the body is over.
    pub(super) fn retire(&self, reader: Option<u32>) {
        if let (Self::Shared { replay, .. }, Some(reader)) = (self, reader) {
            replay.retire(reader);
        }
    }

    /// Leaves the body to the attempt that is `reader` of it; `false` when it is another's.
    pub(super) fn claim(&mut self, claimed: Option<u32>) -> bool {
        match (self, claimed) {
            (Self::Full { .. }, _) => true,
            (Self::Shared { replay, reader }, Some(claimed)) => {
                *reader = claimed;
                replay.commit(claimed);
                replay.owner() == Some(claimed)
            }
            (Self::Shared { .. }, None) => false,
        }
    }

    /// What the running attempt has not read of the body stays with it, and is not kept.
    #[inline]
    pub(super) fn commit(&self) {
        if let Self::Shared { replay, reader } = self {
            replay.commit(*reader);
        }
    }

    /// The body, if there is more of it than what was there when the call began.
    pub(super) fn replay(&self) -> Option<&Replay<B>> {
        match self {
            Self::Full { .. } => None,
            Self::Shared { replay, .. } => Some(replay),
        }
    }
}
