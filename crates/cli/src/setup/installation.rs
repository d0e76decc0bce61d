//! Waits until the App is installed, and compares the repositories that it sees with those
//! that the deployment allows.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use ecsrunner_core::id::{Account, Repository};
use ecsrunner_core::rules::settings::Settings;
use ecsrunner_engine::ports::Disposition;
use ecsrunner_engine::ports::github::GitHub;
use ecsrunner_github::Client;
use ecsrunner_github::operator::Installation;
use serde::Serialize;

use super::owner;
use super::target::Target;
use crate::arguments::SetupArguments;
use crate::browser;
use crate::exit::Failure;
use crate::output::{call, clean, say, span};

const PACE: Duration = Duration::from_secs(2);
/// The most pages of repositories that are read, of a hundred each.
const MAX_PAGES: usize = 10;
/// The most repositories that are named in a message.
const MAX_NAMED: usize = 10;

/// What the App sees.
#[derive(Serialize)]
pub(super) struct Found {
    /// The accounts that it is installed on.
    accounts: Vec<String>,
    /// The repositories that it sees and the deployment allows.
    repositories: Vec<String>,
    /// How many others it sees.
    others: usize,
    /// Allowed repositories that it does not see.
    missing: Vec<String>,
    /// Whether it sees more than was read.
    is_cut: bool,
}

/// Returns the address on which an App is installed, from that of its page.
pub(super) fn address(page: &str) -> String {
    format!("{}/installations/new", page.trim_end_matches('/'))
}

/// Waits for an installation on an account of the allowed repositories. Opens the page, unless it is open.
pub(super) async fn wait(
    arguments: &SetupArguments,
    target: &Target,
    client: &Client,
    address: &str,
    is_open: bool,
) -> Result<Found, Failure> {
    let limit = arguments.timeout.0;
    let begun = Instant::now();
    let mut is_told = false;
    loop {
        let error = match installed(client, target.settings()).await {
            Ok(accounts) if !accounts.is_empty() => return found(client, target.settings(), accounts).await,
            Ok(_) => None,
            Err(error) if is_passing(&error) => Some(error),
            Err(error) => return Err(Failure::of_github(error)),
        };
        if !is_told {
            tell(arguments, address, is_open);
            is_told = true;
        }
        if begun.elapsed() + PACE > limit {
            let limit = span(jiff::SignedDuration::try_from(limit).unwrap_or_default());
            let failure = match error {
                Some(error) => Failure::of_github(error),
                None => anyhow!("the App was not installed within {limit}").into(),
            };
            return Err(failure
                .hint(format!("install it on {address}, and run `{}`", target.command(arguments, &[]))));
        }
        tokio::time::sleep(PACE).await;
    }
}

fn is_passing(error: &ecsrunner_engine::ports::github::GitHubError) -> bool {
    matches!(error.disposition(), Disposition::Retry { .. })
}

fn tell(arguments: &SetupArguments, address: &str, is_open: bool) {
    let opened = is_open || (!arguments.no_browser && browser::open(address));
    if opened {
        say(&format!("waiting for you to install the App on your repositories, in the browser ({address})"));
    } else {
        call(&format!("open this address, and install the App on your repositories:\n\n  {address}\n"));
    }
}

/// Returns the accounts of the allowed repositories that the App is installed on.
async fn installed(
    client: &Client,
    settings: &Settings,
) -> Result<Vec<String>, ecsrunner_engine::ports::github::GitHubError> {
    let wanted = owner::logins(settings);
    let serves = |it: &Installation| {
        it.suspended_at.is_none()
            && (wanted.is_empty() || wanted.iter().any(|login| login.eq_ignore_ascii_case(&it.account)))
    };
    let installations = client.installations().await?.unwrap_or_default();
    Ok(installations.into_iter().filter(serves).map(|it| it.account).collect())
}

async fn found(client: &Client, settings: &Settings, accounts: Vec<String>) -> Result<Found, Failure> {
    let mut seen: Vec<Repository> = Vec::new();
    let mut is_cut = false;
    for account in &accounts {
        let owner = Account::parse(&account.to_ascii_lowercase()).map_err(anyhow::Error::new)?;
        let mut cursor = None;
        for page in 0.. {
            let listed = client.repositories(Some(&owner), cursor.as_deref()).await;
            let listed = listed.map_err(Failure::of_github)?;
            seen.extend(listed.repositories.into_iter().map(|listed| listed.name));
            cursor = listed.next;
            if cursor.is_none() {
                break;
            }
            if page + 1 == MAX_PAGES {
                is_cut = true;
                break;
            }
        }
    }
    Ok(compare(settings, accounts, &seen, is_cut))
}

fn compare(settings: &Settings, accounts: Vec<String>, seen: &[Repository], is_cut: bool) -> Found {
    let patterns = &settings.policy.repositories;
    let allowed = seen.iter().filter(|name| patterns.iter().any(|pattern| pattern.matches(name)));
    let mut repositories: Vec<String> = allowed.map(ToString::to_string).collect();
    repositories.sort();
    let exact = patterns.iter().filter_map(|pattern| pattern.exact());
    let missing = exact.filter(|name| !is_cut && !seen.contains(name)).map(|name| name.to_string());
    Found {
        others: seen.len() - repositories.len(),
        missing: missing.collect(),
        accounts,
        repositories,
        is_cut,
    }
}

impl Found {
    /// Prints what the App sees, and what it should see.
    pub(super) fn tell(&self, address: &str) {
        let accounts = self.accounts.join(" and ");
        let and_more = if self.is_cut { ", and more than were listed" } else { "" };
        say(&format!(
            "the App is installed on {accounts} and sees {} allowed here, {} others{and_more}",
            counted(&self.repositories),
            self.others
        ));
        if !self.missing.is_empty() {
            say(&format!(
                "note: it does not see {}: add them on {address}, or remove them from `repositories`",
                counted(&self.missing)
            ));
        } else if self.repositories.is_empty() && !self.is_cut {
            say(&format!("note: select repositories that `repositories` allows on {address}"));
        }
    }
}

/// Counts repositories and names the first ones.
fn counted(names: &[String]) -> String {
    let s = if names.len() == 1 { "repository" } else { "repositories" };
    let named: Vec<String> = names.iter().take(MAX_NAMED).map(|name| clean(name)).collect();
    let more = if names.len() > MAX_NAMED { ", …" } else { "" };
    let named = if named.is_empty() { String::new() } else { format!(" ({}{more})", named.join(", ")) };
    format!("{} {s}{named}", names.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(repositories: &[&str]) -> Settings {
        let entry = json!({"version": 1, "deployment": "ci", "repositories": repositories});
        Settings::read(&serde_json::from_value(entry).unwrap()).unwrap()
    }

    #[test]
    fn what_the_app_sees_is_compared_with_what_is_allowed() {
        let seen = ["acme/app", "Acme/Web", "acme/other"].map(|name| Repository::parse(name).unwrap());
        let compare = |repositories: &[&str], is_cut| {
            let found = compare(&settings(repositories), vec!["acme".to_owned()], &seen, is_cut);
            (found.repositories.join(" "), found.others, found.missing.join(" "))
        };
        let exact = ["acme/app", "acme/web", "acme/new"];
        assert_eq!(compare(&exact, false), ("Acme/Web acme/app".to_owned(), 1, "acme/new".to_owned()));
        assert_eq!(compare(&exact, true).2, "", "what was not listed may be there");
        assert_eq!(
            compare(&["acme/*"], false),
            ("Acme/Web acme/app acme/other".to_owned(), 0, String::new())
        );
    }
}
