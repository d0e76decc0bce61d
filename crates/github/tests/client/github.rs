//! A GitHub that remembers: the fake, its control API, and a runner of its own.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ecsrunner_core::id::{JobId, RunId};
use ecsrunner_github::{ApiUrl, App, Client, Credentials};
use ecsrunner_sim::github::{self, FakeGitHub, Hook, Options, RepositoryOptions, app_key};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::{Method, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::{TOKEN, app};

const APP_ID: &str = "1234";

/// `acme/app`, a runner group 7, an App that may do what ecsrunner asks for, and a token.
pub(crate) fn options(hook: Option<Hook>) -> Options {
    let permissions = [
        ("actions", "read"),
        ("administration", "write"),
        ("metadata", "read"),
        ("organization_self_hosted_runners", "write"),
    ];
    Options {
        seed: Some(7),
        repositories: vec![RepositoryOptions { name: app(), private: true, fork: false }],
        runner_groups: BTreeMap::from([(1, "Default".to_owned()), (7, "builders".to_owned())]),
        tokens: vec![SecretString::from(TOKEN)],
        app: Some(github::App {
            id: APP_ID.parse().unwrap(),
            client_id: "Iv23liEXAMPLE".to_owned(),
            public_key_pem: app_key().public_pem.clone(),
            permissions: permissions.map(|(name, level)| (name.to_owned(), level.to_owned())).into(),
        }),
        hook,
        ..Options::default()
    }
}

pub(crate) async fn start(options: Options) -> (FakeGitHub, Control) {
    let fake = FakeGitHub::start(options).await.unwrap();
    let control = Control::new(fake.url());
    (fake, control)
}

/// A client that is the fake's App.
pub(crate) fn app_client(url: &str) -> Client {
    let app = App::new(APP_ID, app_key().private_pem.clone(), None).unwrap();
    Client::new(ApiUrl::parse(url).unwrap(), &Credentials::App(app)).unwrap()
}

/// The App's own word, for calls that are not our client's.
pub(crate) fn app_jwt() -> String {
    let now = Timestamp::now().as_second();
    let claims = json!({"iss": APP_ID, "iat": now - 60, "exp": now + 300});
    let key = EncodingKey::from_rsa_pem(app_key().private_pem.expose_secret().as_bytes()).unwrap();
    jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap()
}

/// What a test can make the fake do.
#[derive(Clone)]
pub(crate) struct Control {
    base: String,
    http: reqwest::Client,
}

impl Control {
    pub(crate) fn new(base: &str) -> Self {
        Self { base: base.to_owned(), http: reqwest::Client::new() }
    }

    pub(crate) async fn queue_job(&self, labels: &[&str]) -> (RunId, JobId) {
        let body = json!({"repository": app(), "labels": labels, "work": {"sleep_ms": 0}});
        let submitted: Value = self.post("jobs", &body).await.json().await.unwrap();
        let number = |value: &Value| value.as_u64().unwrap();
        (RunId::new(number(&submitted["run_id"])), JobId::new(number(&submitted["jobs"][0]["id"])))
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        let url = format!("{}/_sim/{path}", self.base);
        self.http.post(url).json(body).send().await.unwrap().error_for_status().unwrap()
    }

    /// How often each operation was called.
    pub(crate) async fn calls(&self) -> Value {
        let url = format!("{}/_sim/state", self.base);
        let state: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
        state["calls"].clone()
    }

    /// Waits until every webhook is delivered.
    pub(crate) async fn settle(&self) {
        loop {
            let url = format!("{}/_sim/state", self.base);
            let state: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
            if state["webhooks"]["in_flight"] == 0 {
                return;
            }
        }
    }

    /// Connects a runner with its configuration, as the official runner would.
    pub(crate) async fn connect(&self, config: &SecretString) -> Runner {
        let files: Value = decode(config.expose_secret());
        let credentials: Value = decode(files[".credentials"].as_str().unwrap());
        let token = credentials["data"]["token"].as_str().unwrap().to_owned();
        let runner =
            Runner { base: self.base.clone(), http: self.http.clone(), token, session: String::new() };
        let connected: Value = runner.call(Method::POST, "", &Value::Null).await.json().await.unwrap();
        Runner { session: format!("/{}", connected["session"].as_str().unwrap()), ..runner }
    }
}

fn decode(text: &str) -> Value {
    serde_json::from_slice(&STANDARD.decode(text).unwrap()).unwrap()
}

/// A connected runner.
pub(crate) struct Runner {
    base: String,
    http: reqwest::Client,
    token: String,
    session: String,
}

impl Runner {
    /// Waits for a job and begins it.
    pub(crate) async fn begin(&self) -> JobId {
        let message: Value = self.call(Method::GET, "/message", &Value::Null).await.json().await.unwrap();
        let job = JobId::new(message["job"].as_u64().unwrap());
        self.call(Method::POST, &format!("/jobs/{job}/start"), &Value::Null).await;
        job
    }

    pub(crate) async fn complete(self, job: JobId) {
        let body = json!({"conclusion": "success", "steps": [{
            "name": "Set up job",
            "conclusion": "success",
            "started_at": "2026-11-23T20:00:00Z",
            "completed_at": "2026-11-23T20:00:01Z",
        }]});
        let answer = self.call(Method::POST, &format!("/jobs/{job}/complete"), &body).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Response {
        let url = format!("{}/_runner/sessions{}{path}", self.base, self.session);
        let request = self.http.request(method, url).bearer_auth(&self.token);
        let request = if body.is_null() { request } else { request.json(body) };
        request.send().await.unwrap().error_for_status().unwrap()
    }
}
