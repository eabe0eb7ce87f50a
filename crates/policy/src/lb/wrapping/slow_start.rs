mod picker;

use std::fmt;
use std::iter::zip;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_core::{ConnectivityState, EndpointView, Policy, Update, View};

use self::picker::RampPicker;
use crate::lb::Wrapper;
use crate::lb::shared::kept::Kept;
use crate::lb::shared::merged::earlier;
use crate::time::after;

/// Gives an endpoint that has just been connected a small share at first, and lets it grow to
/// the full one, whatever its child shares by.
///
/// `t` after it was connected, an endpoint gets this part of what its child would give it:
///
/// ```text
/// max(min_weight_percent / 100, (t / window) ^ (1 / aggression))
/// ```
///
/// in proportion to the endpoint that has got furthest: a channel whose endpoints are all new
/// shares among them as its child does.
///
/// It asks the child again for calls that an endpoint is not ready to take, so that weights, loads
/// and tried endpoints count as ever: the shares are those of the child, times the part above. A
/// child that insists, as one that hashes does, keeps its choice. Calls cost more only while an
/// endpoint ramps up, and then up to seven picks of the child; the last one stands. So while
/// nearly all endpoints are new, the few others get less than their proportion: with 1 in 100 at
/// its full share and the rest at a tenth, it gets five times what another has, instead of ten times.
///
/// Who is [held back](EndpointView::held_back) stays connected, and has its full share when it comes
/// back; who reconnects starts again, and so does who was not healthy by its server's own word (gRFC
/// A17). (Who does so between two updates is not noticed.) The
/// share grows in 20 steps, of 100 ms at least.
pub struct SlowStart {
    config: SlowStartConfig,
    child: Box<dyn Policy>,
    /// Since when each endpoint is connected, if it is.
    connected: Kept<Option<Instant>>,
}

/// How [`SlowStart`] behaves. Values out of bounds are brought into them when they are used.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SlowStartConfig {
    /// `window`: how long it takes to get the full share. Default: 30 s. Zero: no time at all.
    pub window: Duration,
    /// `aggression`: 1 grows in a straight line; more is faster at first, less is slower at
    /// first. Default: 1.0; above 0 (what is not counts as 1).
    pub aggression: f64,
    /// `minWeightPercent`: what is given at least, in percent of the full share. Default: 10;
    /// 1 to 100.
    pub min_weight_percent: u32,
}

impl Default for SlowStartConfig {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(30),
            aggression: 1.0,
            min_weight_percent: 10,
        }
    }
}

impl SlowStartConfig {
    /// The part of its share that an endpoint gets this long after it was connected.
    fn part(&self, connected_for: Duration) -> f64 {
        if connected_for >= self.window {
            return 1.0;
        }
        let is_aggression = self.aggression.is_finite() && self.aggression > 0.0;
        let aggression = if is_aggression { self.aggression } else { 1.0 };
        let least = f64::from(self.min_weight_percent.clamp(1, 100)) / 100.0;
        let passed = connected_for.as_secs_f64() / self.window.as_secs_f64();
        let grown = match aggression {
            // Nearly everybody's, and asked for thousands of endpoints at a time.
            1.0 => passed,
            _ => passed.powf(aggression.recip()),
        };
        grown.max(least)
    }

    fn step(&self) -> Duration {
        (self.window / 20).max(Duration::from_millis(100))
    }
}

impl SlowStart {
    /// Its name in a service config.
    pub const NAME: &'static str = "evenkeel.slow_start";

    fn follow(&mut self, now: Instant, endpoints: &[EndpointView]) {
        self.connected.follow(endpoints, |one| one.id, |_| None);
        for (since, one) in self.connected.iter_mut().zip(endpoints) {
            if one.connected {
                since.get_or_insert(now);
            } else {
                *since = None;
            }
        }
    }

    /// Whether endpoints differ in how far they have got.
    fn is_ramping(&self, now: Instant) -> bool {
        let since = || self.connected.iter().flatten();
        match (since().min(), since().max()) {
            (Some(first), Some(last)) => {
                first < last && now.saturating_duration_since(*last) < self.config.window
            }
            _ => false,
        }
    }

    /// The part that each endpoint gets of its share.
    fn parts(&self, now: Instant, endpoints: &[EndpointView]) -> Box<[f32]> {
        // Most were connected when their neighbour was, or are long past it.
        let mut last = (None, 1.0);
        let part = |since: &Option<Instant>| {
            if *since != last.0 {
                let connected_for = since.map(|since| now.saturating_duration_since(since));
                last = (*since, connected_for.map_or(1.0, |it| self.config.part(it)));
            }
            last.1
        };
        let parts: Vec<f64> = self.connected.iter().map(part).collect();
        let most = zip(&parts, endpoints)
            .filter(|(_, one)| one.state == ConnectivityState::Ready)
            .map(|(part, _)| *part)
            .fold(0.0, f64::max);
        let relative = |part: f64| {
            if part < most {
                (part / most) as f32
            } else {
                1.0
            }
        };
        parts.into_iter().map(relative).collect()
    }
}

impl Wrapper for SlowStart {
    type Config = SlowStartConfig;

    fn new(config: SlowStartConfig, child: Box<dyn Policy>) -> Self {
        Self {
            config,
            child,
            connected: Kept::default(),
        }
    }

    fn configure(&mut self, config: SlowStartConfig) {
        self.config = config;
    }

    fn child_mut(&mut self) -> &mut Box<dyn Policy> {
        &mut self.child
    }
}

impl Policy for SlowStart {
    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        let mut update = self.child.update(now, view);
        self.follow(now, view.endpoints);
        if self.is_ramping(now) {
            update.wake_at = earlier(update.wake_at, Some(after(now, self.config.step())));
            let parts = self.parts(now, view.endpoints);
            if parts.iter().any(|part| *part < 1.0) {
                update.picker = Arc::new(RampPicker::new(update.picker, parts));
            }
        }
        update
    }
}

impl fmt::Debug for SlowStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlowStart")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
