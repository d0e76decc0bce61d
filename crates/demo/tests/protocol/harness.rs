//! A fake GitHub with one repository, its REST API and its control API.

use std::collections::BTreeMap;
use std::sync::Arc;

use ecsrunner_core::id::Repository;
use ecsrunner_demo::github::{FakeGitHub, Options, RepositoryOptions};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::client::{Answer, Body, LIMIT, send};

const TOKEN: &str = "a plain token";

pub(crate) struct Harness {
    pub(crate) url: String,
    _fake: FakeGitHub,
    runtime: Arc<Runtime>,
    /// Ends the thread that drives a single-threaded runtime.
    driven: Option<oneshot::Sender<()>>,
}

impl Harness {
    pub(crate) fn new() -> Self {
        Self::on(Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
    }

    /// Starts a fake whose timers do not wait: while it is idle, the next one fires at once.
    pub(crate) fn with_instant_timers() -> Self {
        let mut harness =
            Self::on(Builder::new_current_thread().enable_all().start_paused(true).build().unwrap());
        let (sender, receiver) = oneshot::channel();
        let runtime = Arc::clone(&harness.runtime);
        std::thread::spawn(move || {
            // An error only means that the harness is gone.
            let _ = runtime.block_on(receiver);
        });
        harness.driven = Some(sender);
        harness
    }

    /// Returns the time of the fake's timers.
    pub(crate) fn now(&self) -> tokio::time::Instant {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.runtime.spawn(async move { sender.send(tokio::time::Instant::now()) });
        receiver.recv_timeout(LIMIT).unwrap()
    }

    fn on(runtime: Runtime) -> Self {
        let mut options = Options { seed: Some(7), tokens: vec![TOKEN.into()], ..Options::default() };
        let name = Repository::parse("acme/app").unwrap();
        options.repositories.push(RepositoryOptions { name, private: true, fork: false });
        let fake = runtime.block_on(FakeGitHub::start(options)).unwrap();
        Self {
            url: fake.url().trim_end_matches('/').to_owned(),
            _fake: fake,
            runtime: Arc::new(runtime),
            driven: None,
        }
    }

    /// Calls the REST API.
    pub(crate) fn rest(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map_or(Body::None, Body::Json);
        send(method, &format!("{}{path}", self.url), Some(TOKEN), body)
    }

    /// Calls the control API, which must succeed.
    #[track_caller]
    pub(crate) fn sim(&self, path: &str, body: &Value) -> Value {
        let answer = send("POST", &format!("{}/_sim/{path}", self.url), None, Body::Json(body));
        answer.is_success();
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    /// Submits a workflow of `acme/app` for the official runner. Returns the ids of its jobs by name.
    #[track_caller]
    pub(crate) fn submit(&self, text: &str) -> BTreeMap<String, u64> {
        self.submit_with(text, &json!({}))
    }

    /// Like [`Self::submit`], with additional or changed keys of the submission.
    #[track_caller]
    pub(crate) fn submit_with(&self, text: &str, more: &Value) -> BTreeMap<String, u64> {
        let mut new = json!({
            "repository": "acme/app", "file": ".github/workflows/ci.yml", "text": text, "executor": "official",
        });
        new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let reply = self.sim("workflows", &new);
        let named = |job: &Value| (job["name"].as_str().unwrap().to_owned(), job["id"].as_u64().unwrap());
        reply["jobs"].as_array().unwrap().iter().map(named).collect()
    }

    /// Submits a job `build` of one step for any runner with the label `x`.
    #[track_caller]
    pub(crate) fn job(&self) -> u64 {
        self.submit("{on: push, jobs: {build: {runs-on: x, steps: [{run: echo hi}]}}}")["build"]
    }

    /// Adds an action of another repository with these files.
    pub(crate) fn action(&self, name: &str, files: &[(&str, &str)]) {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.sim("actions", &json!({"action": name, "directory": directory.path()}));
    }

    /// Registers a runner and returns the reply.
    #[track_caller]
    pub(crate) fn register(&self, name: &str) -> Value {
        let request = json!({"name": name, "runner_group_id": 1, "labels": ["x"]});
        self.rest("POST", "/repos/acme/app/actions/runners/generate-jitconfig", Some(&request)).json(201)
    }

    /// Registers a runner of the organization and returns the reply.
    #[track_caller]
    pub(crate) fn register_in_organization(&self, name: &str) -> Value {
        let request = json!({"name": name, "runner_group_id": 1, "labels": ["x"]});
        self.rest("POST", "/orgs/acme/actions/runners/generate-jitconfig", Some(&request)).json(201)
    }

    /// Deletes a runner as an operator does.
    #[track_caller]
    pub(crate) fn delete_runner(&self, id: u64) {
        self.rest("DELETE", &format!("/repos/acme/app/actions/runners/{id}"), None).is_empty(204);
    }

    pub(crate) fn runner(&self, id: u64) -> Value {
        self.rest("GET", &format!("/repos/acme/app/actions/runners/{id}"), None).json(200)
    }

    /// Returns a job as the REST API shows it.
    #[track_caller]
    pub(crate) fn job_shown(&self, id: u64) -> Value {
        self.rest("GET", &format!("/repos/acme/app/actions/jobs/{id}"), None).json(200)
    }

    /// Returns the fake's whole state.
    pub(crate) fn state(&self) -> Value {
        send("GET", &format!("{}/_sim/state", self.url), None, Body::None).json(200)
    }
}
