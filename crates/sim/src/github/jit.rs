//! Just-in-time configurations: what a runner needs to be one, once.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ecsrunner_core::id::RunnerId;
use ecsrunner_core::pool::Scope;
use jiff::Timestamp;
use secrecy::SecretString;

use crate::protocol::{CredentialsData, CredentialsFile, RunnerFile};

use super::auth::digest;
use super::state::{Registration, State};

/// How long the hexadecimal filling of `.credentials_rsaparams` is, so that
/// the whole is about 4 KB, as GitHub's.
const PADDING_CHARS: usize = 1_850;

/// A runner of that name is registered in the scope already.
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
        let id = RunnerId::new(self.ids.runner);
        let token = self.random.hex(64);
        let encoded = self.encode(id, name, work_folder, &token);
        self.registrations.insert(
            id,
            Registration {
                id,
                name: name.to_owned(),
                scope,
                labels: labels.to_vec(),
                matching: labels.iter().map(|label| label.to_ascii_lowercase()).collect(),
                token_digest: digest(&token),
                spent: false,
                created_at: Timestamp::now(),
            },
        );
        Ok((id, encoded))
    }

    fn encode(&mut self, id: RunnerId, name: &str, work_folder: &str, token: &str) -> SecretString {
        let runner = RunnerFile {
            agent_id: id,
            agent_name: name.to_owned(),
            pool_id: 1,
            pool_name: "Default".to_owned(),
            server_url: self.base.clone(),
            git_hub_url: self.base.clone(),
            work_folder: work_folder.to_owned(),
            ephemeral: true,
            disable_update: true,
        };
        let credentials = CredentialsFile {
            scheme: "OAuth".to_owned(),
            data: CredentialsData { client_id: self.random.guid(), token: token.to_owned() },
        };
        let parameters = serde_json::json!({"d": self.random.hex(PADDING_CHARS), "exponent": "AQAB"});
        let files = BTreeMap::from([
            (".runner", serde_json::to_vec(&runner)),
            (".credentials", serde_json::to_vec(&credentials)),
            (".credentials_rsaparams", serde_json::to_vec(&parameters)),
        ]);
        let files: BTreeMap<&str, String> = files
            .into_iter()
            .map(|(name, bytes)| (name, STANDARD.encode(bytes.unwrap_or_default())))
            .collect();
        STANDARD.encode(serde_json::json!(files).to_string()).into()
    }
}

/// Names are unique in a repository, or in an organization whatever the group.
fn same_place(one: &Scope, other: &Scope) -> bool {
    match (one, other) {
        (Scope::Repository(one), Scope::Repository(other)) => one == other,
        (Scope::Organization { organization: one, .. }, Scope::Organization { organization: other, .. }) => {
            one.as_str().eq_ignore_ascii_case(other.as_str())
        }
        _ => false,
    }
}
