//! What the stand-in runner cannot execute, by name. The official runner can.

use ecsrunner_workflow::model::{Body, Reference, Step, StepsJob, Work, Workflow};
use ecsrunner_workflow::{Content, Position, Problem, Token, contexts_of, members_of};

use super::actions;

/// Conditions that need no expression language.
const SIMPLE_CONDITIONS: [&str; 4] = ["success()", "failure()", "cancelled()", "always()"];
/// The contexts that the fake GitHub knows before the job begins. It replaces expressions that use no others.
const KNOWN: [&str; 6] = ["github", "needs", "inputs", "matrix", "strategy", "vars"];
/// Members of `github` that the runner adds, and that the stand-in has too.
pub(crate) const ADDED: [&str; 3] = ["event_path", "token", "workspace"];
/// Members of `github` that the official runner adds and the stand-in does not have.
/// (docs.github.com, "Contexts reference"; actions/runner, `src/Runner.Worker/GitHubContext.cs`)
const MISSING: [&str; 10] = [
    "action",
    "action_path",
    "action_ref",
    "action_repository",
    "action_status",
    "env",
    "output",
    "path",
    "state",
    "step_summary",
];

/// A command in a step's output without which a job does something else.
const COMMAND: &str = "::set-output ";

pub(super) fn check(workflow: &Workflow, problems: &mut Vec<Problem>) {
    let mut add = |at: Position, feature: &str| {
        let text = format!("{feature}, which needs the official runner: `--runner-dir DIR`");
        actions::add(workflow, at, text, problems);
    };
    if let Some(env) = &workflow.env {
        expressions(env, "env", &mut add);
    }
    for job in &workflow.jobs {
        let Body::Steps(body) = &job.body else { continue };
        job_features(body, &mut add);
        for step in &body.steps {
            step_features(step, &mut add);
        }
    }
}

fn job_features(job: &StepsJob, add: &mut impl FnMut(Position, &str)) {
    for (token, key) in [(&job.env, "env"), (&job.defaults, "defaults")] {
        token.iter().for_each(|token| expressions(token, key, add));
    }
    if let Some(container) = &job.container {
        add(container.at, "the job has a `container`");
    }
    job.services.iter().for_each(|services| expressions(services, "services", add));
    for (name, value) in job.outputs.iter().flat_map(|outputs| outputs.entries()) {
        let is_plain = value.text().is_some() || output_of(value).is_some();
        if !is_plain {
            let name = name.text().unwrap_or_default();
            add(value.at, &format!("the output `{name}` is more than the output of a step"));
        }
    }
}

/// Returns the step and the name of an expression `steps.<id>.outputs.<name>`.
pub(crate) fn output_of(token: &Token) -> Option<(&str, &str)> {
    let Content::Expression(expression) = &token.content else { return None };
    let mut parts = expression.split('.');
    let found = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_name = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    match (found, parts.next()) {
        (("steps", step, "outputs", name), None) if is_name(step) && is_name(name) => Some((step, name)),
        _ => None,
    }
}

fn step_features(step: &Step, add: &mut impl FnMut(Position, &str)) {
    if !SIMPLE_CONDITIONS.contains(&step.condition.as_str()) {
        let written = step.condition.strip_prefix("success() && (").and_then(|rest| rest.strip_suffix(')'));
        add(step.at, &format!("the step has the condition `{}`", written.unwrap_or(&step.condition)));
    }
    if let Some(minutes) = &step.timeout_minutes {
        add(minutes.at, "the step has `timeout-minutes`");
    }
    if step.background {
        add(step.at, "the step is executed in the background");
    }
    let texts = [(&step.name, "name"), (&step.env, "env"), (&step.continue_on_error, "continue-on-error")];
    texts.into_iter().for_each(|(token, key)| token.iter().for_each(|token| expressions(token, key, add)));
    match &step.work {
        Work::Script { script, shell, working_directory } => {
            expressions(script, "run", add);
            if script.text().is_some_and(|text| text.contains(COMMAND)) {
                add(script.at, &format!("the script has the command `{COMMAND}`"));
            }
            working_directory.iter().for_each(|token| expressions(token, "working-directory", add));
            if let Some(shell) = shell
                && !matches!(shell.text().as_deref(), Some("bash" | "sh"))
            {
                add(shell.at, &format!("the step has the shell `{}`", shell.text().unwrap_or_default()));
            }
        }
        Work::Action { reference, inputs } => {
            inputs.iter().for_each(|token| expressions(token, "with", add));
            match reference {
                Reference::Image(image) => add(step.at, &format!("the step uses the image `{image}`")),
                Reference::Own { folder } => add(step.at, &format!("the step uses `$/{folder}`")),
                Reference::Local { .. } | Reference::Repository { .. } => {}
            }
        }
        Work::Control { control, .. } => add(step.at, &format!("the step has `{}`", control.as_str())),
    }
}

/// Whether an expression uses nothing of the context `job` but its services, which the stand-in knows.
fn asks_for_services(expression: &str) -> bool {
    members_of(expression, "job").iter().all(|member| member.as_deref() == Some("services"))
}

/// Whether an expression uses what the stand-in adds to the context `github`, so that the fake cannot replace it.
pub(crate) fn uses_what_is_added(expression: &str) -> bool {
    members_of(expression, "github").iter().flatten().any(|member| ADDED.contains(&member.as_str()))
}

/// Names what an expression uses and only the official runner has. A use of the whole of `github`, and of a member whose
/// name is computed, may be a use of that.
pub(crate) fn unknown_to_stand_in(expression: &str) -> Option<String> {
    let is_known = |name: &str| KNOWN.contains(&name) || (name == "job" && asks_for_services(expression));
    let contexts = contexts_of(expression).into_iter().filter(|name| !is_known(name));
    let members = members_of(expression, "github").into_iter().filter_map(|member| match member {
        None => Some("`github` as a whole".to_owned()),
        Some(member) => MISSING.contains(&member.as_str()).then(|| format!("`github.{member}`")),
    });
    let mut unknown: Vec<String> = contexts.map(|name| format!("`{name}`")).chain(members).collect();
    unknown.sort();
    unknown.dedup();
    (!unknown.is_empty()).then(|| unknown.join(", "))
}

/// Names what only the official runner knows in the expressions of a key.
fn expressions(token: &Token, key: &str, add: &mut impl FnMut(Position, &str)) {
    for (expression, at) in token.expressions() {
        if let Some(unknown) = unknown_to_stand_in(expression) {
            add(at, &format!("an expression of `{key}` uses {unknown}"));
        }
    }
}
