use std::fmt;

use serde_json::{Map, Value};

use crate::scope::{PolicyNotes, Scope};
use crate::suggest::near;
use crate::{ConfigError, Field, path};

/// A JSON object that is being read field by field.
///
/// Each field is asked for by its name; what was never asked for is unknown, is ignored by gRPC's
/// rule, and shows up in the warnings with the name it is nearest to. `null` counts as absent. A
/// name spelled in another case is taken, as Go's parser does, with a warning.
pub struct Object<'a> {
    fields: &'a Map<String, Value>,
    path: String,
    scope: &'a Scope<'a>,
    asked: Vec<&'static str>,
    all_read: bool,
}

impl<'a> Object<'a> {
    pub(crate) const fn new(
        fields: &'a Map<String, Value>,
        path: String,
        scope: &'a Scope<'a>,
    ) -> Self {
        Self {
            fields,
            path,
            scope,
            asked: Vec::new(),
            all_read: false,
        }
    }

    /// The field `name`, as `read` understands it; `None` when it is absent or `null`.
    ///
    /// # Errors
    ///
    /// Those of `read`; or the field is there in two spellings.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Field<'a>) -> Result<T, ConfigError>,
    ) -> Result<Option<T>, ConfigError> {
        self.field(name)?.map(read).transpose()
    }

    /// The field `name`, as `read` understands it.
    ///
    /// # Errors
    ///
    /// Those of [`Self::optional`]; or the field is absent.
    pub fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Field<'a>) -> Result<T, ConfigError>,
    ) -> Result<T, ConfigError> {
        match self.field(name)? {
            Some(field) => read(field),
            None => {
                let hint = near(name, self.fields.keys().map(String::as_str))
                    .map(|near| format!("; is {near:?} meant to be it?"))
                    .unwrap_or_default();
                let path = path::field(&self.path, name);
                Err(ConfigError::new(
                    path,
                    format!("this field is required{hint}"),
                ))
            }
        }
    }

    /// All fields as they are, for a reader of your own; none of them counts as unknown then.
    pub fn raw(&mut self) -> &'a Map<String, Value> {
        self.all_read = true;
        self.fields
    }

    /// Where the object is in its document, for example `$.loadBalancingConfig[0].round_robin`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// An error that concerns the object as a whole.
    #[must_use]
    pub fn error(&self, reason: impl Into<String>) -> ConfigError {
        ConfigError::new(self.path.clone(), reason)
    }

    /// Notes that something here is legal and yet not what it seems to be.
    pub fn warn(&self, reason: impl Into<String>) {
        self.scope.warn(self.path.clone(), reason);
    }

    /// What it comes to, by what was asked for: see [`PolicyNotes::effective`].
    pub(crate) fn effective(&self, notes: &PolicyNotes) -> Map<String, Value> {
        match self.all_read {
            true => self.fields.clone(),
            false => notes.effective(self.fields, &self.path, &self.asked),
        }
    }

    /// As [`Self::finish`], for objects whose unknown fields are errors.
    pub(crate) fn refuse_unknown(&self) -> Result<(), ConfigError> {
        match self.unknown().next() {
            Some((path, hint)) => Err(ConfigError::new(path, format!("unknown field{hint}"))),
            None => Ok(()),
        }
    }

    pub(crate) const fn scope(&self) -> &'a Scope<'a> {
        self.scope
    }

    fn field(&mut self, name: &'static str) -> Result<Option<Field<'a>>, ConfigError> {
        self.asked.push(name);
        let mut spellings = self
            .fields
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let Some((key, value)) = spellings.next() else {
            self.scope.note_unset(path::field(&self.path, name));
            return Ok(None);
        };
        let path = path::field(&self.path, key);
        if let Some((other, _)) = spellings.next() {
            let reason = format!("this field appears twice, also as {other:?}");
            return Err(ConfigError::new(path, reason));
        }
        if key != name {
            self.scope.warn(path.clone(), taken_for(name));
        }
        if value.is_null() {
            self.scope.note_unset(path::field(&self.path, name));
            return Ok(None);
        }
        Ok(Some(Field::new(value, path, self.scope)))
    }

    /// Warns of each field that nobody has asked for.
    pub(crate) fn finish(self) {
        for (path, hint) in self.unknown() {
            self.scope
                .warn(path, format!("unknown field, ignored{hint}"));
        }
        if !self.all_read {
            self.scope.note_read(self.path, self.asked);
        }
    }

    /// The places of fields that nobody has asked for, and what may be meant by them.
    fn unknown(&self) -> impl Iterator<Item = (String, String)> {
        let is_known = |key: &String| {
            let mut asked = self.asked.iter();
            self.all_read || asked.any(|name| name.eq_ignore_ascii_case(key))
        };
        let unknown = self.fields.keys().filter(move |key| !is_known(key));
        unknown.map(|key| {
            let hint = match (near(key, self.asked.iter().copied()), home(key)) {
                (Some(near), _) => format!("; did you mean {near:?}?"),
                (None, Some(home)) => format!("; gRPC has it in {home}"),
                (None, None) => String::new(),
            };
            (path::field(&self.path, key), hint)
        })
    }
}

/// The warning for a name in another case than `name`'s.
pub(crate) fn taken_for(name: &str) -> String {
    format!("taken for {name:?}; some gRPC clients know only that spelling")
}

/// Where a field of gRPC's schema belongs that people put elsewhere.
fn home(field: &str) -> Option<&'static str> {
    match field {
        "loadBalancingConfig"
        | "loadBalancingPolicy"
        | "methodConfig"
        | "retryThrottling"
        | "healthCheckConfig"
        | "connectionScaling" => Some("$, the top level"),
        "name"
        | "waitForReady"
        | "timeout"
        | "retryPolicy"
        | "hedgingPolicy"
        | "maxRequestMessageBytes"
        | "maxResponseMessageBytes" => Some("an entry of $.methodConfig"),
        "service" | "method" => Some("an item of name, in an entry of $.methodConfig"),
        "maxAttempts"
        | "initialBackoff"
        | "maxBackoff"
        | "backoffMultiplier"
        | "retryableStatusCodes" => Some("retryPolicy"),
        "hedgingDelay" | "nonFatalStatusCodes" => Some("hedgingPolicy"),
        "maxTokens" | "tokenRatio" => Some("$.retryThrottling"),
        "serviceName" => Some("$.healthCheckConfig"),
        "maxConnectionsPerSubchannel" => Some("$.connectionScaling"),
        "childPolicy" => Some("the config of a policy that has children"),
        _ => None,
    }
}

impl fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("path", &self.path)
            .field("fields", self.fields)
            .finish_non_exhaustive()
    }
}
