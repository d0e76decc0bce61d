//! `on`: what starts a workflow, and the inputs that it takes.

mod admit;
mod cron;
mod filter;
mod input;
mod pattern;

pub use admit::{Event, NotStarted};
use filter::{check_filters, texts};
use input::Giver;
pub use input::{Input, InputKind, called, dispatched};
pub use pattern::matches;

use crate::problem::{Faults, Position};
use crate::schema::trigger::EVENTS;
use crate::token::{Content, Token};

/// GitHub's limit of inputs that a person gives.
const MAX_INPUTS: usize = 25;

/// Everything that can start a workflow.
#[derive(Clone, Default, Debug)]
pub struct Triggers {
    events: Vec<Trigger>,
    /// The inputs of `workflow_dispatch`.
    pub dispatch: Vec<Input>,
    /// What a caller gives and gets, if other workflows may call this one.
    pub call: Option<CallInterface>,
}

#[derive(Clone, Debug)]
struct Trigger {
    event: String,
    /// The filters, if it has any.
    filters: Option<Token>,
}

/// What a called workflow takes and returns.
#[derive(Clone, Default, Debug)]
pub struct CallInterface {
    pub inputs: Vec<Input>,
    pub secrets: Vec<CallSecret>,
    /// Names and values.
    pub outputs: Vec<(String, Token)>,
}

/// A secret that a called workflow takes.
#[derive(Clone, Debug)]
pub struct CallSecret {
    pub name: String,
    pub required: bool,
}

/// The activity types that start a workflow which names none.
fn default_activities(event: &str) -> Option<&'static [&'static str]> {
    match event {
        "pull_request" | "pull_request_target" => Some(&["opened", "synchronize", "reopened"]),
        _ => None,
    }
}

impl Triggers {
    pub(crate) fn read(on: Option<&Token>, faults: &mut Faults<'_>) -> Self {
        let mut triggers = Self::default();
        let Some(on) = on else { return triggers };
        let is_empty = match &on.content {
            Content::List(items) => items.is_empty(),
            Content::Map(entries) => entries.is_empty(),
            _ => false,
        };
        if is_empty {
            faults.add(
                on.at,
                "`on` is empty: an event such as `push`, `pull_request` or `workflow_dispatch` is needed",
            );
        }
        if let Some(event) = on.text() {
            triggers.add(&event, on.at, None, faults);
        }
        for item in on.items() {
            triggers.add(&item.text().unwrap_or_default(), item.at, None, faults);
        }
        for (key, value) in on.entries() {
            triggers.add(&key.text().unwrap_or_default(), key.at, Some(value), faults);
        }
        triggers
    }

    fn add(&mut self, event: &str, at: Position, filters: Option<&Token>, faults: &mut Faults<'_>) {
        let known = EVENTS.iter().find(|(name, _)| *name == event);
        match (known, event) {
            (_, "workflow_call") => self.call = Some(CallInterface::read(filters, faults)),
            (Some((_, activities)), _) => {
                if let Some(filters) = filters {
                    check_filters(event, activities, filters, faults);
                }
                if event == "schedule" {
                    check_times(filters, faults);
                }
                if event == "workflow_dispatch" {
                    let inputs = filters.and_then(|filters| filters.get("inputs"));
                    self.dispatch = Input::read_all(inputs, Giver::Person, faults);
                    if let Some(inputs) = inputs.filter(|_| self.dispatch.len() > MAX_INPUTS) {
                        let count = self.dispatch.len();
                        faults.add(inputs.at, format!("there are {count} inputs: GitHub takes at most {MAX_INPUTS}"));
                    }
                }
                self.events.push(Trigger { event: event.to_owned(), filters: filters.cloned() });
            }
            (None, _) => faults.add(
                at,
                format!("`{event}` is not an event: one such as `push`, `pull_request` or `workflow_dispatch` is expected"),
            ),
        }
    }

    /// Returns the names of all events.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let call = self.call.is_some().then_some("workflow_call");
        self.events.iter().map(|trigger| trigger.event.as_str()).chain(call).collect()
    }

    /// Returns the activity type of an event, if nothing else is known of it: the first that starts the workflow. `None` if
    /// the event has none.
    #[must_use]
    pub fn activity(&self, event: &str) -> Option<String> {
        let trigger = self.events.iter().find(|trigger| trigger.event == event)?;
        let types = trigger.filters.as_ref().and_then(|filters| filters.get("types")).map(texts);
        let (_, known) = EVENTS.iter().find(|(name, _)| *name == event)?;
        let first = |types: &[&str]| types.first().map(|activity| (*activity).to_owned());
        types
            .and_then(|types| types.into_iter().next())
            .or_else(|| first(default_activities(event).unwrap_or(known)))
    }

    /// Returns what an event comes from, if nothing else is known of it: the first time of a schedule, or the first
    /// workflow whose runs start this one. `None` for other events.
    #[must_use]
    pub fn source(&self, event: &str) -> Option<String> {
        let filters = self.events.iter().find(|trigger| trigger.event == event)?.filters.as_ref()?;
        match event {
            "schedule" => filters.items().first()?.get("cron")?.text(),
            "workflow_run" => texts(filters.get("workflows")?).into_iter().next(),
            _ => None,
        }
    }
}

impl CallInterface {
    fn read(value: Option<&Token>, faults: &mut Faults<'_>) -> Self {
        let entries =
            |key: &str| value.and_then(|value| value.get(key)).map(Token::entries).unwrap_or_default();
        let is_required = |spec: &Token| {
            spec.get("required").is_some_and(|required| required.text().as_deref() == Some("true"))
        };
        Self {
            inputs: Input::read_all(value.and_then(|value| value.get("inputs")), Giver::Caller, faults),
            secrets: entries("secrets")
                .iter()
                .filter_map(|(name, spec)| {
                    let text = name.text()?;
                    if text.eq_ignore_ascii_case("GITHUB_TOKEN") {
                        let why = "each job has this secret already, and a called workflow cannot name it";
                        faults.add(name.at, format!("the secret `{text}`: {why}"));
                    }
                    Some(CallSecret { name: text, required: is_required(spec) })
                })
                .collect(),
            outputs: entries("outputs")
                .iter()
                .filter_map(|(name, spec)| Some((name.text()?, spec.get("value")?.clone())))
                .collect(),
        }
    }
}

/// Checks the times of a schedule.
fn check_times(schedule: Option<&Token>, faults: &mut Faults<'_>) {
    for entry in schedule.map(Token::items).unwrap_or_default() {
        if let Some(times) = entry.get("cron")
            && let Some(text) = times.text()
            && let Err(wrong) = cron::check(&text)
        {
            faults.add(times.at, wrong);
        }
    }
}

#[cfg(test)]
mod tests;
