//! Just-in-time configurations in GitHub's format.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ecsrunner_core::id::RunnerId;
use ecsrunner_core::rules::pool::Scope;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::runner_key::{self, RunnerKey};
use super::runner_side::paths;
use super::state::{Registration, State};

/// The scope already has a runner of this name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NameTaken;

impl State {
    /// Registers a runner and makes its configuration.
    pub(super) fn generate_jitconfig(
        &mut self,
        scope: Scope,
        name: &str,
        labels: &[String],
        work_folder: &str,
    ) -> Result<(RunnerId, SecretString), NameTaken> {
        let taken = self
            .registrations
            .values()
            .any(|other| same_place(&other.scope, &scope) && other.name.eq_ignore_ascii_case(name));
        if taken {
            return Err(NameTaken);
        }
        self.ids.runner += 1;
        let registration = Registration {
            id: RunnerId::new(self.ids.runner),
            name: name.to_owned(),
            scope,
            labels: labels.to_vec(),
            matching: labels.iter().map(|label| label.to_ascii_lowercase()).collect(),
            client_id: self.random.guid(),
            key: runner_key::next(),
            sessions: 0,
            created_at: Timestamp::now(),
        };
        let encoded = encode(&self.base, &registration, work_folder);
        let id = registration.id;
        self.clients.insert(registration.client_id.clone(), id);
        self.registrations.insert(id, registration);
        Ok((id, encoded))
    }
}

fn encode(base: &str, registration: &Registration, work_folder: &str) -> SecretString {
    let broker = format!("{base}{}/", paths::BROKER);
    let home = match &registration.scope {
        Scope::Repository(repository) => format!("{base}/{repository}"),
        Scope::Organization { organization, .. } => format!("{base}/{organization}"),
    };
    // GitHub sends every value as text.
    let runner = json!({
        "AgentId": registration.id.to_string(),
        "AgentName": registration.name,
        "DisableUpdate": "True",
        "Ephemeral": "True",
        "PoolId": "1",
        "PoolName": null,
        "ServerUrl": broker,
        "WorkFolder": work_folder,
        "GitHubUrl": home,
        "ServerUrlV2": broker,
        "UseV2Flow": "true",
    });
    let credentials = json!({
        "Scheme": "OAuth",
        "Data": {
            "ClientId": registration.client_id,
            "AuthorizationUrl": format!("{base}{}", paths::TOKEN),
            "RequireFipsCryptography": "True",
        },
    });
    let RunnerKey { parameters, .. } = &*registration.key;
    let file = |content: &Value| STANDARD.encode(content.to_string());
    let files = BTreeMap::from([
        (".runner", file(&runner)),
        (".credentials", file(&credentials)),
        (".credentials_rsaparams", file(parameters)),
    ]);
    STANDARD.encode(json!(files).to_string()).into()
}

/// Whether two scopes share names. Names are unique in a repository, or in an
/// organization across its groups.
fn same_place(one: &Scope, other: &Scope) -> bool {
    match (one, other) {
        (Scope::Repository(one), Scope::Repository(other)) => one == other,
        (Scope::Organization { organization: one, .. }, Scope::Organization { organization: other, .. }) => {
            one.as_str().eq_ignore_ascii_case(other.as_str())
        }
        _ => false,
    }
}
