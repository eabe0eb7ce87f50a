use std::fmt;

use super::Check;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at; says why it hurts and what to do.
    pub check: Check,
    /// The full keys that it is about, or what they begin with (`user-admin/`); none when it is about etcd or about all.
    pub keys: Vec<String>,
    /// What was found, in one line.
    pub what: String,
}

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Worth knowing, and maybe as it is meant to be.
    Note,
    /// It hurts some clients, or will when something else goes wrong.
    Warning,
    /// Calls fail, or go where they should not.
    Error,
}

impl Severity {
    /// The word for it: `note`, `warning`, `error`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
