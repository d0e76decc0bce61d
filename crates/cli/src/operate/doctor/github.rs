//! Who a deployment is at GitHub, what it may do there, and whether GitHub's
//! webhooks reach it.

use std::collections::BTreeMap;

use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::rules::settings::{Registration, Settings};
use ecsrunner_engine::ports::github::{GitHub, GitHubError};
use ecsrunner_github::Client;
use ecsrunner_github::operator::{Delivered, Installation};
use jiff::{SignedDuration, Timestamp};

use super::Check;
use crate::deployment::Deployment;
use crate::exit::Failure;
use crate::output::span;

/// Deliveries that failed before are forgotten.
const LATELY: SignedDuration = SignedDuration::from_hours(24);
/// Repositories whose runners are looked at: each costs two calls.
const MAX_SCOPES: usize = 10;

pub(super) async fn look(deployment: &Deployment) -> Vec<Check> {
    const NAME: &str = "GitHub secret";
    let client = match deployment.github().await {
        Ok(client) => client,
        Err(failure) => {
            let remedy =
                "put the App's id and private key there, or a token: docs/configuration.md has the form";
            return vec![Check::broken(NAME, &failure, remedy)];
        }
    };
    let settings = match deployment.rules() {
        Ok(rules) => rules.settings,
        Err(failure) => return vec![Check::broken(NAME, &failure, "correct the configuration")],
    };
    let mut checks = app(&client, &settings).await;
    checks.extend(scopes(&client, &settings).await);
    checks
}

/// What an App needs for these settings, by permission.
fn needed(settings: &Settings) -> BTreeMap<&'static str, &'static str> {
    let runners = match settings.registration {
        Registration::Repository => "administration",
        Registration::Organization { .. } => "organization_self_hosted_runners",
    };
    BTreeMap::from([("actions", "read"), (runners, "write")])
}

/// The permissions that are missing, as GitHub's settings call them.
fn missing(needed: &BTreeMap<&'static str, &'static str>, held: &BTreeMap<String, String>) -> Vec<String> {
    let suffices = |held: Option<&String>, level: &str| {
        held.is_some_and(|held| held == level || held == "admin" || (held == "write" && level == "read"))
    };
    let missing = needed.iter().filter(|(name, level)| !suffices(held.get(**name), level));
    missing.map(|(name, level)| format!("{name}: {level}")).collect()
}

async fn app(client: &Client, settings: &Settings) -> Vec<Check> {
    const NAME: &str = "GitHub App";
    let app = match client.app().await {
        Ok(Some(app)) => app,
        Ok(None) => {
            let found =
                "a token is used: lost webhooks are found by asking for queued jobs, not from deliveries";
            return vec![Check::ok(NAME, found)];
        }
        Err(error @ (GitHubError::Refused { status: 401 | 404, .. } | GitHubError::Credentials(_))) => {
            let remedy = "put the App's id and a private key of its in the GitHub secret";
            return vec![Check::failed(NAME, error, remedy)];
        }
        Err(error) => return vec![Check::unknown(NAME, &Failure::of_github(error))],
    };
    let needed = needed(settings);
    let lacking = missing(&needed, &app.permissions);
    let mut checks = vec![if lacking.is_empty() {
        Check::ok(NAME, format_args!("{} may do what it needs to", app.name))
    } else {
        Check::failed(
            NAME,
            format_args!("{} lacks {}", app.name, lacking.join(", ")),
            "add it in the App's settings under Permissions, and accept it where the App is installed",
        )
    }];
    if !app.events.iter().any(|event| event == "workflow_job") {
        checks.push(Check::warning(
            "webhook",
            "the App subscribes to no Workflow jobs",
            "check Workflow job in the App's settings under Subscribe to events, unless repositories have webhooks of their own",
        ));
    }
    checks.extend(installations(client, &needed).await);
    checks.push(hook(client).await);
    checks.push(deliveries(client).await);
    checks
}

async fn installations(client: &Client, needed: &BTreeMap<&'static str, &'static str>) -> Vec<Check> {
    const NAME: &str = "installation";
    match client.installations().await {
        Ok(Some(installations)) if installations.is_empty() => vec![Check::failed(
            NAME,
            "the App is installed nowhere",
            "install it where the repositories are, from the App's settings",
        )],
        Ok(installations) => {
            installations.into_iter().flatten().map(|it| installation(&it, needed)).collect()
        }
        Err(error) => vec![Check::unknown(NAME, &Failure::of_github(error))],
    }
}

fn installation(it: &Installation, needed: &BTreeMap<&'static str, &'static str>) -> Check {
    const NAME: &str = "installation";
    let lacking = missing(needed, &it.permissions);
    if it.suspended_at.is_some() {
        return Check::failed(NAME, format_args!("{} has suspended it", it.account), "unsuspend it there");
    }
    if lacking.is_empty() {
        return Check::ok(NAME, format_args!("{} has it, with what it needs", it.account));
    }
    Check::failed(
        NAME,
        format_args!("{} has not granted {}", it.account, lacking.join(", ")),
        "an owner accepts it on the installation's page",
    )
}

async fn hook(client: &Client) -> Check {
    const NAME: &str = "webhook";
    let config = match client.webhook_config().await {
        Ok(config) => config,
        Err(error) => return Check::unknown(NAME, &Failure::of_github(error)),
    };
    let url = config.as_ref().and_then(|config| config.url.clone()).filter(|url| !url.is_empty());
    let Some(url) = url else {
        return Check::warning(
            NAME,
            "the App has none",
            "give it the deployment's webhook URL, unless repositories have webhooks of their own",
        );
    };
    match config.and_then(|config| config.content_type).as_deref() {
        Some("json") | None => Check::ok(NAME, format_args!("GitHub delivers to {url}")),
        Some(other) => Check::failed(
            NAME,
            format_args!("{url} is sent the content type {other}, which is refused"),
            "let its content type be application/json",
        ),
    }
}

async fn deliveries(client: &Client) -> Check {
    const NAME: &str = "deliveries";
    let page = match client.past_deliveries(None).await {
        Ok(page) => page.map(|page| page.deliveries).unwrap_or_default(),
        Err(error) => return Check::unknown(NAME, &Failure::of_github(error)),
    };
    let now = Timestamp::now();
    let lately: Vec<&Delivered> =
        page.iter().filter(|delivery| now.duration_since(delivery.delivered_at) < LATELY).collect();
    let failed = lately.iter().filter(|delivery| delivery.status != "OK").count();
    if failed > 0 {
        return Check::warning(
            NAME,
            format_args!("{failed} of the latest {} failed", lately.len()),
            "`ecsrunner deliveries list` shows them; the sweep fetches those of jobs by itself",
        );
    }
    match page.first() {
        Some(latest) => {
            let ago = span(now.duration_since(latest.delivered_at));
            Check::ok(NAME, format_args!("the latest {}, {ago} ago, went well", latest.event))
        }
        None => Check::warning(
            NAME,
            "GitHub has made none",
            "run a job, or redeliver a ping from the App's settings",
        ),
    }
}

/// Whether runners can be read, by the same permission as they are registered by.
async fn scopes(client: &Client, settings: &Settings) -> Vec<Check> {
    const NAME: &str = "runners";
    let repositories = settings.policy.repositories.iter().filter_map(|pattern| pattern.exact());
    let scopes: Vec<Scope> = match &settings.registration {
        Registration::Organization { organization, group } => {
            vec![Scope::Organization { organization: organization.clone(), group: *group }]
        }
        Registration::Repository => repositories.map(Scope::Repository).take(MAX_SCOPES).collect(),
    };
    let mut checks = Vec::new();
    for scope in scopes {
        checks.push(match client.registrations(&scope, 1).await {
            Ok(page) => Check::ok(
                NAME,
                format_args!(
                    "{scope}: {}{} registered",
                    page.runners.len(),
                    if page.more { " and more" } else { "" }
                ),
            ),
            Err(error @ GitHubError::Refused { .. }) => Check::failed(
                NAME,
                error,
                "install the App there, or correct `repositories`: no runner can register",
            ),
            Err(error) => Check::unknown(NAME, &Failure::of_github(error)),
        });
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_suffices_at_its_level_or_above() {
        let needed = BTreeMap::from([("actions", "read"), ("administration", "write")]);
        let held = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, level)| ((*name).to_owned(), (*level).to_owned())).collect()
        };
        assert_eq!(
            missing(&needed, &held(&[("actions", "write"), ("administration", "write")])),
            Vec::<String>::new()
        );
        assert_eq!(
            missing(&needed, &held(&[("actions", "read"), ("administration", "read")])),
            ["administration: write"]
        );
        assert_eq!(missing(&needed, &held(&[])), ["actions: read", "administration: write"]);
    }
}
