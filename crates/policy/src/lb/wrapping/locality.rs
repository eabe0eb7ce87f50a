use evenkeel_core::Metadata;

use crate::lb::Levels;

/// Prefers endpoints that are near: those in the same zone, then those in the same region, then all
/// others. A [`Priority`](crate::lb::Priority) with a level for each of these, which are exclusive: an
/// endpoint is in the nearest level that wants it.
///
/// An endpoint is in the same zone when its zone has the same name, unless it says that it is in
/// another region: names of zones need not be unique. One that does not say where it is counts as far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LocalityConfig {
    /// `zone`: the failure domain of this client. Default: unknown, and then there is no such level.
    pub zone: Option<String>,
    /// `region`: the geographical area of this client. Default: unknown, and then there is no such
    /// level.
    pub region: Option<String>,
    /// `order`: the levels, the nearest first; endpoints in none of them get no calls. Default: all
    /// that the place of this client is known for, and [`Proximity::Any`].
    pub order: Option<Vec<Proximity>>,
}

/// How near an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing further than any")]
pub enum Proximity {
    /// In the same zone.
    Zone,
    /// In the same region.
    Region,
    /// Anywhere.
    Any,
}

impl LocalityConfig {
    /// Its name in a service config.
    pub const NAME: &'static str = "evenkeel.locality";

    /// The levels of its endpoints. Which levels are nearer is not up to [`Self::order`]: only which
    /// ones there are.
    #[must_use]
    pub fn levels(&self) -> Levels {
        let order = match &self.order {
            Some(order) => order.clone(),
            None => vec![Proximity::Zone, Proximity::Region, Proximity::Any],
        };
        let known = |proximity: &Proximity| match proximity {
            Proximity::Zone => self.zone.is_some(),
            Proximity::Region => self.region.is_some(),
            Proximity::Any => true,
        };
        let mut order: Vec<_> = order.into_iter().filter(known).collect();
        order.sort_unstable();
        order.dedup();
        let here = self.clone();
        Levels::new(order.len(), move |metadata| {
            let near = |proximity: &Proximity| here.is_within(*proximity, metadata);
            order.iter().position(near)
        })
    }

    fn is_within(&self, proximity: Proximity, metadata: &Metadata) -> bool {
        let elsewhere = || match (&self.region, &metadata.region) {
            (Some(here), Some(there)) => here != there,
            _ => false,
        };
        match proximity {
            Proximity::Zone => self.zone == metadata.zone && !elsewhere(),
            Proximity::Region => self.region == metadata.region,
            Proximity::Any => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(zone: &str, region: &str) -> LocalityConfig {
        let name = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        LocalityConfig {
            zone: name(zone),
            region: name(region),
            order: None,
        }
    }

    #[test]
    fn an_endpoint_is_in_the_nearest_level_that_wants_it() {
        use Proximity::{Any, Region, Zone};
        let both = config("a", "eu");
        let near_only = LocalityConfig {
            order: Some(vec![Region, Zone, Zone]),
            ..both.clone()
        };
        let zone_or_any = LocalityConfig {
            order: Some(vec![Zone, Any]),
            ..both.clone()
        };
        for (locality, zone, region, level) in [
            (&both, "a", "eu", Some(0)),
            (&both, "a", "", Some(0)),
            (&both, "b", "eu", Some(1)),
            (&both, "", "eu", Some(1)),
            (&both, "a", "us", Some(2)),
            (&both, "b", "us", Some(2)),
            (&both, "", "", Some(2)),
            (&near_only, "a", "eu", Some(0)),
            (&near_only, "b", "eu", Some(1)),
            (&near_only, "b", "us", None),
            (&zone_or_any, "b", "eu", Some(1)),
            (&config("a", ""), "a", "us", Some(0)),
            (&config("a", ""), "b", "us", Some(1)),
            (&config("", "eu"), "a", "eu", Some(0)),
            (&config("", ""), "", "", Some(0)),
        ] {
            let place = config(zone, region);
            let mut metadata = Metadata::default();
            (metadata.zone, metadata.region) = (place.zone, place.region);
            assert_eq!(
                locality.levels().of(&metadata),
                level,
                "{locality:?} {zone} {region}"
            );
        }
    }
}
