//! `ecsrunner runs list`: executed jobs with runner, wait, duration and cost.

use std::collections::HashMap;

use ecsrunner_api::job::JobView;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_api::wait::WaitView;
use ecsrunner_core::records::job::JobStage;
use ecsrunner_core::records::times::HeldBy;
use ecsrunner_core::records::wait::Part;
use ecsrunner_core::wire::job::Conclusion;
use ecsrunner_core::wire::peaks::Peaks;
use jiff::Timestamp;
use serde::Serialize;

use super::stats::{start, words};
use super::{find, peaks};
use crate::arguments::ListRuns;
use crate::deployment::{Deployment, Query};
use crate::exit::Failure;
use crate::output::{self, Rows, between, or_none, print, short, span, span_or_none, usd_or_none};

#[derive(Serialize)]
struct Run {
    job: u64,
    run_id: u64,
    repository: String,
    workflow: Option<String>,
    name: String,
    class: Option<String>,
    runner: Option<String>,
    conclusion: Option<Conclusion>,
    queued_at: Timestamp,
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
    wait_seconds: Option<f64>,
    duration_seconds: Option<f64>,
    cost_usd: Option<f64>,
    /// Where its wait went, if its runner's record says so.
    wait: Option<WaitView>,
    /// What it used of its runner, if that was measured.
    peaks: Option<Peaks>,
}

#[derive(Serialize)]
struct Document {
    runs: Vec<Run>,
}

pub(super) async fn list(arguments: &ListRuns) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    let runner = match &arguments.runner_id {
        Some(runner) => Some(find::runner(&deployment, runner).await?.name),
        None => None,
    };
    let query = Query { limit: None, ..Query::of(&arguments.past) };
    let jobs = deployment.jobs(&query).await?;
    // An organization's runner may have been started for another repository.
    let runners = deployment.runners(&Query { repository: None, ..query }).await?;
    let runners: HashMap<&str, &RunnerView> =
        runners.iter().map(|runner| (runner.name.as_str(), runner)).collect();
    let wanted = |job: &&JobView| {
        let ran = matches!(job.state, JobStage::InProgress | JobStage::Completed) && job.runner.is_some();
        ran && runner.as_ref().is_none_or(|name| job.runner.as_ref() == Some(name))
            && arguments.workflow.as_ref().is_none_or(|name| job.workflow.as_ref() == Some(name))
    };
    let runs = jobs.iter().filter(wanted).take(arguments.past.limit as usize);
    let runs: Vec<Run> = runs.map(|job| run(job, &runners)).collect();
    if arguments.format.json {
        output::print_json(&Document { runs })?;
    } else if arguments.peaks {
        print(&used(&runs, output::is_for_people()))?;
    } else if arguments.times {
        print(&times(&runs, output::is_for_people()))?;
    } else {
        print(&text(&runs, output::is_for_people()))?;
    }
    Ok(())
}

fn run(job: &JobView, runners: &HashMap<&str, &RunnerView>) -> Run {
    let runner = job.runner.as_deref().and_then(|runner| runners.get(runner));
    let (started_at, completed_at) = (job.reached(JobStage::InProgress), job.reached(JobStage::Completed));
    let seconds = |from, to| between(from, to).map(|span| span.as_secs_f64());
    Run {
        job: job.id,
        run_id: job.run_id,
        repository: job.repository.clone(),
        workflow: job.workflow.clone(),
        name: job.name.clone(),
        class: job.class.clone(),
        runner: job.runner.clone(),
        conclusion: job.conclusion.clone(),
        queued_at: job.created_at,
        started_at,
        completed_at,
        wait_seconds: seconds(Some(job.created_at), started_at),
        duration_seconds: seconds(started_at, completed_at),
        cost_usd: runner.and_then(|runner| runner.cost_usd),
        // The record is of the job that the runner was given first.
        wait: runner.filter(|runner| runner.job == Some(job.id)).and_then(|runner| runner.wait.clone()),
        peaks: runner.filter(|runner| runner.job == Some(job.id)).and_then(|runner| runner.peaks),
    }
}

fn text(runs: &[Run], for_people: bool) -> String {
    if for_people && runs.is_empty() {
        return "no executed jobs\n".to_owned();
    }
    let mut rows =
        Rows::new(["JOB", "REPOSITORY", "NAME", "RESULT", "WAIT>", "DURATION>", "COST>", "RUNNER"]);
    for run in runs {
        rows.add([
            run.job.to_string(),
            run.repository.clone(),
            run.name.clone(),
            or_none(run.conclusion.as_ref().map(Conclusion::as_str)),
            span_or_none(between(Some(run.queued_at), run.started_at)),
            span_or_none(between(run.started_at, run.completed_at)),
            usd_or_none(run.cost_usd),
            run.runner.as_deref().map_or_else(|| or_none(None), |runner| short(runner, for_people)),
        ]);
    }
    rows.text(for_people)
}

/// Returns what each job used of its runner.
fn used(runs: &[Run], for_people: bool) -> String {
    if for_people && runs.is_empty() {
        return "no executed jobs\n".to_owned();
    }
    // For people, the seconds on CPUs are left out: they are the mean times the duration.
    let cpu = if for_people { "MEAN VCPU>" } else { "CPU" };
    let mut rows =
        Rows::new(["JOB", "NAME", "CLASS", "DURATION>", cpu, "LIMITED>", "MEMORY>", "DISK>", "OOM>"]);
    for run in runs {
        let told =
            |value: fn(&Peaks) -> Option<String>| or_none(run.peaks.as_ref().and_then(value).as_deref());
        rows.add([
            run.job.to_string(),
            run.name.clone(),
            or_none(run.class.as_deref()),
            span_or_none(between(run.started_at, run.completed_at)),
            told(if for_people { peaks::mean_cpus } else { peaks::cpu }),
            told(|peaks| Some(format!("{} %", peaks.throttled_percent?))),
            told(peaks::memory),
            told(peaks::disk),
            told(|peaks| Some(peaks.oom_kills?.to_string())),
        ]);
    }
    rows.text(for_people)
}

/// Returns the split of each wait: its longer parts for people, and all of them for programs.
fn times(runs: &[Run], for_people: bool) -> String {
    if for_people && runs.is_empty() {
        return "no executed jobs\n".to_owned();
    }
    let mut rows = match for_people {
        true => Rows::new(["JOB", "NAME", "START", "WAIT>", "WHERE IT WENT"]),
        false => Rows::new(["JOB", "NAME", "START", "HELD BY", "WAIT"]),
    };
    for run in runs {
        let wait = run.wait.as_ref();
        let start = or_none(wait.map(|wait| start(wait.warm)));
        let (job, total) = (run.job.to_string(), span_or_none(wait.map(WaitView::total)));
        if for_people {
            rows.add([job, run.name.clone(), start, total, or_none(wait.map(longer_parts).as_deref())]);
        } else {
            let held_by = or_none(wait.and_then(|wait| wait.held_by).map(HeldBy::as_str));
            let mut row = vec![job, run.name.clone(), start, held_by, total];
            row.extend(Part::ALL.map(|part| span_or_none(wait.and_then(|wait| wait.part(part)))));
            row.push(span_or_none(wait.map(WaitView::unknown)));
            rows.add(row);
        }
    }
    rows.text(for_people)
}

/// Names the parts that are at least a hundredth of a wait, in their order.
fn longer_parts(wait: &WaitView) -> String {
    let least = wait.total() / 100;
    let known = Part::ALL.into_iter().filter_map(|part| Some((part, wait.part(part)?)));
    let known = known.map(|(part, length)| match wait.held_by.filter(|_| part == Part::Held) {
        Some(by) => (format!("held by {}", words(by)), length),
        None => (part.word().to_owned(), length),
    });
    let parts = known.chain([("unknown".to_owned(), wait.unknown())]);
    let parts = parts.filter(|(_, length)| *length >= least && !length.is_zero());
    parts.map(|(name, length)| format!("{name} {}", span(length))).collect::<Vec<_>>().join(", ")
}

/// Returns whether a runner executed a job, or was started for it.
pub(super) fn concerns(runner: &RunnerView, job: &JobView) -> bool {
    runner.launched_for == Some(job.id)
        || runner.job == Some(job.id)
        || job.runner.as_ref() == Some(&runner.name)
}
