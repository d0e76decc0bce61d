//! A deployment for tests: an embedded DynamoDB that counts its calls and can deny them, behind a real server.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use dynoxide::{Database, DynoxideError};
use ecsrunner_api::event::EventView;
use ecsrunner_api::job::JobView;
use ecsrunner_api::reason::OutcomeView;
use ecsrunner_api::status::{DeploymentKind, LogSource};
use ecsrunner_aws::store::{Answer, DynamoStore, Tables, Transport};
use ecsrunner_core::decide::record::Outcome;
use ecsrunner_core::id::{Deployment, JobId, RunnerName};
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::open::Open;
use ecsrunner_core::rules::class::Catalogue;
use ecsrunner_core::rules::settings::Settings;
use ecsrunner_engine::Ruleset;
use ecsrunner_engine::ports::store::{Store, StoreError, Transaction};
use futures::stream::BoxStream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::poll::{Pace, Poller};
use crate::{About, Access, Control, LogFailure, Refusal, Source, connections};

pub(crate) const TOKEN: &str = "0123456789abcdef";

/// An embedded DynamoDB.
#[derive(Clone)]
struct Embedded {
    database: Database,
    reads: Arc<AtomicU64>,
    denies: Arc<AtomicBool>,
}

impl Transport for Embedded {
    async fn call(&self, operation: &str, body: &[u8]) -> Answer {
        let database = &self.database;
        if matches!(operation, "GetItem" | "BatchGetItem" | "Query") {
            self.reads.fetch_add(1, Ordering::SeqCst);
            if self.denies.load(Ordering::SeqCst) {
                let body = json!({"__type": "AccessDeniedException", "message": "no permission"});
                return Answer { status: 400, body: body.to_string().into_bytes() };
            }
        }
        match operation {
            "GetItem" => perform(body, |request| database.get_item(request)),
            "BatchGetItem" => perform(body, |request| database.batch_get_item(request)),
            "Query" => perform(body, |request| database.query(request)),
            "PutItem" => perform(body, |request| database.put_item(request)),
            "UpdateItem" => perform(body, |request| database.update_item(request)),
            "TransactWriteItems" => perform(body, |request| database.transact_write_items(request)),
            "ListTables" => perform(body, |request| database.list_tables(request)),
            "CreateTable" => perform(body, |request| database.create_table(request)),
            "UpdateTimeToLive" => perform(body, |request| database.update_time_to_live(request)),
            other => panic!("{other} is not called by the page"),
        }
    }
}

fn perform<Request: DeserializeOwned, Response: Serialize>(
    body: &[u8],
    call: impl FnOnce(Request) -> Result<Response, DynoxideError>,
) -> Answer {
    match call(serde_json::from_slice(body).unwrap()) {
        Ok(response) => Answer { status: 200, body: serde_json::to_vec(&response).unwrap() },
        Err(error) => Answer { status: error.status_code(), body: error.to_json().into_bytes() },
    }
}

/// A deployment behind the page.
pub(crate) struct Fixture {
    store: DynamoStore,
    rules: Arc<Ruleset>,
    poller: Poller,
    reads: Arc<AtomicU64>,
    denies: Arc<AtomicBool>,
    /// What an operator asked for.
    pub(crate) asked: Mutex<Vec<String>>,
}

const PACE: Pace = Pace { busy: Duration::from_millis(20), quiet: Duration::from_millis(20) };

impl Fixture {
    pub(crate) async fn new() -> Arc<Self> {
        let embedded =
            Embedded { database: Database::memory().unwrap(), reads: Arc::default(), denies: Arc::default() };
        let (reads, denies) = (Arc::clone(&embedded.reads), Arc::clone(&embedded.denies));
        let tables = Tables::of(&Deployment::parse("test").unwrap(), "local");
        let store = DynamoStore::embedded(embedded, tables);
        store.create_tables().await.unwrap();
        let settings = json!({"version": 1, "deployment": "test", "repositories": ["acme/*"]});
        let classes = json!({"small": {"cpu": 512, "memory": 1024, "default": true}});
        let rules = Arc::new(Ruleset {
            settings: Settings::read(&serde_json::from_value(settings).unwrap()).unwrap(),
            catalogue: Catalogue::read(&serde_json::from_value(classes).unwrap()).0,
            subnets: Vec::new(),
            images: None,
        });
        let asked = Mutex::default();
        Arc::new(Self { store, rules, poller: Poller::new(PACE), reads, denies, asked })
    }

    pub(crate) async fn write(&self, changes: &[Change]) {
        self.store.commit(Transaction::of(changes)).await.unwrap();
    }

    /// Returns how many reads there were.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }

    /// Has DynamoDB deny reads.
    pub(crate) fn deny(&self, denies: bool) {
        self.denies.store(denies, Ordering::SeqCst);
    }

    pub(crate) fn poller(&self) -> &Poller {
        &self.poller
    }

    /// Serves the page, and reads records for its listeners.
    pub(crate) async fn serve(self: &Arc<Self>) -> Server {
        let access =
            Access { token: TOKEN.into(), token_of: "this test", hosts: Vec::new(), hint: "use its address" };
        let router = crate::router(Arc::clone(self), access, Router::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { connections::serve(listener, router, 16).await.unwrap() });
        let fixture = Arc::clone(self);
        tasks.spawn(async move { match fixture.poller.run(&*fixture).await {} });
        Server { host, _tasks: tasks }
    }
}

impl Source for Fixture {
    fn store(&self) -> &DynamoStore {
        &self.store
    }

    fn about(&self) -> About {
        About {
            kind: DeploymentKind::Aws,
            region: Some("eu-central-1".to_owned()),
            logs: LogSource::CloudWatch,
            github: None,
        }
    }

    async fn rules(&self) -> Result<Arc<Ruleset>, Refusal> {
        Ok(Arc::clone(&self.rules))
    }

    fn reasons_to_wait(&self, open: &Open, _rules: &Ruleset) -> HashMap<JobId, Reason> {
        open.jobs.values().map(|job| (job.id(), Reason::from(Code::PoolHeld))).collect()
    }

    async fn changes(&self) -> Result<BoxStream<'static, EventView>, Refusal> {
        self.poller.listen().await
    }

    fn refusal(&self, fault: StoreError) -> Refusal {
        Refusal::new(StatusCode::FORBIDDEN, ecsrunner_engine::chain(&fault))
    }
}

impl Control for Fixture {
    async fn pause(&self, paused: bool) -> Result<bool, Refusal> {
        self.asked.lock().unwrap().push(format!("paused: {paused}"));
        Ok(paused)
    }

    async fn stop(&self, runner: RunnerName, force: bool) -> Result<OutcomeView, Refusal> {
        self.asked.lock().unwrap().push(format!("stop {runner}, force: {force}"));
        Err(Refusal::new(StatusCode::FORBIDDEN, "not authorized to perform: dynamodb:PutItem"))
    }

    async fn retry(&self, job: JobId) -> Result<OutcomeView, Refusal> {
        self.asked.lock().unwrap().push(format!("retry {job}"));
        Ok(OutcomeView::of(&Outcome::Accepted(Code::Recorded.into())))
    }

    async fn job_log(&self, job: &JobView, _timestamps: bool) -> Result<String, LogFailure> {
        Ok(format!("the log of {}\n", job.id))
    }
}

/// A server of the page.
pub(crate) struct Server {
    pub(crate) host: String,
    _tasks: tokio::task::JoinSet<()>,
}

impl Server {
    /// Sends a request with these headers, and returns status, head and body of the answer.
    pub(crate) async fn ask(&self, request: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let mut stream = self.send(request, headers, body).await;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }

    pub(crate) async fn send(&self, request: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.host).await.unwrap();
        let mut text =
            format!("{request} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "host") {
            text.push_str(&format!("host: {}\r\n", self.host));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{text}\r\n{body}").as_bytes()).await.unwrap();
        stream
    }

    /// Asks with the token, and returns the document of the answer.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let bearer = format!("Bearer {TOKEN}");
        let (status, answer) = self.ask(&format!("GET {path}"), &[("authorization", &bearer)], "").await;
        assert_eq!(status, 200, "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }
}
