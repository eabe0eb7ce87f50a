//! What the server says it has not processed, and what it does not say that of.

use evenkeel_core::Progress;
use tokio::join;
use tonic::Code;

use super::{NO_POLICY, POLICY, answer, connected, get, no_more_requests};
use crate::bodies::progress;

const REFUSED_STREAM: u32 = 7;

#[tokio::test]
async fn goaway_above_a_stream_lets_it_finish_and_below_sends_it_again_once() {
    let (peer, client, mut wire) = connected(NO_POLICY).await;
    let serve = async {
        let ids = wire.requests(2).await;
        let kept = ids[0].min(ids[1]);
        wire.go_away(kept, 0, "").await;
        // The other one comes on a connection of its own while the first goes on.
        let mut next = peer.accept().await;
        let id = next.request().await;
        answer(&mut next, id).await;
        answer(&mut wire, kept).await;
        next
    };
    let (one, other, next) = join!(get(&client), get(&client), serve);
    one.unwrap();
    other.unwrap();
    no_more_requests(peer, client, [wire, next]).await;
}

#[tokio::test]
async fn goaway_before_a_stream_twice_is_unavailable_without_a_policy() {
    let (peer, client, mut wire) = connected(NO_POLICY).await;
    let serve = async {
        wire.request().await;
        wire.go_away(0, 0, "").await;
        let mut next = peer.accept().await;
        next.request().await;
        next.go_away(0, 0, "").await;
        next
    };
    let (result, next) = join!(get(&client), serve);
    let status = result.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(progress(&status), Progress::Refused);
    no_more_requests(peer, client, [wire, next]).await;
}

#[tokio::test]
async fn goaway_before_a_stream_twice_goes_through_the_policy() {
    let (peer, client, mut wire) = connected(POLICY).await;
    let serve = async {
        wire.request().await;
        wire.go_away(0, 0, "").await;
        let mut next = peer.accept().await;
        next.request().await;
        next.go_away(0, 0, "").await;
        let mut last = peer.accept().await;
        let id = last.request().await;
        answer(&mut last, id).await;
        (next, last)
    };
    let (result, (next, last)) = join!(get(&client), serve);
    result.unwrap();
    no_more_requests(peer, client, [wire, next, last]).await;
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_once_without_a_policy() {
    let (peer, client, mut wire) = connected(NO_POLICY).await;
    for is_answered in [true, false] {
        let serve = async {
            let id = wire.request().await;
            wire.reset(id, REFUSED_STREAM).await;
            let id = wire.request().await;
            match is_answered {
                true => answer(&mut wire, id).await,
                false => wire.reset(id, REFUSED_STREAM).await,
            }
        };
        let (result, ()) = join!(get(&client), serve);
        assert_eq!(result.is_ok(), is_answered);
        if let Err(status) = result {
            assert_eq!(status.code(), Code::Unavailable);
            assert_eq!(progress(&status), Progress::Refused);
        }
    }
    no_more_requests(peer, client, [wire]).await;
}

#[tokio::test]
async fn a_stream_that_is_refused_again_goes_through_the_policy() {
    let (peer, client, mut wire) = connected(POLICY).await;
    let serve = async {
        for _ in 0..3 {
            let id = wire.request().await;
            wire.reset(id, REFUSED_STREAM).await;
        }
    };
    // The first, the transparent one, and the one of the policy, which allows two.
    let (result, ()) = join!(get(&client), serve);
    assert_eq!(result.unwrap_err().code(), Code::Unavailable);
    no_more_requests(peer, client, [wire]).await;
}

#[tokio::test]
async fn a_reset_of_another_kind_is_never_transparent() {
    let (peer, client, mut wire) = connected(POLICY).await;
    for (reset, code) in [
        (0, Code::Internal),
        (2, Code::Internal),
        (8, Code::Cancelled),
        (11, Code::ResourceExhausted),
        (12, Code::PermissionDenied),
    ] {
        let serve = async {
            let id = wire.request().await;
            wire.reset(id, reset).await;
        };
        let (result, ()) = join!(get(&client), serve);
        assert_eq!(result.unwrap_err().code(), code);
    }
    no_more_requests(peer, client, [wire]).await;
}

#[tokio::test]
async fn a_refusal_after_the_head_is_not_tried_again() {
    let (peer, client, mut wire) = connected(POLICY).await;
    let serve = async {
        let id = wire.request().await;
        wire.head(id).await;
        wire.reset(id, REFUSED_STREAM).await;
    };
    let (result, ()) = join!(get(&client), serve);
    assert_eq!(result.unwrap_err().code(), Code::Unavailable);
    no_more_requests(peer, client, [wire]).await;
}
