mod changes;
mod reader;

pub use self::changes::ConfigChanges;
pub use self::reader::ConfigReader;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use evenkeel_core::Waiters;
use parking_lot::Mutex;

use crate::{ConfigError, ParseOptions, ServiceConfig};

/// The service config of a channel, which may be replaced while the channel is used.
///
/// One task [updates](Self::update) it; each service reads it through a [`ConfigReader`] of its
/// own, and whoever has to act on a new one awaits its [`ConfigChanges`]. A call keeps the config
/// it has started with.
///
/// # Clone
///
/// Clones are the same config.
///
/// # Specification
///
/// gRFC A21. What is wrong leaves the config as it is. Where implementations differ: a first
/// config that is wrong leaves the default one in force, if there is one (Go: the channel fails).
///
/// # Example
///
/// ```
/// use evenkeel_service_config::{LiveConfig, ServiceConfig};
///
/// let live = LiveConfig::from(ServiceConfig::default());
/// let mut reader = live.reader();
/// live.update(r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#)?;
/// assert_eq!(reader.get().load_balancing().name(), "round_robin");
///
/// assert!(live.update(r#"{"methodConfig": [{"timeout": "100ms"}]}"#).is_err());
/// assert_eq!(reader.get().load_balancing().name(), "round_robin");
/// # Ok::<(), evenkeel_service_config::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct LiveConfig {
    shared: Arc<Shared>,
}

struct Shared {
    default: Option<ServiceConfig>,
    options: ParseOptions,
    /// Counts what [`ConfigChanges`] tell of. Written under the lock of `state`.
    version: AtomicU64,
    state: Mutex<State>,
}

struct State {
    config: ServiceConfig,
    /// What `config` was parsed from, if it was an update.
    text: Option<String>,
    /// Whether there is a config to go by, be it none or the default one.
    is_selected: bool,
    /// Why the last update was refused.
    refused: Option<ConfigError>,
    waiters: Waiters,
}

impl LiveConfig {
    /// A config that is `default`, or `{}`, until there is an update, and when discovery has none.
    /// Updates are parsed with `options`.
    #[must_use]
    pub fn new(default: Option<ServiceConfig>, options: ParseOptions) -> Self {
        let state = State {
            config: default.clone().unwrap_or_default(),
            text: None,
            is_selected: default.is_some(),
            refused: None,
            waiters: Waiters::new(),
        };
        Self {
            shared: Arc::new(Shared {
                default,
                options,
                version: AtomicU64::new(0),
                state: Mutex::new(state),
            }),
        }
    }

    /// Replaces it by the config that `json` is. The same text as last time changes nothing.
    ///
    /// Two updates at once are both parsed, and one of them is in force afterwards.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong; then the config stays what it was.
    pub fn update(&self, json: &str) -> Result<(), ConfigError> {
        if self.is_still(json) {
            return Ok(());
        }
        match self.shared.options.parse(json) {
            Ok(config) => {
                self.select(config, Some(json.to_owned()));
                Ok(())
            }
            Err(error) => {
                self.refuse(error.clone());
                Err(error)
            }
        }
    }

    /// Replaces it by `config`.
    pub fn set(&self, config: ServiceConfig) {
        self.select(config, None);
    }

    /// Discovery has no service config: the default one is in force again, or else `{}`.
    pub fn reset(&self) {
        self.select(self.shared.default.clone().unwrap_or_default(), None);
    }

    /// The config that is in force.
    #[must_use]
    pub fn current(&self) -> ServiceConfig {
        self.shared.state.lock().config.clone()
    }

    /// Why the last update was refused, until one is taken.
    #[must_use]
    pub fn refused(&self) -> Option<ConfigError> {
        self.shared.state.lock().refused.clone()
    }

    /// Why there is no config to go by: the first update was refused, and there is no default. The
    /// channel is in TRANSIENT_FAILURE then, and its calls fail with UNAVAILABLE and this.
    #[must_use]
    pub fn failure(&self) -> Option<ConfigError> {
        self.shared.state.lock().failure()
    }

    /// A reader for one service and its clones.
    #[must_use]
    pub fn reader(&self) -> ConfigReader {
        ConfigReader::new(self.clone())
    }

    /// The changes from now on.
    #[must_use]
    pub fn changes(&self) -> ConfigChanges {
        ConfigChanges::new(self.clone())
    }

    /// Whether the two are the same config, as clones are.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Whether `json` is what the config was parsed from: then it is taken again.
    fn is_still(&self, json: &str) -> bool {
        let mut state = self.shared.state.lock();
        let is_same = state.text.as_deref() == Some(json);
        if is_same {
            state.refused = None;
        }
        is_same
    }

    fn select(&self, config: ServiceConfig, text: Option<String>) {
        self.change(|state| {
            state.config = config;
            state.text = text;
            state.is_selected = true;
            state.refused = None;
            true
        });
    }

    fn refuse(&self, error: ConfigError) {
        self.change(|state| {
            state.refused = Some(error);
            !state.is_selected
        });
    }

    /// Tells of it when `change` says that it is something to be told of.
    fn change(&self, change: impl FnOnce(&mut State) -> bool) {
        let mut state = self.shared.state.lock();
        if change(&mut state) {
            self.shared.version.fetch_add(1, Ordering::Release);
            let waited = state.waiters.take();
            drop(state);
            waited.wake();
        }
    }
}

/// Without a default, its updates parsed with the default options.
impl Default for LiveConfig {
    fn default() -> Self {
        Self::new(None, ParseOptions::default())
    }
}

/// With `default`, its updates parsed with the default options.
impl From<ServiceConfig> for LiveConfig {
    fn from(default: ServiceConfig) -> Self {
        Self::new(Some(default), ParseOptions::default())
    }
}

impl State {
    fn failure(&self) -> Option<ConfigError> {
        self.refused.clone().filter(|_| !self.is_selected)
    }
}

impl fmt::Debug for LiveConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        f.debug_struct("LiveConfig")
            .field("version", &self.shared.version)
            .field("config", &state.config)
            .field("refused", &state.refused)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
