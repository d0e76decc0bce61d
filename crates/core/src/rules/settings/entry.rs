//! Settings as they are written: what stands in the files, unchecked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::rules::budget::BudgetEntry;
use crate::rules::limits::Limits;
use crate::rules::pace::Paces;

/// The settings as they are written, unchecked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsEntry {
    /// The schema's version, which must be 1.
    pub version: u32,
    pub deployment: String,
    /// Repositories whose jobs may run: `owner/name`, `owner/*` or `*`.
    pub repositories: Vec<String>,
    /// Labels without which a job is not ours.
    #[serde(default = "self_hosted")]
    pub required_labels: Vec<String>,
    /// Whether jobs of public repositories may run.
    #[serde(default)]
    pub public_repositories: bool,
    /// Whether runs whose head is in a fork may run.
    #[serde(default)]
    pub forks: bool,
    /// Events that may start a run; if empty, all may.
    #[serde(default)]
    pub events: Vec<String>,
    /// Whether GitHub is asked what started a job's run before a runner is
    /// launched, which costs one more call for each job. Without it, `forks` and
    /// `events` are still checked in the runner, before the first step.
    #[serde(default)]
    pub check_runs: bool,
    /// Whether jobs whose runner was lost are run again, which needs *Actions: write*.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rerun: bool,
    /// Repositories whose jobs are run again even without `rerun`: `owner/name`, `owner/*` or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rerun_repositories: Vec<String>,
    /// What becomes of jobs that cannot be served.
    #[serde(default, skip_serializing_if = "OnFailureEntry::is_default")]
    pub on_failure: OnFailureEntry,
    /// Minutes after which a job is failed whose class is unknown, invalid or impossible; default 15.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_after_minutes: Option<u32>,
    /// What the deployment may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetEntry>,
    /// What repositories may cost, by `owner/name`, `owner/*` or `*`: one budget for all that match.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub repository_budgets: BTreeMap<String, BudgetEntry>,
    /// GitHub's fee for a minute on a self-hosted runner in US dollars; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_hosted_fee: Option<f64>,
    #[serde(default)]
    pub registration: RegistrationEntry,
    #[serde(default)]
    pub limits: Limits,
    /// The same as `limits.hook_limit_secs`; only one of the two may be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook_limit_secs: Option<u32>,
    /// How fast launches may come.
    #[serde(default)]
    pub paces: Paces,
    /// Whether each job's summary gets a note about its runner.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub job_summary: bool,
    /// Whether launches are paused.
    #[serde(default)]
    pub paused: bool,
}

fn self_hosted() -> Vec<String> {
    vec!["self-hosted".to_owned()]
}

/// What becomes of jobs that cannot be served, unchecked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailureEntry {
    /// A runner takes the job and fails it with a sentence in its log.
    #[default]
    FailJob,
    /// It waits until GitHub ends it.
    Wait,
}

impl OnFailureEntry {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Where runners register, unchecked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationEntry {
    /// In the job's repository: no other repository's job can take the runner.
    #[default]
    Repository,
    /// In a runner group of an organization.
    Organization {
        name: String,
        /// The group's id; 1 is the default group.
        group: u64,
    },
}
