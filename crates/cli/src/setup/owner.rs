//! Which account will own the App. A private App can be installed on its owner's account
//! only, so it has to be the account of the repositories.

use std::collections::BTreeSet;

use anyhow::anyhow;
use ecsrunner_core::id::Organization;
use ecsrunner_core::rules::settings::{Registration, Settings};
use ecsrunner_engine::ports::github::GitHubError;
use ecsrunner_github::app_manifest::{AccountKind, AppOwner, Registrar};

use crate::arguments::SetupArguments;
use crate::exit::Failure;

const UNREACHABLE: &str = "check that this machine reaches GitHub's API (GITHUB_API_URL and `--github-api-url` name another one), then run `ecsrunner setup` again";
const HINT: &str = "name it with `--organization NAME`, or use `--personal` for your own account";

/// The owner, and the login under which the person has to be signed in, if it is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Owner {
    pub(super) owner: AppOwner,
    pub(super) login: Option<String>,
}

impl Owner {
    fn organization(organization: &Organization) -> Self {
        Self { owner: AppOwner::Organization(organization.clone()), login: Some(organization.to_string()) }
    }
}

/// Returns the account that flags, the registration or the repositories name.
pub(super) async fn find(
    arguments: &SetupArguments,
    settings: &Settings,
    registrar: &Registrar,
) -> Result<Owner, Failure> {
    if let Some(organization) = &arguments.organization {
        return Ok(Owner::organization(organization));
    }
    let logins = logins(settings);
    let only = logins.iter().next().filter(|_| logins.len() == 1);
    if arguments.personal {
        return Ok(Owner { owner: AppOwner::Caller, login: only.cloned() });
    }
    if let Registration::Organization { organization, .. } = &settings.registration {
        return Ok(Owner::organization(organization));
    }
    let Some(login) = only else {
        let several: Vec<&str> = logins.iter().map(String::as_str).collect();
        let several = if several.is_empty() { "any account".to_owned() } else { several.join(" and ") };
        return Err(Failure::usage(anyhow!(
            "`repositories` allows repositories of {several}, and the App belongs to one account"
        ))
        .hint(HINT));
    };
    match registrar.account_kind(login).await {
        Ok(Some(AccountKind::Organization)) => {
            let organization = Organization::parse(login).map_err(Failure::usage)?;
            Ok(Owner { owner: AppOwner::Organization(organization), login: Some(login.clone()) })
        }
        Ok(Some(AccountKind::User)) => Ok(Owner { owner: AppOwner::Caller, login: Some(login.clone()) }),
        Ok(None) => Err(Failure::not_found(anyhow!("GitHub has no account `{login}`"))
            .hint("correct `repositories`; for GitHub Enterprise Server, set GITHUB_API_URL")),
        Err(error) => {
            // A server can require a token for this.
            let hint = if matches!(error, GitHubError::Unreachable { .. }) { UNREACHABLE } else { HINT };
            let unknown = format!("whether `{login}` is a user or an organization is unknown");
            Err(Failure::of_github(error).under(unknown).hint(hint))
        }
    }
}

/// Returns the owners of the allowed repositories; none if one of the patterns is `*`.
pub(super) fn logins(settings: &Settings) -> BTreeSet<String> {
    let owners = settings.policy.repositories.iter().map(|pattern| pattern.owner());
    let owners: Option<BTreeSet<String>> = owners.map(|owner| Some(owner?.to_string())).collect();
    owners.unwrap_or_default()
}
