//! Jobs of recorded events, in the form that `ecsrunner replay` reads.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use ecsrunner_core::id::{Deployment, JobId, Repository};
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::wire::event::{JobAction, JobEvent};
use ecsrunner_world::load::Spread;
use jiff::Timestamp;
use toml::Value;

use super::section::Section;
use crate::operate::replay::events::{Arrival, Heard, documents};

/// A recorded job.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Recorded {
    pub(super) at: Timestamp,
    pub(super) repository: Repository,
    pub(super) labels: Labels,
    /// How long it ran; `None` if its start or end was not recorded.
    pub(super) lasted: Option<Duration>,
}

#[derive(Default)]
struct Times {
    queued: Option<(Timestamp, Repository, Labels)>,
    started: Option<Timestamp>,
    completed: Option<Timestamp>,
}

/// Reads the recorded jobs of an entry. Jobs without a recorded duration run as long as `lasts` says.
pub(super) fn read(
    section: &mut Section<'_>,
    directory: &Path,
    lasts: Option<&Spread>,
) -> Option<Vec<Recorded>> {
    let name = section.text("events")?;
    let value = Value::String(name.clone());
    let text = match fs::read_to_string(directory.join(&name)) {
        Ok(text) => text,
        Err(error) => {
            section.mistake("events", &value, &format!("the file cannot be read: {error}"));
            return None;
        }
    };
    let jobs = jobs(&text);
    if jobs.is_empty() {
        section.mistake("events", &value, "the file contains no event of a queued job");
        return None;
    }
    let unknown = jobs.iter().filter(|job| job.lasted.is_none()).count();
    if lasts.is_none() && unknown > 0 {
        let expected =
            format!("{unknown} of its {} jobs have no recorded duration: `job_secs` is expected", jobs.len());
        section.mistake("events", &value, &expected);
        return None;
    }
    Some(jobs)
}

/// Returns the queued jobs of a recording in the order of time. Documents that are no events of jobs are left out.
fn jobs(text: &str) -> Vec<Recorded> {
    let Ok(deployment) = Deployment::parse("simulate") else { return Vec::new() };
    let mut order: Vec<JobId> = Vec::new();
    let mut jobs: HashMap<JobId, Times> = HashMap::new();
    for document in documents(text).into_iter().flatten() {
        let Ok(arrival) = Arrival::read(&document) else { continue };
        let Ok(Heard::Job(event)) = arrival.heard(&deployment, arrival.at) else { continue };
        let times = jobs.entry(event.facts.id).or_insert_with(|| {
            order.push(event.facts.id);
            Times::default()
        });
        times.hear(&event, arrival.at);
    }
    let recorded = |times: Times| {
        let (at, repository, labels) = times.queued?;
        let lasted = times.completed.zip(times.started).map(|(end, start)| end.duration_since(start));
        let lasted = lasted.and_then(|lasted| Duration::try_from(lasted).ok());
        Some(Recorded { at, repository, labels, lasted })
    };
    let mut recorded: Vec<Recorded> =
        order.iter().filter_map(|job| jobs.remove(job)).filter_map(recorded).collect();
    recorded.sort_by_key(|job| job.at);
    recorded
}

impl Times {
    fn hear(&mut self, event: &JobEvent, at: Timestamp) {
        match &event.action {
            JobAction::Waiting => {}
            JobAction::Queued => {
                let facts = &event.facts;
                self.queued.get_or_insert((at, facts.repository.clone(), facts.labels.clone()));
            }
            JobAction::InProgress { started_at, .. } => self.started = started_at.or(Some(at)),
            JobAction::Completed { completed_at, .. } => self.completed = completed_at.or(Some(at)),
        }
    }
}
