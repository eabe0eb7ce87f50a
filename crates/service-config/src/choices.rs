use serde_json::Value;

use crate::path::ROOT;
use crate::scope::Scope;
use crate::{ConfigError, Field, Object, ParseOptions, Warning, document};

/// The service configs that a DNS name offers to different clients: the list in its TXT record
/// `_grpc_config.<host>`, behind `grpc_config=`.
///
/// # Specification
///
/// gRFC A2. A field of a choice that is not known makes the whole list wrong, other than in a
/// service config. Only the chosen service config is looked into. Where implementations differ:
/// names of fields in another case are taken, with a warning (C-core: refused); a choice
/// without a `serviceConfig` is refused even when it is not chosen (Java: only then).
///
/// # Example
///
/// ```
/// use evenkeel_service_config::{ServiceConfig, ServiceConfigChoices};
///
/// let choices = ServiceConfigChoices::parse(
///     r#"[
///         {"clientLanguage": ["java"], "serviceConfig": {}},
///         {"percentage": 10, "serviceConfig": {"loadBalancingConfig": [{"round_robin": {}}]}}
///     ]"#,
/// )?;
/// let chosen = choices.choose("rust", "host-1", 9).expect("9 is one of the first 10");
/// assert_eq!(ServiceConfig::parse(&chosen)?.load_balancing().name(), "round_robin");
/// assert_eq!(choices.choose("rust", "host-1", 10), None);
/// # Ok::<(), evenkeel_service_config::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ServiceConfigChoices {
    choices: Vec<Choice>,
    warnings: Vec<Warning>,
}

#[derive(Clone, Debug)]
struct Choice {
    /// For all of them when empty; so are the hosts.
    languages: Vec<String>,
    hosts: Vec<String>,
    percentage: u32,
    config: Value,
}

impl ServiceConfigChoices {
    /// Parses the list, and the text of nothing but the list.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong outside of the service configs; then none of it counts.
    pub fn parse(json: &str) -> Result<Self, ConfigError> {
        let list = document::value(json)?;
        let options = ParseOptions::default();
        let scope = Scope::new(&options);
        let list = Field::new(&list, ROOT.to_owned(), &scope).items()?;
        let choices = list.into_iter().map(|choice| {
            choice.object(|fields| {
                let choice = Choice::read(fields)?;
                fields.refuse_unknown()?;
                Ok(choice)
            })
        });
        Ok(Self {
            choices: choices.collect::<Result<_, _>>()?,
            warnings: scope.warnings.into_inner(),
        })
    }

    /// The text of the first service config whose criteria all hold; `None` is as if none were
    /// offered.
    ///
    /// `language` counts in any case, `hostname` exactly. `percent`, 0 to 99, is drawn once per
    /// client and kept, so that the client keeps its choice: a choice for n % is for those that
    /// drew less than n.
    #[must_use]
    pub fn choose(&self, language: &str, hostname: &str, percent: u32) -> Option<String> {
        let is_meant = |choice: &&Choice| {
            let languages = &choice.languages;
            let mut hosts = choice.hosts.iter();
            (languages.is_empty() || languages.iter().any(|it| it.eq_ignore_ascii_case(language)))
                && (choice.hosts.is_empty() || hosts.any(|it| it == hostname))
                && percent.min(99) < choice.percentage
        };
        let chosen = self.choices.iter().find(is_meant)?;
        Some(chosen.config.to_string())
    }

    /// What is legal in the list and yet not what it seems to be.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

impl Choice {
    fn read(fields: &mut Object<'_>) -> Result<Self, ConfigError> {
        let texts = |field: Field<'_>| {
            let items = field.items()?.into_iter();
            items.map(|item| item.text().map(str::to_owned)).collect()
        };
        Ok(Self {
            languages: fields
                .optional("clientLanguage", texts)?
                .unwrap_or_default(),
            hosts: fields
                .optional("clientHostname", texts)?
                .unwrap_or_default(),
            percentage: fields
                .optional("percentage", |field| field.integer(0..=100))?
                .unwrap_or(100),
            config: fields.required("serviceConfig", |field| Ok(field.raw().clone()))?,
        })
    }
}

#[cfg(test)]
mod tests;
