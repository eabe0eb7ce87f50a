use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::{BuildPolicy, Policy};

use super::{Level, Levels, Priority};
use crate::lb::shared::described::Described;

/// How [`Priority`] behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PriorityConfig {
    /// `minHealthyPercent`: how many of a level's endpoints have to be READY for it to take all calls. Default:
    /// 1 (of up to a hundred endpoints, one is enough); at most 100. When a few endpoints cannot
    /// take the calls of all, 70 keeps them from having to.
    pub min_healthy_percent: u32,
    /// `failoverDelay`: how long calls wait for a level that connects for the first time before they go to the
    /// next. Default: 10 s, as in gRPC.
    pub failover_delay: Duration,
    /// `warm`: connects the lower levels before they are needed, and keeps them connected. Failing over
    /// costs nothing then, just when those who survive have enough to do; the price is connections
    /// without calls. When off, a level is connected when the ones above it cannot take all calls,
    /// and let go 15 minutes after they could again. Default: true.
    pub warm: bool,
}

impl Default for PriorityConfig {
    fn default() -> Self {
        Self {
            min_healthy_percent: 1,
            failover_delay: Duration::from_secs(10),
            warm: true,
        }
    }
}

/// Makes [`Priority`] policies, and gives their config to those that run.
#[derive(Clone)]
pub struct PriorityBuilder {
    config: PriorityConfig,
    levels: Levels,
    child: Arc<dyn BuildPolicy>,
}

impl PriorityBuilder {
    /// Policies of these levels, each balanced by a `child`.
    #[must_use]
    pub fn new(config: PriorityConfig, levels: Levels, child: Arc<dyn BuildPolicy>) -> Self {
        let min_healthy_percent = config.min_healthy_percent.min(100);
        Self {
            config: PriorityConfig {
                min_healthy_percent,
                ..config
            },
            levels,
            child,
        }
    }

    /// How its policies behave.
    #[must_use]
    pub const fn config(&self) -> &PriorityConfig {
        &self.config
    }

    /// The levels of its policies.
    #[must_use]
    pub const fn levels(&self) -> &Levels {
        &self.levels
    }
}

impl BuildPolicy for PriorityBuilder {
    fn build(&self) -> Box<dyn Policy> {
        let level = || Level::new(&*self.child);
        Box::new(Priority {
            config: self.config,
            assign: self.levels.clone(),
            build: self.child.clone(),
            levels: (0..self.levels.len()).map(|_| level()).collect(),
            places: Described::default(),
            was_ready: false,
        })
    }

    fn reconfigure(&self, running: &mut dyn Any) -> bool {
        let Some(running) = running.downcast_mut::<Priority>() else {
            return false;
        };
        running.config = self.config;
        running.assign = self.levels.clone();
        running.build = self.child.clone();
        running.places.clear();
        running.levels.truncate(self.levels.len());
        for level in &mut running.levels {
            level.child.reconfigure(&*self.child);
        }
        let level = || Level::new(&*self.child);
        running.levels.resize_with(self.levels.len(), level);
        true
    }
}

impl fmt::Debug for PriorityBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PriorityBuilder")
            .field("config", &self.config)
            .field("levels", &self.levels)
            .finish_non_exhaustive()
    }
}
