//! Tests that need a tool which the machine may not have.
//!
//! Such a test ends early and says so on the real standard error, past the test harness that
//! keeps what passing tests print: a line `SKIPPED <test>: <tool> is not installed`, which
//! `./test` collects. With `EVENKEEL_SKIP=no` it fails instead, for machines that must have
//! every tool.

use std::io::Write;
use std::path::PathBuf;

/// Where `tool` is, if it is on the `PATH`.
#[must_use]
pub fn find(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(tool))
        .find(|file| file.is_file())
}

/// Where `tool` is; without it, the calling test is reported as skipped and shall return.
///
/// ```
/// # fn example() {
/// let Some(etcd) = evenkeel_testkit::skip::unless_installed("etcd") else {
///     return;
/// };
/// # }
/// ```
///
/// # Panics
///
/// When the tool is not there and `EVENKEEL_SKIP` is `no`.
#[must_use]
pub fn unless_installed(tool: &str) -> Option<PathBuf> {
    let found = find(tool);
    if found.is_none() {
        report(&format!("{tool} is not installed"));
    }
    found
}

/// Reports the calling test as skipped for `reason`; the test shall return.
///
/// # Panics
///
/// When `EVENKEEL_SKIP` is `no`.
pub fn report(reason: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    assert!(
        std::env::var_os("EVENKEEL_SKIP").is_none_or(|allowed| allowed != "no"),
        "{reason}, and EVENKEEL_SKIP=no"
    );
    // The harness captures the macros, not the handle. Nothing to do about a closed one.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
}
