//! Times picks, on one thread and on two that share a picker, and how long a change of endpoints
//! takes until the snapshot that shows it is published.
//!
//! In CPU time of the thread, in interleaved rounds. Two threads disturb each other only while both
//! run: a round in which one of them was kept from its core, or that they did not run through
//! together, does not count, and where no round is left, there is no figure. POLICIES is what their names
//! begin with. Usage:
//!
//! ```text
//! cargo bench -p evenkeel-bench-pick -- [--only POLICIES] [--rounds N] [--json FILE]
//! ```

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use evenkeel_bench_harness::{alloc, cpu};
use evenkeel_bench_pick::{ALL, CHANGES, Case, Channel};
use serde::Serialize;

const ENDPOINTS: [usize; 3] = [10, 1_000, 10_000];
const PICKS: u64 = 100_000;
/// Few enough to be made while neither thread is interrupted.
const PICKS_ON_TWO: u64 = 20_000;
const AT_ONCE: [usize; 2] = [1, 1_000];

/// Everything that a run found.
#[derive(Debug, Default, Serialize)]
struct Found {
    rounds: usize,
    /// ns on two threads, of each round: [`counting_on_two`].
    counting: Vec<f64>,
    picks: Vec<Picks>,
    updates: Vec<Updated>,
}

/// Picks of one policy over so many endpoints.
#[derive(Debug, Serialize)]
struct Picks {
    policy: &'static str,
    endpoints: usize,
    /// ns per pick, of each round.
    one_thread: Vec<f64>,
    /// The slower thread's own ns per pick, of each round in which both ran all the time.
    two_threads: Vec<f64>,
    allocations: f64,
}

/// Changes of endpoints, from the first to the snapshot that shows the last.
#[derive(Debug, Serialize)]
struct Updated {
    policy: &'static str,
    change: &'static str,
    endpoints: usize,
    at_once: usize,
    /// µs, of each round.
    micros: Vec<f64>,
    allocations: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rounds = 15;
    let mut only = String::new();
    let mut json = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            // What cargo adds.
            "--bench" => {}
            "--only" => only = value()?,
            "--rounds" => rounds = value()?.parse()?,
            "--json" => json = Some(value()?),
            _ => return Err(format!("unknown argument: {argument}").into()),
        }
    }
    let cases: Vec<Case> = ALL
        .into_iter()
        .filter(|case| case.name.starts_with(&only))
        .collect();
    let found = Found {
        rounds,
        counting: counting_on_two(rounds),
        picks: picks(&cases, rounds),
        updates: updates(&cases, rounds)?,
    };
    print(&found);
    if let Some(file) = json {
        std::fs::write(file, serde_json::to_vec_pretty(&found)?)?;
    }
    Ok(())
}

fn picks(cases: &[Case], rounds: usize) -> Vec<Picks> {
    let each = |endpoints| cases.iter().map(move |case| (*case, endpoints));
    let cases = ENDPOINTS.into_iter().flat_map(each);
    let (mut found, picking): (Vec<_>, Vec<_>) = cases
        .map(|(case, endpoints)| {
            let picking = case.picking(endpoints);
            let ((), counted) = alloc::during(|| picking.picks(PICKS));
            let row = Picks {
                policy: case.name,
                endpoints,
                one_thread: Vec::new(),
                two_threads: Vec::new(),
                allocations: counted.count as f64 / PICKS as f64,
            };
            (row, picking)
        })
        .unzip();
    for _ in 0..rounds {
        for (row, picking) in found.iter_mut().zip(&picking) {
            let ns = std::thread::scope(|scope| {
                let alone = scope.spawn(|| {
                    cpu::pin(cpu::CLIENT);
                    picking.picks(PICKS / 10);
                    time(|| picking.picks(PICKS)).ns
                });
                alone.join().expect("it does not panic")
            });
            row.one_thread.push(ns / PICKS as f64);
            row.two_threads.extend(on_two(|picks| picking.picks(picks)));
        }
    }
    found
}

/// A run: what it took of its core, and when it was.
struct Timed {
    /// CPU time, in ns.
    ns: f64,
    began: Instant,
    ended: Instant,
}

impl Timed {
    /// Whether it had its core nearly all the time.
    fn is_undisturbed(&self) -> bool {
        self.ns > 0.95 * (self.ended - self.began).as_nanos() as f64
    }

    /// The part of it that another ran beside it.
    fn beside(&self, other: &Self) -> f64 {
        let together = self.ended.min(other.ended) - self.began.max(other.began);
        together.as_secs_f64() / (self.ended - self.began).as_secs_f64()
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn time(run: impl FnOnce()) -> Timed {
    let began = Instant::now();
    let begin = cpu::of_thread();
    run();
    let ns = (cpu::of_thread() - begin).as_nanos() as f64;
    Timed {
        ns,
        began,
        ended: Instant::now(),
    }
}

/// What two threads pay for a counter that both draw from, with nothing else in a pick but a random
/// number: what stands between a policy that gives turns and its figure on two threads.
fn counting_on_two(rounds: usize) -> Vec<f64> {
    let counter = &Counter(AtomicU64::new(0));
    let draw = |times| {
        for _ in 0..times {
            let turn = counter.0.fetch_add(1, Ordering::Relaxed);
            black_box(turn ^ fastrand::u64(..));
        }
    };
    (0..rounds).filter_map(|_| on_two(draw)).collect()
}

#[repr(align(128))]
struct Counter(AtomicU64);

/// The slower thread's ns per pick, if the other one was there all the time, and neither was
/// interrupted.
fn on_two(run: impl Fn(u64) + Sync) -> Option<f64> {
    let barrier = &Barrier::new(2);
    let (arrived, finished) = (&AtomicUsize::new(0), &AtomicUsize::new(0));
    let run = &run;
    let run = move |core| {
        cpu::pin(core);
        run(PICKS_ON_TWO / 2);
        barrier.wait();
        // Both are awake before either begins; unless their cores are taken from them.
        arrived.fetch_add(1, Ordering::AcqRel);
        while arrived.load(Ordering::Acquire) < 2 {
            std::hint::spin_loop();
        }
        let mut measured = None;
        let all = time(|| {
            measured = Some(time(|| run(PICKS_ON_TWO)));
            // Whoever is first stays in the way of the other.
            finished.fetch_add(1, Ordering::AcqRel);
            while finished.load(Ordering::Acquire) < 2 {
                run(100);
            }
        });
        (measured.expect("it has run"), all)
    };
    let (a, b) = std::thread::scope(|scope| {
        let other = scope.spawn(move || run(cpu::SERVER));
        let this = scope.spawn(move || run(cpu::CLIENT));
        let expect = "it does not panic";
        (this.join().expect(expect), other.join().expect(expect))
    });
    let is_undisturbed = a.1.is_undisturbed() && b.1.is_undisturbed();
    let (slower, other) = if a.0.ns > b.0.ns { (a, b) } else { (b, a) };
    let together = slower.0.beside(&other.1) > 0.95;
    (is_undisturbed && together).then(|| slower.0.ns / PICKS_ON_TWO as f64)
}

fn updates(cases: &[Case], rounds: usize) -> std::io::Result<Vec<Updated>> {
    let mut found = Vec::new();
    std::thread::scope(|scope| {
        let measured = scope.spawn(|| {
            cpu::pin(cpu::CLIENT);
            for &case in cases {
                let endpoints = 10_000;
                let mut channel = Channel::new(case, endpoints)?;
                for (name, change) in CHANGES {
                    for at_once in AT_ONCE {
                        channel.change(change, at_once);
                        let run = || channel.change(change, at_once);
                        let ((), counted) = alloc::during(run);
                        let micros = (0..rounds).map(|_| {
                            let used = time(|| channel.change(change, at_once)).ns;
                            Duration::from_nanos(used as u64).as_secs_f64() * 1e6
                        });
                        found.push(Updated {
                            policy: case.name,
                            change: name,
                            endpoints,
                            at_once,
                            micros: micros.collect(),
                            allocations: counted.count as f64,
                        });
                    }
                }
            }
            Ok(())
        });
        measured.join().expect("it does not panic")
    })
    .map(|()| found)
}

fn print(found: &Found) {
    println!("\n| policy | endpoints | ns, 1 thread | ns, 2 threads | rounds of 2 | allocations |");
    println!("|---|--:|--:|--:|--:|--:|");
    for row in &found.picks {
        let Picks {
            policy,
            endpoints,
            one_thread,
            two_threads,
            allocations,
        } = row;
        println!(
            "| {policy} | {endpoints} | {} | {} | {} | {allocations} |",
            least_and_median(one_thread),
            least_and_median(two_threads),
            two_threads.len()
        );
    }
    let counting = least_and_median(&found.counting);
    println!("\nA counter that two threads draw from: {counting} ns");
    println!("\n| policy | change | endpoints | µs | allocations |");
    println!("|---|---|--:|--:|--:|");
    for row in &found.updates {
        let Updated {
            policy,
            change,
            endpoints,
            at_once,
            micros,
            allocations,
        } = row;
        let micros = least_and_median(micros);
        println!("| {policy} | {change} | {at_once} of {endpoints} | {micros} | {allocations} |");
    }
}

/// A busy machine only adds: the least is what the work takes, the median what it took.
fn least_and_median(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.first() {
        Some(least) => format!("{least:.1} / {:.1}", sorted[sorted.len() / 2]),
        None => "-".to_owned(),
    }
}
