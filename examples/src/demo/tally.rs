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

/// The part of a phase in which shares are measured: the calls that begin while it is open.
#[derive(Debug, Default)]
pub(super) struct Window {
    number: u32,
    closed: bool,
    in_flight: u32,
    answers: BTreeMap<String, Histogram<u64>>,
}

/// A call that has begun.
#[derive(Debug)]
pub(super) struct Ticket {
    phase: usize,
    window: Option<u32>,
    /// What it may take.
    pub(super) deadline: Duration,
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

    /// Whether the phase is about such a failure.
    fn expects(&self, ended: &Ended) -> bool {
        let (Some(expects), Ended::Failed(status, server)) = (&self.expects, ended) else {
            return false;
        };
        expects.covers(status, server.as_deref())
    }

    /// A call is no longer in flight; says whether it is one of the present window.
    fn forget_call(&mut self, window: Option<u32>) -> bool {
        let in_window = window == Some(self.window.number);
        if in_window {
            self.window.in_flight -= 1;
        }
        in_window
    }

    /// Counts a call that has begun and ended just now.
    pub(super) fn count(&mut self, ended: Ended) {
        let window = self.window.begin_call();
        self.end_call(window, ended);
    }

    fn end_call(&mut self, window: Option<u32>, ended: Ended) {
        self.calls += 1;
        let in_window = self.forget_call(window);
        let expected = self.expects(&ended);
        match ended {
            Ended::Answered(server, took) => {
                self.ok += 1;
                if in_window {
                    self.window.answer(server, took);
                }
            }
            Ended::Failed(status, _) if expected => {
                *self.expected.entry(code_name(status.code())).or_default() += 1;
            }
            Ended::Failed(status, _) => {
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
    /// The window's number for a call that begins, if it is open.
    fn begin_call(&mut self) -> Option<u32> {
        if self.closed {
            return None;
        }
        self.in_flight += 1;
        Some(self.number)
    }

    /// Whether it is closed and every call in it has ended: nothing changes any more.
    pub(super) const fn is_final(&self) -> bool {
        self.closed && self.in_flight == 0
    }

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

    /// Measures shares anew, of the calls that begin from now on.
    pub(super) fn open_window(&mut self) {
        if let Some(phase) = self.phases.last_mut() {
            phase.window = Window {
                number: phase.window.number + 1,
                ..Window::default()
            };
        }
    }

    /// Calls that begin from now on have no part in the shares.
    pub(super) fn close_window(&mut self) {
        if let Some(phase) = self.phases.last_mut() {
            phase.window.closed = true;
        }
    }

    pub(super) fn present(&self) -> Option<&PhaseTally> {
        self.phases.last()
    }

    /// A call begins, in the present phase; there is one.
    pub(super) fn begin_call(&mut self) -> Option<Ticket> {
        let phase = self.phases.len().checked_sub(1)?;
        let present = self.phases.last_mut()?;
        Some(Ticket {
            phase,
            window: present.window.begin_call(),
            deadline: present.deadline,
        })
    }

    /// A call ends. It belongs to the phase in which it began, unless it was on its way when a
    /// later one began that expects its failure.
    pub(super) fn end_call(&mut self, ticket: &Ticket, ended: Ended) {
        let since = &self.phases[ticket.phase..];
        let expects = since.iter().position(|phase| phase.expects(&ended));
        let later = expects.filter(|later| *later > 0);
        if let Some(later) = later {
            self.phases[ticket.phase].forget_call(ticket.window);
            self.phases[ticket.phase + later].end_call(None, ended);
        } else {
            self.phases[ticket.phase].end_call(ticket.window, ended);
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
        let ticket = tally.begin_call().unwrap();
        tally.begin_phase(PhaseTally::new("second", Duration::MAX, None));
        tally.end_call(&ticket, answered("a", 1));
        assert_eq!((tally.phases[0].calls, tally.phases[1].calls), (1, 0));
    }

    #[test]
    fn a_failure_that_a_later_phase_is_about_counts_there() {
        let mut tally = Tally::default();
        tally.begin_phase(PhaseTally::new("calm", Duration::MAX, None));
        let tickets = [tally.begin_call().unwrap(), tally.begin_call().unwrap()];
        let expects = Expected {
            code: Code::ResourceExhausted,
            server: None,
        };
        tally.begin_phase(PhaseTally::new("storm", Duration::MAX, Some(expects)));
        tally.end_call(&tickets[0], exhausted("a"));
        tally.end_call(&tickets[1], Ended::Failed(Status::internal("bug"), None));
        let [calm, storm] = &tally.phases[..] else {
            panic!("two phases")
        };
        assert_eq!((calm.calls, calm.unexpected), (1, 1));
        assert_eq!((storm.calls, storm.expected()), (1, 1));
    }

    #[test]
    fn shares_are_those_of_the_calls_that_began_in_the_window() {
        let mut tally = Tally::default();
        tally.begin_phase(PhaseTally::new("steady", Duration::MAX, None));
        let before = tally.begin_call().unwrap();
        tally.open_window();
        let within: Vec<_> = (0..4).filter_map(|_| tally.begin_call()).collect();
        tally.close_window();
        let after = tally.begin_call().unwrap();
        tally.end_call(&before, answered("a", 500));
        tally.end_call(&after, answered("a", 500));
        for (ticket, (server, millis)) in
            within.iter().zip([("a", 1), ("b", 2), ("b", 4), ("b", 8)])
        {
            assert!(!tally.phases[0].window.is_final());
            tally.end_call(ticket, answered(server, millis));
        }
        let window = &tally.phases[0].window;
        assert!(window.is_final());
        assert_eq!((window.share("a"), window.share("b")), (25.0, 75.0));
        assert_eq!(window.share("c"), 0.0);
        let median = window.quantile("b", 0.5).unwrap();
        assert!(median.abs_diff(Duration::from_millis(4)) < Duration::from_micros(10));
        assert_eq!(tally.phases[0].calls, 6);
    }

    #[test]
    fn codes_have_their_grpc_names() {
        assert_eq!(code_name(Code::DeadlineExceeded), "DEADLINE_EXCEEDED");
        assert_eq!(code_name(Code::Ok), "OK");
    }
}
