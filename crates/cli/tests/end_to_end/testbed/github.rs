//! The fake GitHub's control API.

use serde_json::{Value, json};

use super::{LIMIT, REPOSITORY, SECRET};

#[derive(Debug)]
pub(crate) struct GitHub {
    url: String,
    client: reqwest::Client,
}

impl GitHub {
    pub(super) fn at(url: &str) -> Self {
        let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).build().unwrap();
        Self { url: url.to_owned(), client }
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.client.post(format!("{}/_sim{path}", self.url)).json(body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.client.get(format!("{}/_sim{path}", self.url)).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }

    pub(crate) async fn send_webhooks_to(&self, url: &str) {
        self.post("/hook", &json!({"url": url, "secret": SECRET})).await;
    }

    /// Submits synthetic jobs with this duration; `more` adds to the request. Returns their ids.
    pub(crate) async fn submit(&self, labels: &[&str], count: usize, sleep_ms: u64, more: Value) -> Vec<u64> {
        let mut body = json!({"repository": REPOSITORY, "labels": labels, "count": count,
            "work": {"sleep_ms": sleep_ms}});
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        job_ids(&self.post("/jobs", &body).await)
    }

    /// Submits one job with this duration.
    pub(crate) async fn submit_one(&self, labels: &[&str], sleep_ms: u64) -> u64 {
        self.submit(labels, 1, sleep_ms, Value::Null).await[0]
    }

    pub(crate) async fn submit_workflow(&self, body: &Value) -> Value {
        self.post("/workflows", body).await
    }

    /// Registers an action of another repository, with these files.
    pub(crate) async fn put_action(&self, name: &str, files: &[(&str, &str)]) {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            std::fs::write(directory.path().join(path), text).unwrap();
        }
        self.post("/actions", &json!({"action": name, "directory": directory.path()})).await;
    }

    pub(crate) async fn faults(&self, faults: Value) {
        self.post("/faults", &faults).await;
    }

    pub(crate) async fn cancel(&self, job: u64) {
        self.post(&format!("/jobs/{job}/cancel"), &Value::Null).await;
    }

    pub(crate) async fn approve(&self, job: u64) {
        self.post(&format!("/jobs/{job}/approve"), &Value::Null).await;
    }

    pub(crate) async fn ping(&self) {
        self.post("/webhooks/ping", &json!({"repository": REPOSITORY})).await;
    }

    /// Sends the webhooks that were held back.
    pub(crate) async fn release(&self) {
        self.post("/webhooks/release", &json!({"shuffle": true})).await;
    }

    /// Waits until GitHub's state matches, and returns it.
    pub(crate) async fn wait(&self, wanted: &str) -> Value {
        let limit = LIMIT.as_millis() - 1_000;
        self.get(&format!("/wait?{wanted}&timeout_ms={limit}")).await
    }

    pub(crate) async fn wait_for(&self, job: u64, state: &str) -> Value {
        let github = self.wait(&format!("job={job}&state={state}")).await;
        github["jobs"].as_array().unwrap().iter().find(|found| found["id"] == job).unwrap().clone()
    }

    pub(crate) async fn state(&self) -> Value {
        self.get("/state").await
    }

    pub(crate) async fn jobs(&self) -> Vec<Value> {
        self.state().await["jobs"].as_array().unwrap().clone()
    }

    /// Returns how often an operation was called.
    pub(crate) async fn calls(&self, operation: &str) -> u64 {
        self.state().await["calls"][operation].as_u64().unwrap_or(0)
    }

    pub(crate) async fn deliveries(&self) -> Vec<Value> {
        self.wait("webhooks_idle=true").await;
        self.get("/deliveries").await["deliveries"].as_array().unwrap().clone()
    }

    pub(crate) async fn log(&self, job: u64) -> String {
        self.get(&format!("/jobs/{job}/log")).await.as_str().unwrap_or_default().to_owned()
    }
}

/// Returns the ids of submitted jobs.
pub(crate) fn job_ids(submitted: &Value) -> Vec<u64> {
    submitted["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_u64().unwrap()).collect()
}
