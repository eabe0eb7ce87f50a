use std::cmp::Ordering;
use std::sync::Arc;

use crate::{ConfigError, Field, MethodConfig, Object};

/// Which entry of `methodConfig` is for which call.
///
/// Looked up on every call: sorted slices, so that it hashes nothing and allocates nothing, and a
/// config of one service is one comparison away.
#[derive(Clone, Debug, Default)]
pub(crate) struct Methods {
    default: Option<Arc<MethodConfig>>,
    services: Vec<Named<Service>>,
}

#[derive(Clone, Debug, Default)]
struct Service {
    default: Option<Arc<MethodConfig>>,
    methods: Vec<Named<Option<Arc<MethodConfig>>>>,
}

#[derive(Clone, Debug)]
struct Named<T> {
    name: Box<str>,
    value: T,
}

impl Methods {
    /// What is configured for `/service/method`, the most specific name first.
    pub(crate) fn find(&self, path: &str) -> Option<&Arc<MethodConfig>> {
        if self.services.is_empty() {
            return self.default.as_ref();
        }
        // From the end, byte by byte: a method's name is short.
        let slash = path.bytes().rposition(|byte| byte == b'/');
        let (service, method) = slash.map_or((path, ""), |at| (&path[..at], &path[at + 1..]));
        let service = service.strip_prefix('/').unwrap_or(service);
        let of_service = find(&self.services, service).and_then(|service| {
            let of_method = find(&service.methods, method).and_then(Option::as_ref);
            of_method.or(service.default.as_ref())
        });
        of_service.or(self.default.as_ref())
    }

    /// Makes `config` the one for `name`, an item of `methodConfig[].name`.
    pub(crate) fn insert(
        &mut self,
        name: Field<'_>,
        config: &Arc<MethodConfig>,
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
            (service, "") => &mut entry(&mut self.services, service).default,
            (service, method) => entry(&mut entry(&mut self.services, service).methods, method),
        };
        if slot.is_some() {
            return Err(place.error(match (service, method) {
                ("", _) => "a second default for all services".to_owned(),
                (service, "") => format!("a second entry for all of {service}"),
                (service, method) => format!("a second entry for {service}/{method}"),
            }));
        }
        if service.starts_with('/') || service.ends_with('/') || method.contains('/') {
            place.warn("no call has this name: write service and method without slashes");
        }
        *slot = Some(config.clone());
        Ok(())
    }
}

fn order(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn find<'n, T>(sorted: &'n [Named<T>], name: &str) -> Option<&'n T> {
    let place = sorted.binary_search_by(|one| order(&one.name, name)).ok()?;
    Some(&sorted[place].value)
}

fn entry<'n, T: Default>(sorted: &'n mut Vec<Named<T>>, name: &str) -> &'n mut T {
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
