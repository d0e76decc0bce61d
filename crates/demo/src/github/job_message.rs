//! The job message, which holds everything that a runner gets about its job.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ecsrunner_core::id::JobId;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::auth::Grant;
use super::job::{Definition, Job, Run};
use super::runner_side::paths;
use super::state::State;
use super::template::{context, mapping, scalar, token};
use crate::protocol::SYNTHETIC_STEP;
use crate::workflow::{Reference, Step, Work};
use ecsrunner_world::random::Random;

const NO_GUID: &str = "00000000-0000-0000-0000-000000000000";

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
        let run = self.jobs.get(&id).and_then(|job| self.run_of(job))?;
        let grant = Grant {
            owner: run.repository.owner().to_owned(),
            repositories: Some(std::iter::once(run.repository.clone()).collect()),
            permissions: [("contents", "read"), ("actions", "read")]
                .map(|(name, level)| (name.to_owned(), level.to_owned()))
                .into(),
            expires_at: Timestamp::now() + SignedDuration::from_hours(1),
        };
        self.credentials.keep(&github_token, grant);
        let job = self.jobs.get(&id)?;
        let run = self.run_of(job)?;
        Some(self.message_of(job, run, worker_token, &github_token))
    }

    fn message_of(&self, job: &Job, run: &Run, worker_token: &str, github_token: &str) -> Value {
        let definition = &job.definition;
        let service = format!("{}{}/", self.base, paths::RUN);
        let results = format!("{}/", self.base);
        json!({
            "messageType": "RunnerJobRequest",
            "plan": {
                "scopeIdentifier": NO_GUID, "planType": "actions", "version": 0, "planId": run.plan,
                "artifactUri": "", "artifactLocation": "",
            },
            "timeline": {"id": job.guid, "changeId": 0, "location": null},
            "jobId": job.guid,
            "jobDisplayName": job.name,
            "jobName": instance(&job.definition),
            "requestId": 0,
            "lockedUntil": "0001-01-01T00:00:00",
            "resources": {"endpoints": [{
                "name": "SystemVssConnection",
                "url": service,
                "isShared": false,
                "isReady": true,
                "authorization": {"scheme": "OAuth", "parameters": {"AccessToken": worker_token}},
                "data": {},
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
            },
            "mask": [{"type": "regex", "value": github_token}],
            "contextData": {
                "github": context(&self.github_context(job, run)),
                "needs": context(&self.needs(job, run)),
                "inputs": null,
                "matrix": matrix(definition),
                "strategy": context(&json!({
                    "fail-fast": true,
                    "job-index": definition.index.0,
                    "job-total": definition.index.1,
                    "max-parallel": definition.index.1,
                })),
                "vars": {"t": 2},
            },
            // A mapping can hold a name once, so each level has its own mapping.
            "environmentVariables": definition.env.iter().map(mapping).collect::<Vec<_>>(),
            "defaults": definition.defaults.iter().map(|run| json!({"type": 2, "map": [
                {"Key": "run", "Value": mapping(run)},
            ]})).collect::<Vec<_>>(),
            "fileTable": [run.file],
            "jobContainer": null,
            "jobServiceContainers": null,
            "jobOutputs": if definition.outputs.is_empty() { Value::Null } else { mapping(&definition.outputs) },
            "workspace": {},
            "steps": steps(definition, &job.guid),
        })
    }

    fn github_context(&self, job: &Job, run: &Run) -> Value {
        let repository = self.repositories.get(&run.repository);
        let branch = &run.head_branch;
        let (ref_name, head_ref, base_ref) = if run.is_pull_request() {
            ("refs/pull/1/merge".to_owned(), branch.as_str(), "main")
        } else {
            (format!("refs/heads/{branch}"), "", "")
        };
        let short_ref = ref_name.trim_start_matches("refs/heads/").trim_start_matches("refs/pull/");
        json!({
            "action": "",
            "actor": "octocat",
            "actor_id": "583231",
            "api_url": self.base,
            "base_ref": base_ref,
            "event": self.event_json(run),
            "event_name": run.event,
            "graphql_url": format!("{}/graphql", self.base),
            "head_ref": head_ref,
            "job": job.key,
            "ref": ref_name,
            "ref_name": short_ref,
            "ref_protected": "false",
            "ref_type": "branch",
            "repository": run.repository,
            "repository_id": repository.map(|record| record.id.to_string()),
            "repository_owner": run.repository.owner(),
            "repository_owner_id": "1",
            "retention_days": "90",
            "run_attempt": job.attempt.to_string(),
            "run_id": run.id.to_string(),
            "run_number": run.number.to_string(),
            "server_url": self.base,
            "sha": run.head_sha,
            "triggering_actor": "octocat",
            "workflow": run.workflow,
            "workflow_ref": format!("{}/{}@{ref_name}", run.repository, run.file),
            "workflow_sha": run.head_sha,
        })
    }

    /// The payload of the event that started the run.
    fn event_json(&self, run: &Run) -> Value {
        let repository = |name| self.repositories.get(name).map(|record| self.repository_json(record));
        let mut event = json!({
            "repository": repository(&run.repository),
            "sender": self.user_json("octocat"),
        });
        if run.is_pull_request() {
            event["action"] = json!("opened");
            event["number"] = json!(1);
            event["pull_request"] = json!({
                "number": 1,
                "head": {"ref": run.head_branch, "sha": run.head_sha, "repo": repository(&run.head_repository)},
                "base": {"ref": "main", "sha": run.head_sha, "repo": repository(&run.repository)},
            });
        } else {
            event["ref"] = json!(format!("refs/heads/{}", run.head_branch));
            event["before"] = json!("0".repeat(40));
            event["after"] = json!(run.head_sha);
        }
        event
    }

    fn needs(&self, job: &Job, run: &Run) -> Value {
        let others = run.jobs.iter().filter_map(|id| self.jobs.get(id));
        let needed = others.filter(|other| job.needs.contains(&other.key)).map(|other| {
            let result = other.state.conclusion().map(|conclusion| conclusion.as_str());
            (other.key.clone(), json!({"result": result, "outputs": other.outputs}))
        });
        Value::Object(needed.collect::<Map<_, _>>())
    }
}

impl Run {
    fn is_pull_request(&self) -> bool {
        self.event.starts_with("pull_request")
    }
}

/// Returns the name of a job among the jobs of its matrix; `__default` without a matrix.
fn instance(definition: &Definition) -> String {
    match definition.matrix.is_empty() {
        true => "__default".to_owned(),
        false => format!("__matrix_{}", definition.index.0 + 1),
    }
}

/// Returns the unique name of a job: the run's plan, the job's key and its instance.
fn orchestration_id(job: &Job, run: &Run) -> String {
    format!("{}.{}.{}", run.plan, job.key, instance(&job.definition))
}

fn matrix(definition: &Definition) -> Value {
    if definition.matrix.is_empty() {
        return Value::Null;
    }
    let values: Map<String, Value> = definition.matrix.iter().cloned().collect();
    context(&Value::Object(values))
}

fn steps(definition: &Definition, job: &str) -> Vec<Value> {
    if let Some(script) = &definition.synthetic {
        let mut value = base(1, SYNTHETIC_STEP, "success()", job);
        value["displayNameToken"] = format!("Run {script}").into();
        value["reference"] = json!({"type": "script"});
        value["inputs"] = mapping(&vec![("script".to_owned(), script.clone())]);
        return vec![value];
    }
    let mut steps = Vec::new();
    if let Some((name, version)) = definition.put_files.as_deref().and_then(|action| action.split_once('@')) {
        let mut value = base(1, "__files", "success()", job);
        value["displayNameToken"] = "Put the repository's files in place".into();
        value["reference"] = json!({
            "type": "repository", "name": name, "ref": version, "repositoryType": "GitHub", "path": "",
        });
        value["inputs"] = mapping(&Vec::new());
        steps.push(value);
    }
    let mut names = ContextNames::default();
    for step in &definition.steps {
        let name = names.name(step);
        steps.push(step_json(step, base(steps.len() + 1, &name, &step.condition, job)));
    }
    steps
}

/// Gives each step its name in expressions: its `id`, or a generated name as at GitHub.
#[derive(Default)]
struct ContextNames {
    made_up: BTreeMap<String, usize>,
}

impl ContextNames {
    fn name(&mut self, step: &Step) -> String {
        if let Some(id) = &step.id {
            return id.clone();
        }
        let name = match &step.work {
            Work::Run { .. } => "__run".to_owned(),
            Work::Action { reference: Reference::Repository { name, .. }, .. } => {
                let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
                format!("__{}", name.chars().map(allowed).collect::<String>())
            }
            Work::Action { reference: Reference::Local { .. }, .. } => "__self".to_owned(),
            Work::Action { reference: Reference::Image(_), .. } => "__docker".to_owned(),
        };
        let count = self.made_up.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 { name } else { format!("{name}_{count}") }
    }
}

/// Returns the fields that all steps have.
fn base(number: usize, name: &str, condition: &str, job: &str) -> Value {
    json!({
        "type": "action",
        // It only has to be unique within the job.
        "id": format!("{number:08x}{}", &job[8..]),
        "name": name,
        "contextName": name,
        "condition": condition,
        "enabled": true,
        "continueOnError": null,
        "timeoutInMinutes": null,
    })
}

fn step_json(step: &Step, mut value: Value) -> Value {
    if let Some(name) = &step.name {
        value["displayNameToken"] = token(name);
    }
    if !step.env.is_empty() {
        value["environment"] = mapping(&step.env);
    }
    value["continueOnError"] = scalar(step.continue_on_error.as_deref());
    value["timeoutInMinutes"] = scalar(step.timeout_minutes.as_deref());
    match &step.work {
        Work::Run { script, shell, working_directory } => {
            value["reference"] = json!({"type": "script"});
            let mut inputs = vec![("script".to_owned(), script.clone())];
            inputs.extend(shell.iter().map(|shell| ("shell".to_owned(), shell.clone())));
            inputs.extend(working_directory.iter().map(|path| ("workingDirectory".to_owned(), path.clone())));
            value["inputs"] = mapping(&inputs);
        }
        Work::Action { reference, inputs } => {
            value["reference"] = reference_json(reference);
            value["inputs"] = mapping(inputs);
        }
    }
    value
}

fn reference_json(reference: &Reference) -> Value {
    match reference {
        Reference::Local { folder } => json!({
            "type": "repository", "name": null, "ref": null, "repositoryType": "self", "path": format!("./{folder}"),
        }),
        Reference::Repository { name, path, version } => json!({
            "type": "repository", "name": name, "ref": version, "repositoryType": "GitHub", "path": path,
        }),
        Reference::Image(image) => json!({"type": "containerRegistry", "image": image}),
    }
}
