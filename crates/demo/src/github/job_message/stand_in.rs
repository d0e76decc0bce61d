//! A job for the stand-in runner: its expressions are replaced by their values, and its defaults are part of its steps.

use ecsrunner_workflow::expression::{Contexts, Value as Context};
use ecsrunner_workflow::model::{Reference, Step, Work};
use ecsrunner_workflow::run::Ready;
use ecsrunner_workflow::{Content, Token};

use crate::workflow::CHECKOUT;

/// Returns a job without expressions that the fake can evaluate. An expression without a value stays as it is, and the
/// stand-in fails the step that has it.
pub(super) fn resolved(ready: &Ready, github: &Context, github_token: &str) -> Ready {
    let contexts = Contexts::default()
        .with("github", github.clone())
        .with("needs", ready.needs.clone())
        .with("inputs", ready.inputs.clone())
        .with("vars", ready.vars.clone())
        .with("matrix", ready.matrix.clone())
        .with("strategy", ready.strategy.clone());
    let value = |token: &Token| token.resolved(&contexts).unwrap_or_else(|_| token.clone());
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
                let inputs = optional(inputs);
                let inputs = match reference {
                    Reference::Repository { name, .. } if name.eq_ignore_ascii_case(CHECKOUT) => {
                        Some(with_defaults(inputs, step, github, github_token))
                    }
                    _ => inputs,
                };
                Work::Action { reference: reference.clone(), inputs }
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

/// Adds the inputs of `actions/checkout` whose defaults are expressions.
fn with_defaults(inputs: Option<Token>, step: &Step, github: &Context, github_token: &str) -> Token {
    let mut inputs = inputs.unwrap_or(Token { at: step.at, content: Content::Map(Vec::new()) });
    let repository = github.get("repository").cloned().unwrap_or_default();
    for (name, value) in [("repository", repository), ("token", github_token.into())] {
        if inputs.get(name).is_none()
            && let Content::Map(entries) = &mut inputs.content
        {
            entries.push((Token::of(name.into(), step.at), Token::of(value, step.at)));
        }
    }
    inputs
}
