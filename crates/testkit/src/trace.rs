use std::io;

use tracing_subscriber::EnvFilter;

/// Prints what `RUST_LOG` asks for (nothing when it is unset) with the output of each test.
/// The first call counts, further ones do nothing.
pub fn trace_init() {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing_subscriber::filter::LevelFilter::OFF.into())
        .from_env_lossy();
    // An error means that it is done already.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_test_writer()
        .with_writer(io::stderr)
        .try_init();
}
