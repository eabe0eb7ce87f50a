/// The next thing to do in etcd, in one request if etcd takes it so. Pure.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::register) enum Work {
    Puts(Vec<Put>),
    Deletes(Vec<Delete>),
}

/// A key to write.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::register) struct Put {
    pub(in crate::register) key: String,
    pub(in crate::register) value: Vec<u8>,
    pub(in crate::register) number: u64,
    /// Whether `value` says that the server is draining.
    pub(in crate::register) draining: bool,
    /// Whether it is also written when another lease holds the key.
    pub(in crate::register) claims: bool,
}

/// A key to delete.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::register) struct Delete {
    pub(in crate::register) key: String,
    pub(in crate::register) number: u64,
    /// What clients are to read before.
    pub(in crate::register) goodbye: Option<Vec<u8>>,
}

impl Work {
    /// Two halves of it, so that what etcd refuses is found among what it takes; or itself when
    /// there is only one key.
    pub(in crate::register) fn halves(self) -> Result<[Self; 2], Self> {
        match self {
            Self::Puts(mut puts) if puts.len() > 1 => {
                let rest = puts.split_off(puts.len() / 2);
                Ok([Self::Puts(puts), Self::Puts(rest)])
            }
            Self::Deletes(mut deletes) if deletes.len() > 1 => {
                let rest = deletes.split_off(deletes.len() / 2);
                Ok([Self::Deletes(deletes), Self::Deletes(rest)])
            }
            one => Err(one),
        }
    }

    /// The keys and the numbers of what is wanted for them.
    pub(in crate::register) fn keys(&self) -> Vec<(&str, u64)> {
        match self {
            Self::Puts(puts) => puts
                .iter()
                .map(|put| (put.key.as_str(), put.number))
                .collect(),
            Self::Deletes(deletes) => deletes
                .iter()
                .map(|delete| (delete.key.as_str(), delete.number))
                .collect(),
        }
    }
}
