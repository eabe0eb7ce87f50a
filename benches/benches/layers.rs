//! Times Evenkeel's layers over endpoints that do nothing.
//!
//! Criterion times each stack by itself, to be compared with an earlier run of the same stack. What
//! the layers add is measured once more, in interleaved rounds: a busy moment then hits all alike.

use std::time::Duration;

use criterion::Criterion;
use evenkeel_benches::{cpu, stacks};

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
            bencher.iter_custom(|calls| stack.time(calls));
        });
    }
    criterion.final_summary();

    println!("\n| layers | ns per call | added |\n|---|--:|--:|");
    for layer in stacks::measure(&mut stacks) {
        println!(
            "| {} | {:.0} | {:.0} |",
            layer.name, layer.ns, layer.added_ns
        );
    }
    Ok(())
}
