//! Workflow files, as far as the stand-ins run them: `run:` steps, local
//! JavaScript actions, `needs` and a static `matrix`.
//!
//! Whatever else a file asks for is refused, by file, job and step, and all at
//! once. An expression language does not belong here: `${{ matrix.x }}` is
//! replaced textually, every other expression is refused.

mod action;
mod job;
mod matrix;
mod node;
mod step;
mod substitute;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

pub use action::LocalAction;
pub use step::{Condition, Shell, Step, Work};

use node::Node;

/// Files given with a workflow: repository path → text.
pub type Files = BTreeMap<String, String>;

/// Environment variables in the order of the file; a later one of the same name wins.
pub type Environment = Vec<(String, String)>;

/// A workflow whose every job can be run here.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// `name`, or the file's path where it has none.
    pub name: String,
    /// The jobs, a matrix expanded, in the order of the file.
    pub jobs: Vec<Job>,
}

/// One job of a run.
#[derive(Clone, Debug)]
pub struct Job {
    /// The key below `jobs`, shared by all jobs of a matrix.
    pub key: String,
    /// The name that GitHub shows, with the matrix's values.
    pub name: String,
    /// Keys of the jobs that must succeed first.
    pub needs: Vec<String>,
    /// Where it may run.
    pub runs_on: RunsOn,
    /// The workflow's `env`, then the job's.
    pub env: Environment,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// `timeout-minutes`; GitHub's default is 360.
    pub timeout_minutes: u32,
}

/// What a runner must offer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunsOn {
    /// All of these labels, as spelt. Empty for a job that asks for a group only.
    pub labels: Vec<String>,
    /// The name of a runner group.
    pub group: Option<String>,
}

/// One thing in a workflow that cannot be run here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Problem {
    /// The workflow's file.
    pub file: String,
    /// The key of the job, where it is in one.
    pub job: Option<String>,
    /// Number (from 1) and name of the step, where it is in one.
    pub step: Option<String>,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        if let Some(job) = &self.job {
            write!(f, "job `{job}`: ")?;
        }
        if let Some(step) = &self.step {
            write!(f, "{step}: ")?;
        }
        f.write_str(&self.text)
    }
}

/// Everything in a workflow that cannot be run here.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

/// Reads a workflow. `files` holds the local actions that its steps use, by
/// their path in the repository (`.github/actions/hello/action.yml`).
///
/// # Errors
///
/// Every problem of the file at once, each with file, job and step.
pub fn parse(file: &str, text: &str, files: &Files) -> Result<Workflow, Problems> {
    let mut reader = Reader { file, files, problems: Vec::new() };
    let workflow = reader.workflow(text);
    if reader.problems.is_empty() { Ok(workflow) } else { Err(Problems(reader.problems)) }
}

/// Collects problems while it reads, so that one reading finds all of them.
struct Reader<'a> {
    file: &'a str,
    files: &'a Files,
    problems: Vec<Problem>,
}

/// Where in the file something is.
#[derive(Clone, Copy, Default)]
struct Place<'a> {
    job: Option<&'a str>,
    step: Option<&'a str>,
}

impl Reader<'_> {
    fn problem(&mut self, place: Place<'_>, text: impl Into<String>) {
        let problem = Problem {
            file: self.file.to_owned(),
            job: place.job.map(str::to_owned),
            step: place.step.map(str::to_owned),
            text: text.into(),
        };
        // A matrix reads its job once for each combination; a problem is told once.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn workflow(&mut self, text: &str) -> Workflow {
        let mut workflow = Workflow { name: self.file.to_owned(), jobs: Vec::new() };
        let top = Place::default();
        let root = match node::read(text) {
            Ok(Node::Map(entries)) => entries,
            Ok(_) => {
                self.problem(top, "a mapping with `on` and `jobs` is expected");
                return workflow;
            }
            Err(error) => {
                self.problem(top, format!("not valid YAML: {error}"));
                return workflow;
            }
        };
        let mut env = Environment::new();
        let mut jobs: &[(String, Node)] = &[];
        for (key, value) in &root {
            match key.as_str() {
                "name" => workflow.name = self.text(top, "name", value),
                // Which event starts a run is said where the workflow is submitted.
                "on" | "run-name" | "permissions" => {}
                "env" => env = self.environment(top, value, &matrix::Combination::default()),
                "jobs" => match value {
                    Node::Map(entries) => jobs = entries,
                    _ => self.problem(top, "`jobs` is not a mapping"),
                },
                other => self.problem(top, format!("the key `{other}` is not supported")),
            }
        }
        if jobs.is_empty() {
            self.problem(top, "there are no jobs");
        }
        for (key, value) in jobs {
            let expanded = self.jobs(key, value, &env);
            workflow.jobs.extend(expanded);
        }
        self.check_needs(&workflow.jobs);
        workflow
    }

    fn check_needs(&mut self, jobs: &[Job]) {
        for job in jobs {
            let place = Place { job: Some(&job.key), step: None };
            for need in &job.needs {
                if !jobs.iter().any(|other| other.key == *need) {
                    self.problem(place, format!("needs `{need}`, which is not a job of this file"));
                }
            }
            if needed_by(jobs, job).contains(job.key.as_str()) {
                self.problem(place, "needs itself, directly or through other jobs");
            }
        }
    }

    fn text(&mut self, place: Place<'_>, key: &str, value: &Node) -> String {
        let Some(text) = value.scalar() else {
            self.problem(place, format!("`{key}` is not a text"));
            return String::new();
        };
        self.substitute(place, key, &text, &matrix::Combination::default())
    }

    fn environment(
        &mut self,
        place: Place<'_>,
        value: &Node,
        combination: &matrix::Combination,
    ) -> Environment {
        let Node::Map(entries) = value else {
            self.problem(place, "`env` is not a mapping");
            return Environment::new();
        };
        let mut env = Environment::new();
        for (name, value) in entries {
            match value.scalar() {
                Some(text) => {
                    let text = self.substitute(place, &format!("env.{name}"), &text, combination);
                    env.push((name.clone(), text));
                }
                None => self.problem(place, format!("`env.{name}` is not a text")),
            }
        }
        env
    }
}

/// Every job that one needs, directly or through others.
fn needed_by<'a>(jobs: &'a [Job], job: &'a Job) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![job];
    while let Some(job) = open.pop() {
        for need in &job.needs {
            if found.insert(need.as_str()) {
                open.extend(jobs.iter().find(|other| other.key == *need));
            }
        }
    }
    found
}
