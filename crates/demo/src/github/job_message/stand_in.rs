//! A job for the stand-in runner: its expressions are replaced by their values, and its defaults are part of its steps.

use ecsrunner_workflow::Token;
use ecsrunner_workflow::expression::{Contexts, Value as Context};
use ecsrunner_workflow::model::{Step, Work};
use ecsrunner_workflow::run::Ready;

use crate::workflow::stand_in::uses_what_is_added;

/// Returns a job without expressions that the fake can evaluate. The stand-in evaluates those that use what it adds to the
/// context `github`. An expression without a value stays as it is too, and the stand-in fails the step that has it.
pub(super) fn resolved(ready: &Ready, github: &Context) -> Ready {
    let contexts = Contexts::default()
        .with("github", github.clone())
        .with("needs", ready.needs.clone())
        .with("inputs", ready.inputs.clone())
        .with("vars", ready.vars.clone())
        .with("matrix", ready.matrix.clone())
        .with("strategy", ready.strategy.clone());
    let value = |token: &Token| {
        let is_for_runner = token.expressions().iter().any(|(expression, _)| uses_what_is_added(expression));
        let resolved = (!is_for_runner).then(|| token.resolved(&contexts).ok()).flatten();
        resolved.unwrap_or_else(|| token.clone())
    };
    let optional = |token: &Option<Token>| token.as_ref().map(value);
    let defaults: Vec<Token> = ready.defaults.iter().map(value).collect();
    // As in the official runner, the last `defaults` with `run` replaces those before as a whole.
    // (actions/runner, `src/Runner.Worker/JobExtension.cs`)
    let run = defaults.iter().rev().find_map(|defaults| defaults.get("run"));
    let default = |key: &str| run.and_then(|run| run.get(key)).cloned();
    let steps = ready.steps.iter().map(|step| Step {
        name: optional(&step.name),
        env: optional(&step.env),
        continue_on_error: optional(&step.continue_on_error),
        timeout_minutes: optional(&step.timeout_minutes),
        work: match &step.work {
            Work::Script { script, shell, working_directory } => Work::Script {
                script: value(script),
                shell: shell.clone().or_else(|| default("shell")),
                working_directory: optional(working_directory).or_else(|| default("working-directory")),
            },
            Work::Action { reference, inputs } => {
                Work::Action { reference: reference.clone(), inputs: optional(inputs) }
            }
            control @ Work::Control { .. } => control.clone(),
        },
        ..step.clone()
    });
    Ready {
        steps: steps.collect(),
        env: ready.env.iter().map(value).collect(),
        defaults: Vec::new(),
        outputs: optional(&ready.outputs),
        services: optional(&ready.services),
        ..ready.clone()
    }
}
