use std::error::Error;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use evenkeel_core::error::{BoxError, BreakerOpen, CallDropped, cause, chain};
use evenkeel_core::observe::Guard;
use evenkeel_core::{
    Attempt, Connectivity, ConnectivityState, Deadline, EndpointId, Hedges, Pick, PickArgs, Tried,
    WaitForReady,
};
use http::Request;
use tonic::{Code, Status};
use tower_service::Service;

use super::Stage;
use crate::snapshot::{Owner, Slot, Snapshot};
use crate::ticket::EndpointTicket;

/// The endpoints that gave a request back, in a box: few calls see one.
#[derive(Debug, Default)]
pub(super) struct Skipped(Option<Box<Since>>);

/// Those of one snapshot. A newer one forgets them: the endpoint's state has been looked at again.
#[derive(Debug, Default)]
struct Since {
    version: u64,
    endpoints: Tried,
    /// Why the last one did whose layers will never be ready, or that sheds some of its calls: no
    /// newer snapshot is due for that.
    reason: Option<Box<Status>>,
}

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
    fn add_refused(&mut self, id: EndpointId, version: u64, error: BoxError) {
        let since = self.since(version);
        since.endpoints.push(id);
        if cause::<BreakerOpen>(&*error).is_some_and(|breaker| breaker.shed.is_some()) {
            let mut status = Status::unavailable(error.to_string());
            status.set_source(error.into());
            since.reason = Some(Box::new(status));
        }
    }

    /// The same for an attempt whose endpoint's layers failed before they were ready.
    pub(super) fn add_broken<S: Connectivity>(
        &mut self,
        guard: &mut Guard<EndpointTicket<S>>,
        version: u64,
        error: BoxError,
    ) {
        let Some(picked) = guard.ticket().map(|ticket| ticket.slot().picked()) else {
            return;
        };
        let reason = format!("{}: its layers failed: {}", picked.endpoint, chain(&*error));
        let mut status = Status::unavailable(reason);
        status.set_source(error.into());
        self.add(guard, version);
        self.since(version).reason = Some(Box::new(status));
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
    fn at(&self, version: u64) -> Option<&Since> {
        self.0.as_deref().filter(|since| since.version == version)
    }
}

/// Picks an endpoint for `request` and sends it there.
#[inline]
pub(super) fn place<S, B>(
    snapshot: &Snapshot<S>,
    owner: &Arc<Owner<S>>,
    request: Request<B>,
    skipped: &mut Skipped,
) -> Stage<S, <S::Sender as Service<Request<B>>>::Future, B>
where
    S: Connectivity<Sender: Service<Request<B>, Error: Into<BoxError>>> + Send + Sync + 'static,
{
    loop {
        let (slot, is_named) = match pick(snapshot, &request, skipped) {
            Picked::Slot(slot, is_named) => (slot, is_named),
            Picked::Queue => {
                if snapshot.state == ConnectivityState::Idle {
                    owner.shared.demand.ask();
                }
                return Stage::queued(request, snapshot.version, owner);
            }
            Picked::Fail(status) => return Stage::failed(status),
        };
        let deadline = request.extensions().get().map(|Deadline(at)| *at);
        let begun = EndpointTicket::begin(slot, snapshot.admit, deadline);
        let (mut sender, ticket) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                skipped.add_refused(slot.id, snapshot.version, error);
                continue;
            }
        };
        let mut guard = Guard::new(ticket);
        // Nearly always ready. If not, the future asks again with its own waker.
        match sender.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => {
                return Stage::Sent {
                    response: sender.call(request),
                    guard,
                    version: snapshot.version,
                    is_named,
                };
            }
            Poll::Pending => {
                let version = snapshot.version;
                return Stage::unready(owner, sender, request, guard, version, is_named);
            }
            Poll::Ready(Err(error)) => {
                skipped.add_broken(&mut guard, snapshot.version, error.into());
            }
        }
    }
}

/// An attempt among those that run beside it.
#[derive(Clone, Copy)]
struct Place<'a> {
    number: u32,
    hedges: &'a Hedges,
}

impl<'a> Place<'a> {
    fn of(attempt: &'a Attempt) -> Option<Self> {
        let hedges = attempt.hedges.as_ref()?;
        let number = attempt.number;
        Some(Self { number, hedges })
    }
}

enum Picked<'a, S> {
    /// And whether the response is to name it.
    Slot(&'a Arc<Slot<S>>, bool),
    Queue,
    Fail(Status),
}

#[inline]
fn pick<'a, S: Connectivity, B>(
    snapshot: &'a Snapshot<S>,
    request: &Request<B>,
    skipped: &Skipped,
) -> Picked<'a, S> {
    let attempt = request.extensions().get::<Attempt>();
    let tried = attempt.map_or(&[][..], |attempt| &attempt.tried);
    let hedges = attempt.and_then(Place::of);
    let skipped = skipped.at(snapshot.version);
    let avoided: Tried;
    let tried = match (skipped, hedges) {
        (None, None) => tried,
        (skipped, hedges) => {
            avoided = avoided_by(tried, skipped, hedges);
            &avoided
        }
    };
    let args = PickArgs::new(request.uri().path(), request.headers(), fastrand::u64(..));
    let picked = match snapshot.picker.pick(&args.avoiding(tried)) {
        Pick::Endpoint(index) => index.0,
        Pick::Connect(index) => {
            if let Some(slot) = snapshot.slots.get(index.0) {
                slot.connect();
            }
            return Picked::Queue;
        }
        other => return without_endpoint(other, request),
    };
    let Some(slot) = snapshot.slots.get(picked) else {
        return out_of_range(picked, snapshot.slots.len());
    };
    match skipped {
        // It gave the request back, and the picker has no other: wait for a newer one.
        Some(skipped) if skipped.endpoints.contains(&slot.id) => match &skipped.reason {
            Some(reason) => Picked::Fail(Status::clone(reason)),
            None => Picked::Queue,
        },
        _ => {
            if let Some(hedged) = hedges {
                hedged.hedges.place(hedged.number, slot.id);
            }
            Picked::Slot(slot, attempt.is_some())
        }
    }
}

/// All that an attempt is to go elsewhere than.
#[cold]
fn avoided_by(tried: &[EndpointId], skipped: Option<&Since>, hedged: Option<Place<'_>>) -> Tried {
    let others = hedged.map(|it| it.hedges.beside(it.number));
    let mut avoided = others.unwrap_or_default();
    avoided.extend_from_slice(tried);
    if let Some(skipped) = skipped {
        avoided.extend_from_slice(&skipped.endpoints);
    }
    avoided
}

#[cold]
fn out_of_range<'a, S>(picked: usize, of: usize) -> Picked<'a, S> {
    Picked::Fail(Status::internal(format!(
        "the load balancing policy picked endpoint {picked} of {of}"
    )))
}

#[cold]
fn without_endpoint<'a, S, B>(pick: Pick, request: &Request<B>) -> Picked<'a, S> {
    match pick {
        Pick::Endpoint(_) | Pick::Connect(_) => unreachable!("the caller has them"),
        Pick::Queue => Picked::Queue,
        Pick::Fail(_) if waits_for_ready(request) => Picked::Queue,
        Pick::Fail(status) => Picked::Fail(control_plane(status)),
        // One with a source says for itself what it is.
        Pick::Drop(status) if status.source().is_some() => Picked::Fail(status),
        Pick::Drop(status) => Picked::Fail(CallDropped::mark(control_plane(status))),
    }
}

fn waits_for_ready<B>(request: &Request<B>) -> bool {
    request.extensions().get() == Some(&WaitForReady(true))
}

/// Codes that only a server's application may give become INTERNAL (gRFC A54).
fn control_plane(status: Status) -> Status {
    match status.code() {
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::DataLoss => Status::internal(format!(
            "illegal status from the load balancing policy: {:?}, {}",
            status.code(),
            status.message()
        )),
        _ => status,
    }
}
