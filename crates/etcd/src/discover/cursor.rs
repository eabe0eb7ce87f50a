use etcd_client::ResponseHeader;

/// Which cluster, and how much of its history we have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(super) cluster: u64,
    pub(crate) revision: i64,
}

impl Cursor {
    /// Whether `header` comes from after this point of the same history; takes the step if so.
    pub(super) fn advance(&mut self, header: Self) -> bool {
        let ok = header.cluster == self.cluster && header.revision >= self.revision;
        if ok {
            self.revision = header.revision;
        }
        ok
    }

    /// Whether `header` is of another cluster. Says nothing of revisions: etcd answers a question
    /// for the progress of a watch with the newest revision it has, though the watch may be behind
    /// (etcd#15220).
    pub(super) fn is_of_another_cluster(&self, header: Self) -> bool {
        header.cluster != self.cluster
    }
}

impl From<&ResponseHeader> for Cursor {
    fn from(header: &ResponseHeader) -> Self {
        Self {
            cluster: header.cluster_id(),
            revision: header.revision(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_only_goes_forward_and_in_one_history() {
        let at = |cluster, revision| Cursor { cluster, revision };
        let mut cursor = at(1, 10);
        assert!(cursor.advance(at(1, 10)) && cursor.advance(at(1, 12)));
        assert_eq!(cursor, at(1, 12));
        assert!(!cursor.advance(at(1, 11)) && !cursor.advance(at(2, 13)));
        assert_eq!(cursor, at(1, 12));
    }
}
