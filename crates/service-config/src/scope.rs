use std::cell::RefCell;

use serde_json::{Map, Value};

use crate::{ConfigError, LbConfig, ParseOptions, Warning, path};

/// What one parse shares: its options, and what it has noted so far.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) options: &'a ParseOptions,
    pub(crate) warnings: RefCell<Vec<Warning>>,
    /// The places of fields that were asked for and are not there.
    unset: RefCell<Vec<String>>,
    /// The objects that were read field by field: where, and which fields were asked for.
    read: RefCell<Vec<(String, Vec<&'static str>)>>,
    /// The children of the LB policy whose config is being read.
    children: RefCell<Vec<LbConfig>>,
}

/// What was noted while the config of one LB policy was read.
pub(crate) struct PolicyNotes {
    pub(crate) unset: Vec<String>,
    pub(crate) children: Vec<LbConfig>,
    read: Vec<(String, Vec<&'static str>)>,
}

impl<'a> Scope<'a> {
    pub(crate) fn new(options: &'a ParseOptions) -> Self {
        Self {
            options,
            warnings: RefCell::default(),
            unset: RefCell::default(),
            read: RefCell::default(),
            children: RefCell::default(),
        }
    }

    /// Runs `read`, the reading of one LB policy's config, and keeps its notes apart.
    pub(crate) fn policy<T>(
        &self,
        read: impl FnOnce() -> Result<T, ConfigError>,
    ) -> Result<(T, PolicyNotes), ConfigError> {
        let (unset, children, before) = (self.unset.take(), self.children.take(), self.read.take());
        let result = read();
        let notes = PolicyNotes {
            unset: self.unset.replace(unset),
            children: self.children.replace(children),
            read: self.read.replace(before),
        };
        Ok((result?, notes))
    }

    pub(crate) fn note_child(&self, child: LbConfig) {
        self.children.borrow_mut().push(child);
    }

    pub(crate) fn note_unset(&self, path: String) {
        self.unset.borrow_mut().push(path);
    }

    pub(crate) fn note_read(&self, path: String, asked: Vec<&'static str>) {
        self.read.borrow_mut().push((path, asked));
    }

    pub(crate) fn warn(&self, path: impl Into<String>, reason: impl Into<String>) {
        self.warnings.borrow_mut().push(Warning::new(path, reason));
    }
}

impl PolicyNotes {
    /// What was read of `fields`, the object at `at`, of which `asked` were asked for: under
    /// these names, and without the lists that children were chosen from.
    pub(crate) fn effective(
        &self,
        fields: &Map<String, Value>,
        at: &str,
        asked: &[&'static str],
    ) -> Map<String, Value> {
        let mut effective = Map::new();
        for (key, value) in fields {
            let name = asked.iter().find(|name| name.eq_ignore_ascii_case(key));
            let path = path::field(at, key);
            let is_child = self.children.iter().any(|child| child.list() == path);
            if let Some(name) = name.filter(|_| !is_child && !value.is_null()) {
                effective.insert((*name).to_owned(), self.effective_value(value, &path));
            }
        }
        effective
    }

    fn effective_value(&self, value: &Value, at: &str) -> Value {
        match value {
            Value::Object(fields) => match self.read.iter().find(|(path, _)| path == at) {
                Some((_, asked)) => self.effective(fields, at, asked).into(),
                None => value.clone(),
            },
            Value::Array(items) => {
                let items = items.iter().enumerate();
                let effective =
                    items.map(|(place, item)| self.effective_value(item, &path::item(at, place)));
                effective.collect()
            }
            scalar => scalar.clone(),
        }
    }
}
