use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::subscriber::DefaultGuard;
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

/// What is logged on this thread, at any level but TRACE, while this lives.
pub struct Log {
    text: Text,
    _logged: DefaultGuard,
}

#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// From now on.
    #[must_use]
    pub fn start() -> Self {
        let text = Text::default();
        let writer = text.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(move || writer.clone())
            .finish();
        Self {
            text,
            _logged: tracing::subscriber::set_default(subscriber),
        }
    }

    /// The lines so far that have `part` in them; each begins with its time and its level.
    #[must_use]
    pub fn lines_with(&self, part: &str) -> Vec<String> {
        let text = self.text.0.lock();
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter(|line| line.contains(part));
        lines.map(str::to_owned).collect()
    }
}

impl io::Write for Text {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}
