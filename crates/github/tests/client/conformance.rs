//! Compares the client and the fake with GitHub's own API description.
//!
//! `cargo xtask conformance` starts prism, passes its address and the fake's in
//! environment variables, and validates the webhooks that are kept here. A
//! recorder in front of prism distinguishes prism's own answers from GitHub's.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{Method, Response, StatusCode};
use axum::routing::post;
use ecsrunner_core::id::{JobId, Organization, RunId, RunnerGroupId};
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::wire::job::JobStatus;
use ecsrunner_demo::github::Hook;
use ecsrunner_engine::ports::github::{Deletion, GitHub, GitHubError};
use ecsrunner_github::app_manifest::{AccountKind, ManifestCode, Registrar};
use ecsrunner_github::{ApiUrl, App, CALL_LIMIT, Client, Credentials};
use reqwest::redirect::Policy;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::app_manifest::register;
use crate::github::{Control, app_client, app_jwt, options};
use crate::{TOKEN, app, in_organization, in_repository, queued, runner_name};

/// The prefix of the body's `type` in prism's own answers.
const PRISM: &str = "https://stoplight.io/prism/errors#";

/// The variables that `cargo xtask conformance` sets.
struct Setting {
    prism: String,
    fake: SocketAddr,
    webhooks: PathBuf,
}

impl Setting {
    fn from_environment() -> Option<Self> {
        let variable = |name| std::env::var(name).ok();
        Some(Self {
            prism: variable("ECSRUNNER_PRISM_URL")?,
            fake: variable("ECSRUNNER_FAKE_GITHUB_ADDR")?.parse().unwrap(),
            webhooks: variable("ECSRUNNER_WEBHOOKS_DIR")?.into(),
        })
    }
}

#[tokio::test]
async fn client_and_fake_are_as_github_describes_them() {
    let Some(setting) = Setting::from_environment() else {
        return ecsrunner_skip::left_to("conformance");
    };
    let hook = Hook { url: keep_webhooks(setting.webhooks).await, secret: SecretString::from("secret") };
    let listener = TcpListener::bind(setting.fake).await.unwrap();
    let fake = tokio::spawn(ecsrunner_demo::github::serve(listener, options(Some(hook))));
    let control = Control::new(&format!("http://{}", setting.fake));
    let recorder = Recorder::start(setting.prism).await;

    // An answer of prism's own makes the drive fail. Report prism's violations first, which say why.
    let pages = format!("http://{}", setting.fake);
    let driven = tokio::spawn(drive(recorder.url.clone(), pages, control)).await;
    fake.abort();
    let (violations, called) = recorder.seen();
    assert!(violations.is_empty(), "not as GitHub describes it:\n{}", violations.join("\n"));
    driven.unwrap();
    let uncalled: Vec<_> =
        operations().into_iter().filter(|operation| !called.iter().any(|line| is(line, operation))).collect();
    assert!(uncalled.is_empty(), "in operations.json but never called: {uncalled:?}");
}

async fn drive(api: String, pages: String, control: Control) {
    let client = app_client(&api);
    runners(&client, &in_repository()).await;
    // A new client has no installation cached, so it looks up the organization's.
    runners(&app_client(&api), &in_organization()).await;
    repositories(&api, &client).await;
    jobs(&api, &client, &control).await;
    control.post("webhooks/ping", &json!({"repository": app()})).await;
    control.settle().await;
    deliveries(&client).await;
    operator(&client).await;
    others(&api, &client, &control).await;
    control.settle().await;
    setup(&api, &pages).await;
}

async fn runners(client: &Client, scope: &Scope) {
    let (name, labels) = (runner_name(), ["self-hosted".to_owned(), "class:large".to_owned()]);
    let config = client.generate_jitconfig(scope, &name, &labels).await.unwrap();
    let taken = client.generate_jitconfig(scope, &name, &labels).await.unwrap_err();
    assert!(matches!(taken, GitHubError::NameTaken), "{taken:?}");
    assert_eq!(client.runner(scope, &name).await.unwrap().unwrap().id, config.runner_id);
    assert_eq!(client.registrations(scope, 1).await.unwrap().runners.len(), 1);
    assert_eq!(client.delete_runner(scope, config.runner_id).await.unwrap(), Deletion::Deleted);
    assert_eq!(client.delete_runner(scope, config.runner_id).await.unwrap(), Deletion::Absent);
    assert_eq!(client.runner(scope, &name).await.unwrap(), None);
}

async fn repositories(api: &str, client: &Client) {
    let token = Credentials::Token(SecretString::from(TOKEN));
    let with_token = Client::new(ApiUrl::parse(api).unwrap(), &token).unwrap();
    for client in [client, &with_token] {
        let page = client.repositories(Some(&app().account()), None).await.unwrap();
        assert_eq!(page.repositories.iter().map(|listed| &listed.name).collect::<Vec<_>>(), [&app()]);
    }
}

async fn jobs(api: &str, client: &Client, control: &Control) {
    let waiting = json!({"repository": app(), "labels": ["x"], "work": {"exit": 0}, "waiting": true});
    control.post("jobs", &waiting).await;
    let (run, job) = control.queue_job(&["self-hosted"]).await;
    assert_eq!(queued(client).await.len(), 1);
    assert_eq!(client.run(&app(), run).await.unwrap().unwrap().event, "push");

    let labels = ["self-hosted".to_owned()];
    let config = client.generate_jitconfig(&in_repository(), &runner_name(), &labels).await.unwrap();
    let runner = control.connect(&config.encoded).await;
    let executed = runner.begin().await;
    assert_eq!(executed.id, job);
    assert_eq!(client.delete_runner(&in_repository(), config.runner_id).await.unwrap(), Deletion::Busy);
    assert_eq!(client.job(&app(), job).await.unwrap().unwrap().status, JobStatus::InProgress);
    assert_eq!(queued(client).await, []);
    executed.complete("2026-11-28T20:56:33.2965012Z hi\n").await;
    assert_eq!(client.job(&app(), job).await.unwrap().unwrap().status, JobStatus::Completed);
    let log = client.job_log(&app(), job).await.unwrap();
    assert_eq!(log.lines().map(|line| line.text.into_owned()).collect::<Vec<_>>(), ["hi"]);
    // The App can only read actions, so another user re-runs the job.
    let refused = client.rerun_job(&app(), job).await.unwrap_err();
    assert!(matches!(refused, GitHubError::Refused { status: 403, .. }), "{refused:?}");
    let user = Credentials::Token(SecretString::from(TOKEN));
    let user = Client::new(ApiUrl::parse(api).unwrap(), &user).unwrap();
    user.rerun_job(&app(), job).await.unwrap();
    assert_eq!(queued(client).await.len(), 1);

    assert_eq!(client.job(&app(), JobId::new(1)).await.unwrap(), None);
    assert_eq!(client.run(&app(), RunId::new(1)).await.unwrap(), None);
}

async fn deliveries(client: &Client) {
    let page = client.deliveries(None).await.unwrap().unwrap();
    assert!(!page.deliveries.is_empty());
    let latest = &page.deliveries[0];
    assert_eq!(client.delivery(latest.number).await.unwrap().unwrap().event, latest.event);
    assert_eq!(client.delivery(1).await.unwrap(), None);
}

/// Calls that an operator makes.
async fn operator(client: &Client) {
    let info = client.app().await.unwrap().unwrap();
    assert_eq!(info.events, ["workflow_job"]);
    assert_eq!(client.webhook_config().await.unwrap().unwrap().content_type.as_deref(), Some("json"));
    assert!(!client.is_public_app(info.slug.as_deref().unwrap()).await.unwrap());
    assert_eq!(client.webhook_ranges().await.unwrap().unwrap().len(), 2);
    let group = client
        .runner_group(&Organization::parse("acme").unwrap(), RunnerGroupId::new(7))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((group.name.as_str(), group.visibility.as_str()), ("builders", "all"));
    let installations = client.installations().await.unwrap().unwrap();
    assert!(installations.iter().any(|installation| installation.account == app().owner()));
    let latest = client.past_deliveries(None).await.unwrap().unwrap().deliveries.remove(0);
    assert!(client.redeliver(latest.id).await.unwrap());
    assert!(matches!(client.redeliver(1).await.unwrap_err(), GitHubError::Refused { status: 404, .. }));
}

/// Calls that set up an App. Its pages are no part of GitHub's API.
async fn setup(api: &str, pages: &str) {
    let registrar = Registrar::new(ApiUrl::parse(api).unwrap(), CALL_LIMIT, None).unwrap();
    assert_eq!(registrar.account_kind("acme").await.unwrap(), Some(AccountKind::Organization));
    let code = ManifestCode::parse(&register(pages, Some("https://ci.example.com/webhook")).await).unwrap();
    let made = registrar.convert(&code).await.unwrap();
    let again = registrar.convert(&code).await.unwrap_err();
    assert!(matches!(again, GitHubError::Refused { status: 404, .. }), "{again:?}");
    let app = App::new(&made.id.to_string(), made.private_key, None).unwrap();
    let client = Client::new(ApiUrl::parse(api).unwrap(), &Credentials::App(app)).unwrap();
    let secret = SecretString::from("secret");
    let set = client.set_webhook("https://hooks.example.com/webhook", Some(&secret)).await.unwrap();
    assert_eq!(set.unwrap().url.as_deref(), Some("https://hooks.example.com/webhook"));
}

/// Operations of the fake that the client does not use.
async fn others(api: &str, client: &Client, control: &Control) {
    let http = reqwest::Client::new();
    let call = async |method: Method, path: &str, bearer: &str| -> Value {
        let request = http.request(method, format!("{api}{path}")).bearer_auth(bearer);
        let answer = request.header("user-agent", "test").send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap_or_default()
    };
    let jwt = app_jwt();
    let installations = call(Method::GET, "/app/installations", &jwt).await;
    call(Method::GET, &format!("/app/installations/{}", installations[0]["id"]), &jwt).await;

    call(Method::GET, "/rate_limit", TOKEN).await;
    call(Method::GET, "/repos/acme/app", TOKEN).await;
    let (run, _) = control.queue_job(&["nobody"]).await;
    call(Method::GET, &format!("/repos/acme/app/actions/runs/{run}/attempts/1/jobs"), TOKEN).await;
    for (scope, place) in [(in_repository(), "repos/acme/app"), (in_organization(), "orgs/acme")] {
        let labels = ["self-hosted".to_owned()];
        let config = client.generate_jitconfig(&scope, &runner_name(), &labels).await.unwrap();
        call(Method::GET, &format!("/{place}/actions/runners/{}", config.runner_id), TOKEN).await;
    }
}

/// Reads the operations that prism knows, such as `GET /repos/{owner}/{repo}/actions/runs`.
fn operations() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../xtask/conformance/operations.json");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// Returns whether a request, such as `GET /repos/acme/app/actions/runs`, calls that operation.
fn is(line: &str, operation: &str) -> bool {
    let (mut segments, mut template) = (line.split('/'), operation.split('/'));
    loop {
        match (segments.next(), template.next()) {
            (None, None) => return true,
            (Some(segment), Some(wanted)) if wanted.starts_with('{') || segment == wanted => {}
            _ => return false,
        }
    }
}

/// Starts a server that writes each webhook to its own file; returns its URL.
async fn keep_webhooks(dir: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhook", listener.local_addr().unwrap());
    let keep = move |request: Request| async move {
        let (parts, body) = request.into_parts();
        let header = |name| parts.headers[name].to_str().unwrap();
        let (event, delivery) = (header("x-github-event"), header("x-github-delivery"));
        let body = to_bytes(body, 1 << 20).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let kept = json!({"event": event, "body": body}).to_string();
        std::fs::write(dir.join(format!("{event}-{delivery}.json")), kept).unwrap();
        StatusCode::ACCEPTED
    };
    let router = Router::new().route("/webhook", post(keep));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Passes all requests on to prism and remembers the violations that prism reports.
struct Recorder {
    url: String,
    passage: Passage,
}

#[derive(Clone)]
struct Passage {
    prism: Arc<str>,
    http: reqwest::Client,
    violations: Arc<Mutex<Vec<String>>>,
    called: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    async fn start(prism: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let passage = Passage {
            prism: prism.into(),
            // Pass redirects on. The client decides whether to follow them.
            http: reqwest::Client::builder().redirect(Policy::none()).build().unwrap(),
            violations: Arc::default(),
            called: Arc::default(),
        };
        let router = Router::new().fallback(pass).with_state(passage.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, passage }
    }

    fn seen(&self) -> (Vec<String>, Vec<String>) {
        let Passage { violations, called, .. } = &self.passage;
        (violations.lock().unwrap().clone(), called.lock().unwrap().clone())
    }
}

async fn pass(State(passage): State<Passage>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let line = format!("{} {}", parts.method, parts.uri.path());
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let mut headers = parts.headers;
    headers.remove("host");
    let asked = passage
        .http
        .request(parts.method, format!("{}{}", passage.prism, parts.uri))
        .headers(headers)
        .body(body);
    let answer = asked.send().await.unwrap();
    let status = answer.status();
    let location = answer.headers().get(LOCATION).cloned();
    let body = answer.bytes().await.unwrap();
    let told: Value = serde_json::from_slice(&body).unwrap_or_default();
    if told["type"].as_str().is_some_and(|kind| kind.starts_with(PRISM)) {
        passage.violations.lock().unwrap().push(format!("{line}: {told}"));
    }
    passage.called.lock().unwrap().push(line);
    let mut response = Response::builder().status(status);
    if let Some(location) = location {
        response = response.header(LOCATION, location);
    }
    response.body(Body::from(body)).unwrap()
}
