//! The course of a run: which jobs are queued, skipped or cancelled next.
//!
//! A run is told how its jobs end, and decides what follows from it. It neither waits nor executes anything.

mod advance;
mod call;
mod node;
mod ready;
mod rerun;
mod status;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::expression::{Contexts, Value};
use crate::model::{Callee, Workflow};
use crate::program::Program;
use crate::token::Token;

use node::{Instance, Node};
pub use ready::{Concurrency, Environment, Ready, RunsOn};
pub(crate) use ready::{QUEUE_AND_CANCEL, check_group};
pub use rerun::Replaced;

/// What stands for `secrets.GITHUB_TOKEN` in the secrets of a called workflow. Each job has a token of its own, which is
/// made when a runner gets the job.
pub const JOB_TOKEN: &str = "\u{1}GITHUB_TOKEN\u{1}";

/// A job of a run. A job that is run again is a new one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct JobIndex(usize);

/// How a job ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Success,
    Failure,
    Cancelled,
    Skipped,
}

impl Outcome {
    /// Returns GitHub's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

/// What a run starts with.
#[derive(Clone, Debug)]
pub struct Given {
    /// The context `github`.
    pub github: Value,
    /// The context `inputs`; null unless a person starts the run.
    pub inputs: Value,
    /// The context `vars`.
    pub vars: Value,
    /// Names and values.
    pub secrets: Vec<(String, String)>,
}

/// What follows from what a run knows.
#[derive(Clone, Debug)]
pub enum Decision {
    /// A job waits for others.
    Block { job: JobIndex, key: String, name: String, needs: Vec<String> },
    /// A job needs a concurrency group before it goes on: [`Run::granted`] tells that it has it.
    Acquire { job: JobIndex, group: Concurrency },
    /// A job needs its concurrency group no more.
    Release { job: JobIndex },
    /// A job is ready for a runner.
    Queue { job: JobIndex, ready: Box<Ready> },
    /// A job ended without a runner. `why` says what was wrong with it.
    End { job: JobIndex, key: String, name: String, outcome: Outcome, why: Option<String> },
    /// A job that was queued is cancelled. [`Run::ended`] tells when it has ended.
    Cancel { job: JobIndex },
    /// A job that waited has become a workflow of its own.
    Replace { job: JobIndex },
}

/// A run of a workflow.
#[derive(Clone, Debug)]
pub struct Run {
    program: Arc<Program>,
    given: Given,
    scopes: Vec<Scope>,
    nodes: Vec<Node>,
    next_job: usize,
    cancelled: bool,
    decisions: Vec<Decision>,
}

/// The jobs of one workflow: the main one's, or those of one call.
#[derive(Clone, Debug)]
struct Scope {
    workflow: Arc<Workflow>,
    /// The called workflow; `None` for the main one.
    origin: Option<Callee>,
    inputs: Value,
    secrets: Vec<(String, String)>,
    /// The permissions that its caller names.
    permissions: Option<Token>,
    /// What stands before the names of its jobs: `caller / `.
    prefix: String,
    /// What stands before the ids of its jobs: `caller.`.
    path: String,
    /// The job that calls it, as its node and its number in the matrix. `None` for the main workflow, and for a call
    /// that is made again.
    caller: Option<(usize, usize)>,
    /// Whether the call was cancelled. Its jobs that always run are still run.
    cancelled: bool,
}

impl Given {
    /// Returns the contexts that do not depend on a job.
    fn contexts(&self, inputs: &Value) -> Contexts {
        Contexts::default()
            .with("github", self.github.clone())
            .with("inputs", inputs.clone())
            .with("vars", self.vars.clone())
    }
}

impl Run {
    /// Starts a run. The first decisions are there.
    #[must_use]
    pub fn start(program: Arc<Program>, given: Given) -> Self {
        let scope = Scope {
            workflow: Arc::clone(&program.main),
            origin: None,
            inputs: given.inputs.clone(),
            secrets: given.secrets.clone(),
            permissions: None,
            prefix: String::new(),
            path: String::new(),
            caller: None,
            cancelled: false,
        };
        let mut run = Self {
            program,
            given,
            scopes: Vec::new(),
            nodes: Vec::new(),
            next_job: 0,
            cancelled: false,
            decisions: Vec::new(),
        };
        run.open_scope(scope);
        run.advance();
        run
    }

    /// Returns the decisions since the last call.
    pub fn decisions(&mut self) -> Vec<Decision> {
        std::mem::take(&mut self.decisions)
    }

    /// Tells that a job has its concurrency group.
    pub fn granted(&mut self, job: JobIndex) {
        if let Some((node, instance)) = self.find(job) {
            self.open_instance(node, instance);
            self.advance();
        }
    }

    /// Tells how a job ended.
    pub fn ended(&mut self, job: JobIndex, outcome: Outcome, outputs: Vec<(String, String)>) {
        if let Some((node, instance)) = self.find(job) {
            self.close(node, instance, outcome, outputs);
            self.advance();
        }
    }

    /// Cancels the whole run. Jobs whose condition allows it, such as `always()`, are still run.
    pub fn cancel(&mut self) {
        self.cancelled = true;
        for node in 0..self.nodes.len() {
            self.cancel_instances(node);
        }
        self.advance();
    }

    /// Cancels one job that is not with a runner yet, or asks for the cancellation of one that is.
    pub fn cancel_job(&mut self, job: JobIndex) {
        if let Some((node, instance)) = self.find(job) {
            self.cancel_instance(node, instance);
            self.advance();
        }
    }

    /// Whether all jobs have ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.nodes.iter().all(|node| node.result().is_some())
    }

    /// Returns the outcome of the run, in which jobs that may fail count as successful.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let top = self.nodes.iter().filter(|node| node.scope == 0);
        let results: Vec<Outcome> = top.filter_map(Node::result).collect();
        if results.contains(&Outcome::Failure) {
            Outcome::Failure
        } else if self.cancelled || results.contains(&Outcome::Cancelled) {
            Outcome::Cancelled
        } else if results.iter().all(|result| *result == Outcome::Skipped) {
            Outcome::Skipped
        } else {
            Outcome::Success
        }
    }

    /// Returns the concurrency group of the whole run.
    ///
    /// # Errors
    ///
    /// Fails if its expressions have no value.
    pub fn concurrency(program: &Program, given: &Given) -> Result<Option<Concurrency>, String> {
        let contexts = given.contexts(&given.inputs);
        program.main.concurrency.as_ref().map(|token| Concurrency::evaluate(token, &contexts)).transpose()
    }

    /// Returns the run's own name, which `run-name` gives it.
    #[must_use]
    pub fn name(program: &Program, given: &Given) -> Option<String> {
        let contexts = given.contexts(&given.inputs);
        let name = program.main.run_name.as_ref()?.value(&contexts).ok()?.text();
        Some(name).filter(|name| !name.trim().is_empty())
    }

    /// Whether a job belongs to a workflow that another job of the run calls, directly or not.
    #[must_use]
    pub fn is_within(&self, job: JobIndex, caller: JobIndex) -> bool {
        let Some((mut node, _)) = self.find(job) else { return false };
        while let Some((above, instance)) = self.scopes[self.nodes[node].scope].caller {
            if self.nodes[above].instances[instance].job == caller {
                return true;
            }
            node = above;
        }
        false
    }

    fn find(&self, job: JobIndex) -> Option<(usize, usize)> {
        self.nodes.iter().enumerate().find_map(|(at, node)| {
            let instance = node.instances.iter().position(|instance| instance.job == job)?;
            Some((at, instance))
        })
    }

    fn next_job(&mut self) -> JobIndex {
        self.next_job += 1;
        JobIndex(self.next_job)
    }

    /// Adds the jobs of a workflow. They wait until [`Self::advance`] looks at them.
    fn open_scope(&mut self, scope: Scope) {
        let number = self.scopes.len();
        let workflow = Arc::clone(&scope.workflow);
        self.scopes.push(scope);
        let first = self.nodes.len();
        for (at, job) in workflow.jobs.iter().enumerate() {
            let needs =
                job.needs.iter().filter_map(|need| workflow.jobs.iter().position(|other| other.id == *need));
            let needs = needs.map(|need| first + need).collect();
            let index = self.next_job();
            self.nodes.push(Node::blocked(number, at, needs, Instance::placeholder(index)));
            // Jobs that wait for nothing are told as well, so that all are known in the order of the file.
            let (key, name) = (job.id.clone(), self.plain_name(number, job));
            self.decisions.push(Decision::Block { job: index, key, name, needs: job.needs.clone() });
        }
    }
}

#[cfg(test)]
mod tests;
