//! Whether the actions that a workflow uses are there.

use ecsrunner_workflow::model::{Body, Reference, Step, Work, Workflow};
use ecsrunner_workflow::{Position, Problem, Token};

use super::action::{DESCRIPTIONS, JavaScriptAction};
use super::stand_in::unknown_to_stand_in;
use super::{CHECKOUT, Executor, Given, action_key, normal_path, parts_of_other};

pub(super) fn check(workflow: &Workflow, given: Given<'_>, problems: &mut Vec<Problem>) {
    for job in &workflow.jobs {
        let Body::Steps(body) = &job.body else { continue };
        for step in &body.steps {
            for text in wrong(step, workflow, given) {
                add(workflow, step.at, text, problems);
            }
        }
    }
}

pub(super) fn add(workflow: &Workflow, at: Position, text: String, problems: &mut Vec<Problem>) {
    let problem = Problem { file: workflow.file.clone(), at, text };
    if !problems.contains(&problem) {
        problems.push(problem);
    }
}

fn wrong(step: &Step, workflow: &Workflow, given: Given<'_>) -> Vec<String> {
    let Work::Action { reference, inputs } = &step.work else { return Vec::new() };
    match reference {
        Reference::Local { folder } if given.executor == Executor::StandIn => {
            local(folder, inputs.as_ref(), given)
        }
        Reference::Repository { name, version, .. } => {
            let action = format!("{name}@{version}");
            let is_there = given.actions.contains(&action_key(name, version))
                || given.online
                || (given.checkout && name.eq_ignore_ascii_case(CHECKOUT));
            if is_there {
                Vec::new()
            } else {
                vec![format!("uses `{action}`, {}", missing(&action, given.online))]
            }
        }
        // A workflow of another repository comes with all of that repository's files.
        Reference::Own { .. } if !given.checkout && parts_of_other(&workflow.file).is_none() => {
            vec!["uses a folder by `$/`, but the workflow is not in a Git repository".to_owned()]
        }
        Reference::Local { .. } | Reference::Own { .. } | Reference::Image(_) => Vec::new(),
    }
}

/// Says how an action can be given.
pub(super) fn missing(action: &str, online: bool) -> String {
    if online {
        return "which GitHub does not have".to_owned();
    }
    format!(
        "which was not given: `--action {action}=DIR` gives it from a directory, and `--online` from GitHub"
    )
}

/// Returns why the stand-in cannot execute an action of the workspace.
fn local(folder: &str, inputs: Option<&Token>, given: Given<'_>) -> Vec<String> {
    let below = |name: &str| given_file(&format!("{folder}/{name}"), given);
    let Some(text) = DESCRIPTIONS.iter().find_map(|name| below(name)) else {
        return vec![format!("uses `./{folder}`, whose action.yml was not given with the workflow")];
    };
    let action = match JavaScriptAction::read(text) {
        Ok(action) => action,
        Err(problems) => {
            let shown =
                problems.into_iter().map(|problem| format!("the action.yml of `./{folder}`: {problem}"));
            return shown.collect();
        }
    };
    let scripts = [Some(&action.main), action.pre.as_ref(), action.post.as_ref()].into_iter().flatten();
    let missing = scripts
        .filter(|script| below(script).is_none())
        .map(|script| format!("`{script}` of `./{folder}` was not given with the workflow"));
    missing.chain(unknown_defaults(folder, &action, inputs)).collect()
}

/// Returns the text of a file of the repository.
fn given_file<'a>(path: &str, given: Given<'a>) -> Option<&'a String> {
    given.files.get(&normal_path(path)?)
}

/// Names what the stand-in does not know in the defaults of inputs that a step does not give.
fn unknown_defaults(folder: &str, action: &JavaScriptAction, inputs: Option<&Token>) -> Vec<String> {
    let is_given = |name: &str| {
        let entries = inputs.map(Token::entries).unwrap_or_default();
        entries.iter().any(|(key, _)| key.text().is_none_or(|key| key.eq_ignore_ascii_case(name)))
    };
    let open = action.inputs.iter().filter(|(name, _)| !is_given(name));
    open.filter_map(|(name, default)| {
        let token = Token::of_template(default, Position::START).ok()?;
        let unknown = token.expressions().iter().find_map(|(expression, _)| unknown_to_stand_in(expression))?;
        Some(format!(
            "the default of the input `{name}` of `./{folder}` uses {unknown}, which needs the official runner: `--runner-dir DIR`"
        ))
    })
    .collect()
}
