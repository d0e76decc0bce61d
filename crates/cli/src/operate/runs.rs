//! `ecsrunner runs list`: executed jobs with runner, wait, duration and cost.

use std::collections::HashMap;

use ecsrunner_api::job::JobView;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_core::records::job::JobStage;
use ecsrunner_core::wire::job::Conclusion;
use jiff::Timestamp;
use serde::Serialize;

use super::find;
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
    let costs: HashMap<&str, f64> =
        runners.iter().filter_map(|runner| Some((runner.name.as_str(), runner.cost_usd?))).collect();
    let wanted = |job: &&JobView| {
        let ran = matches!(job.state, JobStage::InProgress | JobStage::Completed) && job.runner.is_some();
        ran && runner.as_ref().is_none_or(|name| job.runner.as_ref() == Some(name))
            && arguments.workflow.as_ref().is_none_or(|name| job.workflow.as_ref() == Some(name))
    };
    let runs = jobs.iter().filter(wanted).take(arguments.past.limit as usize);
    let runs: Vec<Run> = runs.map(|job| run(job, &costs)).collect();
    if arguments.format.json {
        output::print_json(&Document { runs })?;
    } else {
        print(&text(&runs, output::is_for_people()))?;
    }
    Ok(())
}

fn run(job: &JobView, costs: &HashMap<&str, f64>) -> Run {
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
        cost_usd: job.runner.as_deref().and_then(|runner| costs.get(runner)).copied(),
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

/// Returns whether a runner executed a job, or was started for it.
pub(super) fn concerns(runner: &RunnerView, job: &JobView) -> bool {
    runner.launched_for == Some(job.id)
        || runner.job == Some(job.id)
        || job.runner.as_ref() == Some(&runner.name)
}
