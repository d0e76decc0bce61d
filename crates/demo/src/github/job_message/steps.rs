//! The steps of a job message.

use ecsrunner_workflow::Token;
use ecsrunner_workflow::model::{Reference, Step, Work};
use serde_json::{Value, json};

use super::Origin;
use crate::github::job::Job;
use crate::github::template::{mapping, optional, token};
use crate::protocol::SYNTHETIC_STEP;

/// Returns the only step of a synthetic job.
pub(super) fn synthetic(script: &str, job: &str) -> Vec<Value> {
    let mut value = base(1, SYNTHETIC_STEP, "success()", job);
    value["displayNameToken"] = format!("Run {script}").into();
    value["reference"] = json!({"type": "script"});
    value["inputs"] = mapping([("script", script.into())]);
    vec![value]
}

/// Returns the steps of a workflow's job. `put_files` is the action that puts the repository's files in place.
pub(super) fn of_workflow(steps: &[Step], put_files: Option<&str>, job: &Job, origin: &Origin) -> Vec<Value> {
    let mut values = Vec::with_capacity(steps.len() + 1);
    if let Some((name, version)) = put_files.and_then(|action| action.split_once('@')) {
        let mut value = base(1, "__files", "success()", &job.guid);
        value["displayNameToken"] = "Put the repository's files in place".into();
        value["reference"] = json!({
            "type": "repository", "name": name, "ref": version, "repositoryType": "GitHub", "path": "",
        });
        value["inputs"] = mapping([]);
        values.push(value);
    }
    for step in steps {
        let number = values.len() + 1;
        values.push(step_json(step, base(number, &step.context_name, &step.condition, &job.guid), origin));
    }
    values
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

fn step_json(step: &Step, mut value: Value, origin: &Origin) -> Value {
    if let Some(name) = &step.name {
        value["displayNameToken"] = token(name);
    }
    if let Some(env) = &step.env {
        value["environment"] = token(env);
    }
    if step.background {
        value["background"] = json!(true);
    }
    if let Some(group) = &step.group {
        value["parallelGroupId"] = json!(group);
    }
    value["continueOnError"] = optional(step.continue_on_error.as_ref());
    value["timeoutInMinutes"] = optional(step.timeout_minutes.as_ref());
    match &step.work {
        Work::Script { script, shell, working_directory } => {
            value["reference"] = json!({"type": "script"});
            let inputs = [("shell", shell), ("workingDirectory", working_directory)];
            let inputs = inputs.into_iter().filter_map(|(name, input)| Some((name, token(input.as_ref()?))));
            value["inputs"] = mapping(std::iter::once(("script", script_token(script))).chain(inputs));
        }
        Work::Action { reference, inputs } => {
            value["reference"] = reference_json(reference, origin);
            value["inputs"] = inputs.as_ref().map_or_else(|| mapping([]), token);
        }
        Work::Control { control, steps } => {
            value["type"] = json!("backgroundStepControl");
            value["controlType"] = json!(control.as_str());
            value["stepIds"] = json!(steps);
            if step.name.is_none() {
                value["displayNameToken"] = json!(control.as_str());
            }
        }
    }
    value
}

/// A script is a text, also one that is empty.
fn script_token(script: &Token) -> Value {
    match token(script) {
        Value::Null => json!(""),
        value => value,
    }
}

fn reference_json(reference: &Reference, origin: &Origin) -> Value {
    match reference {
        Reference::Local { folder } => json!({
            "type": "repository", "name": null, "ref": null, "repositoryType": "self", "path": format!("./{folder}"),
        }),
        Reference::Own { folder } => json!({
            "type": "repository", "name": origin.repository, "ref": origin.commit, "repositoryType": "GitHub", "path": folder,
        }),
        Reference::Repository { name, path, version } => json!({
            "type": "repository", "name": name, "ref": version, "repositoryType": "GitHub", "path": path,
        }),
        Reference::Image(image) => json!({"type": "containerRegistry", "image": image}),
    }
}
