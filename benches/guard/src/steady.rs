//! What is counted: the steady state of each, after a warm-up, in one thread.

use std::hint::black_box;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use contender_evenkeel as contender;
use evenkeel_bench_harness::{Caller, Options, Shape, alloc};
use evenkeel_bench_pick as pick;
use evenkeel_bench_server::canned;
use evenkeel_bench_stub::Stub;
use evenkeel_benches::stacks;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::Failure;
use crate::count::LAYERS;

/// How many endpoints the calls over sockets have.
pub(crate) const ENDPOINTS: usize = 4;
/// How many endpoints there are to pick from.
const PICKED_FROM: [usize; 2] = [10, 10_000];
const WARM_UP: u64 = 512;
const COUNTED: u64 = 2_048;

/// Answers calls with prepared frames on free ports, each printed, until its input ends.
pub(crate) fn serve() -> io::Result<()> {
    runtime()?.block_on(async {
        let frames = Arc::new(canned::Frames::new(Shape::Unary));
        let mut servers = JoinSet::new();
        for _ in 0..ENDPOINTS {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            println!("{}", listener.local_addr()?);
            servers.spawn(canned::serve(listener, frames.clone()));
        }
        tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
        Ok(())
    })
}

/// Counts everything, and prints a line each: allocations of a call, and what is called.
pub(crate) fn count(addresses: &str) -> Result<(), Failure> {
    // Which endpoint a call starts with, and all that follows, is the same in every run.
    fastrand::seed(1);
    let runtime = runtime()?;
    for (name, json) in [
        ("unary call: everything on", contender::EVERYTHING),
        ("unary call: round robin alone", contender::ROUND_ROBIN),
    ] {
        let mut stub = stub(&runtime, addresses, json)?;
        steady(name, &mut |calls| {
            runtime.block_on(async {
                for _ in 0..calls {
                    stub.call().await;
                }
            });
        });
        // Its connections end before the next are counted.
        drop(stub);
        runtime.block_on(tokio::task::yield_now());
    }
    let guard = runtime.enter();
    for mut stack in stacks::all(&runtime) {
        let name = format!("{LAYERS}{}", stack.name);
        steady(&name, &mut |calls| {
            for _ in 0..calls {
                black_box(&mut stack.call)();
            }
        });
    }
    drop(guard);
    for case in pick::ALL {
        for endpoints in PICKED_FROM {
            let picking = case.picking(endpoints);
            let name = format!("pick: {}, {endpoints} endpoints", case.name);
            steady(&name, &mut |picks| picking.picks(picks));
        }
    }
    Ok(())
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// A client that is connected to all endpoints.
fn stub(runtime: &Runtime, addresses: &str, json: &str) -> Result<impl Caller, Failure> {
    let arguments = ["--endpoints", addresses].map(str::to_owned);
    let options = Options::parse(arguments)?;
    runtime.block_on(async {
        let channel = contender::builder(&options).service_config(json).build()?;
        channel.connect();
        contender::ready(&channel, ENDPOINTS).await;
        Ok(Stub::new(channel, Shape::Unary))
    })
}

fn steady(name: &str, run: &mut dyn FnMut(u64)) {
    run(WARM_UP);
    // In callgrind the costs between two marks are those of the run; without it, marks are
    // nothing, and allocations are counted, which itself takes instructions.
    if crate::count::in_callgrind() {
        callgrind_mark(0);
        run(COUNTED);
        callgrind_mark(1);
        return println!("{COUNTED} {name}");
    }
    let ((), counted) = alloc::during(|| run(COUNTED));
    println!("{} {name}", counted.count as f64 / COUNTED as f64);
}

/// Callgrind begins a new profile whenever this is called, by its name.
#[inline(never)]
fn callgrind_mark(place: u32) {
    black_box(place);
}
