//! What the system says of this process.

use std::fs;

/// Resident bytes; 0 where the system does not say.
#[must_use]
pub fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

/// Open sockets; `None` where the system does not say.
pub(crate) fn sockets() -> Option<usize> {
    let open = fs::read_dir("/proc/self/fd").ok()?;
    let names = open.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    Some(
        names
            .filter(|name| name.to_string_lossy().starts_with("socket:"))
            .count(),
    )
}
