use std::time::{Duration, Instant};

/// The time since etcd answered last; decides when that is worth a report. Pure.
#[derive(Debug)]
pub(super) struct Outage {
    report_after: Duration,
    since: Option<Instant>,
    reported: bool,
}

/// What to do about a failed attempt.
#[derive(Debug, PartialEq)]
pub(super) struct Failed {
    /// When the outage began.
    pub(super) since: Instant,
    /// Whether to report it.
    pub(super) report: bool,
    /// Whether this is the first report of this outage.
    pub(super) first: bool,
}

impl Outage {
    pub(super) const fn new(report_after: Duration) -> Self {
        Self {
            report_after,
            since: None,
            reported: false,
        }
    }

    /// An attempt has failed; `urgent` when waiting will not mend it.
    pub(super) fn failed(&mut self, now: Instant, urgent: bool) -> Failed {
        let since = *self.since.get_or_insert(now);
        let report = urgent || now.saturating_duration_since(since) >= self.report_after;
        let first = report && !self.reported;
        self.reported |= report;
        Failed {
            since,
            report,
            first,
        }
    }

    /// When the first report is due, if there is one to come.
    pub(super) fn report_due(&self) -> Option<Instant> {
        let since = self.since.filter(|_| !self.reported)?;
        since.checked_add(self.report_after)
    }

    /// etcd answers. Gives the start of the outage if it was reported.
    pub(super) fn over(&mut self) -> Option<Instant> {
        let since = self.since.take();
        since.filter(|_| std::mem::take(&mut self.reported))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a start for the table's times")]
    fn a_short_outage_is_silent_and_a_long_one_is_reported_until_it_is_over() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let failed = |report, first| Failed {
            since: start,
            report,
            first,
        };
        let mut outage = Outage::new(Duration::from_secs(5));
        assert_eq!(outage.failed(at(0), false), failed(false, false));
        assert_eq!(outage.report_due(), Some(at(5)));
        assert_eq!(outage.over(), None, "nobody was told of it");

        assert_eq!(outage.report_due(), None);
        outage.failed(at(0), false);
        assert_eq!(outage.failed(at(4), false), failed(false, false));
        assert_eq!(outage.failed(at(5), false), failed(true, true));
        assert_eq!(outage.failed(at(6), false), failed(true, false));
        assert_eq!(outage.report_due(), None);
        assert_eq!(outage.over(), Some(start));
        assert_eq!(outage.over(), None);
        outage.failed(at(0), true);
        assert_eq!(outage.over(), Some(start), "a refusal is reported at once");
    }
}
