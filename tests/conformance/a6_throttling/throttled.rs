use evenkeel_testkit::pb::ListUsersRequest;
use tonic::{Code, Status};

use crate::servers::{Answer, Channel, Client, Servers, failure};

/// The config of a channel that has so many tokens. Its GetById is tried up to four times, and ListUsers has no
/// policy.
pub(super) fn throttled(max: u32, ratio: &str) -> String {
    format!(
        r#"{{"retryThrottling": {{"maxTokens": {max}, "tokenRatio": {ratio}}},
            "loadBalancingConfig": [{{"round_robin": {{}}}}],
            "methodConfig": [{{"name": [{{"service": "UserService", "method": "GetById"}}],
                "retryPolicy": {{"maxAttempts": 4, "initialBackoff": "1s", "maxBackoff": "1s",
                    "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}}}]}}"#
    )
}

/// Such a channel and its server.
pub(super) struct Throttled {
    pub(super) servers: Servers,
    pub(super) channel: Channel,
    pub(super) client: Client,
}

impl Throttled {
    pub(super) async fn new(max: u32, ratio: &str) -> Self {
        let servers = Servers::default();
        let channel = servers.channel(1, &throttled(max, ratio)).await;
        Self {
            client: Client::new(channel.clone()),
            servers,
            channel,
        }
    }

    /// How many attempts a call gets that fails each time.
    pub(super) async fn attempts(&mut self) -> usize {
        self.attempts_by(|| Answer::fails(Code::Unavailable)).await
    }

    pub(super) async fn attempts_by(&mut self, answer: fn() -> Answer) -> usize {
        let before = self.servers.count();
        self.servers.always(answer);
        failure(&mut self.client).await;
        self.servers.always(Answer::ok);
        self.servers.count() - before
    }

    /// Takes so many tokens, each by a call of one attempt.
    pub(super) async fn spend(&mut self, tokens: usize) {
        for _ in 0..tokens {
            self.servers.answer([stop(Code::Unavailable)]);
            failure(&mut self.client).await;
        }
    }

    /// Lets so many calls of the other method succeed.
    pub(super) async fn succeed(&mut self, calls: usize) {
        for _ in 0..calls {
            self.list().await.unwrap();
        }
    }

    pub(super) async fn list(&mut self) -> Result<(), Status> {
        let users = self.client.list_users(ListUsersRequest::default()).await?;
        let mut users = users.into_inner();
        while users.message().await?.is_some() {}
        Ok(())
    }

    /// That 6 to 8 tokens are left, of ten.
    pub(super) async fn assert_left(&mut self, tokens: usize) {
        assert_eq!(self.attempts().await + 5, tokens);
    }
}

/// A failure that is not to be tried again.
pub(super) fn stop(code: Code) -> Answer {
    Answer::fails(code).pushing_back("-1")
}
