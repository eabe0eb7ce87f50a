//! Makes `CALLS` calls through the stack of layers called `NAME`, for programs that count
//! instructions; without arguments it measures all of them, and says so in JSON.

use std::error::Error;

use evenkeel_benches::{cpu, stacks};

fn main() -> Result<(), Box<dyn Error>> {
    cpu::pin(cpu::CLIENT);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _guard = runtime.enter();
    let mut stacks = stacks::all(&runtime);
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(calls)) = (arguments.next(), arguments.next()) else {
        let layers = stacks::measure(&mut stacks);
        println!("{}", serde_json::to_string(&layers)?);
        return Ok(());
    };
    let calls: u32 = calls.parse()?;
    let stack = stacks.iter_mut().find(|stack| stack.name == name);
    let stack = stack.ok_or("no stack has this name")?;
    for _ in 0..calls {
        (stack.call)();
    }
    Ok(())
}
