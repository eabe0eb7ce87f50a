use std::cmp::Ordering;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use crate::method::Settings;
use crate::{ConfigError, Field, MethodConfig, Object};

/// Which entry of `methodConfig` is for which call.
///
/// Looked up on every call: sorted slices, so that it hashes nothing and allocates nothing, and a
/// config of one service is one comparison away.
#[derive(Debug, Default)]
pub(crate) struct Methods {
    default: Option<Arc<Entry>>,
    services: Vec<Named<Service>>,
    /// All of them, as they were written.
    entries: Vec<Arc<Entry>>,
    /// The path of the first call that no entry names: for which there is none, or only that for
    /// all services.
    stray: OnceLock<Box<str>>,
}

#[derive(Debug, Default)]
struct Service {
    default: Option<Arc<Entry>>,
    methods: Vec<Named<Option<Arc<Entry>>>>,
}

#[derive(Debug)]
struct Named<T> {
    name: Box<str>,
    value: T,
}

/// One name of `methodConfig[].name` and what is configured for it.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Empty for all services.
    pub(crate) service: Box<str>,
    /// Empty for all methods.
    pub(crate) method: Box<str>,
    /// The name's place in the document.
    pub(crate) path: String,
    pub(crate) settings: Settings,
    /// Whether a call had this name, or one that it covers.
    called: AtomicBool,
}

impl Methods {
    /// What is configured for `/service/method`, the most specific name first.
    pub(crate) fn find(&self, path: &str) -> Option<&Arc<MethodConfig>> {
        let (entry, service) = self.lookup(path);
        if (entry.is_none() || service.is_none()) && !self.services.is_empty() {
            self.note_stray(path);
        }
        let entry = entry?;
        // Read by every call, so written only once.
        if !entry.called.load(Relaxed) {
            self.note_first_call(entry, service);
        }
        Some(&entry.settings.config)
    }

    /// The entry that [`Self::find`] takes the settings of.
    pub(crate) fn entry(&self, path: &str) -> Option<&Entry> {
        self.lookup(path).0.map(|entry| &**entry)
    }

    fn lookup(&self, path: &str) -> (Option<&Arc<Entry>>, Option<&Service>) {
        if self.services.is_empty() {
            return (self.default.as_ref(), None);
        }
        // From the end, byte by byte: a method's name is short.
        let slash = path.bytes().rposition(|byte| byte == b'/');
        let (service, method) = slash.map_or((path, ""), |at| (&path[..at], &path[at + 1..]));
        let service = find(&self.services, service.strip_prefix('/').unwrap_or(service));
        let of_service = service.and_then(|service| {
            let of_method = find(&service.methods, method).and_then(Option::as_ref);
            of_method.or(service.default.as_ref())
        });
        (of_service.or(self.default.as_ref()), service)
    }

    /// A call of `entry` is one of the entries that cover it, too.
    #[cold]
    fn note_first_call(&self, entry: &Entry, service: Option<&Service>) {
        let of_service = service.and_then(|service| service.default.as_deref());
        let all = [Some(entry), of_service, self.default.as_deref()];
        for entry in all.into_iter().flatten() {
            entry.called.store(true, Relaxed);
        }
    }

    fn note_stray(&self, path: &str) {
        const LONGEST: usize = 200;
        if self.stray.get().is_none() {
            self.stray
                .get_or_init(|| path.chars().take(LONGEST).collect());
        }
    }

    /// Makes `settings` those of `name`, an item of `methodConfig[].name`.
    pub(crate) fn insert(
        &mut self,
        name: Field<'_>,
        settings: &Settings,
    ) -> Result<(), ConfigError> {
        let place = name.clone();
        let (service, method) = name.object(|name: &mut Object<'_>| {
            let service = name
                .optional("service", |field| field.text())?
                .unwrap_or_default();
            let method = name
                .optional("method", |field| field.text())?
                .unwrap_or_default();
            Ok((service, method))
        })?;
        let slot = match (service, method) {
            ("", "") => &mut self.default,
            ("", _) => return Err(place.error("a method without its service")),
            (service, "") => &mut slot(&mut self.services, service).default,
            (service, method) => slot(&mut slot(&mut self.services, service).methods, method),
        };
        if let Some(first) = slot {
            let of = match first.to_string() {
                all if service.is_empty() => all,
                name if method.is_empty() => format!("all of {name}"),
                name => name,
            };
            let reason = format!("a second entry for {of}; the first is {}", first.path);
            return Err(place.error(reason));
        }
        if service.starts_with('/') || service.ends_with('/') || method.contains('/') {
            place.warn("no call has this name: write service and method without slashes");
        }
        let entry = Arc::new(Entry {
            service: service.into(),
            method: method.into(),
            path: place.path().to_owned(),
            settings: settings.clone(),
            called: AtomicBool::new(false),
        });
        *slot = Some(Arc::clone(&entry));
        self.entries.push(entry);
        Ok(())
    }

    /// As they were written.
    pub(crate) fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// The path of the first call that no entry names.
    pub(crate) fn stray(&self) -> Option<&str> {
        self.stray.get().map(|path| &**path)
    }
}

impl Entry {
    pub(crate) fn is_called(&self) -> bool {
        self.called.load(Relaxed)
    }

    /// Whether it is for one service or method, not for all of them.
    pub(crate) fn is_named(&self) -> bool {
        !self.service.is_empty()
    }

    /// Whether what it sets would be for `other` too, if `other` were not there.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let wider = self.method.is_empty() && !other.method.is_empty();
        match &*self.service {
            "" => other.is_named(),
            service => wider && *service == *other.service,
        }
    }
}

/// `service/method`, `service`, or `all services`.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.service, &*self.method) {
            ("", _) => f.write_str("all services"),
            (service, "") => f.write_str(service),
            (service, method) => write!(f, "{service}/{method}"),
        }
    }
}

fn order(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn find<'n, T>(sorted: &'n [Named<T>], name: &str) -> Option<&'n T> {
    let place = sorted.binary_search_by(|one| order(&one.name, name)).ok()?;
    Some(&sorted[place].value)
}

fn slot<'n, T: Default>(sorted: &'n mut Vec<Named<T>>, name: &str) -> &'n mut T {
    let place = sorted
        .binary_search_by(|one| order(&one.name, name))
        .unwrap_or_else(|place| {
            let name = name.into();
            let value = T::default();
            sorted.insert(place, Named { name, value });
            place
        });
    &mut sorted[place].value
}

#[cfg(test)]
mod tests;
