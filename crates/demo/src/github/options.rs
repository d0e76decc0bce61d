//! How the fake is set up.

use std::collections::BTreeMap;
use std::time::Duration;

use ecsrunner_core::id::Repository;
use secrecy::SecretString;
use serde::Deserialize;

use super::faults::Faults;

/// The set-up of a fake GitHub. All but credentials can be changed later
/// through the control API.
#[derive(Debug)]
pub struct Options {
    /// Makes choices, ids and GUIDs repeat. Without one they differ with each
    /// start, so that a restarted fake repeats no delivery of its predecessor.
    pub seed: Option<u64>,
    /// Repositories that exist from the start. Others come to exist, private,
    /// when a workflow is submitted for them.
    pub repositories: Vec<RepositoryOptions>,
    /// Logins that are users; every other owner is an organization.
    pub users: Vec<String>,
    /// Runner groups of every organization, by id. 1 is the default group.
    pub runner_groups: BTreeMap<u64, String>,
    /// Plain tokens, as good as a person's with every permission.
    pub tokens: Vec<SecretString>,
    /// A GitHub App, installed wherever there is a repository.
    pub app: Option<App>,
    pub hook: Option<Hook>,
    /// What goes wrong from the start.
    pub faults: Faults,
    /// A runner whose listener has not been heard of for so long is offline.
    pub session_limit: Duration,
    /// A job in progress whose runner has not been heard of for so long fails;
    /// GitHub takes about ten minutes. The official runner does not poll while it
    /// ends its job, and renews its lock once a minute.
    pub lock_limit: Duration,
    /// An assigned job that is not started for so long is queued again; GitHub takes 60 s.
    pub start_limit: Duration,
    /// How runners reach the fake, where it is not the listener's address.
    pub public_url: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: None,
            repositories: Vec::new(),
            users: Vec::new(),
            runner_groups: BTreeMap::from([(1, "Default".to_owned())]),
            tokens: Vec::new(),
            app: None,
            hook: None,
            faults: Faults::default(),
            session_limit: Duration::from_secs(10),
            lock_limit: Duration::from_secs(75),
            start_limit: Duration::from_secs(60),
            public_url: None,
        }
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
    /// Whether it is somebody's fork.
    #[serde(default)]
    pub fork: bool,
}

#[derive(Clone, Debug)]
pub struct App {
    /// Its id, which is the issuer of its JWTs.
    pub id: u64,
    /// Its client id, which may be the issuer too.
    pub client_id: String,
    /// The public half of its RSA key, PEM.
    pub public_key_pem: String,
    /// The permissions of its installations, such as `actions` → `read`.
    pub permissions: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
pub struct Hook {
    /// Where deliveries are posted; `http` only.
    pub url: String,
    /// What they are signed with.
    pub secret: SecretString,
}
