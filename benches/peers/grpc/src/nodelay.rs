use std::fs;
use std::io;

use rustix::net::sockopt::set_tcp_nodelay;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

/// Sets `TCP_NODELAY` on all sockets of this process, and says how many there are. From outside,
/// because the crate gives no access to its sockets, and its `TcpOptions` has the option but nothing
/// that reads it.
///
/// # Errors
///
/// Where the system does not let a process look up its own sockets: Linux 5.6 and later do.
pub fn set_nodelay() -> io::Result<usize> {
    let process = pidfd_open(getpid(), PidfdFlags::empty())?;
    let mut sockets = 0;
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        // Not to be read is what was open for this listing alone.
        let Ok(file) = fs::read_link(entry.path()) else {
            continue;
        };
        if !file.to_string_lossy().starts_with("socket:") {
            continue;
        }
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok());
        let number = number.ok_or_else(|| io::Error::other("a file without a number"))?;
        let socket = pidfd_getfd(&process, number, PidfdGetfdFlags::empty())?;
        // The options belong to the socket, of which this is another name. Sockets of the runtime
        // that are not TCP have no such option.
        if set_tcp_nodelay(&socket, true).is_ok() {
            sockets += 1;
        }
    }
    Ok(sockets)
}
