use std::collections::BTreeMap;
use std::fmt;

use evenkeel::{Availability, BreakerState, Channel, ConnectivityState};

/// What a channel says of one endpoint.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Facts {
    pub(super) endpoint: String,
    pub(super) state: ConnectivityState,
    pub(super) breaker: Option<BreakerState>,
    pub(super) weight: Option<f64>,
    pub(super) availability: Availability,
    /// Attempts that did not end with OK since the endpoint came: failed, or out of time.
    pub(super) failures: u64,
    pub(super) error: Option<String>,
}

impl Facts {
    /// What `channel` says of all its endpoints.
    pub(super) fn of(channel: &Channel) -> Vec<Self> {
        let reports = channel.endpoints().into_iter();
        reports
            .map(|report| Self {
                endpoint: report.endpoint.to_string(),
                state: report.state,
                breaker: report.breaker,
                weight: report.endpoint.metadata().weight,
                availability: report.endpoint.metadata().availability,
                failures: report.stats.failed() + report.stats.abandoned(),
                error: report.error.map(|error| evenkeel::errors::chain(&*error)),
            })
            .collect()
    }

    /// Its weight, or why it gets no calls in spite of it.
    pub(super) fn weight(&self) -> String {
        match self.availability {
            Availability::Up => self.weight.unwrap_or(1.0).to_string(),
            other => other.as_str().to_owned(),
        }
    }

    /// Whether calls go there as if nothing had ever happened.
    pub(super) fn is_well(&self) -> bool {
        let closed = self
            .breaker
            .is_none_or(|state| state == BreakerState::Closed);
        self.state == ConnectivityState::Ready && closed
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.endpoint, self.state)?;
        if let Some(breaker) = self.breaker {
            write!(f, ", breaker {}", breaker.as_str())?;
        }
        self.error
            .iter()
            .try_for_each(|error| write!(f, " ({error})"))
    }
}

/// Tells what has changed from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Observer {
    known: BTreeMap<String, Facts>,
}

impl Observer {
    /// One line for each change since the last look.
    pub(super) fn look(&mut self, present: &[Facts]) -> Vec<String> {
        let mut lines = Vec::new();
        self.known.retain(|name, _| {
            let stays = present.iter().any(|facts| facts.endpoint == *name);
            if !stays {
                lines.push(format!("{name} is gone"));
            }
            stays
        });
        for facts in present {
            match self.known.insert(facts.endpoint.clone(), facts.clone()) {
                None => lines.push(format!(
                    "{} comes: weight {}, {}",
                    facts.endpoint,
                    facts.weight(),
                    facts.state
                )),
                Some(old) => lines.extend(difference(&old, facts)),
            }
        }
        lines
    }
}

fn difference(old: &Facts, new: &Facts) -> Option<String> {
    let mut parts = Vec::new();
    if old.weight() != new.weight() {
        parts.push(format!("weight {} → {}", old.weight(), new.weight()));
    }
    if old.state != new.state {
        parts.push(format!("{} → {}", old.state, new.state));
    }
    if old.breaker != new.breaker {
        let name = new.breaker.map_or("none", BreakerState::as_str);
        parts.push(format!("breaker {name}"));
    }
    if parts.is_empty() {
        return None;
    }
    let failing = new.state == ConnectivityState::TransientFailure;
    let reason = new.error.as_ref().filter(|_| failing);
    let reason = reason.map(|error| format!(" ({error})"));
    Some(format!(
        "{} {}{}",
        new.endpoint,
        parts.join(", "),
        reason.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(endpoint: &str, state: ConnectivityState) -> Facts {
        Facts {
            endpoint: endpoint.to_owned(),
            state,
            breaker: Some(BreakerState::Closed),
            weight: Some(10.0),
            availability: Availability::Up,
            failures: 0,
            error: None,
        }
    }

    #[test]
    fn each_change_is_told_once() {
        let mut observer = Observer::default();
        let ready = facts("a:1", ConnectivityState::Ready);
        let told = observer.look(std::slice::from_ref(&ready));
        assert_eq!(told, ["a:1 comes: weight 10, READY"]);
        assert!(observer.look(std::slice::from_ref(&ready)).is_empty());

        let mut failing = facts("a:1", ConnectivityState::TransientFailure);
        failing.breaker = Some(BreakerState::Open);
        failing.error = Some("refused".to_owned());
        failing.availability = Availability::Draining;
        assert_eq!(
            observer.look(&[failing]),
            ["a:1 weight 10 → draining, READY → TRANSIENT_FAILURE, breaker open (refused)"]
        );
        assert_eq!(observer.look(&[]), ["a:1 is gone"]);
    }
}
