use std::time::{Duration, Instant};

use super::effective::{LONGEST, STEP};

/// When to look again what attempts have come to: nobody tells of a success. Pure.
///
/// Soon while attempts end, and more and more rarely on a channel that is quiet.
#[derive(Debug, Default)]
pub(super) struct Patience(Option<(Duration, Instant)>);

impl Patience {
    /// The next look, while something `waits` for one. `has_moved`: attempts have ended since the last.
    pub(super) fn next_look(
        &mut self,
        now: Instant,
        waits: bool,
        has_moved: bool,
    ) -> Option<Instant> {
        self.0 = waits.then(|| match self.0 {
            Some((interval, at)) if !has_moved && now < at => (interval, at),
            Some((interval, _)) if !has_moved => {
                let longer = interval.saturating_mul(2).min(LONGEST);
                (longer, now + longer)
            }
            _ => (STEP, now + STEP),
        });
        self.0.map(|(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_channel_is_looked_at_more_and_more_rarely() {
        #[expect(clippy::disallowed_methods, reason = "an origin")]
        let mut now = Instant::now();
        let mut patience = Patience::default();
        assert_eq!(patience.next_look(now, false, true), None);
        let mut look = |waits, has_moved| {
            let at = patience.next_look(now, waits, has_moved);
            let after = at.map_or(0, |at| (at - now).as_millis());
            now = at.unwrap_or(now);
            after
        };
        for expected in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            assert_eq!(look(true, false), expected);
        }
        assert_eq!(look(true, true), 500, "it is used again");
        assert_eq!(look(true, false), 1_000);
        assert_eq!(look(false, false), 0, "nothing waits");
        assert_eq!(look(true, false), 500);
    }

    #[test]
    fn who_looks_earlier_changes_nothing() {
        #[expect(clippy::disallowed_methods, reason = "an origin")]
        let now = Instant::now();
        let mut patience = Patience::default();
        let at = patience.next_look(now, true, true);
        assert_eq!(patience.next_look(now + STEP / 2, true, false), at);
    }
}
