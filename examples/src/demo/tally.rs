use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use tonic::{Code, Status};

/// What the callers have seen, phase by phase.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) phases: Vec<PhaseTally>,
}

/// What the callers have seen in one phase; a call belongs to the phase in which it began.
#[derive(Debug)]
pub(super) struct PhaseTally {
    pub(super) title: &'static str,
    expects: Option<Expected>,
    /// What each call may take.
    pub(super) deadline: Duration,
    pub(super) calls: u64,
    pub(super) ok: u64,
    /// Failures that the phase is about, by gRPC's name of their code.
    pub(super) expected: BTreeMap<String, u64>,
    pub(super) unexpected: u64,
    /// The first few unexpected ones.
    pub(super) samples: Vec<String>,
    /// Attempts that were not the first of their call, as the servers have seen them.
    pub(super) second_attempts: u64,
    pub(super) window: Window,
}

/// Failures that a phase is about.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) code: Code,
    /// The server that gives them; `None` when no server does, as with a deadline.
    pub(super) server: Option<String>,
}

/// The part of a phase in which shares are measured.
#[derive(Debug, Default)]
pub(super) struct Window {
    answers: BTreeMap<String, Histogram<u64>>,
}

/// The end of a call.
pub(super) enum Ended {
    /// The name of the server, and how long it took.
    Answered(String, Duration),
    /// The status, and the name of the server if one gave it.
    Failed(Status, Option<String>),
}

impl PhaseTally {
    const SAMPLES: usize = 3;

    pub(super) fn new(title: &'static str, deadline: Duration, expects: Option<Expected>) -> Self {
        Self {
            title,
            expects,
            deadline,
            calls: 0,
            ok: 0,
            expected: BTreeMap::new(),
            unexpected: 0,
            samples: Vec::new(),
            second_attempts: 0,
            window: Window::default(),
        }
    }

    pub(super) fn expected(&self) -> u64 {
        self.expected.values().sum()
    }

    pub(super) fn count(&mut self, ended: Ended) {
        self.calls += 1;
        match ended {
            Ended::Answered(server, took) => {
                self.ok += 1;
                self.window.answer(server, took);
            }
            Ended::Failed(status, server) => {
                let expects = self.expects.as_ref();
                if expects.is_some_and(|expects| expects.covers(&status, server.as_deref())) {
                    *self.expected.entry(code_name(status.code())).or_default() += 1;
                    return;
                }
                self.unexpected += 1;
                if self.samples.len() < Self::SAMPLES {
                    let name = code_name(status.code());
                    self.samples.push(format!("{name}: {}", status.message()));
                }
            }
        }
    }
}

impl fmt::Display for PhaseTally {
    /// One line: what became of the calls.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = self.title;
        write!(f, "{title}: {} calls, {} ok", self.calls, self.ok)?;
        for (code, count) in &self.expected {
            write!(f, ", {count} {code} as expected")?;
        }
        write!(f, ", {} unexpected failures", self.unexpected)?;
        if self.second_attempts > 0 {
            write!(f, ", {} second attempts", self.second_attempts)?;
        }
        for sample in &self.samples {
            write!(f, "\n  {sample}")?;
        }
        Ok(())
    }
}

impl Expected {
    fn covers(&self, status: &Status, server: Option<&str>) -> bool {
        status.code() == self.code && self.server.as_deref().is_none_or(|own| Some(own) == server)
    }
}

impl Window {
    fn answer(&mut self, server: String, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let histogram = self
            .answers
            .entry(server)
            .or_insert_with(|| Histogram::new_with_bounds(1, 60_000_000, 3).expect("legal bounds"));
        histogram.saturating_record(micros);
    }

    /// Who answered.
    pub(super) fn servers(&self) -> impl Iterator<Item = &str> {
        self.answers.keys().map(String::as_str)
    }

    /// Answers of all servers.
    pub(super) fn total(&self) -> u64 {
        self.answers.values().map(Histogram::len).sum()
    }

    /// The part of the answers that `server` gave, in percent.
    pub(super) fn share(&self, server: &str) -> f64 {
        let own = self.answers.get(server).map_or(0, Histogram::len);
        match self.total() {
            0 => 0.0,
            total => own as f64 * 100.0 / total as f64,
        }
    }

    /// The time within which this part of the calls to `server` was answered.
    pub(super) fn quantile(&self, server: &str, quantile: f64) -> Option<Duration> {
        let histogram = self.answers.get(server)?;
        Some(Duration::from_micros(histogram.value_at_quantile(quantile)))
    }
}

impl Tally {
    pub(super) fn begin_phase(&mut self, phase: PhaseTally) {
        self.phases.push(phase);
    }

    /// Forgets the answers of the present phase before now, as far as shares go.
    pub(super) fn begin_window(&mut self) {
        if let Some(phase) = self.phases.last_mut() {
            phase.window = Window::default();
        }
    }

    pub(super) fn present(&self) -> Option<&PhaseTally> {
        self.phases.last()
    }

    /// A call begins: its phase, and what it may take.
    pub(super) fn begin_call(&self) -> (usize, Duration) {
        let last = self.phases.len().saturating_sub(1);
        let deadline = self.phases.last().map(|phase| phase.deadline);
        (last, deadline.unwrap_or(Duration::MAX))
    }

    /// A call of this phase has ended.
    pub(super) fn end_call(&mut self, phase: usize, ended: Ended) {
        if let Some(phase) = self.phases.get_mut(phase) {
            phase.count(ended);
        }
    }

    pub(super) fn sum(&self, of: impl Fn(&PhaseTally) -> u64) -> u64 {
        self.phases.iter().map(of).sum()
    }
}

/// gRPC's name of a code: `RESOURCE_EXHAUSTED` for `ResourceExhausted`.
pub(super) fn code_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(letter.to_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(server: &str, millis: u64) -> Ended {
        Ended::Answered(server.to_owned(), Duration::from_millis(millis))
    }

    fn exhausted(server: &str) -> Ended {
        let status = Status::resource_exhausted("scripted");
        Ended::Failed(status, Some(server.to_owned()))
    }

    #[test]
    fn only_the_announced_failures_of_the_announced_server_are_expected() {
        let expects = Expected {
            code: Code::ResourceExhausted,
            server: Some("a".to_owned()),
        };
        let mut phase = PhaseTally::new("exhausted", Duration::MAX, Some(expects));
        phase.count(exhausted("a"));
        phase.count(exhausted("b"));
        phase.count(Ended::Failed(
            Status::unavailable("gone"),
            Some("a".to_owned()),
        ));
        phase.count(answered("b", 1));
        assert_eq!((phase.calls, phase.ok, phase.expected()), (4, 1, 1));
        assert_eq!(phase.unexpected, 2);
        assert_eq!(phase.samples[1], "UNAVAILABLE: gone");
        assert_eq!(phase.expected["RESOURCE_EXHAUSTED"], 1);
    }

    #[test]
    fn a_call_counts_for_the_phase_in_which_it_began() {
        let mut tally = Tally::default();
        tally.begin_phase(PhaseTally::new("first", Duration::MAX, None));
        let (phase, _) = tally.begin_call();
        tally.begin_phase(PhaseTally::new("second", Duration::MAX, None));
        tally.end_call(phase, answered("a", 1));
        assert_eq!((tally.phases[0].calls, tally.phases[1].calls), (1, 0));
    }

    #[test]
    fn shares_and_quantiles_are_those_of_the_window() {
        let mut tally = Tally::default();
        tally.begin_phase(PhaseTally::new("steady", Duration::MAX, None));
        tally.end_call(0, answered("a", 500));
        tally.begin_window();
        for millis in [2, 4, 8] {
            tally.end_call(0, answered("b", millis));
        }
        tally.end_call(0, answered("a", 1));
        let window = &tally.phases[0].window;
        assert_eq!((window.share("a"), window.share("b")), (25.0, 75.0));
        assert_eq!(window.share("c"), 0.0);
        let median = window.quantile("b", 0.5).unwrap();
        assert!(median.abs_diff(Duration::from_millis(4)) < Duration::from_micros(10));
        assert_eq!(tally.phases[0].calls, 5);
    }

    #[test]
    fn codes_have_their_grpc_names() {
        assert_eq!(code_name(Code::DeadlineExceeded), "DEADLINE_EXCEEDED");
        assert_eq!(code_name(Code::Ok), "OK");
    }
}
