//! Submits runs of workflows or of synthetic jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ecsrunner_core::id::{JobId, Repository};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::action::of_files;
use crate::github::api::Refusal;
use crate::github::job::{Definition, Job, JobState, Run};
use crate::github::state::State;
use crate::workflow::{self, Executor, Files, Given, RunsOn};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewWorkflow {
    repository: Repository,
    /// Its path in the repository, such as `.github/workflows/ci.yml`.
    file: String,
    text: String,
    /// What executes its steps.
    #[serde(default)]
    executor: Executor,
    /// Files of the repository, such as those of its local actions. They are
    /// put into the workspace before the first step.
    #[serde(default)]
    actions: Files,
    #[serde(default = "push")]
    event: String,
    /// The fork, for a pull request from a fork.
    head_repository: Option<Repository>,
    #[serde(default = "main_branch")]
    head_branch: String,
}

fn push() -> String {
    "push".to_owned()
}

fn main_branch() -> String {
    "main".to_owned()
}

pub(super) async fn workflow(Extract(shared): App, Json(new): Json<NewWorkflow>) -> Response {
    let actions: BTreeSet<String> = shared.state().actions.keys().cloned().collect();
    let given = Given { files: &new.actions, actions: &actions, executor: new.executor };
    let parsed = match workflow::parse(&new.file, &new.text, given) {
        Ok(parsed) => parsed,
        Err(problems) => {
            let texts: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
            let body = json!({"problems": problems.0, "messages": texts});
            return (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response();
        }
    };
    let files_action = match (!new.actions.is_empty()).then(|| of_files(&new.actions)).transpose() {
        Ok(action) => action,
        Err(error) => return Refusal::invalid(&error.to_string()).into_response(),
    };
    let put_files = files_action.as_ref().map(|(name, _)| name.clone());
    shared.state().actions.extend(files_action);
    let jobs = parsed.jobs.into_iter().map(|job| NewJob {
        key: job.key,
        name: job.name,
        needs: job.needs,
        runs_on: job.runs_on,
        timeout_minutes: job.timeout_minutes,
        definition: Arc::new(Definition {
            env: job.env,
            defaults: job.defaults,
            outputs: job.outputs,
            matrix: job.matrix,
            index: job.index,
            steps: job.steps,
            put_files: put_files.clone(),
            synthetic: None,
        }),
        waits: false,
    });
    let head = NewRun {
        repository: new.repository,
        head_repository: new.head_repository,
        workflow: parsed.name,
        file: new.file,
        event: new.event,
        head_branch: new.head_branch,
    };
    Json(shared.state().submit(head, jobs.collect())).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewJobs {
    repository: Repository,
    labels: Vec<String>,
    #[serde(default)]
    group: Option<String>,
    #[serde(default = "one")]
    count: usize,
    #[serde(default = "synthetic")]
    name: String,
    work: Synthetic,
    /// Whether the jobs wait for an approval.
    #[serde(default)]
    waiting: bool,
    #[serde(default = "push")]
    event: String,
    head_repository: Option<Repository>,
}

/// What a synthetic job does.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Synthetic {
    SleepMs(u64),
    Exit(u8),
}

fn one() -> usize {
    1
}

fn synthetic() -> String {
    "job".to_owned()
}

pub(super) async fn jobs(Extract(shared): App, Json(new): Json<NewJobs>) -> Response {
    let script = match new.work {
        Synthetic::SleepMs(ms) => format!("sleep {}.{:03}", ms / 1000, ms % 1000),
        Synthetic::Exit(code) => format!("exit {code}"),
    };
    let definition = Arc::new(Definition { synthetic: Some(script), index: (0, 1), ..Definition::default() });
    let name =
        |index: usize| if new.count == 1 { new.name.clone() } else { format!("{} {}", new.name, index + 1) };
    let jobs = (0..new.count).map(|index| NewJob {
        key: name(index).replace(' ', "-"),
        name: name(index),
        needs: Vec::new(),
        runs_on: RunsOn { labels: new.labels.clone(), group: new.group.clone() },
        timeout_minutes: 360,
        definition: Arc::clone(&definition),
        waits: new.waiting,
    });
    let head = NewRun {
        repository: new.repository,
        head_repository: new.head_repository,
        workflow: "synthetic".to_owned(),
        file: ".github/workflows/synthetic.yml".to_owned(),
        event: new.event,
        head_branch: main_branch(),
    };
    Json(shared.state().submit(head, jobs.collect())).into_response()
}

struct NewRun {
    repository: Repository,
    head_repository: Option<Repository>,
    workflow: String,
    file: String,
    event: String,
    head_branch: String,
}

struct NewJob {
    key: String,
    name: String,
    needs: Vec<String>,
    runs_on: RunsOn,
    timeout_minutes: u32,
    definition: Arc<Definition>,
    waits: bool,
}

impl State {
    fn submit(&mut self, new: NewRun, jobs: Vec<NewJob>) -> Value {
        let now = Timestamp::now();
        let repository = self.repository_or_new(&new.repository, true, false);
        let private = self.repositories.get(&repository).is_some_and(|record| record.private);
        let head_repository = match new.head_repository {
            Some(head) => self.repository_or_new(&head, private, true),
            None => repository.clone(),
        };
        let id = self.next_run_id();
        let jobs: Vec<Job> = jobs.into_iter().map(|job| self.new_job(job, id, now)).collect();
        let listed: Vec<(JobId, String)> = jobs.iter().map(|job| (job.id, job.name.clone())).collect();
        let run = Run {
            id,
            plan: self.random.guid(),
            repository,
            head_repository,
            number: u64::try_from(self.runs.len()).unwrap_or_default() + 1,
            workflow: new.workflow,
            workflow_id: 90_000_001,
            file: new.file,
            event: new.event,
            head_branch: new.head_branch,
            head_sha: self.random.hex(40),
            created_at: now,
            updated_at: now,
            attempt: 1,
            jobs: listed.iter().map(|(id, _)| *id).collect(),
        };
        self.add_run(run, jobs);
        self.assign();
        let listed: Vec<Value> =
            listed.into_iter().map(|(id, name)| json!({"id": id, "name": name})).collect();
        json!({"run_id": id, "jobs": listed})
    }

    fn new_job(&mut self, new: NewJob, run: ecsrunner_core::id::RunId, now: Timestamp) -> Job {
        let state = if new.waits { JobState::Waiting } else { JobState::Blocked };
        Job {
            id: self.next_job_id(),
            run,
            attempt: 1,
            key: new.key,
            name: new.name,
            needs: new.needs,
            runs_on: new.runs_on,
            definition: new.definition,
            guid: self.random.guid(),
            request: self.random.guid(),
            timeout_minutes: new.timeout_minutes,
            timeline: vec![(now, state.phase())],
            state,
            created_at: now,
            starts: 0,
            log: None,
            step_logs: Vec::new(),
            steps: Vec::new(),
            outputs: BTreeMap::new(),
            annotations: Vec::new(),
        }
    }
}
