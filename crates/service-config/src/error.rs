use std::fmt;

/// A service config that cannot be used: none of it applies (gRFC A21).
///
/// ```
/// use evenkeel_service_config::ServiceConfig;
///
/// let error = ServiceConfig::parse(r#"{"methodConfig": [{"name": [{}], "timeout": "100ms"}]}"#)
///     .unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     r#"service config: $.methodConfig[0].timeout: "100ms" is not a duration; write seconds, for example "0.1s""#
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("service config: {path}: {reason}")]
#[non_exhaustive]
pub struct ConfigError {
    /// Where it is wrong, for example `$.methodConfig[0].retryPolicy.maxAttempts`; `$` is the
    /// whole document.
    pub path: String,
    /// What is wrong there and, where that is known, what to write instead.
    pub reason: String,
    /// Line and column, both from 1, when the text is not JSON.
    pub position: Option<(usize, usize)>,
}

impl ConfigError {
    pub(crate) fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            reason: reason.into(),
            position: None,
        }
    }

    pub(crate) fn malformed(error: &serde_json::Error) -> Self {
        Self {
            path: "$".to_owned(),
            reason: format!("malformed JSON: {error}"),
            position: Some((error.line(), error.column())),
        }
    }
}

/// Something in a service config that is legal and has no effect, or not the one it seems to have.
///
/// Its text is one line. Parsing logs nothing: whoever uses the config says what is in it.
///
/// ```
/// use evenkeel_service_config::ServiceConfig;
///
/// let config = ServiceConfig::parse(r#"{"methodConfigs": []}"#)?;
/// assert_eq!(
///     config.warnings()[0].to_string(),
///     r#"$.methodConfigs: unknown field, ignored; did you mean "methodConfig"?"#
/// );
/// # Ok::<(), evenkeel_service_config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Warning {
    /// Where, as in [`ConfigError::path`].
    pub path: String,
    /// What becomes of it.
    pub reason: String,
}

impl Warning {
    pub(crate) fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}
