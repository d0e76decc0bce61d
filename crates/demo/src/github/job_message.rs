//! The job message, which holds everything that a runner gets about its job.

mod stand_in;
mod steps;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ecsrunner_core::id::JobId;
use ecsrunner_workflow::expression::Value as Context;
use ecsrunner_workflow::run::{JOB_TOKEN, Ready};
use ecsrunner_workflow::{DEFAULT_PERMISSIONS, all_permissions};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::auth::Grant;
use super::job::{Definition, Job, Run};
use super::runner_side::paths;
use super::state::State;
use super::template::{context, optional, token};
use crate::workflow::{Executor, parts_of_other};
use ecsrunner_world::random::Random;

const NO_GUID: &str = "00000000-0000-0000-0000-000000000000";
/// The permission that each token has, and that no workflow names.
const METADATA: (&str, &str) = ("metadata", "read");

/// Returns a worker's token. It only has to have the form of a JWT.
fn job_token(random: &mut Random, orchestration_id: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(&json!({"typ": "JWT", "alg": "RS256"}));
    let claims = part(&json!({"orch_id": orchestration_id, "exp": 4_102_444_800_u64, "jti": random.guid()}));
    format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(random.hex(64)))
}

impl State {
    /// Makes a worker's token for a job.
    pub(super) fn job_token(&mut self, id: JobId) -> Option<String> {
        let job = self.jobs.get(&id)?;
        let orchestration_id = orchestration_id(job, self.run_of(job)?);
        Some(job_token(&mut self.random, &orchestration_id))
    }

    pub(super) fn job_message(&mut self, id: JobId, worker_token: &str) -> Option<Value> {
        let github_token = format!("ghs_{}", self.random.hex(36));
        let job = self.jobs.get(&id)?;
        let run = self.run_of(job)?;
        let permissions = permissions(job);
        let grant = Grant {
            owner: run.repository.owner().to_owned(),
            repositories: Some(std::iter::once(run.repository.clone()).collect()),
            permissions: permissions
                .iter()
                .map(|(name, level)| (name.replace('-', "_"), level.clone()))
                .collect(),
            expires_at: Timestamp::now() + SignedDuration::from_hours(24),
        };
        self.credentials.keep(&github_token, grant);
        let job = self.jobs.get(&id)?;
        let run = self.run_of(job)?;
        let mut message = self.frame(job, run, worker_token, &github_token);
        let shown: Map<String, Value> =
            permissions.into_iter().map(|(name, level)| (title(&name), level.into())).collect();
        if run.node24 {
            // As on github.com. Runners that have no Node.js 24 would fail.
            message["variables"]["actions.runner.usenode24bydefault"] = json!({"value": "true"});
        }
        message["variables"]["system.github.token.permissions"] =
            json!({"value": Value::Object(shown).to_string()});
        match job.definition.as_ref() {
            Definition::Blocked => {}
            Definition::Synthetic(script) => message["steps"] = json!(steps::synthetic(script, &job.guid)),
            Definition::Workflow { ready, executor: Executor::Official, put_files } => {
                fill(&mut message, ready, put_files.as_deref(), &github_token, job, run);
            }
            Definition::Workflow { ready, executor: Executor::StandIn, put_files } => {
                let github = Context::from(&self.github_context(job, run));
                let ready = stand_in::resolved(ready, &github);
                fill(&mut message, &ready, put_files.as_deref(), &github_token, job, run);
            }
        }
        Some(message)
    }

    /// Returns the message of a job without steps.
    fn frame(&self, job: &Job, run: &Run, worker_token: &str, github_token: &str) -> Value {
        let service = format!("{}{}/", self.base, paths::RUN);
        let results = format!("{}/", self.base);
        let empty = json!({"t": 2});
        json!({
            "messageType": "RunnerJobRequest",
            "plan": {
                "scopeIdentifier": NO_GUID, "planType": "actions", "version": 0, "planId": run.plan,
                "artifactUri": "", "artifactLocation": "",
            },
            "timeline": {"id": job.guid, "changeId": 0, "location": null},
            "jobId": job.guid,
            "jobDisplayName": job.name,
            "jobName": instance(job),
            "requestId": 0,
            "lockedUntil": "0001-01-01T00:00:00",
            "resources": {"endpoints": [{
                "name": "SystemVssConnection",
                "url": service,
                "isShared": false,
                "isReady": true,
                "authorization": {"scheme": "OAuth", "parameters": {"AccessToken": worker_token}},
                "data": {"FeedStreamUrl": paths::feed_url(&self.base)},
            }]},
            "variables": {
                "system.github.token": {"value": github_token, "isSecret": true},
                // The source of `secrets.GITHUB_TOKEN`.
                "github_token": {"value": github_token, "isSecret": true},
                "system.github.job": {"value": job.key},
                "system.runnerEnvironment": {"value": "self-hosted"},
                "actions_display_helpful_actions_download_errors": {"value": "true"},
                "system.orchestrationId": {"value": orchestration_id(job, run)},
                "system.runnerGroupName": {"value": "Default"},
                "system.github.results_endpoint": {"value": results},
                "system.github.launch_endpoint": {"value": results},
                // As on github.com. Without it, runners use no container hooks.
                "DistributedTask.AllowRunnerContainerHooks": {"value": "true"},
                "actions_service_container_command": {"value": "true"},
                // As on github.com. Without them, runners report no notices, no titles, nothing of the steps of
                // composite actions, and nothing of what fails before the first step.
                "DistributedTask.EnhancedAnnotations": {"value": "true"},
                "RunService.FixEmbeddedIssues": {"value": "true"},
                "actions_send_job_level_annotations": {"value": "true"},
                // As on github.com. Without it, runners do not warn of `::set-output::` and `::save-state::`.
                "DistributedTask.DeprecateStepOutputCommands": {"value": "true"},
                // As on github.com, for `$/` in actions.
                "actions_self_repository": {"value": "true"},
            },
            "mask": [{"type": "regex", "value": github_token}],
            "contextData": {
                "github": context(&Context::from(&self.github_context(job, run))),
                "needs": empty,
                "inputs": null,
                "matrix": null,
                "strategy": context(&Context::from(&json!({
                    "fail-fast": true, "job-index": 0, "job-total": 1, "max-parallel": 1,
                }))),
                "vars": empty,
            },
            "environmentVariables": [],
            "defaults": [],
            "fileTable": [run.file],
            "jobContainer": null,
            "jobServiceContainers": null,
            "jobOutputs": null,
            "workspace": {},
            "steps": [],
        })
    }

    fn github_context(&self, job: &Job, run: &Run) -> Value {
        let mut github = self.github_json(run);
        github["job"] = json!(job.key);
        github["run_attempt"] = json!(job.attempt.to_string());
        github
    }
}

/// Where the file of a job's workflow is.
struct Origin {
    repository: String,
    file: String,
    reference: String,
    /// The commit, or a branch or tag of another repository.
    commit: String,
}

impl Origin {
    fn of(ready: &Ready, run: &Run) -> Self {
        match parts_of_other(&ready.file) {
            Some((repository, file, version)) => Self {
                repository: repository.to_owned(),
                file: file.to_owned(),
                reference: version.to_owned(),
                commit: version.to_owned(),
            },
            None => Self {
                repository: run.repository.to_string(),
                file: ready.file.clone(),
                reference: run.reference().0,
                commit: run.sha().to_owned(),
            },
        }
    }
}

/// Adds what a job of a workflow says.
fn fill(
    message: &mut Value,
    ready: &Ready,
    put_files: Option<&str>,
    github_token: &str,
    job: &Job,
    run: &Run,
) {
    for (name, value) in [
        ("needs", &ready.needs),
        ("inputs", &ready.inputs),
        ("matrix", &ready.matrix),
        ("strategy", &ready.strategy),
        ("vars", &ready.vars),
    ] {
        message["contextData"][name] = context(value);
    }
    let origin = Origin::of(ready, run);
    message["contextData"]["job"] = context(&Context::from(&json!({
        "check_run_id": job.id,
        "workflow_ref": format!("{}/{}@{}", origin.repository, origin.file, origin.reference),
        "workflow_sha": origin.commit,
        "workflow_repository": origin.repository,
        "workflow_file_path": origin.file,
    })));
    for (name, value) in &ready.secrets {
        let value = value.replace(JOB_TOKEN, github_token);
        message["variables"][name] = json!({"value": value, "isSecret": true});
    }
    // A mapping can hold a name once, so each level has its own mapping.
    message["environmentVariables"] = ready.env.iter().map(token).collect();
    message["defaults"] = ready.defaults.iter().map(token).collect();
    message["fileTable"] = json!([ready.file]);
    message["jobContainer"] = optional(ready.container.as_ref());
    message["jobServiceContainers"] = optional(ready.services.as_ref());
    message["jobOutputs"] = optional(ready.outputs.as_ref());
    if let Some(environment) = &ready.environment {
        message["actionsEnvironment"] =
            json!({"name": environment.name, "url": optional(environment.url.as_ref())});
    }
    message["steps"] = json!(steps::of_workflow(&ready.steps, put_files, job, &origin));
}

/// Returns the permissions of a job's token, by GitHub's names in workflows.
fn permissions(job: &Job) -> Vec<(String, String)> {
    let declared = match job.definition.as_ref() {
        Definition::Workflow { ready, .. } => ready.permissions.as_ref(),
        Definition::Blocked | Definition::Synthetic(_) => None,
    };
    let owned = |(name, level): (&str, &str)| (name.to_owned(), level.to_owned());
    let mut permissions: Vec<(String, String)> = match declared.map(|declared| (declared, declared.text())) {
        None => DEFAULT_PERMISSIONS.map(owned).to_vec(),
        Some((_, Some(all))) => all_permissions(all == "write-all").map(owned).collect(),
        Some((declared, None)) => {
            let named = declared.entries().iter();
            let named = named.filter_map(|(name, level)| Some((name.text()?, level.text()?)));
            named.filter(|(_, level)| level != "none").collect()
        }
    };
    permissions.push(owned(METADATA));
    permissions
}

/// Returns a permission's name as a job's log shows it: `PullRequests`.
fn title(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    name.split('-').map(word).collect()
}

/// Returns the name of a job among the jobs of its matrix; `__default` without a matrix.
fn instance(job: &Job) -> String {
    match job.definition.as_ref() {
        Definition::Workflow { ready, .. } => ready.instance.clone(),
        Definition::Blocked | Definition::Synthetic(_) => "__default".to_owned(),
    }
}

/// Returns the unique name of a job: the run's plan, the job's path and its instance.
fn orchestration_id(job: &Job, run: &Run) -> String {
    let path = match job.definition.as_ref() {
        Definition::Workflow { ready, .. } => &ready.path,
        Definition::Blocked | Definition::Synthetic(_) => &job.key,
    };
    format!("{}.{path}.{}", run.plan, instance(job))
}
