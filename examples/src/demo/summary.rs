use super::tally::Tally;

/// A server's part of the calls while nothing happened, in percent.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub(super) phase: &'static str,
    pub(super) endpoint: String,
    pub(super) weight: f64,
    pub(super) due: f64,
    pub(super) measured: f64,
}

impl Share {
    /// By how many points a share may be off.
    const TOLERANCE: f64 = 2.0;

    fn off_by(&self) -> f64 {
        (self.measured - self.due).abs()
    }
}

/// What the whole demo came to.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) lines: Vec<String>,
    /// No call failed that should not have, and everything else was as it should be.
    pub(super) passed: bool,
}

/// Sums up; shares are judged if `judge`, and only shown if not.
pub(super) fn summary(
    tally: &Tally,
    shares: &[Share],
    problems: &[String],
    judge: bool,
) -> Summary {
    let mut lines = vec![format!(
        "{:<20}{:>8}{:>8}{:>12}{:>12}{:>18}",
        "phase", "calls", "ok", "expected", "unexpected", "second attempts"
    )];
    let mut line = |title: &str, counts: [u64; 5]| {
        let [calls, ok, expected, unexpected, second] = counts;
        lines.push(format!(
            "{title:<20}{calls:>8}{ok:>8}{expected:>12}{unexpected:>12}{second:>18}"
        ));
    };
    for phase in &tally.phases {
        let expected = phase.expected();
        let counts = [phase.calls, phase.ok, expected, phase.unexpected];
        let [calls, ok, expected, unexpected] = counts;
        line(
            phase.title,
            [calls, ok, expected, unexpected, phase.second_attempts],
        );
    }
    let unexpected = tally.sum(|phase| phase.unexpected);
    line(
        "all",
        [
            tally.sum(|phase| phase.calls),
            tally.sum(|phase| phase.ok),
            tally.sum(super::tally::PhaseTally::expected),
            unexpected,
            tally.sum(|phase| phase.second_attempts),
        ],
    );
    lines.push(String::new());
    lines.push("shares while steady".to_owned());
    for share in shares {
        lines.push(format!(
            "  {:<17} {:<22} weight {:>3}: {:5.1} % of {:5.1} %, {:.1} points off",
            share.phase,
            share.endpoint,
            share.weight,
            share.measured,
            share.due,
            share.off_by()
        ));
    }
    let skewed = shares
        .iter()
        .filter(|share| share.off_by() > Share::TOLERANCE);
    let skewed = if judge { skewed.count() } else { 0 };
    let idle = tally.phases.iter().filter(|phase| phase.ok == 0).count();
    let passed = unexpected == 0 && problems.is_empty() && skewed == 0 && idle == 0;
    lines.push(String::new());
    lines.extend(problems.iter().map(|problem| format!("problem: {problem}")));
    for phase in &tally.phases {
        let samples = phase.samples.iter();
        lines.extend(samples.map(|sample| format!("unexpected in {}: {sample}", phase.title)));
    }
    if skewed > 0 {
        let tolerance = Share::TOLERANCE;
        lines.push(format!(
            "{skewed} shares are more than {tolerance} points off"
        ));
    }
    lines.push(match passed {
        true => "passed: no call failed that should not have".to_owned(),
        false => "FAILED".to_owned(),
    });
    Summary { lines, passed }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic::Status;

    use super::super::tally::{Ended, PhaseTally};
    use super::*;

    fn tally(failing: bool) -> Tally {
        let mut tally = Tally::default();
        tally.begin_phase(PhaseTally::new("steady", Duration::MAX, None));
        let phase = &mut tally.phases[0];
        phase.count(Ended::Answered("a".to_owned(), Duration::from_millis(1)));
        if failing {
            phase.count(Ended::Failed(Status::unavailable("gone"), None));
        }
        tally
    }

    fn share(measured: f64) -> Share {
        Share {
            phase: "steady",
            endpoint: "a".to_owned(),
            weight: 10.0,
            due: 50.0,
            measured,
        }
    }

    #[test]
    fn what_should_not_be_fails_the_demo() {
        for (failing, measured, problem, judge, passed) in [
            (false, 51.9, None, true, true),
            (true, 50.0, None, true, false),
            (false, 47.9, None, true, false),
            (false, 47.9, None, false, true),
            (false, 50.0, Some("the stream broke"), true, false),
        ] {
            let problems: Vec<_> = problem.into_iter().map(str::to_owned).collect();
            let summary = summary(&tally(failing), &[share(measured)], &problems, judge);
            assert_eq!(summary.passed, passed, "{:#?}", summary.lines);
            let last = summary.lines.last().unwrap();
            assert_eq!(last.starts_with("passed"), passed);
        }
    }

    #[test]
    fn a_phase_without_answers_fails_the_demo() {
        let mut tally = tally(false);
        tally.begin_phase(PhaseTally::new("silent", Duration::MAX, None));
        assert!(!summary(&tally, &[], &[], true).passed);
    }
}
