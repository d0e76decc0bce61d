//! A job that is ready for a runner, and the names of jobs.

use crate::expression::{Contexts, Value};
use crate::matrix::Combination;
use crate::model::{Body, Job, Step};
use crate::schema::{ENVIRONMENT, JOB_CONCURRENCY, RUNS_ON, check_value};
use crate::token::{Content, Token};

use super::{Run, Scope};

/// GitHub's default limit of a job, in minutes.
const DEFAULT_TIMEOUT_MINUTES: u32 = 360;
/// GitHub's limit of a name that it makes.
const MAX_NAME: usize = 100;

/// A job with everything that a runner is told about it.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Its id in its workflow.
    pub key: String,
    /// Its id in the run, with the ids of the jobs that call its workflow.
    pub path: String,
    /// Its id among the jobs of its matrix.
    pub instance: String,
    /// The name that GitHub shows.
    pub name: String,
    /// The file of its workflow.
    pub file: String,
    /// Ids of the jobs that it needs.
    pub needed: Vec<String>,
    pub runs_on: RunsOn,
    pub timeout_minutes: u32,
    pub continue_on_error: bool,
    pub environment: Option<Environment>,
    pub permissions: Option<Token>,
    /// The contexts of its expressions, except `github` and `secrets`.
    pub needs: Value,
    pub inputs: Value,
    pub vars: Value,
    pub matrix: Value,
    pub strategy: Value,
    /// Names and values.
    pub secrets: Vec<(String, String)>,
    /// The workflow's, then the job's.
    pub env: Vec<Token>,
    /// The workflow's, then the job's.
    pub defaults: Vec<Token>,
    pub outputs: Option<Token>,
    pub container: Option<Token>,
    pub services: Option<Token>,
    pub steps: Vec<Step>,
}

/// What a runner must offer.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct RunsOn {
    /// All required labels. Empty for a job that names only a group.
    pub labels: Vec<String>,
    /// The name of a runner group.
    pub group: Option<String>,
}

/// A deployment environment.
#[derive(Clone, PartialEq, Debug)]
pub struct Environment {
    pub name: String,
    /// The runner evaluates it.
    pub url: Option<Token>,
}

/// Why GitHub refuses a group that asks for both.
pub(crate) const QUEUE_AND_CANCEL: &str =
    "`queue: max` and `cancel-in-progress: true` exclude each other: only one of them is allowed";

/// A concurrency group: at most one of its members is at work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Concurrency {
    pub group: String,
    /// Whether a new member cancels the one that is at work.
    pub cancel_in_progress: bool,
    /// Whether a new member waits behind those that wait already (`queue: max`). Otherwise it takes their place.
    pub queues: bool,
}

impl Concurrency {
    pub(super) fn evaluate(token: &Token, contexts: &Contexts) -> Result<Self, String> {
        let value = token.value(contexts).map_err(|fault| fault.to_string())?;
        let group = match &value {
            Value::Map(_) => value.get("group").map(Value::text).unwrap_or_default(),
            other => other.text(),
        };
        if group.is_empty() {
            return Err("the name of the concurrency group is empty".to_owned());
        }
        let cancel_in_progress = match value.get("cancel-in-progress") {
            None => false,
            Some(Value::Bool(cancel)) => *cancel,
            Some(other) => {
                return Err(format!("`cancel-in-progress` is {}: true or false is expected", other.kind()));
            }
        };
        let queues = value.get("queue").is_some_and(|queue| queue.text() == "max");
        if queues && cancel_in_progress {
            return Err(QUEUE_AND_CANCEL.to_owned());
        }
        check_value(&value, &JOB_CONCURRENCY, "concurrency")?;
        Ok(Self { group, cancel_in_progress, queues })
    }
}

impl Ready {
    pub(super) fn of(run: &Run, node: usize, instance: usize) -> Result<Self, String> {
        let contexts = run.instance_contexts(node, instance);
        let job = run.job(node);
        let scope = &run.scopes[run.nodes[node].scope];
        let made = &run.nodes[node].instances[instance];
        let Body::Steps(body) = &job.body else { return Err("it calls a workflow".to_owned()) };
        let both =
            |outer: &Option<Token>, inner: &Option<Token>| outer.iter().chain(inner).cloned().collect();
        Ok(Self {
            key: job.id.clone(),
            path: format!("{}{}", scope.path, job.id),
            instance: made.id.clone(),
            name: made.name.clone(),
            file: scope.workflow.file.clone(),
            needed: job.needs.clone(),
            runs_on: runs_on(&body.runs_on, &contexts)?,
            timeout_minutes: minutes(body.timeout_minutes.as_ref(), &contexts)?,
            continue_on_error: flag(body.continue_on_error.as_ref(), &contexts)?,
            environment: environment(body.environment.as_ref(), &contexts)?,
            permissions: scope.permissions_of(job),
            needs: run.needs(node),
            inputs: scope.inputs.clone(),
            vars: run.given.vars.clone(),
            matrix: made.matrix.clone(),
            strategy: made.strategy.clone(),
            secrets: scope.secrets.clone(),
            env: both(&scope.workflow.env, &body.env),
            defaults: both(&scope.workflow.defaults, &body.defaults),
            outputs: body.outputs.clone(),
            container: body.container.clone(),
            services: body.services.clone(),
            steps: body.steps.clone(),
        })
    }
}

impl Scope {
    /// Returns the permissions that the files name for a job: its own, its workflow's, or those of the caller.
    pub(super) fn permissions_of(&self, job: &Job) -> Option<Token> {
        let own = job.permissions.as_ref().or(self.workflow.permissions.as_ref());
        own.or(self.permissions.as_ref()).cloned()
    }
}

impl Run {
    pub(super) fn instance_contexts(&self, node: usize, instance: usize) -> Contexts {
        let made = &self.nodes[node].instances[instance];
        self.contexts(node).with("matrix", made.matrix.clone()).with("strategy", made.strategy.clone())
    }

    /// Returns the name of a job that is not expanded. As at GitHub, its expressions are not evaluated.
    pub(super) fn plain_name(&self, scope: usize, job: &Job) -> String {
        let name = job.name.as_ref().and_then(|name| name.text().or_else(|| job.written_name.clone()));
        format!("{}{}", self.scopes[scope].prefix, name.unwrap_or_else(|| job.id.clone()))
    }

    /// Returns the name of one job of a matrix. Its values are added unless the name is an expression. Fails if the
    /// expression has no value.
    pub(super) fn instance_name(
        &self,
        node: usize,
        combination: &Combination,
        contexts: &Contexts,
    ) -> Result<String, String> {
        let job = self.job(node);
        let prefix = &self.scopes[self.nodes[node].scope].prefix;
        let made = |base: &str| {
            let name = match combination.shown.as_slice() {
                [] => base.to_owned(),
                shown => format!("{base} ({})", shown.join(", ")),
            };
            cut(&name)
        };
        let name = match &job.name {
            None => made(&job.id),
            Some(Token { content: Content::Expression(expression), .. }) => {
                let value = crate::expression::evaluate(expression, contexts);
                let value = value.map_err(|fault| format!("`name`: {fault}"))?;
                if value.is_collection() {
                    return Err(format!("`name` is {}: a text is expected", value.kind()));
                }
                let name = value.text();
                if name.is_empty() { made(&job.id) } else { name }
            }
            Some(literal) => made(&literal.text().unwrap_or_else(|| job.id.clone())),
        };
        Ok(format!("{prefix}{name}"))
    }
}

/// Cuts a name as GitHub does, which counts in UTF-16.
fn cut(name: &str) -> String {
    let units: Vec<u16> = name.encode_utf16().collect();
    if units.len() <= MAX_NAME {
        return name.to_owned();
    }
    format!("{}...", String::from_utf16_lossy(&units[..MAX_NAME - 3]))
}

fn runs_on(token: &Token, contexts: &Contexts) -> Result<RunsOn, String> {
    let value = token.value(contexts).map_err(|fault| format!("`runs-on`: {fault}"))?;
    let labels = |value: &Value| -> Result<Vec<String>, String> {
        match value {
            Value::List(items) => items.iter().map(label).collect(),
            other => Ok(vec![label(other)?]),
        }
    };
    let runs_on = match &value {
        Value::Map(_) => {
            let group = value.get("group").map(label).transpose()?;
            group.as_deref().map_or(Ok(()), check_group)?;
            RunsOn { labels: value.get("labels").map_or(Ok(Vec::new()), labels)?, group }
        }
        other => RunsOn { labels: labels(other)?, group: None },
    };
    if runs_on.labels.is_empty() && runs_on.group.is_none() {
        return Err("`runs-on` is empty: at least one label is needed".to_owned());
    }
    check_value(&value, &RUNS_ON, "runs-on")?;
    Ok(runs_on)
}

/// Checks the name of a runner group, which may say whose group it is.
pub(crate) fn check_group(name: &str) -> Result<(), String> {
    let owners = ["org", "organization", "ent", "enterprise"];
    match name.split_once('/') {
        None => Ok(()),
        Some((owner, group)) if owners.contains(&owner) && !group.is_empty() && !group.contains('/') => {
            Ok(())
        }
        Some(_) => Err(format!(
            "`{name}` is not a runner group: `NAME`, `organization/NAME` or `enterprise/NAME` is expected"
        )),
    }
}

fn label(value: &Value) -> Result<String, String> {
    match value {
        Value::List(_) | Value::Map(_) => {
            Err(format!("a label of `runs-on` is {}: a text is expected", value.kind()))
        }
        scalar if scalar.text().is_empty() => Err("a label of `runs-on` is empty".to_owned()),
        scalar => Ok(scalar.text()),
    }
}

fn minutes(token: Option<&Token>, contexts: &Contexts) -> Result<u32, String> {
    let Some(token) = token else { return Ok(DEFAULT_TIMEOUT_MINUTES) };
    match token.value(contexts).map_err(|fault| format!("`timeout-minutes`: {fault}"))? {
        // Nothing but its whole minutes counts.
        Value::Number(minutes) if minutes >= 1.0 => Ok(whole(minutes)),
        other => Err(format!("`timeout-minutes` is `{}`: a number of at least 1 is expected", other.text())),
    }
}

/// Returns the whole part of a number of minutes.
fn whole(minutes: f64) -> u32 {
    const MAX: u32 = 60 * 24 * 365;
    crate::number::text(minutes.floor().min(f64::from(MAX))).parse().unwrap_or(MAX)
}

fn flag(token: Option<&Token>, contexts: &Contexts) -> Result<bool, String> {
    let Some(token) = token else { return Ok(false) };
    match token.value(contexts).map_err(|fault| format!("`continue-on-error`: {fault}"))? {
        Value::Bool(flag) => Ok(flag),
        other => Err(format!("`continue-on-error` is {}: true or false is expected", other.kind())),
    }
}

fn environment(token: Option<&Token>, contexts: &Contexts) -> Result<Option<Environment>, String> {
    let Some(token) = token else { return Ok(None) };
    let fault = |fault| format!("`environment`: {fault}");
    let token = match &token.content {
        Content::Expression(_) => {
            let value = token.value(contexts).map_err(fault)?;
            check_value(&value, &ENVIRONMENT, "environment")?;
            &Token::of(value, token.at)
        }
        _ => token,
    };
    let name = token.get("name").unwrap_or(token).value(contexts).map_err(fault)?;
    if name.is_collection() {
        return Err(format!("the name of `environment` is {}: a text is expected", name.kind()));
    }
    let name = name.text();
    Ok((!name.is_empty()).then(|| Environment { name, url: token.get("url").cloned() }))
}
