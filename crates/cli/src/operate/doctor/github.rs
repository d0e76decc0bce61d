//! A deployment's identity and permissions at GitHub, and whether GitHub's
//! webhooks reach it.

use ecsrunner_core::id::{Organization, RunnerGroupId};
use ecsrunner_core::rules::Rules;
use ecsrunner_core::rules::class::Class;
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::rules::settings::{Registration, Settings};
use ecsrunner_engine::ports::github::{GitHub, GitHubError};
use ecsrunner_github::Client;
use ecsrunner_github::operator::{AppInfo, Delivered, Installation, RunnerGroup};
use ecsrunner_github::permissions::{EVENT, Permissions};
use jiff::{SignedDuration, Timestamp};

use super::Check;
#[cfg(feature = "aws")]
use super::webhook_sources;
use crate::deployment::Deployment;
use crate::exit::Failure;
use crate::output::span;

/// Older failed deliveries are ignored.
const LATELY: SignedDuration = SignedDuration::from_hours(24);
/// The most repositories whose runners are read: each costs two calls.
const MAX_SCOPES: usize = 10;

pub(super) async fn look(deployment: &Deployment) -> Vec<Check> {
    const NAME: &str = "GitHub secret";
    let client = match deployment.github().await {
        Ok(client) => client,
        Err(failure) => {
            let remedy = "run `ecsrunner setup` to make an App and store its credentials there, or store them yourself: see docs/configuration.md for the format";
            return vec![Check::broken(NAME, &failure, remedy)];
        }
    };
    let rules = match deployment.rules() {
        Ok(rules) => rules,
        Err(failure) => return vec![Check::broken(NAME, &failure, "correct the configuration")],
    };
    #[cfg_attr(not(feature = "aws"), expect(unused_mut, reason = "only AWS adds a check"))]
    let mut checks = check(&client, rules.rules()).await;
    #[cfg(feature = "aws")]
    if let Deployment::Aws(aws) = deployment {
        checks.push(webhook_sources::check(&client, &aws.facts().webhook_sources).await);
    }
    checks
}

/// Checks what the credentials of `client` may do for a deployment with these rules.
pub(super) async fn check(client: &Client, rules: Rules<'_>) -> Vec<Check> {
    let mut checks = app(client, rules.settings, rules.may_rerun()).await;
    checks.extend(scopes(client, rules.settings).await);
    if let Registration::Organization { organization, group } = &rules.settings.registration {
        checks.push(runner_group(client, organization, *group, rules).await);
    }
    checks
}

async fn app(client: &Client, settings: &Settings, reruns: bool) -> Vec<Check> {
    const NAME: &str = "GitHub App";
    let app = match client.app().await {
        Ok(Some(app)) => app,
        Ok(None) => {
            let found =
                "a token is used, so lost webhooks are found by asking the repositories for queued jobs";
            return vec![Check::ok(NAME, found)];
        }
        Err(error @ (GitHubError::Refused { status: 401 | 404, .. } | GitHubError::Credentials(_))) => {
            let remedy = "run `ecsrunner setup --replace` to make a new App, or store the App's id and one of its private keys in the GitHub secret";
            return vec![Check::failed(NAME, error, remedy)];
        }
        Err(error) => return vec![Check::unknown(NAME, &Failure::of_github(error))],
    };
    let needed = Permissions::needed(&settings.registration, reruns);
    let lacking = needed.missing(&app.permissions);
    let mut checks = vec![if lacking.is_empty() {
        Check::ok(NAME, format_args!("{} has all permissions that it needs", app.name))
    } else {
        Check::failed(
            NAME,
            format_args!("{} lacks {}", app.name, lacking.join(", ")),
            "add it in the App's settings under Permissions, and accept it in each installation",
        )
    }];
    if !app.events.iter().any(|event| event == EVENT) {
        checks.push(Check::warning(
            "webhook",
            "the App does not subscribe to Workflow job events",
            "select Workflow job in the App's settings under Subscribe to events, unless the repositories have their own webhooks",
        ));
    }
    checks.extend(public_app(client, &app, settings).await);
    checks.extend(installations(client, &needed).await);
    checks.push(hook(client).await);
    checks.push(deliveries(client).await);
    checks
}

/// Checks that nobody else can install the App if that would be enough to have their jobs served.
async fn public_app(client: &Client, app: &AppInfo, settings: &Settings) -> Option<Check> {
    const NAME: &str = "GitHub App";
    let serves_any_owner = settings.policy.repositories.iter().any(|pattern| pattern.owner().is_none());
    let slug = app.slug.as_ref().filter(|_| serves_any_owner)?;
    match client.is_public_app(slug).await {
        Ok(false) => None,
        Ok(true) => Some(Check::failed(
            NAME,
            format_args!(
                "{} is public and `repositories` has `*`: everyone who installs the App gets runners here",
                app.name
            ),
            "make the App private in its settings under Advanced, or name the owners in `repositories`",
        )),
        Err(error) => Some(Check::unknown(NAME, &Failure::of_github(error))),
    }
}

/// Checks that no repository can take runners that it is not served by.
async fn runner_group(
    client: &Client,
    organization: &Organization,
    group: RunnerGroupId,
    rules: Rules<'_>,
) -> Check {
    const NAME: &str = "runner group";
    match client.runner_group(organization, group).await {
        Ok(Some(found)) => judge_group(&found, rules),
        Ok(None) => Check::failed(
            NAME,
            format_args!("{organization} has no runner group {group}"),
            "correct `registration`: no runner can register",
        ),
        Err(error) => Check::unknown(NAME, &Failure::of_github(error)),
    }
}

fn judge_group(group: &RunnerGroup, rules: Rules<'_>) -> Check {
    const NAME: &str = "runner group";
    let name = &group.name;
    let restricts = |class: &Class| class.repositories.is_some();
    let serves_all = rules.settings.policy.repositories.iter().any(|pattern| pattern.exact().is_none())
        && !rules.catalogue.iter().any(restricts);
    // `private` means all private and internal repositories.
    let is_selected = group.visibility == "selected";
    if !is_selected && !serves_all {
        return Check::failed(
            NAME,
            format_args!(
                "{name} is visible to all repositories, and this deployment serves only some: jobs of others that have \
                 the same labels take its runners and are refused"
            ),
            "select the repositories in the runner group's settings, or register with repositories",
        );
    }
    if group.allows_public_repositories && !rules.settings.policy.public_repositories {
        return Check::failed(
            NAME,
            format_args!("{name} allows public repositories, and this deployment refuses their jobs"),
            "clear `Allow public repositories` in the runner group's settings",
        );
    }
    let audience = if is_selected { "selected repositories" } else { "the repositories that are served" };
    Check::ok(NAME, format_args!("{name} is visible to {audience}"))
}

async fn installations(client: &Client, needed: &Permissions) -> Vec<Check> {
    const NAME: &str = "installation";
    match client.installations().await {
        Ok(Some(installations)) if installations.is_empty() => vec![Check::failed(
            NAME,
            "the App is not installed anywhere",
            "run `ecsrunner setup`, which opens the page that installs it",
        )],
        Ok(installations) => {
            installations.into_iter().flatten().map(|it| installation(&it, needed)).collect()
        }
        Err(error) => vec![Check::unknown(NAME, &Failure::of_github(error))],
    }
}

fn installation(it: &Installation, needed: &Permissions) -> Check {
    const NAME: &str = "installation";
    let lacking = needed.missing(&it.permissions);
    if it.suspended_at.is_some() {
        return Check::failed(
            NAME,
            format_args!("{} has suspended the App", it.account),
            "unsuspend it in the settings of that account",
        );
    }
    if lacking.is_empty() {
        return Check::ok(NAME, format_args!("{} has granted all permissions", it.account));
    }
    Check::failed(
        NAME,
        format_args!("{} has not granted {}", it.account, lacking.join(", ")),
        "ask an owner to accept it on the installation's page",
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
            "the App has no webhook",
            "run `ecsrunner setup` to set the deployment's URL, unless the repositories have their own webhooks or the server polls",
        );
    };
    match config.and_then(|config| config.content_type).as_deref() {
        Some("json") | None => Check::ok(NAME, format_args!("GitHub delivers to {url}")),
        Some(other) => Check::failed(
            NAME,
            format_args!("{url} gets the content type {other}, which is refused"),
            "set its content type to application/json",
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
            "run `ecsrunner deliveries list` to see them; the sweep finds those of jobs",
        );
    }
    match page.first() {
        Some(latest) => {
            let ago = span(now.duration_since(latest.delivered_at));
            Check::ok(NAME, format_args!("the latest {}, {ago} ago, succeeded", latest.event))
        }
        None => Check::warning(
            NAME,
            "GitHub has sent none",
            "run a job, or redeliver a ping from the App's settings",
        ),
    }
}

/// Checks that runners can be read, which needs the same permission as to register them.
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
    use ecsrunner_core::rules::class::Catalogue;
    use serde_json::{Value, json};

    use super::super::State;
    use super::*;

    #[test]
    fn a_runner_group_that_others_can_use_fails() {
        let judge = |repositories: &[&str], class: Value, public: bool, visibility: &str, allows: bool| {
            let entry = json!({
                "version": 1, "deployment": "ci", "repositories": repositories, "public_repositories": public,
                "check_runs": true, "registration": {"organization": {"name": "acme", "group": 7}},
            });
            let settings = Settings::read(&serde_json::from_value(entry).unwrap()).unwrap();
            let classes = serde_json::from_value(json!({"small": class})).unwrap();
            let (catalogue, errors) = Catalogue::read(&classes);
            assert!(errors.is_empty(), "{errors:?}");
            let group = RunnerGroup {
                id: 7,
                name: "builders".to_owned(),
                visibility: visibility.to_owned(),
                allows_public_repositories: allows,
            };
            judge_group(&group, Rules { settings: &settings, catalogue: &catalogue }).state
        };
        let class = json!({"cpu": 512, "memory": 1024});
        let narrow = json!({"cpu": 512, "memory": 1024, "repositories": ["acme/app"]});
        for (repositories, class, public, visibility, allows, state) in [
            (&["acme/app"][..], &class, false, "all", false, State::Failed),
            (&["acme/app"], &class, false, "private", false, State::Failed),
            (&["acme/app"], &class, false, "selected", false, State::Ok),
            (&["acme/app"], &class, false, "selected", true, State::Failed),
            (&["acme/app"], &class, true, "selected", true, State::Ok),
            (&["acme/*"], &class, false, "all", false, State::Ok),
            (&["acme/*"], &class, false, "all", true, State::Failed),
            (&["acme/*"], &narrow, false, "all", false, State::Failed),
        ] {
            let found = judge(repositories, class.clone(), public, visibility, allows);
            assert_eq!(found, state, "{repositories:?} {class} {public} {visibility} {allows}");
        }
    }
}
