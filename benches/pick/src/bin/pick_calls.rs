//! Makes `COUNT` picks of `POLICY` over `ENDPOINTS` READY endpoints, or publishes as many changes
//! of one endpoint, for programs that count instructions; without arguments it says which
//! policies and changes there are.
//!
//! ```text
//! pick_calls POLICY ENDPOINTS COUNT
//! pick_calls POLICY ENDPOINTS COUNT state|weight|replaced
//! ```

use evenkeel_bench_harness::cpu;
use evenkeel_bench_pick as pick;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    cpu::pin(cpu::CLIENT);
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [name, endpoints, count, change @ ..] = &arguments[..] else {
        for case in pick::ALL {
            println!("{}", case.name);
        }
        return Ok(());
    };
    let case = pick::Case::find(name).ok_or("no policy has this name")?;
    let endpoints = endpoints.parse()?;
    match change {
        [] => case.picking(endpoints).picks(count.parse()?),
        [change, ..] => {
            let mut changes = pick::CHANGES.into_iter();
            let (_, change) = changes
                .find(|known| known.0 == change)
                .ok_or("no change has this name")?;
            let mut channel = pick::Channel::new(case, endpoints)?;
            for _ in 0..count.parse::<u32>()? {
                channel.change(change, 1);
            }
        }
    }
    Ok(())
}
