use evenkeel_service_config::{ConfigReader, LiveConfig, MethodConfig, ServiceConfig};

/// Where a layer finds what is configured for a method.
#[derive(Clone, Debug)]
pub(crate) enum Methods<T> {
    /// Per method.
    Config(ServiceConfig),
    /// Per method, as the config is when it is looked up.
    Live(LiveConfig),
    /// The same for all of them.
    All(T),
}

/// The same for one service of that layer.
#[derive(Clone, Debug)]
pub(crate) enum Source<T> {
    Config(ServiceConfig),
    Live(ConfigReader),
    All(T),
}

impl<T: Clone> Methods<T> {
    pub(crate) fn source(&self) -> Source<T> {
        match self {
            Self::Config(config) => Source::Config(config.clone()),
            Self::Live(live) => Source::Live(live.reader()),
            Self::All(value) => Source::All(value.clone()),
        }
    }

    pub(crate) const fn live(&self) -> Option<&LiveConfig> {
        match self {
            Self::Live(live) => Some(live),
            Self::Config(_) | Self::All(_) => None,
        }
    }
}

impl<T> Source<T> {
    pub(crate) const fn is_live(&self) -> bool {
        matches!(self, Self::Live(_))
    }

    /// Whether there has been a change since the last time.
    #[inline]
    pub(crate) fn refresh(&mut self) -> bool {
        match self {
            Self::Live(reader) => reader.refresh(),
            Self::Config(_) | Self::All(_) => false,
        }
    }

    /// What the config has for the method at `path`, as of the last [`Self::refresh`].
    pub(crate) fn method(&self, path: &str) -> Option<&MethodConfig> {
        let config = match self {
            Self::Config(config) => config,
            Self::Live(reader) => reader.config(),
            Self::All(_) => return None,
        };
        config.method(path).map(|method| &**method)
    }
}
