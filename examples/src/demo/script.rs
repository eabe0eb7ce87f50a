use std::process::ExitCode;
use std::time::Duration;

use evenkeel::{Availability, BreakerState, ConnectivityState};
use evenkeel_testkit::Behaviour;
use tonic::{Code, Status};

use super::args::Show;
use super::error::Error;
use super::facts::Facts;
use super::fleet::Fleet;
use super::load::Load;
use super::registry::{self, Registry};
use super::screen::Screen;
use super::stage::Stage;
use super::stream::OpenStream;
use super::summary::summary;
use super::tally::Expected;

const WEIGHTS: [f64; 3] = [10.0, 20.0, 30.0];

/// Which server something happens to.
const LIGHT: usize = 0;
const MIDDLE: usize = 1;
const HEAVY: usize = 2;

/// What a call may take while a server hangs.
const SHORT_DEADLINE: Duration = Duration::from_millis(400);

/// Plays the script.
pub(super) async fn play(args: Show) -> Result<ExitCode, Error> {
    let seconds = if args.quick { 10.0 } else { args.seconds };
    let registry = Registry::new(args.etcd.as_deref());
    let config = registry::service_config(args.service_config.as_deref())?;
    let registrar = registry.registrar()?;
    let fleet = Fleet::start(&*registrar, &args.service, &WEIGHTS).await?;
    for member in &fleet.members {
        registry.confirm(member.registration()).await?;
    }
    // Its first list has all of them: one that was empty would fail calls until the next.
    let channel = registry.channel(&args.service, config)?;

    let mut screen = Screen::new(args.plain);
    let heading = format!(
        "3 UserService servers with weights 10, 20, 30, registered {registry} as {}; {} callers, \
         {} calls/s",
        args.service, args.callers, args.rate
    );
    screen.print([heading.as_str()])?;
    let mut stage = Stage::new(fleet, channel, screen, seconds / 30.0);
    stage.begin("start", "the channel finds and connects to every server")?;
    let load = Load::start(&stage.channel, &stage.tally, args.callers, args.rate);
    let end = tokio::select! {
        played = acts(&mut stage, &args.service) => played.map(Some),
        _ = tokio::signal::ctrl_c() => Ok(None),
    };
    if end?.is_none() {
        stage.screen.print(["", "interrupted"])?;
        return Ok(ExitCode::from(130));
    }
    load.stop().await;

    let judge = args.service_config.is_none();
    let summary = summary(&stage.tally.lock(), &stage.shares, &stage.problems, judge);
    let lines = summary.lines.iter().map(String::as_str);
    stage.screen.print([""].into_iter().chain(lines))?;
    Ok(match summary.passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

async fn acts(stage: &mut Stage, service: &str) -> Result<(), Error> {
    stage.settle_well().await?;
    let facts = Facts::of(&stage.channel);
    let ours = |facts: &&Facts| {
        stage
            .fleet
            .members
            .iter()
            .any(|one| one.name() == facts.endpoint)
    };
    let others: Vec<_> = facts
        .iter()
        .filter(|facts| !ours(facts))
        .map(ToString::to_string)
        .collect();
    if !others.is_empty() {
        return Err(Error::Taken {
            service: service.to_owned(),
            endpoints: others.join("; "),
        });
    }
    stage.pass(0.5).await?;
    stage.end()?;
    steady(stage, "steady").await?;
    kill(stage).await?;
    restart(stage).await?;
    change_weight(stage).await?;
    drain(stage).await?;
    come_back(stage).await?;
    exhaust(stage).await?;
    hang(stage).await?;
    grow_back(stage).await?;
    steady(stage, "steady again").await
}

/// Shares are as the weights say.
async fn steady(stage: &mut Stage, title: &'static str) -> Result<(), Error> {
    stage.begin(title, "every server answers; shares follow the weights")?;
    stage.settle_well().await?;
    stage.measure(4.0).await?;
    stage.judge_shares();
    stage.end()
}

/// A server dies and stays in the registry; its calls go elsewhere.
async fn kill(stage: &mut Stage) -> Result<(), Error> {
    let name = name(stage, HEAVY);
    let what = format!("{name} dies without a word; its calls are tried on the others");
    stage.begin("kill", &what)?;
    stage.fleet.members[HEAVY].server.kill().await;
    let settled = |_: &Stage, facts: &[Facts]| {
        of(facts, &name).is_some_and(|facts| facts.state == ConnectivityState::TransientFailure)
    };
    stage
        .settle("the dead server's TRANSIENT_FAILURE", settled)
        .await?;
    stage.measure(3.0).await?;
    stage.end()
}

async fn restart(stage: &mut Stage) -> Result<(), Error> {
    let what = format!("{} is back on its port", name(stage, HEAVY));
    stage.begin("restart", &what)?;
    let restarted = stage.fleet.members[HEAVY].restart().await;
    restarted.map_err(Error::Listen)?;
    stage.settle_well().await?;
    stage.measure(2.0).await?;
    stage.end()
}

async fn change_weight(stage: &mut Stage) -> Result<(), Error> {
    let name = name(stage, LIGHT);
    stage.begin(
        "weight",
        &format!("{name} registers the weight 50 instead of 10"),
    )?;
    stage.fleet.members[LIGHT].set_weight(50.0)?;
    let settled = |_: &Stage, facts: &[Facts]| {
        of(facts, &name).is_some_and(|facts| facts.weight == Some(50.0))
    };
    stage.settle("the new weight", settled).await?;
    stage.measure(3.0).await?;
    stage.judge_shares();
    stage.end()?;
    stage.fleet.members[LIGHT].set_weight(WEIGHTS[LIGHT])?;
    Ok(())
}

/// A server that drains gets no new calls, and its streams go on to their end.
async fn drain(stage: &mut Stage) -> Result<(), Error> {
    let name = name(stage, MIDDLE);
    stage.begin(
        "drain",
        &format!("{name} takes no new calls and finishes its stream"),
    )?;
    let mut stream = OpenStream::open(&stage.channel, &name).await;
    stage.fleet.members[MIDDLE].update(Availability::Draining)?;
    let settled = |_: &Stage, facts: &[Facts]| {
        of(facts, &name).is_none_or(|facts| facts.availability == Availability::Draining)
    };
    stage.settle("the drain", settled).await?;
    // Calls that were on their way.
    stage.pass_exactly(Duration::from_secs(1)).await?;
    let calls = |stage: &Stage| stage.fleet.members[MIDDLE].server.seen().total_calls();
    let before = calls(stage);
    stage.measure(1.0).await?;
    if let Ok(open) = &mut stream
        && let Err(status) = open.round_trip().await
    {
        stream = Err(status);
    }
    stage.measure(1.0).await?;
    let late = calls(stage) - before;
    if late > 0 {
        stage.problem(format!("{name} drains and got {late} new calls"))?;
    }
    match finish(stream).await {
        Ok(messages) => stage.screen.note(&format!(
            "the stream that was open has ended with OK after {messages} messages"
        ))?,
        Err(status) => stage.problem(format!("the stream to {name} broke: {status}"))?,
    }
    stage.end()
}

async fn finish(stream: Result<OpenStream, Status>) -> Result<u32, Status> {
    let mut stream = stream?;
    stream.round_trip().await?;
    let messages = stream.round_trips;
    stream.finish().await?;
    Ok(messages)
}

async fn come_back(stage: &mut Stage) -> Result<(), Error> {
    let name = name(stage, MIDDLE);
    stage.begin("undrain", &format!("{name} takes calls again"))?;
    stage.fleet.members[MIDDLE].update(Availability::Up)?;
    let settled = |stage: &Stage, facts: &[Facts]| {
        let up = |facts: &Facts| facts.is_well() && facts.availability == Availability::Up;
        facts.iter().filter(|facts| up(facts)).count() == stage.fleet.members.len()
    };
    stage.settle("all three in service", settled).await?;
    stage.measure(1.5).await?;
    stage.end()
}

/// The service config does not retry RESOURCE_EXHAUSTED: these calls fail, until the endpoint's
/// breaker takes it out.
async fn exhaust(stage: &mut Stage) -> Result<(), Error> {
    let name = name(stage, MIDDLE);
    let what = format!("{name} answers RESOURCE_EXHAUSTED, which is not retried, and is taken out");
    let expected = Expected {
        code: Code::ResourceExhausted,
        server: Some(name.clone()),
    };
    stage.begin_expecting("exhausted", &what, None, expected)?;
    let behaviour = Behaviour::fail(Code::ResourceExhausted);
    stage.fleet.members[MIDDLE].server.behave(behaviour);
    opened(stage, &name).await?;
    stage.measure(2.5).await?;
    stage.end()?;
    stage.fleet.members[MIDDLE].recover();
    Ok(())
}

/// Calls to a server that hangs end with their deadline, until its breaker takes it out.
async fn hang(stage: &mut Stage) -> Result<(), Error> {
    let name = name(stage, LIGHT);
    let what =
        format!("{name} stops answering; calls may take {SHORT_DEADLINE:?}; it is taken out");
    let expected = Expected {
        code: Code::DeadlineExceeded,
        server: None,
    };
    stage.begin_expecting("hang", &what, Some(SHORT_DEADLINE), expected)?;
    stage.settle_well().await?;
    stage.fleet.members[LIGHT].server.behave(Behaviour::Hang);
    opened(stage, &name).await?;
    stage.measure(2.5).await?;
    stage.end()?;
    stage.fleet.members[LIGHT].recover();
    Ok(())
}

/// What RESOURCE_EXHAUSTED took of a weight comes back little by little.
async fn grow_back(stage: &mut Stage) -> Result<(), Error> {
    /// Longer than it takes from an eighth of a weight to all of it, at 10 % a second.
    const GROWN_BACK: Duration = Duration::from_secs(9);
    let what = format!(
        "the weight of {}, halved by its RESOURCE_EXHAUSTED, grows back by 10 % a second",
        name(stage, MIDDLE)
    );
    stage.begin("grow back", &what)?;
    stage.settle_well().await?;
    stage.pass_exactly(GROWN_BACK).await?;
    stage.end()
}

async fn opened(stage: &mut Stage, name: &str) -> Result<(), Error> {
    let settled = |_: &Stage, facts: &[Facts]| {
        of(facts, name).is_some_and(|facts| facts.breaker == Some(BreakerState::Open))
    };
    stage.settle("an open breaker", settled).await
}

fn name(stage: &Stage, member: usize) -> String {
    stage.fleet.members[member].name().to_owned()
}

fn of<'f>(facts: &'f [Facts], name: &str) -> Option<&'f Facts> {
    facts.iter().find(|facts| facts.endpoint == name)
}
