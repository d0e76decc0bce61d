//! `on`: what starts a workflow, and the inputs that it takes.

mod cron;
mod input;
mod pattern;

use input::Giver;
pub use input::{Input, InputKind, called, dispatched};
pub use pattern::matches;

use crate::problem::{Faults, Position};
use crate::schema::trigger::EVENTS;
use crate::token::Token;

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

/// An event that may start a workflow.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    pub name: &'a str,
    /// The activity type, such as `opened`.
    pub activity: Option<&'a str>,
    /// A branch of a push, or the base branch of a pull request.
    pub branch: Option<&'a str>,
    /// A tag of a push.
    pub tag: Option<&'a str>,
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

    /// Returns the activity type of an event of which nothing else is known: the first that starts the workflow. `None` if
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

    /// Returns what an event comes from of which nothing else is known: the first time of a schedule, or the first
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

    /// Whether an event starts the workflow. Its `paths` are not looked at.
    ///
    /// # Errors
    ///
    /// Returns why it does not.
    pub fn admit(&self, event: Event<'_>) -> Result<(), String> {
        let Some(trigger) = self.events.iter().find(|trigger| trigger.event == event.name) else {
            return Err(format!(
                "the event `{}` does not start this workflow: it runs on {}",
                event.name,
                self.names().join(", ")
            ));
        };
        let filter = |key: &str| trigger.filters.as_ref().and_then(|filters| filters.get(key)).map(texts);
        let refused = |what: &str, value: &str, key: &str, patterns: &[String]| {
            Err(format!(
                "the event `{}` of the {what} `{value}` does not start this workflow: its `{key}` has {}",
                event.name,
                patterns.join(", ")
            ))
        };
        if let Some(activity) = event.activity {
            let types = filter("types").or_else(|| {
                let defaults = default_activities(event.name)?;
                Some(defaults.iter().map(|activity| (*activity).to_owned()).collect())
            });
            if let Some(types) = types.filter(|types| !types.iter().any(|known| known == activity)) {
                return refused("activity", activity, "types", &types);
            }
        }
        for (what, value, other) in [("branch", event.branch, event.tag), ("tag", event.tag, event.branch)] {
            let (keep, ignore) =
                if what == "branch" { ("branches", "branches-ignore") } else { ("tags", "tags-ignore") };
            let Some(value) = value else {
                // A push of a tag starts no workflow that only names branches, and the reverse.
                let other_filters =
                    if what == "branch" { ["tags", "tags-ignore"] } else { ["branches", "branches-ignore"] };
                let named = [keep, ignore].iter().find_map(|key| Some((*key, filter(key)?)));
                if let (Some(other), Some((key, patterns)), true) =
                    (other, named, other_filters.iter().all(|key| filter(key).is_none()))
                {
                    let what = if what == "branch" { "tag" } else { "branch" };
                    return refused(what, other, key, &patterns);
                }
                continue;
            };
            if let Some(patterns) = filter(keep).filter(|patterns| !matches(patterns, value)) {
                return refused(what, value, keep, &patterns);
            }
            if let Some(patterns) = filter(ignore).filter(|patterns| matches(patterns, value)) {
                return refused(what, value, ignore, &patterns);
            }
        }
        Ok(())
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
                    Some(CallSecret { name: name.text()?, required: is_required(spec) })
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

/// Returns the texts of one text or a list.
fn texts(token: &Token) -> Vec<String> {
    match token.text() {
        Some(text) if text.is_empty() => Vec::new(),
        Some(text) => vec![text],
        None => token.items().iter().filter_map(Token::text).collect(),
    }
}

/// The filters that have an effect on an event.
fn effective(event: &str) -> &'static [&'static str] {
    match event {
        "push" => &["branches", "branches-ignore", "tags", "tags-ignore", "paths", "paths-ignore"],
        "pull_request" | "pull_request_target" => {
            &["types", "branches", "branches-ignore", "paths", "paths-ignore"]
        }
        "workflow_run" => &["types", "workflows", "branches", "branches-ignore"],
        "merge_group" => &["types", "branches", "branches-ignore"],
        "image_version" => &["types", "names", "versions"],
        "workflow_dispatch" => &["inputs"],
        _ => &["types"],
    }
}

fn check_filters(event: &str, activities: &[&str], filters: &Token, faults: &mut Faults<'_>) {
    let types = filters.get("types").into_iter().flat_map(|types| match types.items() {
        [] => vec![types],
        items => items.iter().collect(),
    });
    // `repository_dispatch` has types of its own.
    for activity in types.filter(|_| event != "repository_dispatch") {
        let name = activity.text().unwrap_or_default();
        if !activities.contains(&name.as_str()) {
            let known = if activities.is_empty() { "none".to_owned() } else { activities.join(", ") };
            faults.note(activity.at, format!("`{name}` is not an activity of `{event}`, which has {known}"));
        }
    }
    for (key, _) in filters.entries() {
        let name = key.text().unwrap_or_default();
        if !effective(event).contains(&name.as_str()) {
            faults.note(key.at, format!("`{name}` has no effect on the event `{event}`"));
        } else if name.starts_with("paths") {
            faults
                .note(key.at, format!("`{name}` is not looked at: the workflow starts whatever has changed"));
        }
    }
    for (keep, ignore) in
        [("branches", "branches-ignore"), ("tags", "tags-ignore"), ("paths", "paths-ignore")]
    {
        if let (Some(_), Some(second)) = (filters.get(keep), filters.get(ignore)) {
            faults.add(
                second.at,
                format!("`{event}` has `{keep}` and `{ignore}`: only one of them is allowed"),
            );
        }
    }
}

#[cfg(test)]
mod tests;
