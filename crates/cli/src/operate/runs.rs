//! `ecsrunner runs list`: executed jobs with runner, wait, duration and cost.

use std::collections::HashMap;

use ecsrunner_api::job::JobView;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_api::wait::WaitView;
use ecsrunner_core::records::job::JobStage;
use ecsrunner_core::records::times::HeldBy;
use ecsrunner_core::records::wait::Part;
use ecsrunner_core::wire::job::Conclusion;
use jiff::Timestamp;
use serde::Serialize;

use super::find;
use super::stats::start;
use crate::arguments::ListRuns;
use crate::deployment::{Deployment, Query};
use crate::exit::Failure;
use crate::output::{self, Rows, between, or_none, print, short, span_or_none, usd_or_none};

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

/// Returns the split of each wait. People see the parts that some job has.
fn times(runs: &[Run], for_people: bool) -> String {
    if for_people && runs.is_empty() {
        return "no executed jobs\n".to_owned();
    }
    let has =
        |part: Part| runs.iter().filter_map(|run| run.wait.as_ref()).any(|wait| wait.part(part).is_some());
    let parts: Vec<Part> = Part::ALL.into_iter().filter(|part| !for_people || has(*part)).collect();
    let header = ["JOB", "NAME", "START", "HELD BY", "TOTAL>"].into_iter();
    let header: Vec<&str> = header.chain(parts.iter().copied().map(heading)).chain(["UNKNOWN>"]).collect();
    let mut rows = Rows::new(&header);
    for run in runs {
        let wait = run.wait.as_ref();
        let held_by = wait.and_then(|wait| wait.held_by).map(HeldBy::as_str);
        let mut row = vec![
            run.job.to_string(),
            run.name.clone(),
            or_none(wait.map(|wait| start(wait.warm))),
            or_none(held_by),
            span_or_none(wait.map(WaitView::total)),
        ];
        row.extend(parts.iter().map(|part| span_or_none(wait.and_then(|wait| wait.part(*part)))));
        row.push(span_or_none(wait.map(WaitView::unknown)));
        rows.add(row);
    }
    rows.text(for_people)
}

const fn heading(part: Part) -> &'static str {
    match part {
        Part::Webhook => "WEBHOOK>",
        Part::Decision => "DECISION>",
        Part::Held => "HELD>",
        Part::Launch => "LAUNCH>",
        Part::Provision => "PROVISION>",
        Part::Pull => "PULL>",
        Part::Container => "CONTAINER>",
        Part::HandOver => "HAND-OVER>",
        Part::Agent => "AGENT>",
        Part::Listener => "LISTENER>",
        Part::Session => "SESSION>",
        Part::Assignment => "ASSIGNMENT>",
    }
}

/// Returns whether a runner executed a job, or was started for it.
pub(super) fn concerns(runner: &RunnerView, job: &JobView) -> bool {
    runner.launched_for == Some(job.id)
        || runner.job == Some(job.id)
        || job.runner.as_ref() == Some(&runner.name)
}
