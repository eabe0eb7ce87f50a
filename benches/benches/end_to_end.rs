//! Compares whole channels over real servers, in interleaved rounds.
//!
//! | argument | |
//! |---|---|
//! | `--cell 64x4` | only this cell, callers x endpoints |
//! | `--only evenkeel` | only this contender |
//! | `--rounds 9`, `--millis 300` | how many rounds, and how long each is for each contender |
//! | `--calls 20000` | instead of rounds: so many calls, for programs that count instructions |

use std::io;
use std::time::{Duration, Instant};

use evenkeel_benches::cell::{self, Cell};
use evenkeel_benches::contender::{self, Contender};
use evenkeel_benches::cpu;
use evenkeel_benches::load::{Load, Until};
use evenkeel_benches::server::{self, Servers};
use evenkeel_benches::stats::Spread;

struct Options {
    cells: Vec<Cell>,
    contenders: Vec<Contender>,
    rounds: usize,
    time: Duration,
    calls: Option<u64>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [serve, count] = &arguments[..]
        && serve == server::SERVE
    {
        return Ok(server::serve(count.parse()?)?);
    }
    let options = Options::parse(arguments)?;
    cpu::pin(cpu::CLIENT);
    let most = options.cells.iter().map(|cell| cell.endpoints).max();
    let servers = Servers::start(most.unwrap_or(0))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for cell in &options.cells {
        runtime.block_on(measure(*cell, &options, &servers))?;
    }
    Ok(())
}

async fn measure(cell: Cell, options: &Options, servers: &Servers) -> io::Result<()> {
    let addresses = &servers.addresses()[..cell.endpoints];
    let mut rows = Vec::new();
    for contender in &options.contenders {
        rows.push(Row {
            name: contender.name,
            load: (contender.connect)(addresses).await,
            rounds: Vec::new(),
        });
    }
    if let Some(calls) = options.calls {
        for row in &rows {
            let made = row.load.run(cell.callers, Until::Calls(calls)).await;
            println!("{}, {cell}: {made} calls", row.name);
        }
        return Ok(());
    }
    for row in &rows {
        row.load.run(cell.callers, Until::Time(options.time)).await;
    }
    for round in 0..options.rounds {
        // Nobody is always the one after the other.
        let count = rows.len();
        for place in 0..count {
            rows[(place + round) % count]
                .measure(cell, options.time)
                .await;
        }
    }
    print(cell, &rows);
    Ok(())
}

/// One contender in one cell.
struct Row {
    name: &'static str,
    load: Box<dyn Load>,
    rounds: Vec<Round>,
}

struct Round {
    cpu_us_per_call: f64,
    calls_per_second: f64,
}

impl Row {
    #[expect(
        clippy::disallowed_methods,
        reason = "throughput is a matter of real time"
    )]
    async fn measure(&mut self, cell: Cell, time: Duration) {
        let (begin, used) = (Instant::now(), cpu::of_process());
        let calls = self.load.run(cell.callers, Until::Time(time)).await as f64;
        let (wall, used) = (begin.elapsed(), cpu::of_process() - used);
        self.rounds.push(Round {
            cpu_us_per_call: used.as_secs_f64() * 1e6 / calls,
            calls_per_second: calls / wall.as_secs_f64(),
        });
    }

    fn all(&self, figure: fn(&Round) -> f64) -> Vec<f64> {
        self.rounds.iter().map(figure).collect()
    }

    fn ratios(&self, to: &Self, figure: fn(&Round) -> f64) -> String {
        let rounds = self.rounds.iter().zip(&to.rounds);
        let ratios: Vec<_> = rounds.map(|(a, b)| figure(a) / figure(b)).collect();
        Spread::of(ratios).map_or_else(String::new, |spread| spread.to_string())
    }
}

fn median(values: Vec<f64>) -> f64 {
    Spread::of(values).map_or(f64::NAN, |spread| spread.median)
}

fn print(cell: Cell, rows: &[Row]) {
    let reference = &rows[0];
    println!("\n{cell} (callers x endpoints), unary, 64 bytes, real tonic servers\n");
    println!(
        "| channel | client CPU us per call | calls per s | CPU / {0} | calls per s / {0} |",
        reference.name
    );
    println!("|---|--:|--:|--:|--:|");
    for row in rows {
        let cpu: fn(&Round) -> f64 = |round| round.cpu_us_per_call;
        let calls: fn(&Round) -> f64 = |round| round.calls_per_second;
        println!(
            "| {} | {:.2} | {:.0} | {} | {} |",
            row.name,
            median(row.all(cpu)),
            median(row.all(calls)),
            row.ratios(reference, cpu),
            row.ratios(reference, calls),
        );
    }
}

impl Options {
    fn parse(arguments: Vec<String>) -> Result<Self, Box<dyn std::error::Error>> {
        let mut options = Self {
            cells: cell::ALL[1..3].to_vec(),
            contenders: contender::ALL.to_vec(),
            rounds: 9,
            time: Duration::from_millis(300),
            calls: None,
        };
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            // Given by cargo.
            if name == "--bench" {
                continue;
            }
            let value = arguments.next();
            let value = value.ok_or_else(|| format!("{name} needs a value"))?;
            match &*name {
                "--cell" => options.cells = vec![value.parse()?],
                "--only" => {
                    options
                        .contenders
                        .retain(|contender| contender.name == value);
                    if options.contenders.is_empty() {
                        return Err(format!("no contender is called {value:?}").into());
                    }
                }
                "--rounds" => options.rounds = value.parse()?,
                "--millis" => options.time = Duration::from_millis(value.parse()?),
                "--calls" => options.calls = Some(value.parse()?),
                _ => return Err(format!("{name} is not known here").into()),
            }
        }
        Ok(options)
    }
}
