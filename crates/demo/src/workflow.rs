//! Reads the workflow files that the fake GitHub can run: jobs with `needs`, a
//! static `matrix`, and steps.
//!
//! Anything else in a file is refused. All problems are reported at once, each
//! with file, job and step. Expressions are not evaluated here. At the level of a
//! job, only `${{ matrix.x }}` is supported, and is replaced textually. In steps,
//! the official runner gets expressions unchanged. The stand-in has no expression
//! language, so `${{ matrix.x }}` is replaced for it as at the level of a job.

pub(crate) mod action;
pub(crate) mod expression;
mod job;
mod matrix;
pub(crate) mod node;
mod step;
mod substitute;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

pub use step::{Reference, Step, Work};

use node::Node;

/// Files of a submission: repository path → text.
pub type Files = BTreeMap<String, String>;

/// Environment variables in the order of the file. The last one of a name applies.
pub type Environment = Vec<(String, String)>;

/// The runner that executes the steps.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Executor {
    /// The stand-in listener, which evaluates no expressions.
    #[default]
    StandIn,
    Official,
}

/// What a workflow can refer to.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// Files of the repository, such as those of its local actions.
    pub files: &'a Files,
    /// Actions of other repositories, as `owner/name@ref`.
    pub actions: &'a BTreeSet<String>,
    /// The runner that executes the steps.
    pub executor: Executor,
}

/// A workflow whose jobs can all be run.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// `name`, or the file's path if it has none.
    pub name: String,
    /// The jobs in the order of the file, with matrices expanded.
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
    /// The runners that may execute it.
    pub runs_on: RunsOn,
    /// The workflow's `env`, then the job's.
    pub env: Vec<Environment>,
    /// `defaults.run` of the workflow, then of the job: shell and working directory.
    pub defaults: Vec<Environment>,
    /// The job's outputs: name and expression.
    pub outputs: Environment,
    /// The matrix's values in this job.
    pub matrix: Vec<(String, serde_json::Value)>,
    /// The job's number among those of its matrix, from 0, and how many there are.
    pub index: (usize, usize),
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// `timeout-minutes`; GitHub's default is 360.
    pub timeout_minutes: u32,
}

/// What a runner must offer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunsOn {
    /// All required labels, as written. Empty for a job that names only a group.
    pub labels: Vec<String>,
    /// The name of a runner group.
    pub group: Option<String>,
}

/// Something in a workflow that cannot be run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Problem {
    pub file: String,
    /// The key of the job, if the problem is in one.
    pub job: Option<String>,
    /// Number (from 1) and name of the step, if the problem is in one.
    pub step: Option<String>,
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

/// All problems of a workflow.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

/// Reads a workflow.
///
/// # Errors
///
/// Returns all problems of the file at once, each with file, job and step.
pub fn parse(file: &str, text: &str, given: Given<'_>) -> Result<Workflow, Problems> {
    let mut reader = Reader { file, given, problems: Vec::new() };
    let workflow = reader.workflow(text);
    if reader.problems.is_empty() { Ok(workflow) } else { Err(Problems(reader.problems)) }
}

/// Returns the folders of local actions that a workflow or an `action.yml` uses,
/// without `./`. Returns none for a text that is not YAML; [`parse`] reports that.
#[must_use]
pub fn local_actions(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if let Ok(root) = node::read(text) {
        collect_local_actions(&root, &mut found);
    }
    found
}

fn collect_local_actions(node: &Node, found: &mut BTreeSet<String>) {
    match node {
        Node::List(items) => items.iter().for_each(|item| collect_local_actions(item, found)),
        Node::Map(entries) => {
            for (key, value) in entries {
                match value {
                    Node::Text(uses) if key == "uses" => {
                        let folder = uses.strip_prefix("./").map(|folder| folder.trim_end_matches('/'));
                        found.extend(folder.map(str::to_owned));
                    }
                    other => collect_local_actions(other, found),
                }
            }
        }
        _ => {}
    }
}

/// Collects all problems in one pass.
struct Reader<'a> {
    file: &'a str,
    given: Given<'a>,
    problems: Vec<Problem>,
}

/// A location in the file.
#[derive(Clone, Copy, Default)]
struct Location<'a> {
    job: Option<&'a str>,
    step: Option<&'a str>,
}

impl Reader<'_> {
    fn problem(&mut self, location: Location<'_>, text: impl Into<String>) {
        let problem = Problem {
            file: self.file.to_owned(),
            job: location.job.map(str::to_owned),
            step: location.step.map(str::to_owned),
            text: text.into(),
        };
        // A job with a matrix is read once for each combination. Each problem is reported once.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn workflow(&mut self, text: &str) -> Workflow {
        let mut workflow = Workflow { name: self.file.to_owned(), jobs: Vec::new() };
        let top = Location::default();
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
        let mut top_level = job::TopLevel::default();
        let mut jobs: &[(String, Node)] = &[];
        for (key, value) in &root {
            match key.as_str() {
                "name" => workflow.name = self.text(top, "name", value),
                // The submission names the event that starts a run.
                "on" | "run-name" | "permissions" => {}
                "env" => top_level.env = self.environment(top, value, &matrix::Combination::default()),
                "defaults" if self.is_official() => top_level.defaults = self.defaults(top, value),
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
            let expanded = self.jobs(key, value, &top_level);
            workflow.jobs.extend(expanded);
        }
        self.check_needs(&workflow.jobs);
        workflow
    }

    fn check_needs(&mut self, jobs: &[Job]) {
        for job in jobs {
            let location = Location { job: Some(&job.key), step: None };
            for need in &job.needs {
                if !jobs.iter().any(|other| other.key == *need) {
                    self.problem(location, format!("needs `{need}`, which is not a job of this file"));
                }
            }
            if needed_by(jobs, job).contains(job.key.as_str()) {
                self.problem(location, "needs itself, directly or through other jobs");
            }
        }
    }

    fn is_official(&self) -> bool {
        self.given.executor == Executor::Official
    }

    fn text(&mut self, location: Location<'_>, key: &str, value: &Node) -> String {
        let Some(text) = value.scalar() else {
            self.problem(location, format!("`{key}` is not a text"));
            return String::new();
        };
        self.substitute(location, key, &text, &matrix::Combination::default())
    }

    fn environment(
        &mut self,
        location: Location<'_>,
        value: &Node,
        combination: &matrix::Combination,
    ) -> Environment {
        let Node::Map(entries) = value else {
            self.problem(location, "`env` is not a mapping");
            return Environment::new();
        };
        let mut env = Environment::new();
        for (name, value) in entries {
            match value.scalar() {
                Some(text) => {
                    let text = self.step_text(location, &format!("env.{name}"), &text, combination);
                    env.push((name.clone(), text));
                }
                None => self.problem(location, format!("`env.{name}` is not a text")),
            }
        }
        env
    }
}

/// Returns every job that a job needs, directly or through others.
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
