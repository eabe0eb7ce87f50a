use std::sync::Arc;
use std::time::Duration;

use evenkeel::Channel;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::error::Error;
use super::facts::{Facts, Observer};
use super::fleet::{Fleet, Member};
use super::screen::Screen;
use super::summary::Share;
use super::table::{Row, table};
use super::tally::{Expected, PhaseTally, Tally};

/// What a call may take, when nothing else is said: longer than anything in the demo takes.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long a state may take to come, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often the picture is drawn.
const FRAME: Duration = Duration::from_millis(100);

/// Everything the script works with.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) fleet: Fleet,
    pub(super) channel: Channel,
    pub(super) tally: Arc<Mutex<Tally>>,
    pub(super) screen: Screen,
    /// Shares that were measured while nothing happened.
    pub(super) shares: Vec<Share>,
    /// What went wrong beside calls.
    pub(super) problems: Vec<String>,
    /// Script seconds to real ones.
    scale: f64,
    observer: Observer,
    /// When the phase began: what endpoints and servers had counted.
    failures_before: Vec<(String, u64)>,
    second_attempts_before: u64,
}

impl Stage {
    pub(super) fn new(fleet: Fleet, channel: Channel, screen: Screen, scale: f64) -> Self {
        Self {
            fleet,
            channel,
            tally: Arc::default(),
            screen,
            shares: Vec::new(),
            problems: Vec::new(),
            scale,
            observer: Observer::default(),
            failures_before: Vec::new(),
            second_attempts_before: 0,
        }
    }

    /// Begins a phase in which no call may fail.
    pub(super) fn begin(&mut self, title: &'static str, what: &str) -> Result<(), Error> {
        self.begin_phase(PhaseTally::new(title, DEADLINE, None), what)
    }

    /// Begins a phase in which calls may fail as expected.
    pub(super) fn begin_expecting(
        &mut self,
        title: &'static str,
        what: &str,
        deadline: Option<Duration>,
        expected: Expected,
    ) -> Result<(), Error> {
        let deadline = deadline.unwrap_or(DEADLINE);
        self.begin_phase(PhaseTally::new(title, deadline, Some(expected)), what)
    }

    fn begin_phase(&mut self, phase: PhaseTally, what: &str) -> Result<(), Error> {
        self.screen.phase(phase.title, what)?;
        let counted = |facts: Facts| (facts.endpoint, facts.failures);
        self.failures_before = Facts::of(&self.channel).into_iter().map(counted).collect();
        self.second_attempts_before = self.fleet.second_attempts();
        self.tally.lock().begin_phase(phase);
        Ok(())
    }

    /// Goes on when `condition` holds of the endpoints.
    pub(super) async fn settle(
        &mut self,
        what: &str,
        condition: impl Fn(&Self, &[Facts]) -> bool,
    ) -> Result<(), Error> {
        let begin = Instant::now();
        loop {
            let facts = self.frame()?;
            if condition(self, &facts) {
                return Ok(());
            }
            if begin.elapsed() > PATIENCE {
                let endpoints = facts.iter().map(ToString::to_string).collect::<Vec<_>>();
                return Err(Error::NotSettled {
                    what: what.to_owned(),
                    waited: PATIENCE,
                    endpoints: endpoints.join("; "),
                });
            }
            sleep(FRAME / 4).await;
        }
    }

    /// Goes on when every server of the demo gets calls.
    pub(super) async fn settle_well(&mut self) -> Result<(), Error> {
        self.settle(
            "every endpoint READY, every breaker closed",
            |stage, facts| {
                let well = |name: &str| {
                    facts
                        .iter()
                        .any(|one| one.endpoint == name && one.is_well())
                };
                stage.fleet.members.iter().all(|member| well(member.name()))
            },
        )
        .await
    }

    /// Lets this many script seconds pass, and measures the shares of the calls that begin in
    /// them.
    pub(super) async fn measure(&mut self, seconds: f64) -> Result<(), Error> {
        self.tally.lock().open_window();
        self.pass(seconds).await?;
        self.tally.lock().close_window();
        self.settle("the end of the calls", |stage, _| {
            let tally = stage.tally.lock();
            tally.present().is_none_or(|phase| phase.window.is_final())
        })
        .await
    }

    /// Lets this many script seconds pass.
    pub(super) async fn pass(&mut self, seconds: f64) -> Result<(), Error> {
        let time = Duration::from_secs_f64(seconds * self.scale);
        self.pass_exactly(time).await
    }

    /// Lets this time pass, however long the script takes.
    pub(super) async fn pass_exactly(&mut self, time: Duration) -> Result<(), Error> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.frame()?;
            sleep(FRAME.min(end - Instant::now())).await;
        }
        Ok(())
    }

    /// Ends the phase.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        let facts = self.frame()?;
        let retried = self.fleet.second_attempts() - self.second_attempts_before;
        let result = {
            let mut tally = self.tally.lock();
            let phase = tally.phases.last_mut().expect("a phase has begun");
            phase.second_attempts = retried;
            phase.to_string()
        };
        let table = table(&self.rows(&facts));
        Ok(self.screen.phase_end(&table, &result)?)
    }

    /// Keeps the shares of the window, to be judged at the end.
    pub(super) fn judge_shares(&mut self) {
        let tally = self.tally.lock();
        let Some(phase) = tally.present() else { return };
        for member in &self.fleet.members {
            self.shares.push(Share {
                phase: phase.title,
                endpoint: member.name().to_owned(),
                weight: member.weight,
                due: self.fleet.due_share(member),
                measured: phase.window.share(member.name()),
            });
        }
    }

    /// Notes a failure that no call shows.
    pub(super) fn problem(&mut self, what: String) -> Result<(), Error> {
        self.screen.note(&what)?;
        self.problems.push(what);
        Ok(())
    }

    /// The facts now: their changes are told, the picture is drawn.
    fn frame(&mut self) -> Result<Vec<Facts>, Error> {
        let facts = Facts::of(&self.channel);
        for line in self.observer.look(&facts) {
            self.screen.note(&line)?;
        }
        let mut picture = table(&self.rows(&facts));
        picture.push(String::new());
        picture.extend(self.tally.lock().present().map(ToString::to_string));
        self.screen.draw(&picture)?;
        Ok(facts)
    }

    fn rows(&self, facts: &[Facts]) -> Vec<Row> {
        let tally = self.tally.lock();
        let row = |member: &Member| {
            let name = member.name();
            let facts = facts.iter().find(|facts| facts.endpoint == name);
            let before = self.failures_before.iter().find(|(known, _)| known == name);
            let before = before.map_or(0, |(_, failures)| *failures);
            let window = tally.present().map(|phase| &phase.window);
            Row {
                endpoint: name.to_owned(),
                state: facts.map(|facts| facts.state),
                weight: facts.map_or_else(|| "-".to_owned(), Facts::weight),
                share: window.map_or(0.0, |window| window.share(name)),
                p50: window.and_then(|window| window.quantile(name, 0.5)),
                p99: window.and_then(|window| window.quantile(name, 0.99)),
                failures: facts.map_or(0, |facts| facts.failures.saturating_sub(before)),
                breaker: facts.and_then(|facts| facts.breaker),
            }
        };
        self.fleet.members.iter().map(row).collect()
    }
}
