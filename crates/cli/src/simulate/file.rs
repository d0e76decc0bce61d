//! The file of a load: `docs/simulate.md`. Every mistake in it is reported at once,
//! each with its key and value.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, anyhow};
use ecsrunner_core::rules::class::Catalogue;
use ecsrunner_core::rules::pace::{Paces, Rate};
use ecsrunner_core::rules::settings::Settings;
use ecsrunner_engine::Ruleset;
use ecsrunner_entries as entries;
use ecsrunner_world::load::Surroundings;
use jiff::{SignedDuration, Timestamp};
use toml::{Table, Value};

use super::section::{Section, shown};
use super::source::{Pattern, Source};
use super::surroundings;
use crate::exit::Failure;

/// A Monday, so that a simulated week begins like a week.
const FROM: &str = "2026-01-05T00:00:00Z";
const MAX_DAYS: u32 = 31;
const YEARS: &str = "1970 to 9000";
/// The last second of the year 9000.
const LAST_SECOND: i64 = 221_876_927_999;
/// The most jobs of a simulation: each takes memory before it begins.
const MAX_JOBS: f64 = 5_000_000.0;
/// Keys of a load beside the deployment's settings.
const OWN: [&str; 6] = ["classes", "seed", "days", "start", "world", "arrivals"];
/// Sections of the configuration of `ecsrunner local up` that a simulation does not need.
const OTHERS: [&str; 3] = ["github", "webhook", "runner"];

/// A load and the deployment that serves it.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) seed: u64,
    pub(super) from: Timestamp,
    pub(super) days: u32,
    pub(super) rules: Ruleset,
    pub(super) surroundings: Surroundings,
    pub(super) sources: Vec<Source>,
}

impl Scenario {
    /// Whether the deployment runs lost jobs again.
    pub(super) fn has_reruns(&self) -> bool {
        let reruns = &self.rules.settings.reruns;
        let of_class = self.rules.catalogue.iter().any(|class| class.rerun == Some(true));
        reruns.all || !reruns.repositories.is_empty() || of_class
    }

    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let name = if file.as_os_str() == "-" { "stdin".to_owned() } else { file.display().to_string() };
        let text = text_of(file).with_context(|| format!("{name} cannot be read")).map_err(Failure::usage)?;
        let is_json = file.extension().is_some_and(|extension| extension == "json");
        let table: Table = if is_json {
            serde_json::from_str(&text)
                .with_context(|| format!("{name} is not a JSON object of tables"))
                .map_err(Failure::usage)?
        } else {
            toml::from_str(&text).with_context(|| format!("{name} is not TOML")).map_err(Failure::usage)?
        };
        let directory = file.parent().unwrap_or(Path::new(""));
        Self::of_table(table, directory).map_err(|mistakes| {
            let count = mistakes.len();
            let plural = if count == 1 { "mistake" } else { "mistakes" };
            Failure::usage(anyhow!("{name} has {count} {plural}:\n  {}", mistakes.join("\n  ")))
                .hint("docs/simulate.md lists every key")
        })
    }

    /// Reads the tables of a file. `directory` is where files that it names are.
    pub(super) fn of_table(mut table: Table, directory: &Path) -> Result<Self, Vec<String>> {
        let mut mistakes = Vec::new();
        OTHERS.iter().for_each(|other| drop(table.remove(*other)));
        let seed = whole(&mut table, "seed", 0..=i64::MAX, 1, &mut mistakes);
        let days = whole(&mut table, "days", 1..=i64::from(MAX_DAYS), 1, &mut mistakes);
        let start = start(&mut table, &mut mistakes);
        let surroundings = surroundings::read(table.remove("world"), &mut mistakes);
        let arrivals = table.remove("arrivals");
        let catalogue = classes(table.remove("classes"), &mut mistakes);
        let settings = settings(table, &mut mistakes);
        let rules = settings.zip(catalogue);
        let beyond = rules.as_ref().and_then(|(settings, it)| it.check_warm(settings.limits.max_warm));
        mistakes.extend(beyond.map(|mistake| format!("classes: {mistake}")));
        let rules = rules.map(|(settings, catalogue)| Ruleset {
            settings,
            catalogue,
            subnets: Vec::new(),
            images: None,
        });
        let sources = sources(arrivals, rules.as_ref(), directory, &mut mistakes);
        let from = start.unwrap_or_else(|| usual_start(&sources));
        check_jobs(&sources, days, from, &mut mistakes);
        match rules {
            Some(rules) if mistakes.is_empty() => Ok(Self {
                seed: seed.unsigned_abs(),
                from,
                days: u32::try_from(days).unwrap_or(MAX_DAYS),
                rules,
                surroundings,
                sources,
            }),
            _ => Err(mistakes),
        }
    }
}

fn text_of(file: &Path) -> std::io::Result<String> {
    if file.as_os_str() != "-" {
        return std::fs::read_to_string(file);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map(|_| text)
}

fn whole(
    table: &mut Table,
    key: &str,
    range: std::ops::RangeInclusive<i64>,
    usual: i64,
    mistakes: &mut Vec<String>,
) -> i64 {
    let Some(value) = table.remove(key) else { return usual };
    match value.as_integer().filter(|number| range.contains(number)) {
        Some(number) => number,
        None => {
            let (from, to) = (range.start(), range.end());
            mistakes
                .push(format!("{key} is {}: a whole number from {from} to {to} is expected", shown(&value)));
            usual
        }
    }
}

fn start(table: &mut Table, mistakes: &mut Vec<String>) -> Option<Timestamp> {
    let value = table.remove("start")?;
    // TOML has times of its own, which are written like text.
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let start: Option<Timestamp> = text.parse().ok();
    match start {
        None => mistakes.push(format!("start is {}: a time such as `{FROM}` is expected", shown(&value))),
        Some(start) if !is_possible(start) => {
            mistakes.push(format!("start is {}: a time from {YEARS} is expected", shown(&value)));
        }
        Some(_) => {}
    }
    start
}

/// Whether a simulation can be at this time: times are counted from 1970, and days are added to them.
fn is_possible(at: Timestamp) -> bool {
    (0..=LAST_SECOND).contains(&at.as_second())
}

/// Returns the first day of recorded events, or the usual start.
fn usual_start(sources: &[Source]) -> Timestamp {
    let recorded = sources.iter().filter_map(|source| match &source.pattern {
        Pattern::Recorded(recorded) => recorded.first().map(|job| job.at),
        _ => None,
    });
    match recorded.min().filter(|first| is_possible(*first)) {
        None => FROM.parse().unwrap_or(Timestamp::UNIX_EPOCH),
        Some(first) => first - SignedDuration::from_millis(first.as_millisecond().rem_euclid(86_400_000)),
    }
}

/// Checks how many jobs there are, and that none is recorded before the start or at an impossible time.
fn check_jobs(sources: &[Source], days: i64, from: Timestamp, mistakes: &mut Vec<String>) {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let jobs = |source: &Source| match &source.pattern {
        Pattern::PerDay { jobs, .. } => f64::from(*jobs) * days as f64,
        Pattern::PerMinute { jobs, from_secs, until_secs } => {
            jobs * (until_secs - from_secs).max(0.0) / 60.0 * days as f64
        }
        Pattern::Burst { jobs, at_secs, .. } => f64::from(*jobs) * at_secs.len() as f64 * days as f64,
        Pattern::Recorded(recorded) => recorded.len() as f64,
    };
    let jobs: f64 = sources.iter().map(jobs).sum();
    if jobs > MAX_JOBS {
        mistakes.push(format!("arrivals have about {jobs:.0} jobs: at most {MAX_JOBS} are possible"));
    }
    for source in sources {
        let Pattern::Recorded(recorded) = &source.pattern else { continue };
        if let Some(job) = recorded.iter().find(|job| !is_possible(job.at)) {
            mistakes.push(format!(
                "arrivals has a recorded event of {}: a time from {YEARS} is expected",
                job.at
            ));
        } else if let Some(first) = recorded.first().filter(|job| job.at < from) {
            mistakes.push(format!("start is {from}: the first recorded event is of {}", first.at));
        }
    }
}

fn sources(
    value: Option<Value>,
    rules: Option<&Ruleset>,
    directory: &Path,
    mistakes: &mut Vec<String>,
) -> Vec<Source> {
    let entries = match value {
        Some(Value::Array(entries)) if !entries.is_empty() => entries,
        Some(other) => {
            mistakes.push(format!("arrivals is {}: at least one `[[arrivals]]` is expected", shown(&other)));
            return Vec::new();
        }
        None => {
            mistakes.push("arrivals is missing: at least one `[[arrivals]]` is expected".to_owned());
            return Vec::new();
        }
    };
    let mut sources = Vec::new();
    for (number, entry) in entries.into_iter().enumerate() {
        if let Some(section) = Section::open(&format!("arrivals[{number}]"), entry, mistakes) {
            sources.extend(Source::read(section, rules, directory));
        }
    }
    sources
}

fn classes(value: Option<Value>, mistakes: &mut Vec<String>) -> Option<Catalogue> {
    let before = mistakes.len();
    let table = match value {
        Some(Value::Table(table)) if !table.is_empty() => table,
        Some(other) => {
            mistakes.push(format!("classes is {}: at least one `[classes.NAME]` is expected", shown(&other)));
            return None;
        }
        None => {
            mistakes.push("classes is missing: at least one `[classes.NAME]` is expected".to_owned());
            return None;
        }
    };
    let catalogue = entries::classes("classes", table, mistakes);
    (mistakes.len() == before).then_some(catalogue)
}

fn settings(mut table: Table, mistakes: &mut Vec<String>) -> Option<Settings> {
    let before = mistakes.len();
    let paces = paces(table.remove("paces"), mistakes);
    let organization = table.get("registration").and_then(|it| it.get("organization")?.get("name")?.as_str());
    let repositories = organization.map_or_else(|| "*".to_owned(), |name| format!("{name}/*"));
    for (key, value) in [
        ("version", Value::from(1)),
        ("deployment", "simulate".into()),
        ("repositories", Value::Array(vec![repositories.into()])),
    ] {
        table.entry(key).or_insert(value);
    }
    let of_settings = mistakes.len();
    let settings = entries::settings(table, mistakes);
    for mistake in &mut mistakes[of_settings..] {
        let is_of_file = mistake.split(": ").next().is_some_and(|key| !key.contains('.'));
        if is_of_file && mistake.contains("unknown field") {
            let own: String = OWN.iter().map(|key| format!(", `{key}`")).collect();
            mistake.push_str(&own);
        }
    }
    Some(Settings { paces: paces?, ..settings? }).filter(|_| mistakes.len() == before)
}

fn paces(value: Option<Value>, mistakes: &mut Vec<String>) -> Option<Paces> {
    let mut paces = Paces::default();
    let Some(value) = value else { return Some(paces) };
    let before = mistakes.len();
    let mut section = Section::open("paces", value, mistakes)?;
    for (key, pace) in [("github", &mut paces.github), ("fargate", &mut paces.fargate)] {
        let Some(value) = section.take(key) else { continue };
        let Some(mut rate) = section.below(key, value) else { continue };
        let burst = rate.whole("burst", 1..=60_000);
        let per_minute = rate.whole("per_minute", 1..=60_000);
        rate.end();
        *pace =
            Rate { burst: burst.unwrap_or(pace.burst), per_minute: per_minute.unwrap_or(pace.per_minute) };
    }
    section.end();
    (mistakes.len() == before).then_some(paces)
}
