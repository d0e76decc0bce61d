//! A workflow file that GitHub would take, as data.

use crate::problem::{Position, Problem};
use crate::token::Token;
use crate::trigger::Triggers;

/// A workflow.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// Its path in the repository.
    pub file: String,
    /// `name`, or the file's path if it has none.
    pub name: String,
    pub run_name: Option<Token>,
    pub triggers: Triggers,
    pub env: Option<Token>,
    pub defaults: Option<Token>,
    pub permissions: Option<Token>,
    pub concurrency: Option<Token>,
    /// In the order of the file.
    pub jobs: Vec<Job>,
    /// What has no effect.
    pub notes: Vec<Problem>,
}

impl Workflow {
    /// Returns a job by its id, without regard to case.
    #[must_use]
    pub fn job(&self, id: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.id.eq_ignore_ascii_case(id))
    }
}

/// A job of a workflow, before its matrix is expanded.
#[derive(Clone, Debug)]
pub struct Job {
    /// The key below `jobs`.
    pub id: String,
    pub at: Position,
    pub name: Option<Token>,
    /// The first line of `name` as it is in the file, which GitHub shows for a job that is not expanded.
    pub written_name: Option<String>,
    /// Ids of jobs, as they are spelled where they are defined.
    pub needs: Vec<String>,
    /// `if`, as GitHub completes it, and where it is.
    pub condition: String,
    pub strategy: Option<Token>,
    pub permissions: Option<Token>,
    pub concurrency: Option<Token>,
    pub body: Body,
}

/// What a job does.
#[derive(Clone, Debug)]
pub enum Body {
    /// It executes steps.
    Steps(Box<StepsJob>),
    /// It calls another workflow.
    Call(Call),
}

/// A job that a runner executes.
#[derive(Clone, Debug)]
pub struct StepsJob {
    pub runs_on: Token,
    pub timeout_minutes: Option<Token>,
    pub continue_on_error: Option<Token>,
    pub env: Option<Token>,
    pub defaults: Option<Token>,
    pub outputs: Option<Token>,
    pub container: Option<Token>,
    pub services: Option<Token>,
    pub environment: Option<Token>,
    pub steps: Vec<Step>,
}

/// A job that calls a workflow.
#[derive(Clone, Debug)]
pub struct Call {
    pub uses: Callee,
    pub at: Position,
    pub inputs: Option<Token>,
    pub secrets: Secrets,
}

/// A workflow that is called.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Callee {
    /// `./.github/workflows/FILE` of the same repository.
    Local { file: String },
    /// `owner/name/.github/workflows/FILE@ref`.
    Remote {
        /// `owner/name`
        repository: String,
        file: String,
        /// The branch, tag or commit.
        version: String,
    },
}

/// The secrets that a called workflow gets.
#[derive(Clone, Debug)]
pub enum Secrets {
    /// All of the caller's.
    Inherit,
    /// These.
    Given(Option<Token>),
}

/// A step.
#[derive(Clone, Debug)]
pub struct Step {
    pub at: Position,
    /// Its name in expressions: its `id`, or a name that GitHub makes.
    pub context_name: String,
    pub name: Option<Token>,
    /// `if`, as GitHub completes it.
    pub condition: String,
    pub env: Option<Token>,
    pub continue_on_error: Option<Token>,
    pub timeout_minutes: Option<Token>,
    /// Whether the steps behind it do not wait for it.
    pub background: bool,
    /// The group of `parallel` that it belongs to.
    pub group: Option<String>,
    pub work: Work,
}

/// The work of a step.
#[derive(Clone, Debug)]
pub enum Work {
    /// `run`: a script.
    Script { script: Token, shell: Option<Token>, working_directory: Option<Token> },
    /// `uses`: an action, with its inputs.
    Action { reference: Reference, inputs: Option<Token> },
    /// `wait`, `wait-all` or `cancel`, for these steps in the background.
    Control { control: Control, steps: Vec<String> },
}

/// What happens to steps in the background.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control {
    Wait,
    WaitAll,
    Cancel,
}

impl Control {
    /// Returns the key of the workflow, which is also the word of the protocol.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::WaitAll => "wait-all",
            Self::Cancel => "cancel",
        }
    }
}

/// The location of an action.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reference {
    /// `./folder` of the workspace, without `./`.
    Local { folder: String },
    /// `owner/name/path@version`.
    Repository {
        /// `owner/name`
        name: String,
        /// The folder in the repository; empty for its root.
        path: String,
        /// The branch, tag or commit.
        version: String,
    },
    /// `$/folder`: a folder of the repository and the commit of the workflow file, without `$/`.
    Own { folder: String },
    /// `docker://image`, without the scheme.
    Image(String),
}
