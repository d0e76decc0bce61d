//! A fake GitHub, its listeners and a receiver of webhooks, for the tests.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use ecsrunner_core::id::Repository;
use ecsrunner_demo::github::{FakeGitHub, Hook, Options, RepositoryOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const TOKEN: &str = "a plain token";
pub(crate) const SECRET: &str = "It's a Secret to Everybody";

/// The limit of every wait, so that a missing event fails the test.
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Harness {
    pub(crate) url: String,
    agent: ureq::Agent,
    _fake: FakeGitHub,
    _runtime: tokio::runtime::Runtime,
}

impl Harness {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(mut options: Options) -> Self {
        options.seed.get_or_insert(7);
        options.tokens.push(TOKEN.into());
        let name = Repository::parse("acme/app").unwrap();
        options.repositories.push(RepositoryOptions { name, private: true, fork: false });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let fake = runtime.block_on(FakeGitHub::start(options)).unwrap();
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(LIMIT))
            .proxy(None)
            .build()
            .into();
        Self { url: fake.url().to_owned(), agent, _fake: fake, _runtime: runtime }
    }

    pub(crate) fn with_hook() -> (Self, Receiver<Received>) {
        let (url, received) = receive();
        let hook = Some(Hook { url, secret: SECRET.into() });
        (Self::with(Options { hook, ..Options::default() }), received)
    }

    /// Calls the REST API with the plain token. Returns status and body.
    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.call_as(TOKEN, method, path, body)
    }

    pub(crate) fn call_as(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(if body.is_null() { String::new() } else { body.to_string() })
            .unwrap();
        let mut response = self.agent.run(request).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Calls the control API, which must succeed.
    pub(crate) fn sim(&self, path: &str, body: &Value) -> Value {
        let (status, reply) = self.call("POST", &format!("/_sim/{path}"), body);
        assert!(status < 300, "{path}: {status} {reply}");
        reply
    }

    /// Submits a workflow of `acme/app`. Returns the ids of its jobs by name.
    pub(crate) fn submit(&self, text: &str) -> BTreeMap<String, u64> {
        self.submit_with(&json!({"repository": "acme/app", "file": "ci.yml", "text": text}))
    }

    pub(crate) fn submit_with(&self, new: &Value) -> BTreeMap<String, u64> {
        let reply = self.sim("workflows", new);
        let named = |job: &Value| (job["name"].as_str().unwrap().to_owned(), job["id"].as_u64().unwrap());
        reply["jobs"].as_array().unwrap().iter().map(named).collect()
    }

    /// Submits one synthetic job of `acme/app`.
    pub(crate) fn job(&self, labels: &[&str], work: &Value) -> u64 {
        let new = json!({"repository": "acme/app", "labels": labels, "work": work});
        self.sim("jobs", &new)["jobs"][0]["id"].as_u64().unwrap()
    }

    /// Adds an action of another repository with these files.
    pub(crate) fn action(&self, name: &str, files: &[(&str, &str)]) {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            std::fs::write(directory.path().join(path), text).unwrap();
        }
        self.sim("actions", &json!({"action": name, "directory": directory.path()}));
    }

    /// Registers a runner of `acme/app` and returns its configuration.
    pub(crate) fn register(&self, name: &str, labels: &[&str]) -> String {
        let request = json!({"name": name, "runner_group_id": 1, "labels": labels});
        let (status, reply) =
            self.call("POST", "/repos/acme/app/actions/runners/generate-jitconfig", &request);
        assert_eq!(status, 201, "{reply}");
        reply["encoded_jit_config"].as_str().unwrap().to_owned()
    }

    /// Starts the listener of a new runner of `acme/app`, and waits until it listens.
    pub(crate) fn listener(&self, name: &str, labels: &[&str]) -> Listener {
        let mut listener = Listener::start(&self.register(name, labels), &[]);
        listener.read_to("Listening for Jobs");
        listener
    }

    /// Waits for a state of the fake and returns it.
    pub(crate) fn wait(&self, wanted: &str) -> Value {
        let (status, state) = self.call("GET", &format!("/_sim/wait?{wanted}"), &Value::Null);
        assert_eq!(status, 200, "{state}");
        state
    }

    /// Waits until a job reaches a state, and returns it.
    pub(crate) fn job_in(&self, id: u64, state: &str) -> Value {
        let all = self.wait(&format!("job={id}&state={state}"));
        all["jobs"].as_array().unwrap().iter().find(|job| job["id"] == id).unwrap().clone()
    }

    /// Waits until a step of a job is in progress.
    pub(crate) fn step(&self, job: u64, name: &str) {
        self.wait(&format!("job={job}&state=in_progress&step={}", name.replace(' ', "+")));
    }

    pub(crate) fn log(&self, id: u64) -> String {
        match self.call("GET", &format!("/_sim/jobs/{id}/log"), &Value::Null).1 {
            Value::String(text) => text,
            other => panic!("{other}"),
        }
    }
}

/// The stand-in listener as a process in its own folder.
pub(crate) struct Listener {
    child: Child,
    lines: Receiver<String>,
    _folder: TempDir,
}

impl Listener {
    pub(crate) fn start(jit: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_stand-in-listener"))
            .arg("run")
            .current_dir(&folder)
            .env("ACTIONS_RUNNER_INPUT_JITCONFIG", jit)
            .env("ECSRUNNER_SIM_EXECUTOR", "steps")
            .env("ECSRUNNER_SIM_TIME_SCALE", "0.01")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        let errors = sender.clone();
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| errors.send(line))
        });
        Self { child, lines, _folder: folder }
    }

    /// Reads lines until one contains `text`, and returns it.
    pub(crate) fn read_to(&mut self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(LIMIT) {
                Ok(line) if line.contains(text) => return line,
                Ok(_) => {}
                Err(error) => panic!("no line with `{text}`: {error}"),
            }
        }
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let id = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(id, signal).unwrap();
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Returns the remaining lines and the exit status.
    pub(crate) fn end(mut self) -> (Vec<String>, ExitStatus) {
        let mut lines = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(LIMIT) {
            lines.push(line);
        }
        (lines, self.child.wait().unwrap())
    }

    pub(crate) fn code(self) -> i32 {
        self.end().1.code().unwrap()
    }
}

/// A received webhook. The case of header names is kept.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn action(&self) -> String {
        self.json()["action"].as_str().unwrap_or_default().to_owned()
    }
}

/// Answers every webhook with 202. Returns its URL and the received webhooks.
fn receive() -> (String, Receiver<Received>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}/webhook", listener.local_addr().unwrap());
    let (sender, received) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut headers = BTreeMap::new();
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|_| !line.trim().is_empty()) {
                if let Some((name, value)) = line.trim().split_once(": ") {
                    headers.insert(name.to_owned(), value.to_owned());
                }
                line.clear();
            }
            let mut body = vec![0; headers["Content-Length"].parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}").unwrap();
            if sender.send(Received { headers, body }).is_err() {
                return;
            }
        }
    });
    (url, received)
}

pub(crate) fn next(received: &Receiver<Received>) -> Received {
    received.recv_timeout(LIMIT).unwrap()
}
