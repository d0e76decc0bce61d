//! One step of a job.

use super::matrix::Combination;
use super::node::Node;
use super::{Environment, Location, Reader, expression};

/// One step. Texts may hold expressions if the official runner executes it.
#[derive(Clone, Debug)]
pub struct Step {
    /// `id`, which expressions use.
    pub id: Option<String>,
    /// `name`. The runner generates one if there is none.
    pub name: Option<String>,
    pub work: Work,
    pub env: Environment,
    /// `if`, as GitHub completes it: `success()` if the file has none.
    pub condition: String,
    /// `continue-on-error`: `true`, `false` or an expression.
    pub continue_on_error: Option<String>,
    /// `timeout-minutes`: a number or an expression.
    pub timeout_minutes: Option<String>,
}

/// The work of a step.
#[derive(Clone, Debug)]
pub enum Work {
    /// `run:`, a script.
    Run {
        script: String,
        /// The shell; `None` for the runner's default.
        shell: Option<String>,
        /// Relative to the workspace; `None` for the workspace itself.
        working_directory: Option<String>,
    },
    /// `uses:`, an action.
    Action {
        reference: Reference,
        /// `with`: its inputs.
        inputs: Environment,
    },
}

/// The location of an action.
#[derive(Clone, Debug)]
pub enum Reference {
    /// `./folder` of the workspace.
    Local {
        /// Without `./`.
        folder: String,
    },
    /// `owner/name/path@version`.
    Repository {
        /// `owner/name`.
        name: String,
        /// The folder in the repository; empty for its root.
        path: String,
        /// The branch, tag or commit.
        version: String,
    },
    /// `docker://image`.
    Image(String),
}

/// Conditions that need no expression language.
const SIMPLE_CONDITIONS: [&str; 4] = ["success()", "failure()", "cancelled()", "always()"];

impl Reader<'_> {
    pub(super) fn steps(
        &mut self,
        location: Location<'_>,
        steps: Option<&Node>,
        combination: &Combination,
    ) -> Vec<Step> {
        match steps {
            Some(Node::List(items)) if !items.is_empty() => items
                .iter()
                .enumerate()
                .filter_map(|(index, item)| self.step(location, index + 1, item, combination))
                .collect(),
            _ => {
                self.problem(location, "`steps` is not a list of steps");
                Vec::new()
            }
        }
    }

    fn step(
        &mut self,
        job: Location<'_>,
        number: usize,
        node: &Node,
        combination: &Combination,
    ) -> Option<Step> {
        let named = node.get("name").or_else(|| node.get("id")).and_then(Node::scalar);
        let label = match named {
            Some(name) => format!("step {number} (`{name}`)"),
            None => format!("step {number}"),
        };
        let location = Location { job: job.job, step: Some(&label) };
        let Node::Map(entries) = node else {
            self.problem(location, "is not a mapping");
            return None;
        };
        self.step_keys(location, entries);
        let work = self.work(location, node, combination)?;
        let name = node.get("name").and_then(Node::scalar);
        let env = node.get("env").map(|env| self.environment(location, env, combination)).unwrap_or_default();
        Some(Step {
            id: node.get("id").and_then(Node::scalar),
            name: name.map(|name| self.step_text(location, "name", &name, combination)),
            work,
            env,
            condition: self.condition(location, node.get("if")),
            continue_on_error: self.flag(location, "continue-on-error", node.get("continue-on-error")),
            timeout_minutes: self.minutes(location, node.get("timeout-minutes")),
        })
    }

    fn step_keys(&mut self, location: Location<'_>, entries: &[(String, Node)]) {
        for (key, _) in entries {
            match key.as_str() {
                "name" | "id" | "run" | "shell" | "working-directory" | "env" | "if"
                | "continue-on-error" | "uses" | "with" => {}
                "timeout-minutes" if self.is_official() => {}
                other => self.problem(location, format!("the key `{other}` is not supported")),
            }
        }
    }

    fn work(&mut self, location: Location<'_>, node: &Node, combination: &Combination) -> Option<Work> {
        match (node.get("run"), node.get("uses")) {
            (Some(run), None) => {
                let Some(script) = run.scalar() else {
                    self.problem(location, "`run` is not a text");
                    return None;
                };
                let working_directory = node.get("working-directory").and_then(Node::scalar);
                Some(Work::Run {
                    script: self.step_text(location, "run", &script, combination),
                    shell: self.shell(location, node.get("shell")),
                    working_directory: working_directory
                        .map(|path| self.step_text(location, "working-directory", &path, combination)),
                })
            }
            (None, Some(uses)) => {
                let reference = self.reference(location, &uses.scalar().unwrap_or_default())?;
                let inputs = self.inputs(location, node.get("with"), combination);
                Some(Work::Action { reference, inputs })
            }
            _ => {
                self.problem(location, "either `run` or `uses` is expected");
                None
            }
        }
    }

    fn inputs(
        &mut self,
        location: Location<'_>,
        with: Option<&Node>,
        combination: &Combination,
    ) -> Environment {
        let Some(Node::Map(entries)) = with else { return Environment::new() };
        let mut inputs = Environment::new();
        for (name, value) in entries {
            match value.scalar() {
                Some(text) => {
                    let text = self.step_text(location, &format!("with.{name}"), &text, combination);
                    inputs.push((name.clone(), text));
                }
                None => self.problem(location, format!("`with.{name}` is not a text")),
            }
        }
        inputs
    }

    fn shell(&mut self, location: Location<'_>, shell: Option<&Node>) -> Option<String> {
        let shell = shell.and_then(Node::scalar)?;
        if !self.is_official() && !matches!(shell.as_str(), "bash" | "sh") {
            self.problem(location, format!("the shell `{shell}` is not supported, only bash and sh"));
        }
        Some(shell)
    }

    fn condition(&mut self, location: Location<'_>, condition: Option<&Node>) -> String {
        let written = condition.and_then(Node::scalar).unwrap_or_default();
        let completed = expression::condition(&written);
        if !self.is_official() && !SIMPLE_CONDITIONS.contains(&completed.as_str()) {
            self.problem(
                location,
                format!(
                    "the condition `{}` is not supported, only always(), success(), failure() and cancelled()",
                    completed.strip_prefix("success() && (").and_then(|rest| rest.strip_suffix(')')).unwrap_or(&completed)
                ),
            );
        }
        completed
    }

    /// Reads `true`, `false`, or an expression for the official runner.
    fn flag(&mut self, location: Location<'_>, key: &str, value: Option<&Node>) -> Option<String> {
        match value? {
            Node::Bool(flag) => Some(flag.to_string()),
            Node::Text(text) if self.is_official() && text.contains("${{") => Some(text.clone()),
            _ => {
                self.problem(location, format!("`{key}` is not true or false"));
                None
            }
        }
    }

    fn minutes(&mut self, location: Location<'_>, value: Option<&Node>) -> Option<String> {
        match value? {
            Node::Number(text) => Some(text.clone()),
            Node::Text(text) if text.contains("${{") => Some(text.clone()),
            _ => {
                self.problem(location, "`timeout-minutes` is not a number of minutes");
                None
            }
        }
    }
}
