//! Whether an event starts a workflow.

use super::filter::{effective, texts};
use super::{Triggers, default_activities, matches};
use crate::problem::Position;
use crate::token::Token;

/// GitHub compares only the first files of a diff with `paths` and `paths-ignore`.
const MAX_DIFF_FILES: usize = 300;
/// How many changed files a message names.
const MAX_NAMED_FILES: usize = 5;

/// An event that may start a workflow.
#[derive(Clone, Copy, Default, Debug)]
pub struct Event<'a> {
    pub name: &'a str,
    /// The activity type, such as `opened`.
    pub activity: Option<&'a str>,
    /// A branch of a push, the base branch of a pull request, or the branch of a run that has ended.
    pub branch: Option<&'a str>,
    /// A tag of a push.
    pub tag: Option<&'a str>,
    /// The workflow whose run has ended.
    pub workflow: Option<&'a str>,
    /// The changed files in the order of the diff. If there is no diff, `paths` and `paths-ignore` always match.
    pub changed: Option<&'a [String]>,
}

/// Why an event does not start a workflow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotStarted {
    /// The filter that decided, or the start of the file.
    pub at: Position,
    pub text: String,
    /// Whether the changed files decided.
    pub by_paths: bool,
}

impl Triggers {
    /// Whether an event starts the workflow.
    ///
    /// # Errors
    ///
    /// Returns why it does not.
    pub fn admit(&self, event: Event<'_>) -> Result<(), NotStarted> {
        let Some(trigger) = self.events.iter().find(|trigger| trigger.event == event.name) else {
            let names = self.names().join(", ");
            let text = format!("the event `{}` does not start this workflow: it runs on {names}", event.name);
            return Err(NotStarted { at: Position::START, text, by_paths: false });
        };
        let filters = Filters { event, filters: trigger.filters.as_ref() };
        filters.by_activity()?;
        filters.by_workflow()?;
        filters.by_reference()?;
        filters.by_paths()
    }

    /// Returns the name and the place of the event's filter by changed files.
    #[must_use]
    pub fn path_filter(&self, event: &str) -> Option<(&'static str, Position)> {
        let trigger = self.events.iter().find(|trigger| trigger.event == event)?;
        let filters = trigger.filters.as_ref()?;
        ["paths", "paths-ignore"].into_iter().filter(|key| effective(event).contains(key)).find_map(|key| {
            let filter = filters.get(key)?;
            (!texts(filter).is_empty()).then_some((key, filter.at))
        })
    }
}

/// The filters of one event.
#[derive(Clone, Copy)]
struct Filters<'a> {
    event: Event<'a>,
    filters: Option<&'a Token>,
}

impl<'a> Filters<'a> {
    /// Returns a filter that has an effect on the event. GitHub does not look at others.
    fn get(self, key: &str) -> Option<&'a Token> {
        let filters = self.filters.filter(|_| effective(self.event.name).contains(&key));
        filters.and_then(|filters| filters.get(key))
    }

    /// Returns the patterns of a filter. One without patterns filters nothing.
    fn patterns(self, key: &str) -> Option<Vec<String>> {
        self.get(key).map(texts).filter(|patterns| !patterns.is_empty())
    }

    fn refused(self, key: &str, why: &str) -> NotStarted {
        let at = self.get(key).map_or(Position::START, |filter| filter.at);
        NotStarted { at, text: format!("the event `{}` {why}", self.event.name), by_paths: false }
    }

    fn refused_value(self, what: &str, value: &str, key: &str, patterns: &[String]) -> NotStarted {
        let patterns = patterns.join(", ");
        let why = format!("of the {what} `{value}` does not start this workflow: its `{key}` has {patterns}");
        self.refused(key, &why)
    }

    fn by_activity(self) -> Result<(), NotStarted> {
        let Some(activity) = self.event.activity else { return Ok(()) };
        let types = self.patterns("types").or_else(|| {
            let defaults = default_activities(self.event.name)?;
            Some(defaults.iter().map(|activity| (*activity).to_owned()).collect())
        });
        match types.filter(|types| !types.iter().any(|known| known == activity)) {
            Some(types) => Err(self.refused_value("activity", activity, "types", &types)),
            None => Ok(()),
        }
    }

    fn by_workflow(self) -> Result<(), NotStarted> {
        let (Some(workflow), Some(known)) = (self.event.workflow, self.patterns("workflows")) else {
            return Ok(());
        };
        // These are names, not patterns.
        match known.iter().any(|known| known == workflow) {
            true => Ok(()),
            false => Err(self.refused_value("workflow", workflow, "workflows", &known)),
        }
    }

    fn by_reference(self) -> Result<(), NotStarted> {
        const BRANCHES: (&str, [&str; 2]) = ("branch", ["branches", "branches-ignore"]);
        const TAGS: (&str, [&str; 2]) = ("tag", ["tags", "tags-ignore"]);
        let event = self.event;
        for ((what, keys), value, (other_what, other_keys), other) in
            [(BRANCHES, event.branch, TAGS, event.tag), (TAGS, event.tag, BRANCHES, event.branch)]
        {
            if let Some(value) = value {
                let [keep, ignore] = keys;
                if let Some(patterns) = self.patterns(keep).filter(|patterns| !matches(patterns, value)) {
                    return Err(self.refused_value(what, value, keep, &patterns));
                }
                if let Some(patterns) = self.patterns(ignore).filter(|patterns| matches(patterns, value)) {
                    return Err(self.refused_value(what, value, ignore, &patterns));
                }
                continue;
            }
            // A push of a tag starts no workflow that only names branches, and the reverse.
            let named = keys.iter().find_map(|key| Some((*key, self.patterns(key)?)));
            if let (Some(other), Some((key, patterns)), true) =
                (other, named, other_keys.iter().all(|key| self.patterns(key).is_none()))
            {
                return Err(self.refused_value(other_what, other, key, &patterns));
            }
        }
        Ok(())
    }

    fn by_paths(self) -> Result<(), NotStarted> {
        // GitHub does not look at them for a push of a tag.
        let (None, Some(changed)) = (self.event.tag, self.event.changed) else { return Ok(()) };
        let seen = &changed[..changed.len().min(MAX_DIFF_FILES)];
        let (keep, ignore) = (self.patterns("paths"), self.patterns("paths-ignore"));
        let (key, patterns) = match (keep, ignore) {
            (Some(keep), _) if !seen.iter().any(|file| matches(&keep, file)) => ("paths", keep),
            (_, Some(ignore)) if seen.iter().all(|file| matches(&ignore, file)) => ("paths-ignore", ignore),
            _ => return Ok(()),
        };
        let why = match (changed.len(), key) {
            (0, _) => format!("no file has changed, and its `{key}`"),
            (1, "paths") => format!("the changed file {} does not match its `paths`, which", named(seen)),
            (1, _) => format!("the changed file {} matches its `paths-ignore`, which", named(seen)),
            (count, "paths") => format!("none of the {} matches its `paths`, which", files(count, seen)),
            (count, _) => format!("each of the {} matches its `paths-ignore`, which", files(count, seen)),
        };
        let why = format!("does not start this workflow: {why} has {}", patterns.join(", "));
        Err(NotStarted { by_paths: true, ..self.refused(key, &why) })
    }
}

/// Names changed files: how many there are, and the first of them.
fn files(count: usize, seen: &[String]) -> String {
    let first = if count > seen.len() {
        format!(", whose first {MAX_DIFF_FILES} GitHub compares,")
    } else {
        String::new()
    };
    format!("{count} changed files{first} ({})", named(seen))
}

fn named(files: &[String]) -> String {
    let mut named: Vec<String> = files.iter().take(MAX_NAMED_FILES).map(|file| format!("`{file}`")).collect();
    if files.len() > MAX_NAMED_FILES {
        named.push("…".to_owned());
    }
    named.join(", ")
}
