//! Counts what Evenkeel's layers allocate for one call over endpoints that do nothing, and the
//! bytes of the futures and bodies, which are moved more than once.

use evenkeel_benches::{alloc, stacks};

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _guard = runtime.enter();
    let counted: Vec<_> = stacks::all(&runtime)
        .into_iter()
        .map(|mut stack| {
            (stack.call)();
            let ((), counted) = alloc::during(&mut *stack.call);
            (stack, counted)
        })
        .collect();

    let (_, alone) = counted[0];
    println!("\n| layers | allocations per call | added | bytes added | bytes of the future |");
    println!("|---|--:|--:|--:|--:|");
    for (stack, counted) in counted {
        let added = counted.count - alone.count;
        let bytes = counted.bytes - alone.bytes;
        let (name, all, size) = (stack.name, counted.count, stack.future_bytes);
        println!("| {name} | {all} | {added} | {bytes} | {size} |");
    }
    println!(
        "\nA call through `evenkeel::Channel`: its future has {} bytes, its response body {}.",
        size_of::<evenkeel::ResponseFuture>(),
        size_of::<evenkeel::ResponseBody>(),
    );
    Ok(())
}
