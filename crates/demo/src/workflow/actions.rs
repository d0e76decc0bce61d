//! Whether the actions that a workflow uses are there.

use ecsrunner_workflow::model::{Body, Reference, Step, Work, Workflow};
use ecsrunner_workflow::{Position, Problem};

use super::action::{DESCRIPTIONS, JavaScriptAction};
use super::{CHECKOUT, Executor, Given, parts_of_other};

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
    let Work::Action { reference, .. } = &step.work else { return Vec::new() };
    match reference {
        Reference::Local { folder } if given.executor == Executor::StandIn => local(folder, given),
        Reference::Repository { name, version, .. } => {
            let action = format!("{name}@{version}");
            let is_there = given.actions.contains(&action)
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
fn local(folder: &str, given: Given<'_>) -> Vec<String> {
    let text = DESCRIPTIONS.iter().find_map(|name| {
        let path = if folder.is_empty() { (*name).to_owned() } else { format!("{folder}/{name}") };
        given.files.get(&path)
    });
    let Some(text) = text else {
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
    let scripts = [Some(action.main), action.pre, action.post].into_iter().flatten();
    scripts
        .filter(|script| !given.files.contains_key(&format!("{folder}/{script}")))
        .map(|script| format!("`{script}` of `./{folder}` was not given with the workflow"))
        .collect()
}
