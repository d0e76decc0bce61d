//! The App-manifest flow, clicked through on the fake's pages.

use std::time::Duration;

use ecsrunner_core::id::Organization;
use ecsrunner_core::rules::settings::Registration;
use ecsrunner_demo::github::{FakeGitHub, Options, RepositoryOptions};
use ecsrunner_engine::ports::github::GitHubError;
use ecsrunner_github::app_manifest::{AccountKind, AppOwner, Manifest, ManifestCode, NewApp, Registrar};
use ecsrunner_github::permissions::Permissions;
use ecsrunner_github::{ApiUrl, App, CALL_LIMIT, Client, Credentials};
use reqwest::redirect::Policy;
use reqwest::{Response, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::app;

const REDIRECT: &str = "http://127.0.0.1:4000/callback";
const WEBHOOK: &str = "https://ci.example.com/webhook";

async fn fake(code_life: Duration) -> FakeGitHub {
    let repositories = vec![RepositoryOptions { name: app(), private: true, fork: false }];
    FakeGitHub::start(Options { seed: Some(7), repositories, code_life, ..Options::default() }).await.unwrap()
}

fn registrar(github: &FakeGitHub) -> Registrar {
    Registrar::new(ApiUrl::parse(github.url()).unwrap(), CALL_LIMIT, None).unwrap()
}

fn browser() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap()
}

/// Sends a page's form, and returns the answer.
async fn submit(url: &str, fields: &[(&str, &str)]) -> Response {
    let encoded = Url::parse_with_params("http://form", fields).unwrap();
    let request = browser().post(url).header("content-type", "application/x-www-form-urlencoded");
    request.body(encoded.query().unwrap().to_owned()).send().await.unwrap()
}

/// Registers the App of a manifest as a person does. Returns the address with the code.
pub(crate) async fn register(github: &str, webhook: Option<&str>) -> String {
    let permissions = Permissions::needed(&Registration::Repository, false);
    let manifest = Manifest {
        name: "ecsrunner-ci",
        homepage: "https://example.com",
        description: "Runners",
        webhook,
        redirect: REDIRECT,
        permissions: &permissions,
    };
    let owner = AppOwner::Organization(Organization::parse("acme").unwrap());
    let url = format!("{github}/{}?state=s%26t", owner.registration_path());
    let manifest = manifest.json().to_string();
    let page = submit(&url, &[("manifest", &manifest)]).await;
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    let token = page.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let url = format!("{github}/settings/apps/manifest");
    let made = submit(&url, &[("token", token), ("name", "ecsrunner-ci")]).await;
    assert_eq!(made.status(), 302);
    made.headers()["location"].to_str().unwrap().to_owned()
}

fn as_app(github: &FakeGitHub, made: &NewApp) -> Client {
    let app = App::new(&made.id.to_string(), made.private_key.clone(), None).unwrap();
    Client::new(ApiUrl::parse(github.url()).unwrap(), &Credentials::App(app)).unwrap()
}

fn is_404(error: &GitHubError) -> bool {
    matches!(error, GitHubError::Refused { status: 404, .. })
}

#[tokio::test]
async fn the_code_gives_an_apps_credentials_once_and_they_work() {
    let github = fake(Duration::from_secs(60)).await;
    let address = register(github.url(), Some(WEBHOOK)).await;
    assert!(address.starts_with(REDIRECT) && address.ends_with("&state=s%26t"), "{address}");
    let code = ManifestCode::parse(&address).unwrap();
    let made = registrar(&github).convert(&code).await.unwrap();
    assert_eq!((made.name.as_str(), made.slug.as_str()), ("ecsrunner-ci", "ecsrunner-ci"));
    assert!(made.private_key.expose_secret().starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    let shown = format!("{made:?}");
    assert!(
        !shown.contains("BEGIN") && !shown.contains(made.webhook_secret.as_ref().unwrap().expose_secret())
    );

    let client = as_app(&github, &made);
    let info = client.app().await.unwrap().unwrap();
    assert_eq!(info.events, ["workflow_job"]);
    let needed = Permissions::needed(&Registration::Repository, false);
    assert_eq!(needed.missing(&info.permissions), Vec::<String>::new());
    assert_eq!(client.webhook_config().await.unwrap().unwrap().url.as_deref(), Some(WEBHOOK));
    assert_eq!(client.installations().await.unwrap().unwrap(), []);

    let again = registrar(&github).convert(&code).await.unwrap_err();
    assert!(is_404(&again), "{again:?}");
}

#[tokio::test]
async fn a_code_is_refused_after_its_time() {
    let github = fake(Duration::ZERO).await;
    let code = ManifestCode::parse(&register(github.url(), None).await).unwrap();
    let late = registrar(&github).convert(&code).await.unwrap_err();
    assert!(is_404(&late), "{late:?}");
}

#[tokio::test]
async fn an_app_without_a_webhook_has_no_secret_and_can_get_both_later() {
    let github = fake(Duration::from_secs(60)).await;
    let code = ManifestCode::parse(&register(github.url(), None).await).unwrap();
    let made = registrar(&github).convert(&code).await.unwrap();
    assert!(made.webhook_secret.is_none());
    let client = as_app(&github, &made);
    assert_eq!(client.webhook_config().await.unwrap().unwrap().url.as_deref(), Some(""));
    let secret = SecretString::from("s3cret");
    let set = client.set_webhook(WEBHOOK, Some(&secret)).await.unwrap().unwrap();
    assert_eq!((set.url.as_deref(), set.content_type.as_deref()), (Some(WEBHOOK), Some("json")));
    let loopback = client.set_webhook("http://127.0.0.1:8080/webhook", None).await.unwrap_err();
    assert!(
        matches!(&loopback, GitHubError::Refused { status: 422, message, .. } if message.contains("127.0.0.1"))
    );
}

#[tokio::test]
async fn an_installation_reaches_the_selected_repositories_of_its_account_alone() {
    let github = fake(Duration::from_secs(60)).await;
    let other = json!({"name": "acme/other", "private": true});
    let control = format!("{}/_sim/repositories", github.url());
    browser().post(control).json(&other).send().await.unwrap().error_for_status().unwrap();
    let code = ManifestCode::parse(&register(github.url(), None).await).unwrap();
    let made = registrar(&github).convert(&code).await.unwrap();
    let page = format!("{}/apps/{}/installations/new", github.url(), made.slug);
    let install = async |form: &[(&str, &str)]| submit(&page, form).await.status().as_u16();
    // A private App can be installed on its owner's account only.
    assert_eq!(install(&[("target", "globex"), ("selection", "all")]).await, 404);
    let selected = [("target", "acme"), ("selection", "selected"), ("repository", "acme/app")];
    assert_eq!(install(&selected).await, 302);
    let client = as_app(&github, &made);
    let installations = client.installations().await.unwrap().unwrap();
    assert_eq!(installations.iter().map(|it| it.account.as_str()).collect::<Vec<_>>(), ["acme"]);
    let reached = ecsrunner_engine::ports::github::GitHub::repositories(&client, None, None).await.unwrap();
    assert_eq!(reached.repositories.iter().map(|listed| &listed.name).collect::<Vec<_>>(), [&app()]);
}

#[tokio::test]
async fn users_and_organizations_are_told_apart_without_a_token() {
    let github = fake(Duration::from_secs(60)).await;
    let registrar = registrar(&github);
    assert_eq!(registrar.account_kind("acme").await.unwrap(), Some(AccountKind::Organization));
    assert_eq!(registrar.account_kind("octocat").await.unwrap(), Some(AccountKind::User));
    assert_eq!(registrar.account_kind("globex").await.unwrap(), None);
}
