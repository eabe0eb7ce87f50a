mod config;
mod error;
mod picker;
mod routes;
mod stats;
mod subsets;
mod table;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use evenkeel_core::ConnectivityState::{self, Connecting, Idle, Ready, Shutdown, TransientFailure};
use evenkeel_core::{BuildPolicy, EndpointIndex, Policy, Update, View};
use tonic::Status;

pub use self::config::{BadRoutes, MetadataRoutingConfig, OnNoMatch, Route};
pub use self::error::NoMatch;
use self::picker::{Answer, RoutingPicker, Standing};
use self::routes::Routes;
pub use self::stats::RoutingStats;
use self::subsets::{MAX_SUBSETS, Subsets};

use crate::lb::FailPicker;
use crate::lb::shared::merged::{both, earlier};
use crate::time::after;

/// Sends each call to endpoints whose metadata is what the request's headers ask for: a version, a
/// region, a tag.
///
/// Each [`Route`] compares one header with one key of the metadata, and an endpoint has to match all
/// of them. There is a child policy for each combination of values that endpoints have, made ready
/// when they change; to pick is to look one up.
///
/// # When no endpoint that matches is READY
///
/// | in this order | counts as |
/// |---|---|
/// | the [`fallbacks`](Route::fallbacks) of the routes, those of the last route first: the first route is the last to give way | [`fallbacks`](RoutingStats::fallbacks) |
/// | no value at all, for routes that are not [`required`](Route::required), after their fallbacks | the same |
/// | any endpoint, with [`OnNoMatch::Any`] | [`any`](RoutingStats::any) |
/// | the call waits, if some of these are CONNECTING | |
/// | endpoints among these that are [held back](evenkeel_core::EndpointView::held_back): the [last resort](Update::last_resort) | |
/// | the call fails: UNAVAILABLE, [`NoMatch`] | [`failures`](RoutingStats::failures) |
///
/// In the first [`failover_delay`](MetadataRoutingConfig::failover_delay) of a channel nothing is passed
/// over that is still connecting. A retry goes the same way when its call has tried all that
/// match.
///
/// A child that is IDLE, as ring_hash is before its first call, counts as READY: it gets the call, and
/// connects for it. So it does for a retry, which does not wait for that if it can go again where it was.
///
/// At most 512 combinations may be in use; with more, every call fails and says so.
///
/// # Connections
///
/// Every endpoint is connected that a child wants connected, and one is closed when all the
/// children that know it agree, or none does.
pub struct MetadataRouting {
    routes: Arc<Routes>,
    stats: Arc<RoutingStats>,
    subsets: Subsets,
    /// Since when there have been endpoints.
    started: Option<Instant>,
}

impl MetadataRouting {
    /// Its name in a service config.
    pub const NAME: &'static str = "evenkeel.metadata_routing";
}

/// Makes [`MetadataRouting`] policies, and gives their config to those that run.
#[derive(Clone)]
pub struct MetadataRoutingBuilder {
    routes: Arc<Routes>,
    stats: Arc<RoutingStats>,
    child: Arc<dyn BuildPolicy>,
}

impl MetadataRoutingBuilder {
    /// Policies with these routes, which count in `stats`; each subset is balanced by a `child`.
    ///
    /// # Errors
    ///
    /// There are no routes, too many, or too many fallbacks.
    pub fn new(
        config: MetadataRoutingConfig,
        stats: Arc<RoutingStats>,
        child: Arc<dyn BuildPolicy>,
    ) -> Result<Self, BadRoutes> {
        Ok(Self {
            routes: Arc::new(Routes::new(config)?),
            stats,
            child,
        })
    }

    /// Where its policies count.
    #[must_use]
    pub const fn stats(&self) -> &Arc<RoutingStats> {
        &self.stats
    }
}

impl BuildPolicy for MetadataRoutingBuilder {
    fn build(&self) -> Box<dyn Policy> {
        Box::new(MetadataRouting {
            routes: self.routes.clone(),
            stats: self.stats.clone(),
            subsets: Subsets::new(self.child.clone()),
            started: None,
        })
    }

    fn reconfigure(&self, running: &mut dyn Any) -> bool {
        let Some(running) = running.downcast_mut::<MetadataRouting>() else {
            return false;
        };
        let same_keys = running.routes.keys().eq(self.routes.keys());
        running.subsets.reconfigure(self.child.clone(), same_keys);
        running.routes = self.routes.clone();
        running.stats = self.stats.clone();
        true
    }
}

impl Policy for MetadataRouting {
    fn update(&mut self, now: Instant, view: &View<'_>) -> Update {
        self.subsets.follow(view, &self.routes);
        if view.endpoints.is_empty() {
            self.started = None;
            let picker = FailPicker::no_endpoint(view);
            return Update::new(TransientFailure, Arc::new(picker));
        }
        if self.subsets.are_too_many() {
            let keys: Vec<_> = self.routes.keys().map(ToString::to_string).collect();
            let text = format!(
                "metadata routing: the endpoints have more than {MAX_SUBSETS} combinations of {}",
                keys.join(", ")
            );
            let picker = FailPicker::new(Status::unavailable(text));
            return Update::new(TransientFailure, Arc::new(picker));
        }
        let started = *self.started.get_or_insert(now);
        let settled_at = after(started, self.routes.failover_delay());
        let (mut update, answers) = self.ask(now, view);
        let mut all = answers.iter().flatten();
        let settling = now < settled_at && all.any(|one| one.is(Standing::Connecting));
        if settling {
            update.wake_at = earlier(update.wake_at, Some(settled_at));
        }
        update.picker = Arc::new(RoutingPicker::new(
            self.routes.clone(),
            self.stats.clone(),
            self.subsets.table(),
            answers,
            settling,
            view,
        ));
        update
    }
}

impl MetadataRouting {
    /// Shows each child its endpoints. What they want of connections, and their answers.
    fn ask(&mut self, now: Instant, view: &View<'_>) -> (Update, Vec<Option<Answer>>) {
        let mut update = Update::new(TransientFailure, Arc::new(crate::lb::QueuePicker));
        // No call waits for one child alone, so none would wake it.
        let awake = view.with_call_waiting(true);
        let mut wishes = Wishes::new(view);
        let mut answers = Vec::new();
        self.subsets.ask(now, &awake, |place, said, members| {
            wishes.add(said, &mut update.ejected);
            update.last_resort |= said.last_resort && said.state == Ready;
            update.wake_at = earlier(update.wake_at, said.wake_at);
            update.observe = both(std::mem::take(&mut update.observe), &said.observe);
            answers.resize_with(place + 1, || None);
            answers[place] = Some(Answer::new(said, view, members));
        });
        wishes.carry_out(view, self.subsets.memberships(), &mut update);
        let is = |wanted: Standing| answers.iter().flatten().any(|one: &Answer| one.is(wanted));
        let states: [(_, ConnectivityState); 4] = [
            (Standing::Serving, Ready),
            (Standing::LastResort, Ready),
            (Standing::Connecting, Connecting),
            (Standing::Idle, Idle),
        ];
        let state = states.into_iter().find(|(standing, _)| is(*standing));
        update.state = state.map_or(TransientFailure, |(_, state)| state);
        (update, answers)
    }
}

/// Why a child keeps calls from an endpoint.
type EjectedBy = dyn std::error::Error + Send + Sync;

/// What the children say of each endpoint.
struct Wishes {
    connect: Vec<bool>,
    /// How many children want it closed.
    disconnect: Vec<u32>,
    /// Who is known to be ejected.
    ejected: Vec<bool>,
}

impl Wishes {
    fn new(view: &View<'_>) -> Self {
        Self {
            connect: vec![false; view.endpoints.len()],
            disconnect: vec![0; view.endpoints.len()],
            ejected: vec![false; view.endpoints.len()],
        }
    }

    fn add(&mut self, said: &Update, ejected: &mut Vec<(EndpointIndex, Arc<EjectedBy>)>) {
        for (index, error) in &said.ejected {
            if let Some(known) = self.ejected.get_mut(index.0)
                && !std::mem::replace(known, true)
            {
                ejected.push((*index, error.clone()));
            }
        }
        for index in &said.connect {
            if let Some(wanted) = self.connect.get_mut(index.0) {
                *wanted = true;
            }
        }
        for index in &said.disconnect {
            if let Some(count) = self.disconnect.get_mut(index.0) {
                *count += 1;
            }
        }
    }

    fn carry_out(
        &self,
        view: &View<'_>,
        memberships: impl Iterator<Item = usize>,
        update: &mut Update,
    ) {
        for ((index, one), children) in view.indexed().zip(memberships) {
            if self.connect[index.0] {
                update.connect.push(index);
            } else if self.disconnect[index.0] as usize == children
                && !matches!(one.state, Idle | Shutdown)
            {
                update.disconnect.push(index);
            }
        }
    }
}

impl fmt::Debug for MetadataRouting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataRouting")
            .field("routes", &self.routes)
            .field("subsets", &self.subsets)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MetadataRoutingBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataRoutingBuilder")
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
