//! An entry of `[[arrivals]]`: which jobs come, and when.

use std::path::Path;

use ecsrunner_core::id::{ClassName, Repository};
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_engine::Ruleset;
use ecsrunner_world::load::Spread;
use toml::Value;

use super::recorded::{self, Recorded};
use super::section::Section;
use super::shape::Shape;
use super::surroundings::spread_of;

/// The most jobs of one entry a day.
const MAX_JOBS: u32 = 1_000_000;
const DAY_MINUTES: u32 = 24 * 60;
/// Within how many seconds a burst comes, if the entry does not say.
const BURST_SECS: f64 = 10.0;
const PATTERNS: [&str; 4] = ["jobs_per_day", "jobs_per_minute", "burst_jobs", "events"];

/// A source of jobs.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Source {
    /// Each job is of one of these.
    pub(super) repositories: Vec<Repository>,
    pub(super) labels: Labels,
    pub(super) lasts: Spread,
    pub(super) pattern: Pattern,
}

/// When jobs come. Times of a day are seconds since midnight.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Pattern {
    /// That many each day, at times that follow the shape.
    PerDay { jobs: u32, shape: Shape },
    /// At a constant rate between two times of each day.
    PerMinute { jobs: f64, from_secs: f64, until_secs: f64 },
    /// That many within a few seconds, at these times of each day.
    Burst { jobs: u32, at_secs: Vec<f64>, within_secs: f64 },
    /// As recorded. Repository, labels and duration are the recorded ones.
    Recorded(Vec<Recorded>),
}

impl Source {
    /// Reads an entry. `directory` is that of the file.
    pub(super) fn read(mut section: Section<'_>, rules: Option<&Ruleset>, directory: &Path) -> Option<Self> {
        let given: Vec<&str> = PATTERNS.into_iter().filter(|key| section.has(key)).collect();
        if given.len() != 1 {
            let expected = "one of `jobs_per_day`, `jobs_per_minute`, `burst_jobs` and `events` is expected";
            match given.get(1) {
                None => section.missing("jobs_per_day", expected),
                Some(key) => {
                    let value = section.take(PATTERNS.into_iter().find(|pattern| pattern == key)?)?;
                    section.mistake(key, &value, expected);
                }
            }
            return None;
        }
        let has_lasts = section.has("job_secs");
        let lasts = spread_of(&mut section, "job_secs");
        if section.has("events") {
            let recorded = recorded::read(&mut section, directory, lasts.as_ref());
            section.end();
            let (repositories, labels) = (Vec::new(), Labels::new::<_, &str>([]));
            let lasts = lasts.unwrap_or(Spread::fixed(0.0));
            return Some(Self { repositories, labels, lasts, pattern: Pattern::Recorded(recorded?) });
        }
        let repositories = repositories(&mut section);
        let labels = labels(&mut section, rules);
        let pattern = pattern(&mut section);
        if !has_lasts {
            section.missing("job_secs", "how long a job runs is expected, in seconds");
        }
        section.end();
        Some(Self { repositories: repositories?, labels: labels?, lasts: lasts?, pattern: pattern? })
    }
}

fn pattern(section: &mut Section<'_>) -> Option<Pattern> {
    if section.has("jobs_per_day") {
        let jobs = section.whole("jobs_per_day", 1..=MAX_JOBS);
        let shape = Shape::read(section);
        return Some(Pattern::PerDay { jobs: jobs?, shape: shape? });
    }
    if section.has("jobs_per_minute") {
        let jobs = section.number("jobs_per_minute", 0.001..=f64::from(MAX_JOBS / DAY_MINUTES));
        let (from, until) = (section.value("from").cloned(), section.value("until").cloned());
        let from_secs = clock(section, "from").unwrap_or(Some(0.0));
        let until_secs = clock(section, "until").unwrap_or(Some(f64::from(DAY_MINUTES * 60)));
        let (from_secs, until_secs) = (from_secs?, until_secs?);
        if from_secs >= until_secs {
            match (from, until) {
                (_, Some(until)) => section.mistake(
                    "until",
                    &until,
                    "a time after `from` is expected; a span over midnight takes two entries",
                ),
                (Some(from), None) => section.mistake("from", &from, "a time before `until` is expected"),
                (None, None) => {}
            }
            return None;
        }
        return Some(Pattern::PerMinute { jobs: jobs?, from_secs, until_secs });
    }
    let jobs = section.whole("burst_jobs", 1..=MAX_JOBS);
    let at_secs = clocks(section, "at");
    let is_usual = !section.has("within_secs");
    let within_secs = section.number("within_secs", 0.0..=3600.0).or(is_usual.then_some(BURST_SECS));
    Some(Pattern::Burst { jobs: jobs?, at_secs: at_secs?, within_secs: within_secs? })
}

fn repositories(section: &mut Section<'_>) -> Option<Vec<Repository>> {
    let one = section.take("repository");
    let several = section.take("repositories");
    let (key, values) = match (one, several) {
        (Some(one), None) => ("repository", vec![one]),
        (None, Some(Value::Array(several))) if !several.is_empty() => ("repositories", several),
        (None, Some(other)) => {
            section.mistake("repositories", &other, "a list of `owner/name` is expected");
            return None;
        }
        (Some(_), Some(other)) => {
            section.mistake("repositories", &other, "either this or `repository` is expected");
            return None;
        }
        (None, None) => {
            section.missing("repository", "`owner/name` is expected");
            return None;
        }
    };
    let before = values.len();
    let mut repositories = Vec::new();
    for value in values {
        match value.as_str().map(Repository::parse) {
            Some(Ok(repository)) => repositories.push(repository),
            _ => section.mistake(key, &value, "`owner/name` is expected"),
        }
    }
    Some(repositories).filter(|read| read.len() == before)
}

/// Returns the labels of the jobs: those of the entry, or those that its class needs.
fn labels(section: &mut Section<'_>, rules: Option<&Ruleset>) -> Option<Labels> {
    let class = section.take("class");
    let labels = section.take("labels");
    match (class, labels) {
        (None, Some(Value::Array(labels))) => {
            let texts: Option<Vec<&str>> = labels.iter().map(Value::as_str).collect();
            if texts.is_none() {
                section.mistake("labels", &Value::Array(labels.clone()), "a list of text is expected");
            }
            texts.map(Labels::new)
        }
        (None, Some(other)) => {
            section.mistake("labels", &other, "a list of text is expected");
            None
        }
        (Some(_), Some(other)) => {
            section.mistake("labels", &other, "either this or `class` is expected");
            None
        }
        (None, None) => rules.map(|rules| rules.settings.required_labels.clone()),
        (Some(class), None) => {
            let rules = rules?;
            let name = class.as_str().and_then(|name| ClassName::parse(name).ok());
            if let Some(name) = name.filter(|name| rules.catalogue.get(name).is_some()) {
                let required = rules.settings.required_labels.iter().map(str::to_owned);
                return Some(Labels::new(required.chain([format!("class:{name}")])));
            }
            let expected = format!("one of the classes {} is expected", rules.catalogue.names());
            section.mistake("class", &class, &expected);
            None
        }
    }
}

/// Reads a time of the day. The outer option is whether the key is there, the inner one whether it is sound.
fn clock(section: &mut Section<'_>, key: &'static str) -> Option<Option<f64>> {
    let value = section.take(key)?;
    let secs = value.as_str().and_then(secs_of);
    if secs.is_none() {
        section.mistake(key, &value, "a time from `00:00` to `24:00` is expected");
    }
    Some(secs)
}

fn clocks(section: &mut Section<'_>, key: &'static str) -> Option<Vec<f64>> {
    let Some(value) = section.take(key) else {
        section.missing(key, "a time from `00:00` to `24:00` is expected, or a list of them");
        return None;
    };
    let texts = match &value {
        Value::Array(several) => several.clone(),
        one => vec![one.clone()],
    };
    let secs: Option<Vec<f64>> = texts.iter().map(|text| secs_of(text.as_str()?)).collect();
    let secs = secs.filter(|secs| !secs.is_empty());
    if secs.is_none() {
        section.mistake(key, &value, "a time from `00:00` to `24:00` is expected, or a list of them");
    }
    secs
}

/// Returns the seconds of `HH:MM`.
fn secs_of(text: &str) -> Option<f64> {
    let (hours, minutes) = text.split_once(':')?;
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !two_digits(hours) || !two_digits(minutes) {
        return None;
    }
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let of_day = hours * 60 + minutes;
    (minutes < 60 && of_day <= DAY_MINUTES).then(|| f64::from(of_day * 60))
}
