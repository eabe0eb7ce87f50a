use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{EtcdServer, process};

/// What an etcd knew when [`EtcdServer::backup`] was called.
#[derive(Debug)]
pub struct Backup {
    folder: TempDir,
}

impl EtcdServer {
    /// A copy of all that a stopped etcd knows.
    ///
    /// # Panics
    ///
    /// When it is running.
    #[must_use]
    pub fn backup(&self) -> Backup {
        assert!(self.process.is_none(), "etcd is running");
        let folder = TempDir::new().expect("a temporary folder");
        copy(&process::data(self.folder.path()), folder.path());
        Backup { folder }
    }

    /// Puts a copy back into a stopped etcd: it starts again as the same cluster, at the revision
    /// of then, and with the leases of then.
    ///
    /// # Panics
    ///
    /// When it is running.
    pub fn restore(&mut self, backup: &Backup) {
        self.remove_data();
        copy(backup.folder.path(), &process::data(self.folder.path()));
    }

    /// Removes the data of a stopped etcd: it starts again as a new cluster, with another id and
    /// at revision 1. Members of an [`EtcdCluster`](super::EtcdCluster) are wiped together.
    ///
    /// # Panics
    ///
    /// When it is running.
    pub fn wipe(&mut self) {
        self.remove_data();
        self.setup.incarnation += 1;
    }

    fn remove_data(&self) {
        assert!(self.process.is_none(), "etcd is running");
        let data = process::data(self.folder.path());
        if data.exists() {
            fs::remove_dir_all(data).expect("the folder is ours");
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder is ours");
    for entry in fs::read_dir(from).expect("the folder is there") {
        let entry = entry.expect("the folder stays");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).expect("there is room for a copy");
        }
    }
}
