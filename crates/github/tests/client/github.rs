//! Controls the stateful fake GitHub, and connects runners to it.

use std::collections::BTreeMap;

use ecsrunner_core::id::{JobId, RunId};
use ecsrunner_demo::github::{self, FakeGitHub, Hook, Options, RepositoryOptions, RunnerGroup, app_key};
use ecsrunner_demo::runner_client::{Configuration, JobClient, Message, RunnerClient};
use ecsrunner_github::{ApiUrl, App, Client, Credentials};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Response;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::{TOKEN, app};

const APP_ID: &str = "1234";
/// The service of the runner's protocol that takes logs.
const RECEIVER: &str = "twirp/results.services.receiver.Receiver";

/// `acme/app`, runner group 7, an App with ecsrunner's permissions, and a token.
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
        runner_groups: BTreeMap::from([
            (1, RunnerGroup::named("Default")),
            (7, RunnerGroup::named("builders")),
        ]),
        tokens: vec![SecretString::from(TOKEN)],
        app: Some(github::App {
            id: APP_ID.parse().unwrap(),
            client_id: "Iv23liEXAMPLE".to_owned(),
            public: false,
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

/// Makes a client that authenticates as the fake's App.
pub(crate) fn app_client(url: &str) -> Client {
    let app = App::new(APP_ID, app_key().private_pem.clone(), None).unwrap();
    Client::new(ApiUrl::parse(url).unwrap(), &Credentials::App(app)).unwrap()
}

/// Makes the App's JWT for calls that the client does not make.
pub(crate) fn app_jwt() -> String {
    let now = Timestamp::now().as_second();
    let claims = json!({"iss": APP_ID, "iat": now - 60, "exp": now + 300});
    let key = EncodingKey::from_rsa_pem(app_key().private_pem.expose_secret().as_bytes()).unwrap();
    jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap()
}

/// The fake's control API.
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

    async fn state(&self) -> Value {
        let url = format!("{}/_sim/state", self.base);
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// Returns how often each operation was called.
    pub(crate) async fn calls(&self) -> Value {
        self.state().await["calls"].clone()
    }

    /// Waits until every webhook is delivered.
    pub(crate) async fn settle(&self) {
        loop {
            let state = self.state().await;
            if state["webhooks"]["in_flight"] == 0 {
                return;
            }
        }
    }

    /// Connects a runner with its configuration, like the official runner.
    pub(crate) async fn connect(&self, config: &SecretString) -> Runner {
        let files = Configuration::files(config.expose_secret()).unwrap();
        let client = RunnerClient::new(Configuration::read(&files).unwrap());
        let session = blocking(&client, |client| client.create_session().unwrap()).await;
        Runner { control: self.clone(), client, session }
    }

    /// Returns a runner's job.
    async fn job_of(&self, runner: u64) -> JobId {
        let state = self.state().await;
        let runners = state["runners"].as_array().unwrap();
        let view = runners.iter().find(|view| view["runner_id"] == runner).unwrap();
        JobId::new(view["job"].as_u64().unwrap())
    }
}

/// Runs a blocking call on another thread.
async fn blocking<C, T>(client: &C, ask: impl FnOnce(&C) -> T + Send + 'static) -> T
where
    C: Clone + Send + 'static,
    T: Send + 'static,
{
    let client = client.clone();
    tokio::task::spawn_blocking(move || ask(&client)).await.unwrap()
}

/// A connected runner.
pub(crate) struct Runner {
    control: Control,
    client: RunnerClient,
    session: String,
}

/// A job that a runner executes.
pub(crate) struct Executed {
    pub(crate) id: JobId,
    /// The URL of the results service.
    results: String,
    client: JobClient,
}

impl Runner {
    /// Waits for a job and starts it.
    pub(crate) async fn begin(&self) -> Executed {
        let session = self.session.clone();
        let client = blocking(&self.client, move |runner| {
            let request = loop {
                if let Some(Message::JobRequest(request)) = runner.next_message(&session, false).unwrap() {
                    break request;
                }
            };
            runner.acknowledge(&session, &request).unwrap();
            JobClient::of(&runner.acquire(&request).unwrap()).unwrap()
        })
        .await;
        let id = self.control.job_of(self.client.configuration().agent_id).await;
        Executed { id, results: self.control.base.clone(), client }
    }
}

impl Executed {
    /// Uploads the job's log and reports its success.
    pub(crate) async fn complete(self, log: &'static str) {
        let url = format!("{}/{RECEIVER}/GetJobLogsSignedBlobURL", self.results);
        blocking(&self.client, move |job| {
            let ids = json!({"workflow_run_backend_id": job.plan, "workflow_job_run_backend_id": job.job});
            let place = job.post(&url, &ids).unwrap();
            job.upload(place["logs_url"].as_str().unwrap(), log).unwrap();
            let report = json!({"conclusion": "succeeded", "stepResults": [{
                "external_id": "5e7f6b0c-0000-4000-8000-000000000001",
                "number": 1,
                "name": "Set up job",
                "status": "completed",
                "conclusion": "succeeded",
                "started_at": "2026-11-23T20:00:00Z",
                "completed_at": "2026-11-23T20:00:01Z",
            }]});
            job.complete(report).unwrap();
        })
        .await;
    }
}
