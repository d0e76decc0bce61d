//! Submits runs of workflows or of synthetic jobs.

mod workflow;

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use ecsrunner_core::id::{JobId, Repository, RunId};
use ecsrunner_workflow::run::RunsOn;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use crate::github::commit::Commit;
use crate::github::job::{DEFAULT_TIMEOUT_MINUTES, Definition, Event, JobState, NewJob, Run};
use crate::github::state::State;

pub(super) use workflow::workflow;

fn push() -> String {
    "push".to_owned()
}

fn main_branch() -> String {
    "main".to_owned()
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
    let definition = Arc::new(Definition::Synthetic(script));
    let name =
        |index: usize| if new.count == 1 { new.name.clone() } else { format!("{} {}", new.name, index + 1) };
    let head = NewRun {
        repository: new.repository.clone(),
        head_repository: new.head_repository.clone(),
        workflow: "synthetic".to_owned(),
        file: ".github/workflows/synthetic.yml".to_owned(),
        event: Event {
            name: new.event.clone(),
            activity: None,
            tag: None,
            source: None,
            payload: serde_json::Map::new(),
        },
        head_branch: main_branch(),
        head_sha: None,
        commit: None,
        node24: false,
        base_branch: None,
        base_sha: None,
    };
    let mut state = shared.state();
    let run = state.new_run(head);
    let id = run.id;
    let jobs = (0..new.count).map(|index| {
        let name = name(index);
        state.new_job(NewJob {
            run: id,
            attempt: 1,
            key: name.replace(' ', "-"),
            name,
            runs_on: RunsOn { labels: new.labels.clone(), group: new.group.clone() },
            definition: Arc::clone(&definition),
            timeout_minutes: DEFAULT_TIMEOUT_MINUTES,
            state: if new.waiting { JobState::Waiting } else { JobState::Blocked },
        })
    });
    let jobs = jobs.collect();
    state.add_run(Run { jobs, ..run });
    state.assign();
    Json(state.submitted(id)).into_response()
}

pub(super) struct NewRun {
    repository: Repository,
    head_repository: Option<Repository>,
    workflow: String,
    file: String,
    event: Event,
    head_branch: String,
    /// The commit; any if there is no repository.
    head_sha: Option<String>,
    /// What is known about that commit; made up if there is no repository.
    commit: Option<Commit>,
    node24: bool,
    /// The branch that a pull request asks to change; by default the repository's default branch.
    base_branch: Option<String>,
    /// Its commit; by default that of the run.
    base_sha: Option<String>,
}

impl State {
    /// Makes a run without jobs.
    fn new_run(&mut self, new: NewRun) -> Run {
        let now = Timestamp::now();
        let repository = self.repository_or_new(&new.repository, true, false);
        let private = self.repositories.get(&repository).is_some_and(|record| record.private);
        let head_repository = match new.head_repository {
            Some(head) => self.repository_or_new(&head, private, true),
            None => repository.clone(),
        };
        let default_branch = self.repositories.get(&repository).map(|record| record.default_branch.clone());
        let id = self.next_run_id();
        let head_sha = new.head_sha.unwrap_or_else(|| self.random.hex(40));
        let commit = new.commit.unwrap_or_else(|| Commit::of_file(&new.file, self.random.hex(40), now));
        Run {
            id,
            plan: self.random.guid(),
            repository,
            head_repository,
            number: u64::try_from(self.runs.len()).unwrap_or_default() + 1,
            title: new.workflow.clone(),
            workflow: new.workflow,
            workflow_id: 90_000_001,
            file: new.file,
            event: new.event,
            head_branch: new.head_branch,
            base_branch: new.base_branch.or(default_branch).unwrap_or_else(main_branch),
            base_sha: new.base_sha.unwrap_or_else(|| head_sha.clone()),
            head_sha,
            commit,
            node24: new.node24,
            created_at: now,
            updated_at: now,
            attempt: 1,
            jobs: Vec::new(),
            course: None,
        }
    }

    /// Returns the answer to a submission.
    fn submitted(&self, id: RunId) -> Value {
        let jobs: Vec<JobId> = self.runs.get(&id).map(|run| run.jobs.clone()).unwrap_or_default();
        let listed: Vec<Value> = jobs
            .iter()
            .filter_map(|id| self.jobs.get(id))
            .map(|job| json!({"id": job.id, "name": job.name}))
            .collect();
        json!({"run_id": id, "jobs": listed})
    }
}
