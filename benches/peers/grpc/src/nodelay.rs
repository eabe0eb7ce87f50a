use std::fs;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::net::sockopt::set_tcp_nodelay;

/// Sets `TCP_NODELAY` on all sockets of this process, and says how many there are. From outside,
/// because the crate gives no access to its sockets, and its `TcpOptions` has the option but nothing
/// that reads it. To be called while nothing closes any.
///
/// # Errors
///
/// Where the system does not say which files this process has open: Linux does.
pub fn set_nodelay() -> io::Result<usize> {
    let mut sockets = 0;
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        // What is gone already was open for this listing alone.
        let Ok(file) = fs::read_link(entry.path()) else {
            continue;
        };
        if !file.to_string_lossy().starts_with("socket:") {
            continue;
        }
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok());
        let number = number.ok_or_else(|| io::Error::other("a file without a number"))?;
        #[expect(unsafe_code, reason = "nobody lends the socket")]
        // SAFETY: it was open a moment ago, and the channels keep their sockets.
        let socket = unsafe { BorrowedFd::borrow_raw(number) };
        // Sockets of the runtime that are not TCP have no such option.
        if set_tcp_nodelay(socket, true).is_ok() {
            sockets += 1;
        }
    }
    Ok(sockets)
}
