//! Times Evenkeel's layers over endpoints that do nothing.
//!
//! In CPU time, not on the wall: what other programs take of the core does not count. Criterion
//! times each stack by itself, to be compared with an earlier run of the same stack. What the
//! layers add is measured once more, in interleaved rounds: a busy moment then hits all alike.

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use evenkeel_benches::stacks::Stack;
use evenkeel_benches::stats::Spread;
use evenkeel_benches::{cpu, stacks};

const ROUNDS: usize = 101;
const CALLS: u64 = 1_000;

fn main() -> std::io::Result<()> {
    cpu::pin(cpu::CLIENT);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _guard = runtime.enter();
    let mut stacks = stacks::all(&runtime);
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .configure_from_args();
    for stack in &mut stacks {
        let name = stack.name;
        criterion.bench_function(name, |bencher| {
            bencher.iter_custom(|calls| time(stack, calls));
        });
    }
    criterion.final_summary();

    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let ns = |stack: &mut Stack| time(stack, CALLS).as_nanos() as f64 / CALLS as f64;
        rounds.push(stacks.iter_mut().map(ns).collect::<Vec<_>>());
    }
    println!("\n| layers | ns per call | added |\n|---|--:|--:|");
    for (place, stack) in stacks.iter().enumerate() {
        let times: Vec<_> = rounds.iter().map(|round| round[place]).collect();
        let added: Vec<_> = rounds.iter().map(|round| round[place] - round[0]).collect();
        let median = |values| Spread::of(values).map_or(f64::NAN, |spread| spread.median);
        let (time, added) = (median(times), median(added));
        println!("| {} | {time:.0} | {added:.0} |", stack.name);
    }
    Ok(())
}

fn time(stack: &mut Stack, calls: u64) -> Duration {
    let begin = cpu::of_thread();
    for _ in 0..calls {
        black_box(&mut stack.call)();
    }
    cpu::of_thread() - begin
}
