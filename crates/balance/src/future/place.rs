use std::error::Error;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use evenkeel_core::error::{BoxError, CallDropped};
use evenkeel_core::observe::Guard;
use evenkeel_core::{
    Attempt, Connectivity, ConnectivityState, Deadline, EndpointId, Hedges, Pick, PickArgs, Tried,
    WaitForReady,
};
use http::Request;
use tonic::{Code, Status};
use tower_service::Service;

use super::Stage;
use super::skipped::{Since, Skipped};
use crate::snapshot::{Owner, Slot, Snapshot};
use crate::ticket::EndpointTicket;

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
                match skipped.shed_by_many(snapshot.version) {
                    Some(status) => return Stage::failed(status),
                    None => continue,
                }
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
    let pick_avoiding = |avoided: &[EndpointId]| {
        let args = PickArgs::new(request.uri().path(), request.headers(), fastrand::u64(..));
        snapshot.picker.pick(&args.avoiding(avoided))
    };
    let mut pick = pick_avoiding(tried);
    if let Some(skipped) = skipped
        && tried.len() > skipped.endpoints.len()
        && skipped.has(snapshot, &pick)
    {
        // Nothing else is left: rather one that was tried before than one that has just refused.
        pick = pick_avoiding(&skipped.endpoints);
    }
    let picked = match pick {
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
            Some(reason) => Picked::Fail(reason.status()),
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
