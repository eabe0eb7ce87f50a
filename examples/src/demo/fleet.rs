use std::io;
use std::time::Duration;

use evenkeel::discover::{Registrar, Registration};
use evenkeel::{Availability, Metadata};
use evenkeel_testkit::{Behaviour, UserServer};

use super::error::Error;

/// The servers of the demo; dropping it takes them out of the registry and kills them.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) members: Vec<Member>,
}

/// One server and its entry in the registry.
#[derive(Debug)]
pub(super) struct Member {
    /// Before the server, so that it leaves the registry before it dies.
    registration: Registration,
    pub(super) server: UserServer,
    pub(super) weight: f64,
    /// What an answer takes it.
    pace: Duration,
}

impl Fleet {
    /// Starts a server for each weight, and registers it once it listens.
    pub(super) async fn start(
        registrar: &dyn Registrar,
        service: &str,
        weights: &[f64],
    ) -> Result<Self, Error> {
        let mut members = Vec::new();
        for (&weight, pace) in weights.iter().zip((4..).step_by(3)) {
            let server = UserServer::start().await.map_err(Error::Listen)?;
            let pace = Duration::from_millis(pace);
            server.behave(Behaviour::AnswerAfter(pace));
            let registration = registrar.register(service, server.weighted(weight))?;
            members.push(Member {
                registration,
                server,
                weight,
                pace,
            });
        }
        Ok(Self { members })
    }

    /// Attempts that were not the first of their call.
    pub(super) fn second_attempts(&self) -> u64 {
        let servers = self.members.iter().map(|member| &member.server);
        servers.map(|server| server.seen().retries()).sum()
    }

    /// The part of the calls that belongs to a member, in percent.
    pub(super) fn due_share(&self, member: &Member) -> f64 {
        let total: f64 = self.members.iter().map(|member| member.weight).sum();
        member.weight * 100.0 / total
    }
}

impl Member {
    pub(super) fn name(&self) -> &str {
        self.server.name()
    }

    pub(super) const fn registration(&self) -> &Registration {
        &self.registration
    }

    /// Tells the registry another weight.
    pub(super) fn set_weight(&mut self, weight: f64) -> Result<(), Error> {
        self.weight = weight;
        self.update(Availability::Up)
    }

    /// Tells the registry that it wants no new calls, or wants them again.
    pub(super) fn update(&self, availability: Availability) -> Result<(), Error> {
        let metadata = Metadata::default().with_weight(self.weight);
        let metadata = metadata.with_availability(availability);
        Ok(self.registration.update(metadata)?)
    }

    /// Answers as at first.
    pub(super) fn recover(&self) {
        self.server.behave(Behaviour::AnswerAfter(self.pace));
    }

    pub(super) async fn restart(&mut self) -> io::Result<()> {
        self.server.restart().await
    }
}
