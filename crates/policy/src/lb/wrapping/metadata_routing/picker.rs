use std::sync::Arc;

use evenkeel_core::ConnectivityState::{Connecting, Idle, Ready, Shutdown, TransientFailure};
use evenkeel_core::error::{NoEndpoint, cause};
use evenkeel_core::{EndpointId, EndpointIndex, Pick, PickArgs, Picker, Update, View};

use super::routes::{Asked, Routes};
use super::table::Table;
use super::{NoMatch, RoutingStats};
use crate::lb::shared::merged::count_ready;

/// Finds the child for what a call asks for.
#[derive(Debug)]
pub(super) struct RoutingPicker {
    routes: Arc<Routes>,
    table: Arc<Table>,
    answers: Box<[Option<Answer>]>,
    /// Nothing that connects is passed over.
    settling: bool,
    /// Of all endpoints of the view.
    ids: Box<[EndpointId]>,
    stats: Arc<RoutingStats>,
}

/// What a child said.
#[derive(Debug)]
pub(super) struct Answer {
    standing: Standing,
    picker: Arc<dyn Picker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Serving,
    Connecting,
    /// It connects when a call comes.
    Idle,
    /// It serves, but has only endpoints that are held back or ejected.
    LastResort,
    Failing,
}

impl Answer {
    /// Of a child with these `members` of `view`.
    pub(super) fn new(said: &Update, view: &View<'_>, members: &[EndpointIndex]) -> Self {
        Self {
            standing: match said.state {
                Ready if count_ready(said, view, members) == 0 => Standing::LastResort,
                Ready => Standing::Serving,
                Connecting => Standing::Connecting,
                Idle => Standing::Idle,
                TransientFailure | Shutdown => Standing::Failing,
            },
            picker: said.picker.clone(),
        }
    }

    pub(super) fn is(&self, standing: Standing) -> bool {
        self.standing == standing
    }
}

impl RoutingPicker {
    pub(super) fn new(
        routes: Arc<Routes>,
        stats: Arc<RoutingStats>,
        table: Arc<Table>,
        answers: Vec<Option<Answer>>,
        settling: bool,
        view: &View<'_>,
    ) -> Self {
        Self {
            routes,
            table,
            answers: answers.into(),
            settling,
            ids: view.endpoints.iter().map(|one| one.id).collect(),
            stats,
        }
    }

    fn find(&self, asked: &Asked<'_>) -> Option<&Answer> {
        let place = self.table.find(asked)?;
        self.answers.get(place)?.as_ref()
    }

    fn is_tried(&self, pick: &Pick, tried: &[EndpointId]) -> bool {
        match pick {
            Pick::Endpoint(index) if !tried.is_empty() => {
                let id = self.ids.get(index.0);
                id.is_some_and(|id| tried.contains(id))
            }
            _ => false,
        }
    }

    #[cold]
    fn fall_back(&self, args: &PickArgs<'_>, asked: &Asked<'_>) -> Pick {
        let mut search = Search::default();
        let found = self.routes.candidates(asked, |candidate| {
            let kind = if search.is_first {
                Kind::Asked
            } else {
                Kind::Fallback
            };
            search.is_first = false;
            search.look(self, args, self.find(candidate)?, kind)
        });
        let found = found.or_else(|| {
            let any = self.routes.any_will_do().then(Asked::default)?;
            search.look(self, args, self.find(&any)?, Kind::Any)
        });
        match found.or(search.tried) {
            Some((pick, kind)) => {
                match kind {
                    _ if !matches!(pick, Pick::Endpoint(_)) => {}
                    Kind::Asked => {}
                    Kind::Fallback => self.stats.fell_back(),
                    Kind::Any => self.stats.took_any(),
                }
                pick
            }
            None => match search.waits.or(search.last_resort) {
                Some(answer) => answer.picker.pick(args),
                None => self.fail(args, asked),
            },
        }
    }

    fn fail(&self, args: &PickArgs<'_>, asked: &Asked<'_>) -> Pick {
        self.stats.failed();
        let parts: Vec<_> = self
            .routes
            .iter()
            .zip(asked)
            .filter_map(|(route, value)| {
                let value: String = String::from_utf8_lossy((*value)?)
                    .chars()
                    .take(LONGEST_VALUE)
                    .collect();
                Some(format!("{} {value:?} ({})", route.key, route.header))
            })
            .collect();
        let endpoints = self
            .find(asked)
            .and_then(|one| match one.picker.pick(args) {
                Pick::Fail(status) => cause::<NoEndpoint>(&status).cloned(),
                _ => None,
            });
        let error = NoMatch {
            asked: match parts.is_empty() {
                true => "a request without headers to route by".to_owned(),
                false => parts.join(", "),
            },
            there_is: self.table.there_is(),
            endpoints,
        };
        Pick::Fail(error.into())
    }
}

/// Of a header's value, in an error.
const LONGEST_VALUE: usize = 64;

/// How a pick came to what it found.
#[derive(Clone, Copy)]
enum Kind {
    Asked,
    Fallback,
    Any,
}

/// What a pick has seen on its way.
struct Search<'a> {
    is_first: bool,
    /// Something serves, but only endpoints that were tried.
    tried: Option<(Pick, Kind)>,
    /// The first that a call may wait for.
    waits: Option<&'a Answer>,
    last_resort: Option<&'a Answer>,
}

impl Default for Search<'_> {
    fn default() -> Self {
        Self {
            is_first: true,
            tried: None,
            waits: None,
            last_resort: None,
        }
    }
}

impl<'a> Search<'a> {
    fn look(
        &mut self,
        picker: &RoutingPicker,
        args: &PickArgs<'_>,
        answer: &'a Answer,
        kind: Kind,
    ) -> Option<(Pick, Kind)> {
        match answer.standing {
            Standing::Serving => {
                let pick = answer.picker.pick(args);
                if !picker.is_tried(&pick, args.tried) {
                    return Some((pick, kind));
                }
                self.tried.get_or_insert((pick, kind));
            }
            // It connects for the call: nothing else would make it.
            Standing::Idle => {
                let pick = answer.picker.pick(args);
                // A retry rather goes where its call was than wait.
                if args.tried.is_empty() || !matches!(pick, Pick::Queue) {
                    return Some((pick, kind));
                }
                self.waits.get_or_insert(answer);
            }
            Standing::Connecting => {
                self.waits.get_or_insert(answer);
                if picker.settling && self.tried.is_none() {
                    return Some((answer.picker.pick(args), kind));
                }
            }
            Standing::LastResort => {
                self.last_resort.get_or_insert(answer);
            }
            Standing::Failing => {}
        }
        None
    }
}

impl Picker for RoutingPicker {
    fn pick(&self, args: &PickArgs<'_>) -> Pick {
        let asked = self.routes.asked(args.headers);
        if let Some(answer) = self.find(&asked)
            && answer.is(Standing::Serving)
        {
            let pick = answer.picker.pick(args);
            if !self.is_tried(&pick, args.tried) {
                return pick;
            }
        }
        self.fall_back(args, &asked)
    }
}
