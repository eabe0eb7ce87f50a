use std::error::Error;
use std::sync::Arc;

use evenkeel_core::error::{BoxError, BreakerOpen, cause, chain};
use evenkeel_core::observe::Guard;
use evenkeel_core::{Connectivity, EndpointId, Pick, Tried};
use tonic::Status;

use crate::snapshot::Snapshot;
use crate::subchannel::LeftBehind;
use crate::ticket::EndpointTicket;

/// The endpoints that gave a request back, in a box: few calls see one.
#[derive(Debug, Default)]
pub(super) struct Skipped(Option<Box<Since>>);

/// Those of one snapshot. A newer one forgets them: the endpoint's state has been looked at again.
#[derive(Debug, Default)]
pub(super) struct Since {
    version: u64,
    pub(super) endpoints: Tried,
    /// Why the last one did for which no newer snapshot is due.
    pub(super) reason: Option<Reason>,
    /// How many of them shed the call.
    sheds: usize,
}

#[derive(Debug)]
pub(super) enum Reason {
    /// Its layers will never be ready.
    Broken(Status),
    /// It sheds some of its calls.
    Shed(Arc<dyn Error + Send + Sync>),
}

/// So many endpoints are asked for a call that is shed: where nearly all of very many shed, the
/// others are no better, and each that is asked has more to refuse.
const MOST_SHEDS: usize = 16;

impl Skipped {
    /// Takes back an attempt that was begun at `version` and came back unsent.
    pub(super) fn add<S: Connectivity>(
        &mut self,
        guard: &mut Guard<EndpointTicket<S>>,
        version: u64,
    ) {
        if let Some(ticket) = guard.take() {
            self.add_id(ticket.slot().id, version);
            ticket.take_back();
        }
    }

    #[cold]
    fn add_id(&mut self, id: EndpointId, version: u64) {
        self.since(version).endpoints.push(id);
    }

    /// An attempt that its endpoint did not admit. Mostly its next report says why.
    #[cold]
    pub(super) fn add_refused(&mut self, id: EndpointId, version: u64, error: BoxError) {
        let since = self.since(version);
        since.endpoints.push(id);
        if cause::<BreakerOpen>(&*error).is_some_and(|breaker| breaker.shed.is_some()) {
            since.sheds += 1;
            since.reason = Some(Reason::Shed(error.into()));
        }
    }

    /// Why the call is to fail, if enough endpoints have shed it.
    pub(super) fn shed_by_many(&self, version: u64) -> Option<Status> {
        let since = self.at(version).filter(|since| since.sheds >= MOST_SHEDS);
        since?.reason.as_ref().map(Reason::status)
    }

    /// The same for an attempt whose endpoint's layers failed before they were ready.
    pub(super) fn add_broken<S: Connectivity>(
        &mut self,
        guard: &mut Guard<EndpointTicket<S>>,
        version: u64,
        error: BoxError,
    ) {
        // Its endpoint has another state, which a report says; others may take it.
        if cause::<LeftBehind>(&*error).is_some() {
            return self.add(guard, version);
        }
        let Some(picked) = guard.ticket().map(|ticket| ticket.slot().picked()) else {
            return;
        };
        let reason = format!("{}: its layers failed: {}", picked.endpoint, chain(&*error));
        let mut status = Status::unavailable(reason);
        status.set_source(error.into());
        self.add(guard, version);
        self.since(version).reason = Some(Reason::Broken(status));
    }

    fn since(&mut self, version: u64) -> &mut Since {
        let since = self.0.get_or_insert_default();
        if since.version != version {
            **since = Since {
                version,
                ..Since::default()
            };
        }
        since
    }

    /// Those of the snapshot of `version`.
    #[inline]
    pub(super) fn at(&self, version: u64) -> Option<&Since> {
        self.0.as_deref().filter(|since| since.version == version)
    }
}

impl Reason {
    pub(super) fn status(&self) -> Status {
        match self {
            Self::Broken(status) => status.clone(),
            Self::Shed(error) => {
                let mut status = Status::unavailable(error.to_string());
                status.set_source(Arc::clone(error));
                status
            }
        }
    }
}

impl Since {
    /// Whether `pick` is one of them.
    pub(super) fn has<S: Connectivity>(&self, snapshot: &Snapshot<S>, pick: &Pick) -> bool {
        let Pick::Endpoint(index) = pick else {
            return false;
        };
        let slot = snapshot.slots.get(index.0);
        slot.is_some_and(|slot| self.endpoints.contains(&slot.id))
    }
}
