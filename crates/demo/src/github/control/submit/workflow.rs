//! Submits a run of a workflow.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ecsrunner_core::id::Repository;
use ecsrunner_workflow::expression::Value as Context;
use ecsrunner_workflow::model::{Body, Callee};
use ecsrunner_workflow::run::{Given as RunGiven, Run as Plan};
use ecsrunner_workflow::{Position, Problem, Program, trigger};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{App, NewRun, main_branch, push};
use crate::github::api::Refusal;
use crate::github::commit::Commit;
use crate::github::concurrency::Member;
use crate::github::control::action::of_files;
use crate::github::course::{Course, Stage};
use crate::github::job::{Event, Run};
use crate::github::runner_side::download;
use crate::github::state::{Shared, State};
use crate::workflow::{self, Executor, Files, Given, action_key};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::github::control) struct NewWorkflow {
    repository: Repository,
    /// Its path in the repository, such as `.github/workflows/ci.yml`.
    file: String,
    text: String,
    /// What executes its steps.
    #[serde(default)]
    executor: Executor,
    /// Files of the repository, such as those of its local actions and workflows.
    #[serde(default)]
    actions: Files,
    #[serde(default = "push")]
    event: String,
    /// The activity type; by default the first that starts the workflow.
    activity: Option<String>,
    /// More of the event's payload.
    #[serde(default)]
    payload: Map<String, Value>,
    /// The fork, for a pull request from a fork.
    head_repository: Option<Repository>,
    #[serde(default = "main_branch")]
    head_branch: String,
    /// The commit, if the repository has one.
    head_sha: Option<String>,
    /// What is known about that commit.
    commit: Option<Commit>,
    /// Whether the runner has Node.js 24, which then executes `node20` actions.
    #[serde(default)]
    node24: bool,
    /// The repository's default branch, if it is not the one that is known.
    default_branch: Option<String>,
    /// The branch that a pull request asks to change; by default the default branch.
    base_branch: Option<String>,
    base_sha: Option<String>,
    /// The tag that was pushed.
    tag: Option<String>,
    /// The files that the event has changed. If nothing is said about them, filters by path always match.
    changes: Option<Changes>,
    /// Names and values.
    #[serde(default)]
    inputs: Vec<(String, String)>,
    #[serde(default)]
    secrets: Vec<(String, String)>,
    #[serde(default)]
    vars: Vec<(String, String)>,
}

/// The files that an event has changed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    /// In the order of the diff; `None` if there is none.
    files: Option<Vec<String>>,
    /// Where they come from, or why there is no diff.
    of: String,
}

pub(in crate::github::control) async fn workflow(
    Extract(shared): App,
    Json(mut new): Json<NewWorkflow>,
) -> Response {
    let program = match load_with_called(&shared, &new).await {
        Ok(program) => program,
        Err(problems) => return refused(&problems),
    };
    new.activity = activity(&program, &new);
    new.base_branch = Some(base_branch(&shared.state(), &new));
    let started = admit(&program, &new).and_then(|()| inputs(&program, &new));
    let inputs = match started {
        Ok(inputs) => inputs,
        Err(problems) => return refused(&problems),
    };
    let files: Files = new.actions.clone();
    let files_action = match needs_files(&program).then(|| of_files(&files)).transpose() {
        Ok(action) => action.filter(|_| !files.is_empty()),
        Err(error) => return Refusal::invalid(&error.to_string()).into_response(),
    };
    let put_files = files_action.as_ref().map(|(name, _)| name.clone());
    let mut state = shared.state();
    state.actions.extend(files_action);
    let notes = program.workflows().flat_map(|workflow| &workflow.notes).map(ToString::to_string);
    let notes: Vec<String> = notes.chain(paths_note(&program, &new)).chain(payload_note(&new)).collect();
    match state.start(new, Arc::new(program), inputs, put_files) {
        Ok(mut answer) => {
            answer["notes"] = json!(notes);
            state.assign();
            Json(answer).into_response()
        }
        Err(problem) => refused(&[problem]),
    }
}

/// Says what a filter by path is compared with, or why it is not.
fn paths_note(program: &Program, new: &NewWorkflow) -> Option<String> {
    let (key, at) = program.main.triggers.path_filter(&new.event)?;
    let text = match &new.changes {
        _ if new.tag.is_some() => format!("`{key}` is not looked at for a tag, as at GitHub"),
        None => format!("`{key}` is taken as matched: no diff is given"),
        Some(Changes { files: None, of }) => format!("`{key}` is taken as matched: {of}"),
        Some(Changes { files: Some(_), of }) => format!("`{key}` is compared with {of}"),
    };
    Some(Problem { file: new.file.clone(), at, text }.to_string())
}

/// Says what is missing in the payload of the event.
fn payload_note(new: &NewWorkflow) -> Option<String> {
    let event = &new.event;
    match event.as_str() {
        _ if !new.payload.is_empty() => None,
        "push"
        | "pull_request"
        | "pull_request_target"
        | "workflow_dispatch"
        | "schedule"
        | "workflow_run" => None,
        "release" if new.tag.is_some() => None,
        "release" => {
            Some("`github.event` has no `release`: `--tag NAME` or `--payload FILE` gives it".to_owned())
        }
        _ => Some(format!(
            "`github.event` has only what all events have: `--payload FILE` gives the rest of `{event}`"
        )),
    }
}

/// Returns the activity type of the event: what is given, or else one that starts the workflow.
fn activity(program: &Program, new: &NewWorkflow) -> Option<String> {
    let of_payload = || new.payload.get("action").and_then(Value::as_str).map(str::to_owned);
    new.activity.clone().or_else(of_payload).or_else(|| program.main.triggers.activity(&new.event))
}

/// Returns the branch that a pull request asks to change: what is given, in the payload or beside it, or else the
/// default branch.
fn base_branch(state: &State, new: &NewWorkflow) -> String {
    let of_payload = new.payload.get("pull_request").and_then(|pull| pull["base"]["ref"].as_str());
    let known = state.repositories.get(&new.repository).map(|record| record.default_branch.as_str());
    let base = of_payload.or(new.base_branch.as_deref()).or(new.default_branch.as_deref()).or(known);
    base.map_or_else(main_branch, str::to_owned)
}

fn refused(problems: &[Problem]) -> Response {
    let messages: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let body = json!({"problems": problems, "messages": messages});
    (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
}

/// Reads the workflow. Called workflows of other repositories are downloaded, if that is allowed.
async fn load_with_called(shared: &Shared, new: &NewWorkflow) -> Result<Program, Vec<Problem>> {
    loop {
        let missing = RefCell::new(BTreeSet::new());
        let loaded = load(shared, new, &missing);
        let upstream = shared.state().upstream.clone();
        let (Err(problems), Some(upstream)) = (&loaded, upstream) else { return loaded };
        let Some((repository, version)) = missing.into_inner().into_iter().next() else { return loaded };
        let (repository, version) = (repository.as_str(), version.as_str());
        match download(&upstream, repository, version).await {
            Ok(action) => drop(shared.state().actions.insert(action_key(repository, version), action)),
            Err(error) => {
                let mut problems = problems.clone();
                for problem in problems.iter_mut().filter(|problem| problem.text.contains(repository)) {
                    problem.text += &format!(" ({repository}@{version} was not downloaded: {error:#})");
                }
                return Err(problems);
            }
        }
    }
}

fn load(
    shared: &Shared,
    new: &NewWorkflow,
    missing: &RefCell<BTreeSet<(String, String)>>,
) -> Result<Program, Vec<Problem>> {
    let (known, checkout, online) = {
        let state = shared.state();
        let known = state.actions.clone();
        (known, state.git.contains_key(&new.repository), state.upstream.is_some())
    };
    let actions: BTreeSet<String> = known.keys().cloned().collect();
    let workflow = |callee: &Callee| match callee {
        Callee::Remote { repository, file, version } => match known.get(&action_key(repository, version)) {
            Some(action) => action.file(file),
            None => {
                missing.borrow_mut().insert((repository.clone(), version.clone()));
                None
            }
        },
        Callee::Local { .. } => None,
    };
    let given = Given {
        files: &new.actions,
        actions: &actions,
        workflow: &workflow,
        checkout,
        online,
        executor: new.executor,
    };
    workflow::load(&new.file, &new.text, given)
}

/// Whether the event starts the workflow.
fn admit(program: &Program, new: &NewWorkflow) -> Result<(), Vec<Problem>> {
    let of_payload =
        |object: &str, key: &str| new.payload.get(object).and_then(|object| object[key].as_str());
    let triggers = &program.main.triggers;
    let named = triggers.source(&new.event);
    let branch = match (&new.tag, new.event.as_str()) {
        (Some(_), _) => None,
        (None, "push") => Some(new.head_branch.as_str()),
        (None, "workflow_run") => of_payload("workflow_run", "head_branch").or(Some(&new.head_branch)),
        (None, "merge_group") => {
            let base = of_payload("merge_group", "base_ref").or(new.base_branch.as_deref());
            base.map(|name| name.strip_prefix("refs/heads/").unwrap_or(name))
        }
        (None, name) if name.starts_with("pull_request") => new.base_branch.as_deref(),
        (None, _) => None,
    };
    let event = trigger::Event {
        name: &new.event,
        activity: new.activity.as_deref(),
        branch,
        tag: new.tag.as_deref().filter(|_| new.event == "push"),
        workflow: of_payload("workflow_run", "name")
            .or(named.as_deref())
            .filter(|_| new.event == "workflow_run"),
        changed: new.changes.as_ref().and_then(|changes| changes.files.as_deref()),
    };
    triggers.admit(event).map_err(|refused| {
        let of = new.changes.as_ref().filter(|_| refused.by_paths).map(|changes| changes.of.as_str());
        let of = of.map(|of| format!(" (compared with {of}; `--changed FILE` names other files)"));
        let text = refused.text + &of.unwrap_or_default();
        vec![Problem { file: new.file.clone(), at: refused.at, text }]
    })
}

/// Returns the context `inputs`.
fn inputs(program: &Program, new: &NewWorkflow) -> Result<Context, Vec<Problem>> {
    let problem = |text| Problem { file: new.file.clone(), at: Position::START, text };
    if new.event == "workflow_dispatch" {
        let given = trigger::dispatched(&program.main.triggers.dispatch, &new.inputs);
        return given.map_err(|texts| texts.into_iter().map(problem).collect());
    }
    match new.inputs.first() {
        None => Ok(Context::Null),
        Some((name, _)) => Err(vec![problem(format!(
            "the input `{name}` is given, but the event is `{}`: only `workflow_dispatch` has inputs",
            new.event
        ))]),
    }
}

/// Whether a job uses the repository's files without a checkout before.
fn needs_files(program: &Program) -> bool {
    program.workflows().flat_map(|workflow| &workflow.jobs).any(
        |job| matches!(&job.body, Body::Steps(body) if workflow::uses_files_before_checkout(&body.steps)),
    )
}

impl State {
    fn start(
        &mut self,
        new: NewWorkflow,
        program: Arc<Program>,
        inputs: Context,
        put_files: Option<String>,
    ) -> Result<Value, Problem> {
        let mut payload = new.payload;
        if let Some(branch) = new.default_branch {
            let repository = self.repository_or_new(&new.repository, true, false);
            if let Some(record) = self.repositories.get_mut(&repository) {
                record.default_branch = branch;
            }
        }
        if !inputs.entries().is_empty() {
            // The payload has all inputs as texts.
            let texts = inputs.entries().iter().map(|(name, value)| (name.clone(), value.text().into()));
            payload.insert("inputs".to_owned(), Value::Object(texts.collect()));
        }
        let source = program.main.triggers.source(&new.event);
        let run = self.new_run(NewRun {
            repository: new.repository,
            head_repository: new.head_repository,
            workflow: program.main.name.clone(),
            file: program.main.file.clone(),
            event: Event { name: new.event, activity: new.activity, tag: new.tag, source, payload },
            head_branch: new.head_branch,
            head_sha: new.head_sha,
            commit: new.commit,
            node24: new.node24,
            base_branch: new.base_branch,
            base_sha: new.base_sha,
        });
        let given = RunGiven {
            github: Context::from(&self.github_json(&run)),
            inputs,
            vars: Context::Map(new.vars.into_iter().map(|(name, value)| (name, value.into())).collect()),
            secrets: new.secrets,
        };
        let title = Plan::name(&program, &given).unwrap_or_else(|| run.title.clone());
        let group = Plan::concurrency(&program, &given).map_err(|text| Problem {
            file: program.main.file.clone(),
            at: program.main.concurrency.as_ref().map_or(Position::START, |concurrency| concurrency.at),
            text: format!("`concurrency`: {text}"),
        })?;
        let course = Course {
            stage: Stage::Waiting { program, given: Box::new(given) },
            jobs: BTreeMap::new(),
            executor: new.executor,
            put_files,
        };
        let id = run.id;
        self.runs.insert(id, Run { title, course: Some(course), ..run });
        match group {
            None => self.begin_run(id),
            Some(group) => self.acquire(Member::Run(id), &group),
        }
        Ok(self.submitted(id))
    }
}
