//! A fake of CodeBuild and ECR: builds that end as the test says, and the tags of one repository.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const LOG: &str = "https://console.example/log";

/// A build that was started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Build {
    pub(crate) id: String,
    pub(crate) project: String,
    pub(crate) variables: BTreeMap<String, String>,
    token: String,
    end: Option<End>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Pushed { digest: String, runner: String },
    Failed { words: String },
}

#[derive(Default)]
struct State {
    builds: Vec<Build>,
    /// The digest that each tag names.
    tags: BTreeMap<String, String>,
}

/// The server, on a free port of 127.0.0.1. It ends with the test's runtime.
pub(crate) struct FakeBuilds {
    url: String,
    state: Arc<Mutex<State>>,
}

impl FakeBuilds {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::<Mutex<State>>::default();
        let router = Router::new().route("/", post(answer)).with_state(Arc::clone(&state));
        drop(tokio::spawn(async move { axum::serve(listener, router).await }));
        Self { url, state }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns the builds in the order of their start.
    pub(crate) fn builds(&self) -> Vec<Build> {
        lock(&self.state).builds.clone()
    }

    /// Lets the latest build end.
    pub(crate) fn end(&self, end: End) {
        lock(&self.state).builds.last_mut().unwrap().end = Some(end);
    }

    /// Returns the digest that a tag names.
    pub(crate) fn named(&self, tag: &str) -> Option<String> {
        lock(&self.state).tags.get(tag).cloned()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(
    Shared(state): Shared<Arc<Mutex<State>>>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, Json<Value>) {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let input: Value = serde_json::from_str(&body).unwrap();
    let mut state = lock(&state);
    match target.rsplit_once('.').map(|(_, operation)| operation) {
        Some("StartBuild") => (StatusCode::OK, Json(json!({"build": state.start(&input)}))),
        Some("BatchGetBuilds") => {
            let ids = input["ids"].as_array().unwrap();
            let found = state.builds.iter().filter(|build| ids.contains(&json!(build.id))).map(shown);
            (StatusCode::OK, Json(json!({"builds": found.collect::<Vec<_>>()})))
        }
        Some("BatchGetImage") => {
            let digest = &input["imageIds"][0]["imageDigest"];
            // The fake knows the digest of this manifest.
            let manifest = json!({"digest": digest}).to_string();
            let image = json!({"imageId": {"imageDigest": digest}, "imageManifest": manifest});
            (StatusCode::OK, Json(json!({"images": [image]})))
        }
        Some("PutImage") => state.name(&input),
        other => {
            let message = format!("{other:?} is not played");
            (
                StatusCode::BAD_REQUEST,
                Json(json!({"__type": "UnknownOperationException", "message": message})),
            )
        }
    }
}

impl State {
    /// Starts a build, once for each token.
    fn start(&mut self, input: &Value) -> Value {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (project, token) = (text(&input["projectName"]), text(&input["idempotencyToken"]));
        if let Some(known) = self.builds.iter().find(|build| build.token == token) {
            return shown(known);
        }
        let variables = input["environmentVariablesOverride"].as_array().unwrap().iter();
        let build = Build {
            id: format!("{project}:{}", self.builds.len() + 1),
            project,
            variables: variables.map(|one| (text(&one["name"]), text(&one["value"]))).collect(),
            token,
            end: None,
        };
        let told = shown(&build);
        self.builds.push(build);
        told
    }

    fn name(&mut self, input: &Value) -> (StatusCode, Json<Value>) {
        let manifest: Value = serde_json::from_str(input["imageManifest"].as_str().unwrap()).unwrap();
        let digest = manifest["digest"].as_str().unwrap().to_owned();
        let tag = input["imageTag"].as_str().unwrap().to_owned();
        if self.tags.get(&tag) == Some(&digest) {
            let error = json!({"__type": "ImageAlreadyExistsException", "message": "it names that image"});
            return (StatusCode::BAD_REQUEST, Json(error));
        }
        self.tags.insert(tag, digest.clone());
        (StatusCode::OK, Json(json!({"image": {"imageId": {"imageDigest": digest}}})))
    }
}

fn shown(build: &Build) -> Value {
    let variable = |name: &str, value: &str| json!({"name": name, "value": value});
    let (status, exported, words) = match &build.end {
        None => ("IN_PROGRESS", Vec::new(), None),
        Some(End::Pushed { digest, runner }) => {
            ("SUCCEEDED", vec![variable("IMAGE_DIGEST", digest), variable("RUNNER_VERSION", runner)], None)
        }
        Some(End::Failed { words }) => ("FAILED", Vec::new(), Some(words)),
    };
    let contexts: Vec<Value> = words.map(|words| json!({"message": words})).into_iter().collect();
    json!({
        "id": build.id,
        "projectName": build.project,
        "buildStatus": status,
        "exportedEnvironmentVariables": exported,
        "logs": {"deepLink": LOG},
        "phases": [{"phaseType": "BUILD", "contexts": contexts}],
    })
}
