//! Building what a server needs, once.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

/// How long a step may take: a download, or a first build on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(300);

/// A folder beside this file.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("interop")
        .join(name)
}

/// What `make` makes of `sources`, which is not done twice. It gets a place that is its own, and what is
/// there then becomes the result.
///
/// # Errors
///
/// Why `make` could not.
pub(crate) async fn once(
    name: &str,
    sources: &[Vec<u8>],
    make: impl AsyncFnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let mut hasher = DefaultHasher::new();
    sources.hash(&mut hasher);
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let built = cache.join(format!("{name}-{:016x}", hasher.finish()));
    if built.exists() {
        return Ok(built);
    }
    let scratch = tempfile::tempdir_in(cache).map_err(|error| error.to_string())?;
    let place = scratch.path().join(name);
    make(&place).await?;
    match std::fs::rename(&place, &built) {
        // Someone else may have been faster.
        Err(error) if !built.exists() => Err(error.to_string()),
        _ => Ok(built),
    }
}

/// Runs a step that may fail for want of something: a network, a newer tool.
///
/// # Errors
///
/// It fails, with the last line that it said, or takes too long.
pub(crate) async fn fetch(what: &str, command: &mut Command) -> Result<Vec<u8>, String> {
    let output = finish(what, command).await?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.trim_end().lines().last().unwrap_or("it says nothing");
    Err(format!("{what}: {last}"))
}

/// Runs a step that has all it needs: if it fails, something here is wrong.
///
/// # Errors
///
/// It takes too long.
pub(crate) async fn make(what: &str, command: &mut Command) -> Result<(), String> {
    let output = finish(what, command).await?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {said}");
    Ok(())
}

async fn finish(what: &str, command: &mut Command) -> Result<Output, String> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    match tokio::time::timeout(PATIENCE, output).await {
        Ok(output) => output.map_err(|error| format!("{what}: {error}")),
        Err(_) => Err(format!("{what}: not done within {PATIENCE:?}")),
    }
}
