use std::cell::RefCell;

use crate::{ConfigError, LbConfig, ParseOptions, Warning};

/// What one parse shares: its options, and what it has noted so far.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) options: &'a ParseOptions,
    pub(crate) warnings: RefCell<Vec<Warning>>,
    /// The places of fields that were asked for and are not there.
    unset: RefCell<Vec<String>>,
    /// The children of the LB policy whose config is being read.
    children: RefCell<Vec<LbConfig>>,
}

/// What was noted while the config of one LB policy was read.
pub(crate) struct PolicyNotes {
    pub(crate) unset: Vec<String>,
    pub(crate) children: Vec<LbConfig>,
}

impl<'a> Scope<'a> {
    pub(crate) fn new(options: &'a ParseOptions) -> Self {
        Self {
            options,
            warnings: RefCell::default(),
            unset: RefCell::default(),
            children: RefCell::default(),
        }
    }

    /// Runs `read`, the reading of one LB policy's config, and keeps its notes apart.
    pub(crate) fn policy<T>(
        &self,
        read: impl FnOnce() -> Result<T, ConfigError>,
    ) -> Result<(T, PolicyNotes), ConfigError> {
        let (unset, children) = (self.unset.take(), self.children.take());
        let result = read();
        let notes = PolicyNotes {
            unset: self.unset.replace(unset),
            children: self.children.replace(children),
        };
        Ok((result?, notes))
    }

    pub(crate) fn note_child(&self, child: LbConfig) {
        self.children.borrow_mut().push(child);
    }

    pub(crate) fn note_unset(&self, path: String) {
        self.unset.borrow_mut().push(path);
    }

    pub(crate) fn warn(&self, path: impl Into<String>, reason: impl Into<String>) {
        self.warnings.borrow_mut().push(Warning::new(path, reason));
    }
}
