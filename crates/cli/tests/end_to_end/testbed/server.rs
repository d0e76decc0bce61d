//! The server as a process.

use std::fs::File;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::{Api, LIMIT, signature};

/// Returns the token of a state directory.
pub(crate) fn token(state: &Path) -> String {
    let left: Value = serde_json::from_slice(&std::fs::read(state.join("server.json")).unwrap()).unwrap();
    left["token"].as_str().unwrap().to_owned()
}

pub(crate) struct Server {
    child: Child,
    url: String,
    token: String,
}

impl Server {
    /// Starts the server and waits for its line on stdout.
    pub(super) async fn start(mut command: Command, dir: &Path) -> Self {
        let log = File::options().create(true).append(true).open(dir.join("server.log")).unwrap();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(LIMIT, lines.next_line()).await.expect("the server does not start");
        let line = line.unwrap().unwrap_or_else(|| {
            let log = std::fs::read_to_string(dir.join("server.log")).unwrap();
            panic!("the server ended at once: {log}")
        });
        let url = line.strip_prefix("listening on ").expect("the line that says where it serves").to_owned();
        Self { child, url, token: token(&dir.join("state")) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Returns the variables with which commands reach the server by its URL.
    pub(crate) fn variables(&self) -> [(&str, &str); 2] {
        [("ECSRUNNER_LOCAL", &self.url), ("ECSRUNNER_LOCAL_TOKEN", &self.token)]
    }

    pub(crate) fn api(&self) -> Api {
        Api::at(&self.url, &self.token)
    }

    /// Posts a webhook with these headers. Returns status and body.
    pub(crate) async fn post(&self, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, Value) {
        let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).build().unwrap();
        let mut request = client.post(self.url("/webhook"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.body(body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// Posts an event as GitHub does.
    pub(crate) async fn deliver(&self, event: &str, body: impl Into<Vec<u8>>) -> (u16, Value) {
        let body = body.into();
        let signature = signature(&body);
        let headers = [
            ("content-type", "application/json"),
            ("x-github-event", event),
            ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
            ("x-hub-signature-256", &signature),
        ];
        self.post(&headers, body).await
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    async fn ended(&mut self) -> ExitStatus {
        tokio::time::timeout(LIMIT, self.child.wait()).await.expect("the server does not end").unwrap()
    }

    /// Sends SIGTERM. The server must exit with code 0.
    pub(crate) async fn terminate(mut self) {
        self.signal(Signal::SIGTERM);
        assert_eq!(self.ended().await.code(), Some(0));
    }

    /// Waits until it ends by itself, with code 0.
    pub(crate) async fn ends(mut self) {
        assert_eq!(self.ended().await.code(), Some(0));
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends SIGKILL.
    pub(crate) async fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.ended().await;
    }
}
