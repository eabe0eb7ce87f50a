//! Makes `CALLS` calls through the stack of layers called `NAME`, for programs that count
//! instructions; without arguments it says which there are.

use evenkeel_benches::{cpu, stacks};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    cpu::pin(cpu::CLIENT);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _guard = runtime.enter();
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(calls)) = (arguments.next(), arguments.next()) else {
        for stack in stacks::all(&runtime) {
            println!("{}", stack.name);
        }
        return Ok(());
    };
    let calls: u32 = calls.parse()?;
    let mut stacks = stacks::all(&runtime).into_iter();
    let stack = stacks.find(|stack| stack.name == name);
    let mut stack = stack.ok_or("no stack has this name")?;
    for _ in 0..calls {
        (stack.call)();
    }
    Ok(())
}
