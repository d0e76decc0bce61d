//! One step of a job.

use serde::{Deserialize, Serialize};

use super::action::LocalAction;
use super::matrix::Combination;
use super::node::Node;
use super::{Environment, Place, Reader};

/// One step, ready to execute.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// The name that logs and API show.
    pub name: String,
    /// What it does.
    pub work: Work,
    /// Its own environment.
    pub env: Environment,
    /// When it is executed.
    pub condition: Condition,
    /// Whether its failure leaves the job successful.
    pub continue_on_error: bool,
}

/// What a step does.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// `run:`, a script.
    Run {
        /// The script's text.
        script: String,
        /// The shell that reads it.
        shell: Shell,
        /// Relative to the workspace; the workspace itself where `None`.
        working_directory: Option<String>,
    },
    /// `uses: ./path`, a JavaScript action of the repository.
    Action {
        /// The action.
        action: LocalAction,
        /// `with`: its inputs.
        inputs: Environment,
    },
}

/// The shells that a script can ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shell {
    /// No `shell:` given: `bash -e`.
    Default,
    /// `shell: bash`: with `pipefail`.
    Bash,
    /// `shell: sh`.
    Sh,
}

/// The conditions that need no expression language.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// While no step has failed and the job is not cancelled; the default.
    Success,
    /// Once a step has failed.
    Failure,
    /// Once the job is cancelled.
    Cancelled,
    /// Whatever happened.
    Always,
}

impl Reader<'_> {
    pub(super) fn steps(
        &mut self,
        place: Place<'_>,
        steps: Option<&Node>,
        combination: &Combination,
    ) -> Vec<Step> {
        match steps {
            Some(Node::List(items)) if !items.is_empty() => items
                .iter()
                .enumerate()
                .filter_map(|(index, item)| self.step(place, index + 1, item, combination))
                .collect(),
            _ => {
                self.problem(place, "`steps` is not a list of steps");
                Vec::new()
            }
        }
    }

    fn step(
        &mut self,
        job: Place<'_>,
        number: usize,
        node: &Node,
        combination: &Combination,
    ) -> Option<Step> {
        let named = node.get("name").or_else(|| node.get("id")).and_then(Node::scalar);
        let label = match named {
            Some(name) => format!("step {number} (`{name}`)"),
            None => format!("step {number}"),
        };
        let place = Place { job: job.job, step: Some(&label) };
        let Node::Map(entries) = node else {
            self.problem(place, "is not a mapping");
            return None;
        };
        self.step_keys(place, entries);
        let work = self.work(place, node, combination)?;
        let name = match node.get("name").and_then(Node::scalar) {
            Some(name) => self.substitute(place, "name", &name, combination),
            None => default_name(&work),
        };
        let env = node.get("env").map(|env| self.environment(place, env, combination)).unwrap_or_default();
        Some(Step {
            name,
            work,
            env,
            condition: self.condition(place, node.get("if")),
            continue_on_error: self.flag(place, "continue-on-error", node.get("continue-on-error")),
        })
    }

    fn step_keys(&mut self, place: Place<'_>, entries: &[(String, Node)]) {
        for (key, _) in entries {
            match key.as_str() {
                "name" | "id" | "run" | "shell" | "working-directory" | "env" | "if"
                | "continue-on-error" | "uses" | "with" => {}
                other => self.problem(place, format!("the key `{other}` is not supported")),
            }
        }
    }

    fn work(&mut self, place: Place<'_>, node: &Node, combination: &Combination) -> Option<Work> {
        match (node.get("run"), node.get("uses")) {
            (Some(run), None) => {
                let Some(script) = run.scalar() else {
                    self.problem(place, "`run` is not a text");
                    return None;
                };
                let working_directory = node.get("working-directory").and_then(Node::scalar);
                Some(Work::Run {
                    script: self.substitute(place, "run", &script, combination),
                    shell: self.shell(place, node.get("shell")),
                    working_directory: working_directory
                        .map(|path| self.substitute(place, "working-directory", &path, combination)),
                })
            }
            (None, Some(uses)) => {
                let action = self.action(place, &uses.scalar().unwrap_or_default())?;
                let inputs = self.inputs(place, node.get("with"), combination);
                Some(Work::Action { action, inputs })
            }
            _ => {
                self.problem(place, "either `run` or `uses` is expected");
                None
            }
        }
    }

    fn inputs(&mut self, place: Place<'_>, with: Option<&Node>, combination: &Combination) -> Environment {
        let Some(Node::Map(entries)) = with else { return Environment::new() };
        let mut inputs = Environment::new();
        for (name, value) in entries {
            match value.scalar() {
                Some(text) => {
                    let text = self.substitute(place, &format!("with.{name}"), &text, combination);
                    inputs.push((name.clone(), text));
                }
                None => self.problem(place, format!("`with.{name}` is not a text")),
            }
        }
        inputs
    }

    fn shell(&mut self, place: Place<'_>, shell: Option<&Node>) -> Shell {
        match shell.and_then(Node::scalar).as_deref() {
            None => Shell::Default,
            Some("bash") => Shell::Bash,
            Some("sh") => Shell::Sh,
            Some(other) => {
                self.problem(place, format!("the shell `{other}` is not supported, only bash and sh"));
                Shell::Default
            }
        }
    }

    fn condition(&mut self, place: Place<'_>, condition: Option<&Node>) -> Condition {
        let Some(condition) = condition else { return Condition::Success };
        let text = condition.scalar().unwrap_or_default();
        let bare = text
            .trim()
            .strip_prefix("${{")
            .and_then(|rest| rest.strip_suffix("}}"))
            .unwrap_or(text.trim())
            .trim();
        match bare {
            "success()" => Condition::Success,
            "failure()" => Condition::Failure,
            "cancelled()" => Condition::Cancelled,
            "always()" => Condition::Always,
            other => {
                self.problem(
                    place,
                    format!(
                        "the condition `{other}` is not supported, only always(), success(), failure() and \
                         cancelled()"
                    ),
                );
                Condition::Success
            }
        }
    }

    fn flag(&mut self, place: Place<'_>, key: &str, value: Option<&Node>) -> bool {
        match value {
            None => false,
            Some(Node::Bool(flag)) => *flag,
            Some(_) => {
                self.problem(place, format!("`{key}` is not true or false"));
                false
            }
        }
    }
}

fn default_name(work: &Work) -> String {
    match work {
        Work::Run { script, .. } => format!("Run {}", script.trim().lines().next().unwrap_or_default()),
        Work::Action { action, .. } => format!("Run {}", action.uses),
    }
}
