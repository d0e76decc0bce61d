//! The options of the fake.

use std::collections::BTreeMap;
use std::time::Duration;

use ecsrunner_core::id::Repository;
use secrecy::SecretString;
use serde::Deserialize;

use super::faults::Faults;

/// The options of a fake GitHub. All except credentials can be changed later
/// through the control API.
#[derive(Debug)]
pub struct Options {
    /// Makes choices, ids and GUIDs reproducible. Without a seed they differ with each
    /// start, so that a restarted fake does not reuse earlier delivery GUIDs.
    pub seed: Option<u64>,
    /// Repositories that exist from the start. Others are created as private
    /// when a workflow is submitted for them.
    pub repositories: Vec<RepositoryOptions>,
    /// Logins of users. Every other owner is an organization.
    pub users: Vec<String>,
    /// Runner groups of every organization, by id. 1 is the default group.
    pub runner_groups: BTreeMap<u64, RunnerGroup>,
    /// The addresses from which it says that webhooks come, as `GET /meta` lists them. GitHub Enterprise Server lists none.
    pub webhook_ranges: Vec<String>,
    /// Plain tokens with every permission, like those of a person.
    pub tokens: Vec<SecretString>,
    /// A GitHub App, installed on every account with a repository.
    pub app: Option<App>,
    pub hook: Option<Hook>,
    /// Faults from the start.
    pub faults: Faults,
    /// How long after its last call a listener counts as offline.
    pub session_limit: Duration,
    /// How long after the last call of its runner a job in progress fails. At
    /// GitHub this takes about ten minutes. The official runner does not poll while
    /// it ends its job, and renews its lock once a minute.
    pub lock_limit: Duration,
    /// How long an assigned job may stay unstarted before it is queued again. GitHub takes 60 s.
    pub start_limit: Duration,
    /// How long the code for a new App's credentials is valid.
    pub code_life: Duration,
    /// The URL under which runners reach the fake, if it is not the listener's address.
    pub public_url: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: None,
            repositories: Vec::new(),
            users: Vec::new(),
            runner_groups: BTreeMap::from([(1, RunnerGroup::named("Default"))]),
            webhook_ranges: ["192.30.252.0/22", "2606:50c0::/32"].map(str::to_owned).to_vec(),
            tokens: Vec::new(),
            app: None,
            hook: None,
            faults: Faults::default(),
            session_limit: Duration::from_secs(10),
            lock_limit: Duration::from_secs(75),
            start_limit: Duration::from_secs(60),
            code_life: Duration::from_secs(3600),
            public_url: None,
        }
    }
}

/// A runner group of an organization.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunnerGroup {
    pub name: String,
    /// Which repositories may use it: `all`, `private` or `selected`.
    pub visibility: &'static str,
    /// Whether public repositories may use it.
    pub allows_public_repositories: bool,
}

impl RunnerGroup {
    /// Returns a group as GitHub makes it: for all repositories except public ones.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), visibility: "all", allows_public_repositories: false }
    }
}

/// A repository of the fake.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepositoryOptions {
    /// `owner/name`.
    pub name: Repository,
    /// Whether it is private.
    #[serde(default)]
    pub private: bool,
    /// Whether it is a fork.
    #[serde(default)]
    pub fork: bool,
}

#[derive(Clone, Debug)]
pub struct App {
    /// The App's id, which is the issuer of its JWTs.
    pub id: u64,
    /// The App's client id, which may also be the issuer.
    pub client_id: String,
    /// The public half of its RSA key as PEM.
    pub public_key_pem: String,
    /// The permissions of its installations, such as `actions` → `read`.
    pub permissions: BTreeMap<String, String>,
    /// Whether any account may install it.
    pub public: bool,
}

#[derive(Clone, Debug)]
pub struct Hook {
    /// The URL to which deliveries are posted; only `http`.
    pub url: String,
    /// The secret that signs them.
    pub secret: SecretString,
}
