use evenkeel_testkit::pb::ListUsersRequest;
use tonic::{Code, Status};

use crate::servers::{Answer, Channel, Client, Servers, failure};

/// The config of a channel that has so many tokens. Its GetById is tried up to four times, and ListUsers has no
/// policy.
pub(crate) fn throttled(max: u32, ratio: &str) -> String {
    format!(
        r#"{{"retryThrottling": {{"maxTokens": {max}, "tokenRatio": {ratio}}},
            "loadBalancingConfig": [{{"round_robin": {{}}}}],
            "methodConfig": [{{"name": [{{"service": "UserService", "method": "GetById"}}],
                "retryPolicy": {{"maxAttempts": 4, "initialBackoff": "1s", "maxBackoff": "1s",
                    "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}}}]}}"#
    )
}

/// Such a channel and its server.
pub(crate) struct Throttled {
    pub(crate) servers: Servers,
    pub(crate) channel: Channel,
    pub(crate) client: Client,
}

impl Throttled {
    pub(crate) async fn new(max: u32, ratio: &str) -> Self {
        Self::of(&throttled(max, ratio)).await
    }

    /// The same by another config.
    pub(crate) async fn of(config: &str) -> Self {
        let servers = Servers::default();
        let channel = servers.channel(1, config).await;
        Self {
            client: Client::new(channel.clone()),
            servers,
            channel,
        }
    }

    /// How many attempts a call gets that fails each time.
    pub(crate) async fn attempts(&mut self) -> usize {
        self.attempts_by(|| Answer::fails(Code::Unavailable)).await
    }

    pub(crate) async fn attempts_by(&mut self, answer: fn() -> Answer) -> usize {
        let before = self.servers.count();
        self.servers.always(answer);
        failure(&mut self.client).await;
        self.servers.always(Answer::ok);
        self.servers.count() - before
    }

    /// Takes so many tokens, each by a call of one attempt.
    pub(crate) async fn spend(&mut self, tokens: usize) {
        for _ in 0..tokens {
            self.servers.answer([stop(Code::Unavailable)]);
            failure(&mut self.client).await;
        }
    }

    /// Lets so many calls of the other method succeed.
    pub(crate) async fn succeed(&mut self, calls: usize) {
        for _ in 0..calls {
            self.list().await.unwrap();
        }
    }

    pub(crate) async fn list(&mut self) -> Result<(), Status> {
        let users = self.client.list_users(ListUsersRequest::default()).await?;
        let mut users = users.into_inner();
        while users.message().await?.is_some() {}
        Ok(())
    }

    /// That 6 to 8 tokens are left, of ten.
    pub(crate) async fn assert_left(&mut self, tokens: usize) {
        assert_eq!(self.attempts().await + 5, tokens);
    }
}

/// A failure that is not to be tried again.
pub(crate) fn stop(code: Code) -> Answer {
    Answer::fails(code).pushing_back("-1")
}
