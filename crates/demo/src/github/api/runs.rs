//! Repositories, workflow runs and workflow jobs.

use std::collections::BTreeMap;

use axum::extract::{OriginalUri, Path, Query, State as Extract};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use ecsrunner_core::id::{JobId, Repository, RunId};
use serde_json::{Value, json};

use super::reply::{Page, Refusal, json as reply};
use super::{App, Parameters};
use crate::github::auth::{Level, Target};
use crate::github::job::{Job, Run};
use crate::github::runner_side::Blob;
use crate::github::state::State;

pub(super) async fn repository(
    Extract(shared): App,
    headers: HeaderMap,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let state = shared.state();
    let name = state.readable(&headers, &owner, &name, "metadata")?;
    let record = state.repositories.get(&name).ok_or_else(Refusal::not_found)?;
    let mut repository = state.repository_json(record);
    // A reply for one repository has more fields than a mention of it.
    for count in ["network_count", "subscribers_count"] {
        repository[count] = 0.into();
    }
    Ok(reply(StatusCode::OK, &repository))
}

pub(super) async fn list(
    Extract(shared): App,
    headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
    Path((owner, name)): Path<(String, String)>,
    Query(parameters): Parameters,
) -> Result<Response, Refusal> {
    let state = shared.state();
    let name = state.readable(&headers, &owner, &name, "actions")?;
    let status = parameters.get("status").map(String::as_str);
    let matches = |run: &Run| {
        let (is, conclusion) = state.run_status(run);
        status.is_none_or(|wanted| wanted == is || Some(wanted) == conclusion)
    };
    // The newest first, as GitHub lists them.
    let found: Vec<&Run> =
        state.runs.values().rev().filter(|run| run.repository == name && matches(run)).collect();
    let (page, total) = (Page::asked(&parameters), found.len());
    let runs: Vec<Value> = page.of(found).into_iter().map(|run| state.run_json(run)).collect();
    Ok(page.reply(&json!({"total_count": total, "workflow_runs": runs}), total, &state.base, &uri))
}

pub(super) async fn run(
    Extract(shared): App,
    headers: HeaderMap,
    Path((owner, name, id)): Path<(String, String, u64)>,
) -> Result<Response, Refusal> {
    let state = shared.state();
    let name = state.readable(&headers, &owner, &name, "actions")?;
    let run = state.run_in(&name, id)?;
    Ok(reply(StatusCode::OK, &state.run_json(run)))
}

pub(super) async fn jobs(
    Extract(shared): App,
    headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
    Path((owner, name, id)): Path<(String, String, u64)>,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let state = shared.state();
    let name = state.readable(&headers, &owner, &name, "actions")?;
    state.jobs_reply(&name, id, &parameters, &uri)
}

pub(super) async fn attempt_jobs(
    Extract(shared): App,
    headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
    Path((owner, name, id, attempt)): Path<(String, String, u64, u32)>,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let state = shared.state();
    let name = state.readable(&headers, &owner, &name, "actions")?;
    let run = state.run_in(&name, id)?;
    if !(1..=run.attempt).contains(&attempt) {
        return Err(Refusal::not_found());
    }
    // A job that an attempt did not run again is shown as it was before.
    let mut jobs: BTreeMap<&str, &Job> = BTreeMap::new();
    for job in state.jobs.values().filter(|job| job.run == run.id && job.attempt <= attempt) {
        jobs.insert(&job.name, job);
    }
    Ok(state.page_of_jobs(jobs.into_values().collect(), run, &parameters, &uri))
}

pub(super) async fn job(
    Extract(shared): App,
    headers: HeaderMap,
    Path((owner, name, id)): Path<(String, String, u64)>,
) -> Result<Response, Refusal> {
    let state = shared.state();
    let name = state.readable(&headers, &owner, &name, "actions")?;
    let job = state.jobs.get(&JobId::new(id)).filter(|job| job.state.status().is_some());
    match job.and_then(|job| Some((job, state.run_of(job)?))) {
        Some((job, run)) if run.repository == name => Ok(reply(StatusCode::OK, &state.job_json(job, run))),
        _ => Err(Refusal::not_found()),
    }
}

/// Redirects to a job's log, which exists once the job has ended.
pub(super) async fn job_log(
    Extract(shared): App,
    headers: HeaderMap,
    Path((owner, name, id)): Path<(String, String, u64)>,
) -> Result<Response, Refusal> {
    let mut state = shared.state();
    let name = state.readable(&headers, &owner, &name, "actions")?;
    let id = JobId::new(id);
    let job = state.jobs.get(&id).ok_or_else(Refusal::not_found)?;
    let is_of_it = state.run_of(job).is_some_and(|run| run.repository == name);
    if !is_of_it || job.state.completed_at().is_none() || job.whole_log().is_none() {
        return Err(Refusal::not_found());
    }
    let url = state.blob_for(Blob::JobLog(id));
    Ok((StatusCode::FOUND, [(header::LOCATION, url)]).into_response())
}

/// Reruns a job, and the jobs that depend on it, as a new attempt of their run.
pub(super) async fn rerun(
    Extract(shared): App,
    headers: HeaderMap,
    Path((owner, name, id)): Path<(String, String, u64)>,
) -> Result<Response, Refusal> {
    let mut state = shared.state();
    let name = Repository::parse(&format!("{owner}/{name}")).map_err(|_| Refusal::not_found())?;
    state.authorize(&headers, Target::Repository(&name), "actions", Level::Write)?;
    let id = JobId::new(id);
    let is_of_it =
        state.jobs.get(&id).and_then(|job| state.run_of(job)).is_some_and(|run| run.repository == name);
    if !is_of_it {
        return Err(Refusal::not_found());
    }
    if state.rerun_job(id).is_none() {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "This workflow run is already running"));
    }
    state.assign();
    Ok(reply(StatusCode::CREATED, &json!({})))
}

impl State {
    /// Returns the repository, if the caller may read it.
    fn readable(
        &self,
        headers: &HeaderMap,
        owner: &str,
        name: &str,
        permission: &str,
    ) -> Result<Repository, Refusal> {
        let name = Repository::parse(&format!("{owner}/{name}")).map_err(|_| Refusal::not_found())?;
        self.authorize(headers, Target::Repository(&name), permission, Level::Read)?;
        Ok(name)
    }

    fn run_in(&self, repository: &Repository, id: u64) -> Result<&Run, Refusal> {
        self.runs
            .get(&RunId::new(id))
            .filter(|run| run.repository == *repository)
            .ok_or_else(Refusal::not_found)
    }

    fn jobs_reply(
        &self,
        repository: &Repository,
        run: u64,
        Query(parameters): &Parameters,
        uri: &Uri,
    ) -> Result<Response, Refusal> {
        let run = self.run_in(repository, run)?;
        let found: Vec<&Job> = match parameters.get("filter").map(String::as_str) {
            Some("all") => self.jobs.values().filter(|job| job.run == run.id).collect(),
            _ => run.jobs.iter().filter_map(|id| self.jobs.get(id)).collect(),
        };
        Ok(self.page_of_jobs(found, run, &Query(parameters.clone()), uri))
    }

    fn page_of_jobs(
        &self,
        jobs: Vec<&Job>,
        run: &Run,
        Query(parameters): &Parameters,
        uri: &Uri,
    ) -> Response {
        // GitHub shows a job once the jobs that it needs are done.
        let found: Vec<&Job> = jobs.into_iter().filter(|job| job.state.status().is_some()).collect();
        let (page, total) = (Page::asked(parameters), found.len());
        let jobs: Vec<Value> = page.of(found).into_iter().map(|job| self.job_json(job, run)).collect();
        page.reply(&json!({"total_count": total, "jobs": jobs}), total, &self.base, uri)
    }
}
