mod config;
mod report;

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use evenkeel_core::{
    BuildPolicy, ConnectivityState, EndpointIndex, EndpointView, Load, LoadStream, Policy,
    ReadLoad, Update, View,
};

pub use self::config::WeightedRoundRobinConfig;
use self::report::ReportReader;
use super::weighted::{Turns, WeightedPicker};
use crate::lb::petiole;
use crate::lb::shared::kept::Kept;
use crate::lb::shared::sequence::Sequence;
use crate::time::after;

/// Gives each READY endpoint a share of the calls by the load that its server reports (gRPC's
/// `weighted_round_robin`, gRFC A58 and A114).
///
/// **Not by the weight that servers register with**, of which it knows nothing: that is
/// [`RegisteredWeightedRoundRobin`](crate::lb::RegisteredWeightedRoundRobin).
///
/// # Weights
///
/// Servers send a load report (`xds.data.orca.v3.OrcaLoadReport`) with each response, in the trailer
/// `endpoint-load-metrics-bin`. It weighs `qps / (utilization + eps / qps × penalty)`: the calls per
/// second that the server would answer if it were fully used. The newest one counts. One without
/// a positive `rps_fractional`, or without any utilization, is ignored.
///
/// An endpoint without a weight, because none was reported, because it became READY, or began to report,
/// less than [`blackout_period`](WeightedRoundRobinConfig::blackout_period) ago, or because the last report
/// is older than [`weight_expiration_period`](WeightedRoundRobinConfig::weight_expiration_period), counts as
/// the mean of the others. With fewer than two weights in all it is plain round robin.
///
/// Weights are read once per [`weight_update_period`](WeightedRoundRobinConfig::weight_update_period), and
/// when READY endpoints come or go; the turn goes on then. A weight below 1/32 767 of the mean counts
/// as that much; there is no other bound (as in Go; C-core and Java keep weights near the mean).
/// While fewer than two endpoints are READY nothing is read.
///
/// # Out-of-band reports
///
/// With [`oob`](WeightedRoundRobinConfig::oob) set, reports that come with responses are not read. Instead, each
/// server that is connected is asked to stream them, by the method `StreamCoreMetrics` of
/// `xds.service.orca.v3.OpenRcaService` (gRFC A51). A stream that ends is opened again, with backoff
/// if nothing came on it. A server without that service is asked once per connection; its endpoint
/// counts as one without a weight. Calls never wait for a stream, but it is one of those that the
/// server allows per connection (`MAX_CONCURRENT_STREAMS`).
///
/// States and connections: see [`petiole`].
#[derive(Debug)]
pub struct WeightedRoundRobin {
    config: WeightedRoundRobinConfig,
    reader: Arc<dyn ReadLoad>,
    sequence: Option<Arc<Sequence>>,
    /// Whether each endpoint of the last picker was READY.
    was_ready: Kept<bool>,
    turns: Option<Arc<Turns>>,
    /// When the weights are read again.
    due: Option<Instant>,
    asked_last: Option<Instant>,
}

impl WeightedRoundRobin {
    /// Its name in a service config.
    pub const NAME: &'static str = "weighted_round_robin";

    /// A policy that has seen no endpoint yet.
    #[must_use]
    pub fn new(config: WeightedRoundRobinConfig) -> Self {
        let config = config.bounded();
        Self {
            reader: reader(&config),
            config,
            sequence: None,
            was_ready: Kept::default(),
            turns: None,
            due: None,
            asked_last: None,
        }
    }

    fn configure(&mut self, config: WeightedRoundRobinConfig) {
        self.config = config.bounded();
        self.reader = reader(&self.config);
        self.due = None;
    }

    fn turns(&mut self, now: Instant, endpoints: &[(EndpointIndex, &EndpointView)]) -> Arc<Turns> {
        let id = |one: &(EndpointIndex, &EndpointView)| one.1.id;
        let asked_last = self.asked_last.filter(|_| self.config.oob.is_some());
        let mut changed = self.was_ready.follow(endpoints, id, |_| false);
        for ((_, endpoint), was_ready) in endpoints.iter().zip(self.was_ready.iter_mut()) {
            // The others are a last resort, and become READY when they are none.
            let is_ready = endpoint.state == ConnectivityState::Ready;
            if is_ready && !std::mem::replace(was_ready, is_ready) {
                if !is_row_of_its_own(endpoint, asked_last) {
                    endpoint.stats.restart_load();
                }
                changed = true;
            }
        }
        match &self.turns {
            Some(turns) if !changed && self.due.is_some_and(|due| now < due) => turns.clone(),
            last => {
                let weights = weights(now, endpoints, &self.config);
                let turns = Turns::of(weights, last.as_ref());
                self.due = Some(after(now, self.config.weight_update_period));
                self.turns.insert(turns).clone()
            }
        }
    }
}

/// Whether the reports of an endpoint that has become READY since `asked_last` have begun since then:
/// a stream may be faster than the news of its connection.
fn is_row_of_its_own(endpoint: &EndpointView, asked_last: Option<Instant>) -> bool {
    let since = endpoint.stats.load().and_then(|load| load.since);
    asked_last.is_some() && since > asked_last
}

fn reader(config: &WeightedRoundRobinConfig) -> Arc<dyn ReadLoad> {
    Arc::new(ReportReader::new(
        &config.metric_names_for_computing_utilization,
        config.error_utilization_penalty,
    ))
}

/// For endpoints without a weight the mean of the others; for all the same when only one has any.
fn weights(
    now: Instant,
    endpoints: &[(EndpointIndex, &EndpointView)],
    config: &WeightedRoundRobinConfig,
) -> Vec<f64> {
    let weight = |(_, endpoint): &(EndpointIndex, &EndpointView)| {
        let load = endpoint.stats.load()?;
        match read(now, load, config) {
            Reading::Usable(weight) => Some(weight),
            Reading::NotYet => None,
            Reading::Expired => {
                endpoint.stats.restart_load();
                None
            }
        }
    };
    let mut weights: Vec<f64> = endpoints
        .iter()
        .map(|endpoint| weight(endpoint).unwrap_or_default())
        .collect();
    let usable = weights.iter().filter(|weight| **weight > 0.0).count();
    if usable < 2 {
        return vec![1.0; weights.len()];
    }
    if usable < weights.len() {
        // Scaled down first: the sum of finite numbers can be infinite.
        let heaviest = weights.iter().copied().fold(0.0, f64::max);
        let sum: f64 = weights.iter().map(|weight| weight / heaviest).sum();
        let mean = sum / usable as f64 * heaviest;
        for weight in &mut weights {
            if *weight <= 0.0 {
                *weight = mean;
            }
        }
    }
    weights
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Reading {
    Usable(f64),
    /// Reports came too short a time ago.
    NotYet,
    /// The last report is too old: the next one is the first of a new row.
    Expired,
}

fn read(now: Instant, load: Load, config: &WeightedRoundRobinConfig) -> Reading {
    let age = |at: Instant| now.saturating_duration_since(at);
    if age(load.reported_at) >= config.weight_expiration_period {
        return Reading::Expired;
    }
    let blackout = config.blackout_period;
    let is_blacked_out = load.since.is_none_or(|since| age(since) < blackout);
    if !blackout.is_zero() && is_blacked_out {
        return Reading::NotYet;
    }
    Reading::Usable(load.weight)
}

impl BuildPolicy for WeightedRoundRobinConfig {
    fn build(&self) -> Box<dyn Policy> {
        Box::new(WeightedRoundRobin::new(self.clone()))
    }

    fn reconfigure(&self, running: &mut dyn Any) -> bool {
        let running = running.downcast_mut::<WeightedRoundRobin>();
        running.map(|it| it.configure(self.clone())).is_some()
    }
}

impl Policy for WeightedRoundRobin {
    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        let start = || Arc::new(Sequence::starting_at(view.random));
        let sequence = self.sequence.get_or_insert_with(start).clone();
        let mut picked_from = 0;
        let mut update = petiole(view, |endpoints| {
            picked_from = endpoints.len();
            let turns = self.turns(now, &endpoints);
            Arc::new(WeightedPicker::new(&endpoints, turns, sequence))
        });
        if picked_from == 0 {
            self.was_ready.clear();
            self.turns = None;
        }
        if picked_from > 1 {
            update.wake_at = self.due;
        }
        self.asked_last = Some(now);
        let reader = self.reader.clone();
        match self.config.oob {
            None => update.observe.load = Some(reader),
            Some(interval) => update.observe.load_stream = Some(LoadStream { interval, reader }),
        }
        update
    }
}

#[cfg(test)]
mod tests;
