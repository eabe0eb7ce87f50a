use evenkeel::Channel;
use evenkeel_testkit::pb::user_service_client::UserServiceClient;
use evenkeel_testkit::pb::{SyncUsersRequest, SyncUsersResponse, User};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::load::served_by;

/// A bidirectional stream to one server.
#[derive(Debug)]
pub(super) struct OpenStream {
    requests: mpsc::Sender<SyncUsersRequest>,
    responses: Streaming<SyncUsersResponse>,
    /// Messages that went there and came back.
    pub(super) round_trips: u32,
}

impl OpenStream {
    /// How many streams are opened until one goes to the server that is asked for.
    const TRIES: u32 = 200;

    /// Opens a stream that the policy sends to `server`; others on the way there are closed.
    pub(super) async fn open(channel: &Channel, server: &str) -> Result<Self, Status> {
        let mut client = UserServiceClient::new(channel.clone());
        for _ in 0..Self::TRIES {
            let (requests, sent) = mpsc::channel(1);
            let response = client.sync_users(ReceiverStream::new(sent)).await?;
            let found = served_by(response.metadata()).is_some_and(|name| name == server);
            let mut stream = Self {
                requests,
                responses: response.into_inner(),
                round_trips: 0,
            };
            if found {
                stream.round_trip().await?;
                return Ok(stream);
            }
            stream.finish().await?;
        }
        Err(Status::unavailable(format!("no stream went to {server}")))
    }

    /// Sends a user there and gets it back.
    pub(super) async fn round_trip(&mut self) -> Result<(), Status> {
        let id = i64::from(self.round_trips);
        let user = Some(User {
            id,
            ..User::default()
        });
        // If nobody takes it, the answer says why.
        let _ = self.requests.send(SyncUsersRequest { user }).await;
        let answer = self.responses.message().await?;
        match answer.and_then(|answer| answer.user) {
            Some(user) if user.id == id => {
                self.round_trips += 1;
                Ok(())
            }
            _ => Err(Status::data_loss("the stream ended before its time")),
        }
    }

    /// Says that this was all, and waits for the server's word that it was.
    pub(super) async fn finish(self) -> Result<(), Status> {
        let Self {
            requests,
            mut responses,
            ..
        } = self;
        drop(requests);
        match responses.message().await? {
            None => Ok(()),
            Some(_) => Err(Status::data_loss("a message that nobody asked for")),
        }
    }
}
