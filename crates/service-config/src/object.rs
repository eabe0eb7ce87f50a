use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::path;
use crate::suggest::{did_you_mean, near};
use crate::{BuildPolicy, ConfigError, LbConfig, ParseOptions, Warning, duration};

/// What one parse shares: its options, and the warnings it has given so far.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) options: &'a ParseOptions,
    pub(crate) warnings: RefCell<Vec<Warning>>,
}

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

/// One value of a JSON document, with its place in it.
#[derive(Clone)]
pub struct Field<'a> {
    value: &'a Value,
    path: String,
    scope: &'a Scope<'a>,
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

    /// Checks a field of gRPC's that this version does not act on, and says so.
    pub(crate) fn unsupported(
        &mut self,
        name: &'static str,
        check: impl FnOnce(&Field<'a>) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        if let Some(field) = self.field(name)? {
            check(&field)?;
            field.warn("not supported by this version: ignored");
        }
        Ok(())
    }

    fn field(&mut self, name: &'static str) -> Result<Option<Field<'a>>, ConfigError> {
        self.asked.push(name);
        let mut spellings = self
            .fields
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let Some((key, value)) = spellings.next() else {
            return Ok(None);
        };
        let path = path::field(&self.path, key);
        if let Some((other, _)) = spellings.next() {
            let reason = format!("this field appears twice, also as {other:?}");
            return Err(ConfigError::new(path, reason));
        }
        if key != name {
            let reason = format!("taken for {name:?}; some gRPC clients know only that spelling");
            self.scope.warn(path.clone(), reason);
        }
        Ok((!value.is_null()).then_some(Field {
            value,
            path,
            scope: self.scope,
        }))
    }

    /// Warns of each field that nobody has asked for.
    pub(crate) fn finish(self) {
        if self.all_read {
            return;
        }
        for key in self.fields.keys() {
            if self.asked.iter().any(|name| name.eq_ignore_ascii_case(key)) {
                continue;
            }
            let hint = match home(key) {
                Some(home) => format!("; gRPC has it in {home}"),
                None => did_you_mean(key, self.asked.iter().copied()),
            };
            let reason = format!("unknown field, ignored{hint}");
            self.scope.warn(path::field(&self.path, key), reason);
        }
    }
}

/// Where a field of gRPC's schema belongs that people put elsewhere.
fn home(field: &str) -> Option<&'static str> {
    match field {
        "loadBalancingConfig"
        | "loadBalancingPolicy"
        | "methodConfig"
        | "retryThrottling"
        | "healthCheckConfig" => Some("$, the top level"),
        "name" | "waitForReady" | "timeout" | "retryPolicy" | "hedgingPolicy" => {
            Some("an entry of $.methodConfig")
        }
        "maxAttempts"
        | "initialBackoff"
        | "maxBackoff"
        | "backoffMultiplier"
        | "retryableStatusCodes" => Some("retryPolicy"),
        "maxTokens" | "tokenRatio" => Some("$.retryThrottling"),
        _ => None,
    }
}

impl<'a> Field<'a> {
    /// Where it is in its document.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// An error that concerns it.
    #[must_use]
    pub fn error(&self, reason: impl Into<String>) -> ConfigError {
        ConfigError::new(self.path.clone(), reason)
    }

    /// Notes that it is legal and yet not what it seems to be.
    pub fn warn(&self, reason: impl Into<String>) {
        self.scope.warn(self.path.clone(), reason);
    }

    /// The value as it is.
    #[must_use]
    pub const fn raw(&self) -> &'a Value {
        self.value
    }

    /// `true` or `false`.
    ///
    /// # Errors
    ///
    /// It is something else.
    pub fn boolean(self) -> Result<bool, ConfigError> {
        self.value
            .as_bool()
            .ok_or_else(|| self.not("true or false"))
    }

    /// A text.
    ///
    /// # Errors
    ///
    /// It is something else.
    pub fn text(self) -> Result<&'a str, ConfigError> {
        self.value.as_str().ok_or_else(|| self.not("a text"))
    }

    /// A whole number within `range`.
    ///
    /// # Errors
    ///
    /// It is something else, or out of range.
    pub fn integer(self, range: RangeInclusive<u32>) -> Result<u32, ConfigError> {
        let number = self.unquoted()?;
        // 3.0 is an integer to JSON, and to proto3.
        let whole = (number.fract() == 0.0 && number.abs() <= 1e15).then_some(number as i64);
        let fits = |number: &u32| range.contains(number);
        whole
            .and_then(|whole| u32::try_from(whole).ok())
            .filter(fits)
            .ok_or_else(|| {
                let (least, most) = (range.start(), range.end());
                self.not(&match *most {
                    u32::MAX => format!("a whole number of at least {least}"),
                    most => format!("a whole number from {least} to {most}"),
                })
            })
    }

    /// A number.
    ///
    /// # Errors
    ///
    /// It is something else.
    pub fn number(self) -> Result<f64, ConfigError> {
        self.unquoted()
    }

    /// Seconds as text: `"0.1s"`.
    ///
    /// # Errors
    ///
    /// It is something else, negative, or more than 10 000 years.
    pub fn duration(self) -> Result<Duration, ConfigError> {
        duration::parse(self.value).map_err(|reason| self.error(reason))
    }

    /// The items of a list.
    ///
    /// # Errors
    ///
    /// It is something else.
    pub fn items(self) -> Result<Vec<Self>, ConfigError> {
        let items = self.value.as_array().ok_or_else(|| self.not("a list"))?;
        let field = |(index, value)| Self {
            value,
            path: path::item(&self.path, index),
            scope: self.scope,
        };
        Ok(items.iter().enumerate().map(field).collect())
    }

    /// An object, from which `read` takes its fields; the others are warned of.
    ///
    /// # Errors
    ///
    /// It is something else; or those of `read`.
    pub fn object<T>(
        self,
        read: impl FnOnce(&mut Object<'a>) -> Result<T, ConfigError>,
    ) -> Result<T, ConfigError> {
        let fields = self
            .value
            .as_object()
            .ok_or_else(|| self.not("an object"))?;
        let mut object = Object::new(fields, self.path, self.scope);
        let result = read(&mut object)?;
        object.finish();
        Ok(result)
    }

    /// A list of LB policies in the form of `loadBalancingConfig`, of which the first that is
    /// supported counts: the `childPolicy` of policies that have one.
    ///
    /// # Errors
    ///
    /// None is supported, or the config of the first that is supported is wrong.
    pub fn child_policy(self) -> Result<Arc<dyn BuildPolicy>, ConfigError> {
        LbConfig::choose(self).map(LbConfig::into_build)
    }

    /// The only field of an object.
    pub(crate) fn only_field(self) -> Result<(&'a str, Self), ConfigError> {
        let fields = self
            .value
            .as_object()
            .ok_or_else(|| self.not("an object"))?;
        let mut all = fields.iter();
        match (all.next(), all.next()) {
            (Some((name, value)), None) => Ok((
                name,
                Self {
                    value,
                    path: path::field(&self.path, name),
                    scope: self.scope,
                },
            )),
            _ => Err(self.error(format!(
                "an entry has exactly one field, the name of a policy; this one has {}",
                fields.len()
            ))),
        }
    }

    pub(crate) const fn scope(&self) -> &'a Scope<'a> {
        self.scope
    }

    fn unquoted(&self) -> Result<f64, ConfigError> {
        let quoted = self
            .value
            .as_str()
            .and_then(|text| text.parse::<f64>().ok());
        if let Some(number) = quoted.filter(|number| number.is_finite()) {
            self.warn("a number in quotes; some gRPC clients refuse it");
            return Ok(number);
        }
        self.value.as_f64().ok_or_else(|| self.not("a number"))
    }

    pub(crate) fn not(&self, expected: &str) -> ConfigError {
        self.error(format!("{} is not {expected}", shown(self.value)))
    }
}

impl Scope<'_> {
    pub(crate) fn warn(&self, path: impl Into<String>, reason: impl Into<String>) {
        self.warnings.borrow_mut().push(Warning::new(path, reason));
    }
}

/// `value` as JSON, cut when it is long.
pub(crate) fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
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

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Field")
            .field("path", &self.path)
            .field("value", self.value)
            .finish_non_exhaustive()
    }
}
