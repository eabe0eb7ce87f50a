use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::scope::Scope;
use crate::{BuildPolicy, ConfigError, LbConfig, Object, duration, path};

/// One value of a JSON document, with its place in it.
#[derive(Clone)]
pub struct Field<'a> {
    value: &'a Value,
    path: String,
    scope: &'a Scope<'a>,
}

impl<'a> Field<'a> {
    pub(crate) const fn new(value: &'a Value, path: String, scope: &'a Scope<'a>) -> Self {
        Self { value, path, scope }
    }

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
                    u32::MAX if number <= f64::from(u32::MAX) => {
                        format!("a whole number of at least {least}")
                    }
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
        let items = self.value.as_array().ok_or_else(|| match self.value {
            Value::Object(_) | Value::String(_) => self.not("a list; put it in [ ]"),
            _ => self.not("a list"),
        })?;
        let field = |(index, value)| Self::new(value, path::item(&self.path, index), self.scope);
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
        let scope = self.scope;
        let child = LbConfig::choose(self)?;
        scope.note_child(child.clone());
        Ok(child.into_build())
    }

    /// The only field of an object.
    pub(crate) fn only_field(self) -> Result<(&'a str, Self), ConfigError> {
        let fields = self
            .value
            .as_object()
            .ok_or_else(|| self.not("an object"))?;
        let mut all = fields.iter();
        match (all.next(), all.next()) {
            (Some((name, value)), None) => {
                let path = path::field(&self.path, name);
                Ok((name, Self::new(value, path, self.scope)))
            }
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

/// `value` as JSON, cut when it is long.
pub(crate) fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
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
