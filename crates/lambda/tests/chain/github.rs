//! Controls the fake GitHub.

use ecsrunner_core::id::{JobId, Repository, RunId};
use ecsrunner_demo::github::{App, FakeGitHub, Hook, Options, RepositoryOptions, app_key};
use reqwest::{Method, Response};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::deployment::APP_ID;

pub(crate) const REPOSITORY: &str = "acme/app";

/// A queued job.
#[derive(Clone, Copy)]
pub(crate) struct Queued {
    pub(crate) job: JobId,
    pub(crate) run: RunId,
}

pub(crate) struct GitHub {
    http: reqwest::Client,
    fake: FakeGitHub,
}

impl GitHub {
    /// Starts the fake, which sends its webhooks to `hook`.
    pub(crate) async fn start(hook: &str, secret: &str) -> Self {
        let permissions = [("actions", "read"), ("administration", "write"), ("metadata", "read")];
        let options = Options {
            repositories: vec![RepositoryOptions {
                name: Repository::parse(REPOSITORY).unwrap(),
                private: true,
                fork: false,
            }],
            app: Some(App {
                id: APP_ID,
                client_id: "Iv23liEXAMPLE".to_owned(),
                public: false,
                public_key_pem: app_key().public_pem.clone(),
                permissions: permissions.map(|(name, level)| (name.to_owned(), level.to_owned())).into(),
            }),
            hook: Some(Hook { url: hook.to_owned(), secret: SecretString::from(secret) }),
            ..Options::default()
        };
        let http = reqwest::Client::builder().no_proxy().timeout(crate::LIMIT).build().unwrap();
        Self { http, fake: FakeGitHub::start(options).await.unwrap() }
    }

    pub(crate) fn url(&self) -> &str {
        self.fake.url()
    }

    /// Queues a job for this deployment, which sends a webhook.
    pub(crate) async fn queue_job(&self) -> Queued {
        let labels = ["self-hosted", "class:small"];
        let job = json!({"repository": REPOSITORY, "labels": labels, "work": {"sleep_ms": 0}});
        let submitted = self.post("/_sim/jobs", &job).await;
        let number = |value: &Value| value.as_u64().unwrap();
        Queued {
            job: JobId::new(number(&submitted["jobs"][0]["id"])),
            run: RunId::new(number(&submitted["run_id"])),
        }
    }

    pub(crate) async fn cancel(&self, job: JobId) {
        self.post(&format!("/_sim/jobs/{job}/cancel"), &json!({})).await;
    }

    /// Waits until no runner is registered and no webhook is pending; returns the state.
    pub(crate) async fn at_rest(&self) -> Value {
        let path = "/_sim/wait?unregistered=true&webhooks_idle=true";
        self.call(Method::GET, path, &Value::Null).await
    }

    pub(crate) async fn deliveries(&self) -> Vec<Value> {
        let told = self.call(Method::GET, "/_sim/deliveries", &Value::Null).await;
        told["deliveries"].as_array().unwrap().clone()
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.call(Method::POST, path, body).await
    }

    /// Makes a call, which has to succeed. Returns `null` if the answer is empty.
    pub(crate) async fn call(&self, method: Method, path: &str, body: &Value) -> Value {
        let mut request = self.http.request(method, format!("{}{path}", self.url()));
        if !body.is_null() {
            request = request.json(body);
        }
        let response: Response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }
}
