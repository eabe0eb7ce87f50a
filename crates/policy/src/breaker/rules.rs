use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::window::Window;
use super::{BreakerConfig, Counts, Tally};

/// The trip rules of a closed breaker: each sees each verdict, any of them may trip it.
#[derive(Debug)]
pub(super) struct Rules {
    /// Failures without a success between them.
    pub(super) consecutive: u32,
    /// In a box: most breakers have none.
    pub(super) windows: Option<Box<Windows>>,
}

/// The rules that go by all calls of the last time.
#[derive(Debug)]
pub(super) struct Windows {
    pub(super) tally: Arc<Tally>,
    ratio: Option<Window>,
    adaptive: Option<Window>,
}

/// Why a breaker has opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trip {
    Consecutive(u32),
    Ratio {
        counts: Counts,
        window: Duration,
    },
    /// As many probes in a row have failed.
    Probes(u32),
}

impl Rules {
    pub(super) fn new(config: &Arc<BreakerConfig>, now: Instant) -> Self {
        Self {
            consecutive: 0,
            windows: Windows::new(config, now).map(Box::new),
        }
    }

    pub(super) fn on_success(&mut self, now: Instant) {
        self.consecutive = 0;
        self.count(now, true);
    }

    /// Why this failure trips the breaker, if it does.
    pub(super) fn on_failure(&mut self, now: Instant, config: &BreakerConfig) -> Option<Trip> {
        self.count(now, false);
        self.consecutive = self.consecutive.saturating_add(1);
        match config.consecutive_failures {
            // Nobody asks how many there were.
            0 => self.consecutive = 0,
            limit if self.consecutive >= limit => return Some(Trip::Consecutive(self.consecutive)),
            _ => {}
        }
        self.judge()
    }

    /// Counts a call that cannot trip it.
    pub(super) fn count(&mut self, now: Instant, is_success: bool) {
        if let Some(windows) = &mut self.windows {
            windows.advance(now);
            windows.tally.add(is_success);
        }
    }

    /// Why what is counted trips the breaker, if it does.
    pub(super) fn judge(&self) -> Option<Trip> {
        let windows = self.windows.as_ref()?;
        let window = windows.ratio.as_ref()?;
        windows.tally.trips().then(|| Trip::Ratio {
            counts: windows.counts(window),
            window: window.length(),
        })
    }

    /// With which probability this attempt is refused, if it is.
    pub(super) fn sheds(&self, random: u64) -> Option<f64> {
        self.windows.as_ref()?.tally.sheds(random)
    }

    /// Whether a success would change nothing but what is counted.
    pub(super) const fn ignore_successes(&self) -> bool {
        self.consecutive == 0
    }

    pub(super) fn advance(&mut self, now: Instant) {
        if let Some(windows) = &mut self.windows {
            windows.advance(now);
        }
    }

    pub(super) fn clear(&mut self) {
        self.consecutive = 0;
        if let Some(windows) = &mut self.windows {
            windows.clear();
        }
    }
}

impl Windows {
    fn new(config: &Arc<BreakerConfig>, now: Instant) -> Option<Self> {
        let ratio = config.failure_ratio.as_ref().map(|it| it.window());
        let adaptive = config.adaptive.as_ref().map(|it| it.window());
        if ratio.is_none() && adaptive.is_none() {
            return None;
        }
        let windows = Self {
            tally: Arc::new(Tally::new(Arc::clone(config), now)),
            ratio,
            adaptive,
        };
        windows.publish();
        Some(windows)
    }

    fn each(&mut self) -> impl Iterator<Item = &mut Window> {
        self.ratio.iter_mut().chain(&mut self.adaptive)
    }

    fn advance(&mut self, now: Instant) {
        if !self.tally.is_due(now) {
            return;
        }
        let (now, totals) = (self.tally.nanos(now), self.tally.totals());
        self.each().for_each(|window| window.advance(now, totals));
        self.publish();
    }

    fn clear(&mut self) {
        let totals = self.tally.totals();
        self.each().for_each(|window| window.clear(totals));
        self.publish();
    }

    fn publish(&self) {
        let start = |window: &Option<Window>| window.as_ref().map(Window::start);
        let due = self.ratio.iter().chain(&self.adaptive).map(Window::due);
        self.tally.publish(
            start(&self.ratio).unwrap_or_default(),
            start(&self.adaptive).unwrap_or_default(),
            due.min().unwrap_or(u64::MAX),
        );
    }

    fn counts(&self, window: &Window) -> Counts {
        self.tally.totals().since(window.start())
    }

    pub(super) fn ratio_counts(&self) -> Option<Counts> {
        self.ratio.as_ref().map(|window| self.counts(window))
    }

    pub(super) fn adaptive_counts(&self) -> Option<Counts> {
        self.adaptive.as_ref().map(|window| self.counts(window))
    }
}

impl fmt::Display for Trip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consecutive(1) => f.write_str("1 failure"),
            Self::Consecutive(failures) => write!(f, "{failures} consecutive failures"),
            Self::Ratio { counts, window } => write!(
                f,
                "{} of {} calls failed within {window:?}",
                counts.failures,
                counts.calls()
            ),
            Self::Probes(1) => f.write_str("the probe failed"),
            Self::Probes(probes) => write!(f, "{probes} probes in a row failed"),
        }
    }
}
