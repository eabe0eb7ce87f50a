//! Many ports that answer: the servers of the other benches, in two processes, because ports and
//! connections of one would be more files than most systems allow it.

use std::path::PathBuf;

use tokio::process::Command;

use crate::child::Process;
use crate::error::Error;

const PROCESSES: usize = 2;

pub(crate) struct Servers {
    pub(crate) addresses: Vec<String>,
    _processes: Vec<Process>,
}

impl Servers {
    pub(crate) async fn start(count: usize) -> Result<Self, Error> {
        let program = beside("server")?;
        let (mut addresses, mut processes) = (Vec::new(), Vec::new());
        for _ in 0..PROCESSES {
            let ports = count.div_ceil(PROCESSES);
            let mut process =
                Process::of(Command::new(&program).args(["--ports", &ports.to_string()]))?;
            for _ in 0..ports {
                addresses.push(process.line().await?);
            }
            processes.push(process);
        }
        addresses.truncate(count);
        Ok(Self {
            addresses,
            _processes: processes,
        })
    }
}

fn beside(name: &str) -> Result<PathBuf, Error> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.exists() {
        return Err(format!("{} is not built; use discovery/run", path.display()).into());
    }
    Ok(path)
}
