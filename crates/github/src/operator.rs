//! Calls that an operator makes: read the App's settings, set its webhook, read the addresses of GitHub's webhooks,
//! list and redeliver deliveries, re-run a job. Of these, the control plane only lists installations.

use std::collections::BTreeMap;

use ecsrunner_core::cidr::Cidr;
use ecsrunner_core::id::{JobId, Organization, Repository, RunnerGroupId};
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_engine::ports::github::GitHubError;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::auth::Grant;
use crate::client::Client;
use crate::http::Call;
use crate::reply::Fault;

const PAGE: usize = 100;
/// The most pages of installations that are read. An App of one team has few installations.
const INSTALLATION_PAGES: usize = 10;
/// The most pages of runner groups that are read. GitHub allows an organization 10,000 groups.
const GROUP_PAGES: usize = 100;

/// A GitHub App's settings at GitHub.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct AppInfo {
    pub name: String,
    /// Its name in URLs. GitHub can omit it.
    pub slug: Option<String>,
    /// The address of its page.
    pub html_url: Option<String>,
    /// The permissions that it asks for, such as `administration: write`.
    pub permissions: BTreeMap<String, String>,
    /// The webhook events that it receives.
    pub events: Vec<String>,
}

/// An App's webhook, without its secret.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct HookConfig {
    /// Where GitHub sends deliveries; `None` before a URL is set.
    pub url: Option<String>,
    /// `json` or `form`.
    pub content_type: Option<String>,
}

/// An installation of an App.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Installation {
    pub id: u64,
    /// The user or organization.
    pub account: String,
    /// The permissions that an owner has accepted. An owner has to accept later additions.
    pub permissions: BTreeMap<String, String>,
    /// When an owner suspended it; `None` if it is active.
    pub suspended_at: Option<String>,
}

/// A runner group of an organization.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct RunnerGroup {
    pub id: u64,
    pub name: String,
    /// Which repositories may use its runners: `all`, `private` or `selected`.
    pub visibility: String,
    /// Whether public repositories may, within its visibility.
    pub allows_public_repositories: bool,
}

/// A webhook delivery, as an operator sees it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Delivered {
    /// GitHub's id of the delivery. A redelivery has its own.
    pub id: u64,
    /// `X-GitHub-Delivery`, which a redelivery keeps.
    pub guid: String,
    pub delivered_at: Timestamp,
    /// The event, such as `workflow_job`.
    pub event: String,
    /// Its action, such as `queued`.
    pub action: Option<String>,
    pub repository_id: Option<u64>,
    /// `OK`, or what went wrong.
    pub status: String,
    /// The HTTP status that GitHub received; 0 if it received none.
    pub status_code: u16,
    /// Seconds until the answer.
    pub duration: f64,
    pub redelivery: bool,
}

/// A page of deliveries.
#[derive(Clone, PartialEq, Debug)]
pub struct Deliveries {
    /// The latest first.
    pub deliveries: Vec<Delivered>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<String>,
}

impl Client {
    /// Returns the App of these credentials; `None` with a token.
    ///
    /// # Errors
    ///
    /// The call fails.
    pub async fn app(&self) -> Result<Option<AppInfo>, GitHubError> {
        let call = Call::get("get-app", "the App", "app".to_owned());
        let Some(reply) = self.ask_as_app(&call).await? else { return Ok(None) };
        Ok(Some(reply.json()?))
    }

    /// Whether any account may install the App of this name in URLs. GitHub shows a public App to everyone, and a private
    /// one only to callers that may see it.
    ///
    /// # Errors
    ///
    /// The call fails, or the server shows nothing without a token.
    pub async fn is_public_app(&self, slug: &str) -> Result<bool, GitHubError> {
        let reply = self.ask_as_anyone(&Call::get("get-app-by-slug", slug, format!("apps/{slug}"))).await?;
        match reply.status() {
            404 => Ok(false),
            _ => Ok(reply.json::<IgnoredAny>().map(|_| true)?),
        }
    }

    /// Returns the addresses from which GitHub sends webhooks; `None` if the server lists none, as GitHub Enterprise
    /// Server. Needs no permission.
    ///
    /// # Errors
    ///
    /// The call fails, or the server shows nothing without a token.
    pub async fn webhook_ranges(&self) -> Result<Option<Vec<Cidr>>, GitHubError> {
        let meta: Meta =
            self.ask_as_anyone(&Call::get("get-meta", "GitHub", "meta".to_owned())).await?.json()?;
        Ok(meta.hooks.filter(|ranges| !ranges.is_empty()))
    }

    /// Returns a runner group of an organization; `None` if it has no such group.
    ///
    /// # Errors
    ///
    /// A call fails.
    pub async fn runner_group(
        &self,
        organization: &Organization,
        group: RunnerGroupId,
    ) -> Result<Option<RunnerGroup>, GitHubError> {
        let scope = Scope::Organization { organization: organization.clone(), group };
        for page in 1..=GROUP_PAGES {
            let path = format!("orgs/{organization}/actions/runner-groups");
            let call = Call::get("list-runner-groups", organization, path)
                .query("per_page", PAGE)
                .query("page", page);
            let listed: ListedGroups = self.ask(&Grant::runners(&scope), &call).await?.json()?;
            let is_last = listed.runner_groups.len() < PAGE;
            let found = listed.runner_groups.into_iter().find(|found| found.id == group.get());
            if found.is_some() || is_last {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Returns the App's webhook; `None` with a token.
    ///
    /// # Errors
    ///
    /// The call fails.
    pub async fn webhook_config(&self) -> Result<Option<HookConfig>, GitHubError> {
        let call = Call::get("get-webhook-config", "the App", "app/hook/config".to_owned());
        let Some(reply) = self.ask_as_app(&call).await? else { return Ok(None) };
        Ok(Some(reply.json()?))
    }

    /// Sets the URL of the App's webhook, and its secret if one is given; `None` with a token. This neither activates a
    /// webhook nor subscribes to events: only the App's settings do.
    ///
    /// # Errors
    ///
    /// The call fails. GitHub refuses a URL that is not public.
    pub async fn set_webhook(
        &self,
        url: &str,
        secret: Option<&SecretString>,
    ) -> Result<Option<HookConfig>, GitHubError> {
        let mut config = json!({"url": url, "content_type": "json"});
        if let Some(secret) = secret {
            config["secret"] = secret.expose_secret().into();
        }
        let call = Call::patch("set-webhook-config", "the App", "app/hook/config".to_owned(), config);
        let Some(reply) = self.ask_as_app(&call).await? else { return Ok(None) };
        Ok(Some(reply.json()?))
    }

    /// Lists the App's installations; `None` with a token.
    ///
    /// # Errors
    ///
    /// A call fails.
    pub async fn installations(&self) -> Result<Option<Vec<Installation>>, GitHubError> {
        Ok(self.list_installations().await?)
    }

    pub(crate) async fn list_installations(&self) -> Result<Option<Vec<Installation>>, Fault> {
        let mut installations = Vec::new();
        for page in 1..=INSTALLATION_PAGES {
            let call = Call::get("list-installations", "the App", "app/installations".to_owned())
                .query("per_page", PAGE)
                .query("page", page);
            let Some(reply) = self.ask_as_app(&call).await? else { return Ok(None) };
            let listed: Vec<ListedInstallation> = reply.json()?;
            let is_last = listed.len() < PAGE;
            installations.extend(listed.into_iter().map(ListedInstallation::read));
            if is_last {
                break;
            }
        }
        Ok(Some(installations))
    }

    /// Lists a page of the App's deliveries with the result of each; `None` with a token.
    ///
    /// # Errors
    ///
    /// The call fails.
    pub async fn past_deliveries(&self, cursor: Option<&str>) -> Result<Option<Deliveries>, GitHubError> {
        let mut call = Call::get("list-deliveries", "the App's webhook", "app/hook/deliveries".to_owned())
            .query("per_page", PAGE);
        if let Some(cursor) = cursor {
            call = call.query("cursor", cursor);
        }
        let Some(reply) = self.ask_as_app(&call).await? else { return Ok(None) };
        Ok(Some(Deliveries { deliveries: reply.json()?, next: reply.next_page("cursor") }))
    }

    /// Asks GitHub to send a delivery again; false with a token.
    ///
    /// # Errors
    ///
    /// The call fails. GitHub keeps deliveries for three days.
    pub async fn redeliver(&self, delivery: u64) -> Result<bool, GitHubError> {
        let path = format!("app/hook/deliveries/{delivery}/attempts");
        let call = Call::post_alone("redeliver", delivery, path);
        let Some(reply) = self.ask_as_app(&call).await? else { return Ok(false) };
        if (200..300).contains(&reply.status()) { Ok(true) } else { Err(reply.fault().into()) }
    }

    /// Re-runs a job and the jobs that depend on it, as a new attempt. Needs
    /// *Actions: write*, which a deployment's App does not have.
    ///
    /// # Errors
    ///
    /// The run has not ended or is older than 30 days, the caller lacks the
    /// permission, or the call fails.
    pub async fn rerun_job(&self, repository: &Repository, job: JobId) -> Result<(), GitHubError> {
        let path = format!("repos/{repository}/actions/jobs/{job}/rerun");
        let call = Call::post_alone("re-run-job", format!("{job} in {repository}"), path);
        let reply = self.ask(&Grant::Read(repository.clone()), &call).await?;
        if (200..300).contains(&reply.status()) { Ok(()) } else { Err(reply.fault().into()) }
    }
}

#[derive(Deserialize)]
struct Meta {
    hooks: Option<Vec<Cidr>>,
}

#[derive(Deserialize)]
struct ListedGroups {
    runner_groups: Vec<RunnerGroup>,
}

#[derive(Deserialize)]
struct ListedInstallation {
    id: u64,
    account: Option<Account>,
    permissions: BTreeMap<String, String>,
    suspended_at: Option<String>,
}

/// A user or organization has a login, an enterprise a slug.
#[derive(Deserialize)]
struct Account {
    login: Option<String>,
    slug: Option<String>,
}

impl ListedInstallation {
    fn read(self) -> Installation {
        let account = self.account.and_then(|account| account.login.or(account.slug));
        Installation {
            id: self.id,
            account: account.unwrap_or_else(|| "an account without a name".to_owned()),
            permissions: self.permissions,
            suspended_at: self.suspended_at,
        }
    }
}
