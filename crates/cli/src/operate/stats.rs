//! `ecsrunner stats`: percentiles of waits and of their parts, by class and repository.

use std::collections::HashMap;

use ecsrunner_api::wait::{Percentiles, WaitGroup, span};
use ecsrunner_core::records::times::HeldBy;
use jiff::Timestamp;
use serde::Serialize;

use crate::arguments::StatsArguments;
use crate::deployment::{Deployment, Query};
use crate::exit::Failure;
use crate::output::{self, Rows, print};

#[derive(Serialize)]
struct Document {
    since: Timestamp,
    groups: Vec<WaitGroup>,
}

pub(super) async fn stats(arguments: &StatsArguments) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    let since = arguments.since.time(Timestamp::now());
    let query = Query { since: Some(since), ..Query::default() };
    // Only the job's record names the repository that used an organization's runner.
    let (runners, jobs) = tokio::try_join!(deployment.runners(&query), deployment.jobs(&query))?;
    let jobs: HashMap<u64, &str> = jobs.iter().map(|job| (job.id, job.repository.as_str())).collect();
    let mut groups = WaitGroup::all(&runners, |job| jobs.get(&job).copied());
    let admits = |wanted: &Option<String>, have: &str| {
        wanted.as_deref().is_none_or(|wanted| have.eq_ignore_ascii_case(wanted))
    };
    groups.retain(|group| {
        admits(&arguments.repository, &group.repository) && admits(&arguments.class, &group.class)
    });
    if arguments.format.json {
        output::print_json(&Document { since, groups })?;
    } else {
        print(&text(&groups, since, output::is_for_people()))?;
    }
    Ok(())
}

fn text(groups: &[WaitGroup], since: Timestamp, for_people: bool) -> String {
    if for_people && groups.is_empty() {
        return format!("no job has started on a runner since {since:.0}\n");
    }
    let mut rows = Rows::new(["CLASS", "REPOSITORY", "START", "PART", "JOBS>", "P50>", "P90>", "P99>"]);
    for group in groups {
        let mut key = [group.class.clone(), group.repository.clone(), start(group.warm).to_owned()].map(Some);
        let mut add = |part: &str, values: &Percentiles| {
            // A table names its group once; programs read each line alone.
            let [class, repository, start] = match for_people {
                true => key.each_mut().map(|cell| cell.take().unwrap_or_default()),
                false => key.clone().map(Option::unwrap_or_default),
            };
            let time = |seconds| output::span(span(seconds));
            rows.add([
                class,
                repository,
                start,
                part.to_owned(),
                values.jobs.to_string(),
                time(values.p50_seconds),
                time(values.p90_seconds),
                time(values.p99_seconds),
            ]);
        };
        add("total", &group.total);
        for (part, values) in &group.parts {
            add(part.word(), values);
        }
        if group.unknown.p99_seconds > 0.0 {
            add("unknown", &group.unknown);
        }
    }
    let mut text = rows.text(for_people);
    if for_people {
        text += &format!("\nsince {since:.0}{}\n", held(groups));
    }
    text
}

/// Says how many jobs were held back, and by what.
fn held(groups: &[WaitGroup]) -> String {
    let told: Vec<String> = HeldBy::ALL
        .into_iter()
        .filter_map(|by| {
            let jobs: usize = groups.iter().filter_map(|group| group.held_by.get(&by)).sum();
            (jobs > 0).then(|| format!("{jobs} by {}", words(by)))
        })
        .collect();
    if told.is_empty() { String::new() } else { format!("; held back: {}", told.join(", ")) }
}

/// Names an obstacle within a sentence.
pub(super) fn words(by: HeldBy) -> &'static str {
    match by {
        HeldBy::Limit => "a limit",
        HeldBy::Pace => "the rate of launches",
        HeldBy::Hold => "a hold or a pause",
        HeldBy::Capacity => "missing capacity",
    }
}

/// Names how a runner came to its task.
pub(super) fn start(warm: bool) -> &'static str {
    if warm { "warm" } else { "cold" }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ecsrunner_core::records::wait::Part;

    use super::*;

    #[test]
    fn a_part_has_one_word_for_people_and_its_key_in_json() {
        let one = Percentiles { jobs: 1, p50_seconds: 2.0, p90_seconds: 2.0, p99_seconds: 2.0 };
        let none = Percentiles { p50_seconds: 0.0, p90_seconds: 0.0, p99_seconds: 0.0, ..one };
        let group = WaitGroup {
            class: "large".to_owned(),
            repository: "acme/app".to_owned(),
            warm: true,
            total: one,
            parts: BTreeMap::from([(Part::HandOver, one)]),
            unknown: none,
            held_by: BTreeMap::new(),
        };
        let since = Timestamp::UNIX_EPOCH;
        let text = text(std::slice::from_ref(&group), since, false);
        assert!(text.contains("hand-over") && !text.contains("hand_over"), "{text}");
        let json = serde_json::to_string(&Document { since, groups: vec![group] }).unwrap();
        assert!(json.contains("\"hand_over\""), "{json}");
    }
}
