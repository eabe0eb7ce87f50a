//! What there is to see of it.

use std::time::Instant;

use evenkeel_core::BreakerState;

use super::{Machine, State};
use crate::breaker::{BreakerConfig, Counts};

impl Machine {
    /// Its config.
    #[must_use]
    pub fn config(&self) -> &BreakerConfig {
        &self.config
    }

    /// What it is doing, as of the last call.
    #[must_use]
    pub const fn state(&self) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Grows with every change of state.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether it is closed and a success would change nothing but the [tally](Self::tally):
    /// successes need not be settled.
    #[must_use]
    pub const fn ignores_successes(&self) -> bool {
        matches!(self.state, State::Closed) && (self.held_closed || self.rules.ignore_successes())
    }

    /// Whether it admits without refusing a share.
    #[must_use]
    pub fn admits_all(&self) -> bool {
        matches!(self.state, State::Closed) && (self.held_closed || self.config.adaptive.is_none())
    }

    /// Whether attempts would pass for which nothing else is left.
    #[must_use]
    pub fn is_last_resort(&self) -> bool {
        self.config.last_resort && !matches!(self.state, State::Open { until: None })
    }

    /// When [`Self::advance`] will next have something to do that changes the state, or who is
    /// admitted.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        match &self.state {
            State::Closed => None,
            State::Open { until } => *until,
            State::HalfOpen { probes, .. } => probes.iter().map(|probe| probe.expires).min(),
        }
    }

    /// Whether an attempt would be admitted, as of the last call.
    #[must_use]
    pub fn admits(&self) -> bool {
        match &self.state {
            State::Closed => true,
            State::Open { .. } => false,
            State::HalfOpen { probes, .. } => probes.len() < self.probes(),
        }
    }

    /// The share of attempts that it refuses while it is closed, as of the last call.
    #[must_use]
    pub fn share(&self) -> f64 {
        match (&self.state, self.tally()) {
            (State::Closed, Some(tally)) if !self.held_closed => tally.share(),
            _ => 0.0,
        }
    }

    /// Failures since the last success.
    #[must_use]
    pub const fn consecutive_failures(&self) -> u32 {
        self.rules.consecutive
    }

    /// What [`failure_ratio`](BreakerConfig::failure_ratio) goes by, as of the last call.
    #[must_use]
    pub fn ratio_counts(&self) -> Option<Counts> {
        self.rules.windows.as_ref()?.ratio_counts()
    }

    /// What [`adaptive`](BreakerConfig::adaptive) goes by, as of the last call.
    #[must_use]
    pub fn adaptive_counts(&self) -> Option<Counts> {
        self.rules.windows.as_ref()?.adaptive_counts()
    }

    /// Whether it was opened or closed by hand, and stays so.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        self.held_closed || matches!(self.state, State::Open { until: None })
    }

    /// Why it has tripped last, for texts.
    #[must_use]
    pub fn explain(&self) -> String {
        self.tripped
            .map_or_else(String::new, |trip| trip.to_string())
    }
}
