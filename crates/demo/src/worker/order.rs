//! The parts of the job message that the stand-in uses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ecsrunner_workflow::expression::{Contexts, Value as Context, evaluate};
use ecsrunner_workflow::{Position, Token};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::containers::Containers;
use super::environment::Folders;
use crate::runner_client::JobClient;
use crate::workflow::stand_in::{ADDED, unknown_to_stand_in};

/// The variable that holds the job's token.
const TOKEN: &str = "system.github.token";
/// The type of the key `${{ insert }}` among a message's tokens.
const INSERT: u64 = 4;

/// The job as the worker gets it.
pub(super) struct Order {
    pub(super) client: JobClient,
    pub(super) runner_name: String,
    pub(super) work_folder: PathBuf,
    pub(super) name: String,
    pub(super) github: Map<String, Value>,
    pub(super) variables: BTreeMap<String, String>,
    /// The values that no log shows.
    pub(super) secrets: Vec<String>,
    /// The job's environment. `Err` names an expression that cannot be evaluated.
    pub(super) env: Result<Vec<(String, String)>, Unevaluated>,
    /// The job's outputs by name.
    pub(super) outputs: Vec<(String, Output)>,
    /// The containers that it asks for.
    pub(super) containers: Containers,
    /// Its steps as the message has them.
    steps: Vec<Value>,
    /// What expressions can refer to before the job has begun.
    contexts: Contexts,
}

/// Where an output of the job comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Output {
    Text(String),
    OfStep { step: String, name: String },
}

pub(super) struct StepOrder {
    pub(super) id: String,
    /// The step's name in the message.
    pub(super) key: String,
    pub(super) name: Option<String>,
    pub(super) condition: Condition,
    pub(super) continue_on_error: bool,
    pub(super) work: Work,
    pub(super) inputs: Result<Vec<(String, String)>, Unevaluated>,
    pub(super) env: Result<Vec<(String, String)>, Unevaluated>,
}

/// The work of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Work {
    Script,
    LocalAction { folder: String },
    RepositoryAction { name: String, version: String, path: String },
    Other(String),
}

/// The conditions that need no expression language.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Condition {
    Success,
    Failure,
    Cancelled,
    Always,
}

/// An expression that the stand-in cannot evaluate.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the stand-in runner cannot evaluate the expression `{0}`: the official runner does (--runner-dir)")]
pub(super) struct Unevaluated(pub(super) String);

#[derive(Deserialize)]
struct Raw {
    message: Value,
    work_folder: PathBuf,
    runner_name: String,
}

impl Order {
    pub(super) fn read(line: &str) -> Option<Self> {
        let Raw { message, work_folder, runner_name } = serde_json::from_str(line).ok()?;
        let variables = message["variables"].as_object()?;
        let value = |variable: &Value| variable["value"].as_str().map(str::to_owned);
        let secrets = variables.values().filter(|variable| variable["isSecret"] == true).filter_map(value);
        let secrets: Vec<String> = secrets.collect();
        let variables: BTreeMap<String, String> =
            variables.iter().filter_map(|(name, variable)| Some((name.clone(), value(variable)?))).collect();
        let Value::Object(github) = context(&message["contextData"]["github"]) else { return None };
        let environments = message["environmentVariables"].as_array().map(Vec::as_slice).unwrap_or_default();
        let repository = github.get("repository").and_then(Value::as_str).unwrap_or_default();
        let folders = Folders::of(&work_folder, repository).ok()?;
        let contexts = contexts(&message["contextData"], &added(&folders, variables.get(TOKEN)));
        let env = environments.iter().map(|token| mapping(token, &contexts)).collect::<Result<Vec<_>, _>>();
        Some(Self {
            client: JobClient::of(&message)?,
            runner_name,
            work_folder,
            name: message["jobDisplayName"].as_str()?.to_owned(),
            github,
            variables,
            secrets,
            env: env.map(|all| all.into_iter().flatten().collect()),
            outputs: outputs(&message["jobOutputs"]),
            containers: Containers::read(&message, &contexts),
            steps: message["steps"].as_array()?.clone(),
            contexts,
        })
    }

    /// Returns the steps. `job` is the context of that name, once it is known.
    pub(super) fn steps(&self, job: Option<&Value>) -> Vec<StepOrder> {
        let contexts = match job {
            Some(job) => self.contexts.clone().with("job", Context::from(job)),
            None => self.contexts.clone(),
        };
        self.steps.iter().filter_map(|step| StepOrder::read(step, &contexts)).collect()
    }

    /// Evaluates a text with expressions, such as the default of an action's input.
    ///
    /// # Errors
    ///
    /// Names an expression that uses something which the stand-in does not have, or that has no value.
    pub(super) fn evaluate(&self, text: &str) -> Result<String, Unevaluated> {
        let unevaluated = |_| Unevaluated(text.to_owned());
        let token = Token::of_template(text, Position::START).map_err(unevaluated)?;
        if token.expressions().iter().any(|(expression, _)| unknown_to_stand_in(expression).is_some()) {
            return Err(Unevaluated(text.to_owned()));
        }
        token.value(&self.contexts).map(|value| value.text()).map_err(unevaluated)
    }

    /// Returns a value of the context `github` as text.
    pub(super) fn github(&self, key: &str) -> String {
        match self.github.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        }
    }
}

impl StepOrder {
    fn read(step: &Value, contexts: &Contexts) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let reference = &step["reference"];
        let work = match reference["type"].as_str()? {
            "script" => Work::Script,
            "repository" if reference["repositoryType"] == "self" => {
                Work::LocalAction { folder: reference["path"].as_str()?.trim_start_matches("./").to_owned() }
            }
            "repository" => Work::RepositoryAction {
                name: text(&reference["name"])?,
                version: text(&reference["ref"])?,
                path: text(&reference["path"]).unwrap_or_default(),
            },
            other => Work::Other(other.to_owned()),
        };
        let condition = match step["condition"].as_str().unwrap_or("success()") {
            "failure()" => Condition::Failure,
            "cancelled()" => Condition::Cancelled,
            "always()" => Condition::Always,
            // The fake has refused workflows with other conditions.
            _ => Condition::Success,
        };
        Some(Self {
            id: text(&step["id"])?,
            key: text(&step["name"]).unwrap_or_default(),
            name: literal(&step["displayNameToken"], contexts).ok().flatten(),
            condition,
            continue_on_error: step["continueOnError"] == true,
            work,
            inputs: mapping(&step["inputs"], contexts),
            env: mapping(&step["environment"], contexts),
        })
    }

    pub(super) fn input(&self, name: &str) -> Option<&str> {
        let inputs = self.inputs.as_ref().ok()?;
        inputs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Reads the job's outputs. The fake has refused workflows with other expressions in them.
fn outputs(token: &Value) -> Vec<(String, Output)> {
    let pairs = token["map"].as_array().map(Vec::as_slice).unwrap_or_default();
    let none = Contexts::default();
    let output = |value: &Value| match literal(value, &none) {
        Ok(text) => Some(Output::Text(text.unwrap_or_default())),
        Err(Unevaluated(expression)) => {
            let parts: Vec<&str> = expression.split('.').collect();
            match parts.as_slice() {
                ["steps", step, "outputs", name] => {
                    Some(Output::OfStep { step: (*step).to_owned(), name: (*name).to_owned() })
                }
                _ => None,
            }
        }
    };
    pairs
        .iter()
        .filter_map(|pair| Some((literal(&pair["Key"], &none).ok()??, output(&pair["Value"])?)))
        .collect()
}

fn context(value: &Value) -> Value {
    let Some(kind) = value.get("t").and_then(Value::as_u64) else { return value.clone() };
    match kind {
        1 => value["a"].as_array().into_iter().flatten().map(context).collect(),
        2 | 5 => {
            let pairs = value["d"].as_array().into_iter().flatten();
            let pairs = pairs.filter_map(|pair| Some((pair["k"].as_str()?.to_owned(), context(&pair["v"]))));
            Value::Object(pairs.collect())
        }
        3 => value["b"].clone(),
        4 => value["n"].clone(),
        _ => value["s"].clone(),
    }
}

/// Returns what the stand-in adds to the context `github`.
fn added(folders: &Folders, token: Option<&String>) -> [(&'static str, String); ADDED.len()] {
    let shown = |path: &Path| path.display().to_string();
    ADDED.map(|name| match name {
        "event_path" => (name, shown(&folders.event_file())),
        "workspace" => (name, shown(&folders.workspace)),
        _ => (name, token.cloned().unwrap_or_default()),
    })
}

/// Returns what expressions of the message can refer to.
fn contexts(data: &Value, added: &[(&str, String)]) -> Contexts {
    let entries = data.as_object().into_iter().flatten();
    entries.fold(Contexts::default(), |all, (name, value)| {
        let mut value = Context::from(&context(value));
        if name == "github" {
            added.iter().for_each(|(name, text)| value.set(name, text.as_str().into()));
        }
        all.with(name, value)
    })
}

/// Returns a token's text, or `None` for null.
pub(super) fn literal(token: &Value, contexts: &Contexts) -> Result<Option<String>, Unevaluated> {
    match token {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) => Ok(Some(token.to_string())),
        _ if token["type"] == 0 => Ok(token["lit"].as_str().map(str::to_owned)),
        _ => {
            let expression = token["expr"].as_str().unwrap_or_default();
            let value = evaluate(expression, contexts).map_err(|_| Unevaluated(expression.to_owned()))?;
            Ok(Some(value.text()))
        }
    }
}

pub(super) fn mapping(token: &Value, contexts: &Contexts) -> Result<Vec<(String, String)>, Unevaluated> {
    let mut pairs = Vec::new();
    for pair in token["map"].as_array().into_iter().flatten() {
        if pair["Key"]["type"] == INSERT {
            pairs.extend(inserted(&pair["Value"], contexts)?);
        } else {
            let name = literal(&pair["Key"], contexts)?.unwrap_or_default();
            pairs.push((name, literal(&pair["Value"], contexts)?.unwrap_or_default()));
        }
    }
    Ok(pairs)
}

/// Returns the entries of the mapping that the key `${{ insert }}` has.
fn inserted(token: &Value, contexts: &Contexts) -> Result<Vec<(String, String)>, Unevaluated> {
    let Some(expression) = token["expr"].as_str() else { return mapping(token, contexts) };
    match evaluate(expression, contexts) {
        Ok(Context::Map(entries)) => {
            Ok(entries.into_iter().map(|(name, value)| (name, value.text())).collect())
        }
        Ok(_) | Err(_) => Err(Unevaluated(expression.to_owned())),
    }
}
