//! A state directory, a configuration, a fake GitHub in this process, and the
//! server as a separate process. All of them end with the test, even if it fails.

mod api;
mod events;
mod github;
pub(crate) mod processes;
mod server;
mod signing;

use std::fs::{self, Permissions};
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ecsrunner_core::id::Deployment;
use ecsrunner_demo::github::{App, FakeGitHub, Options, RepositoryOptions, app_key};
use ecsrunner_local::left::{self, Left};
use nix::unistd::Pid;
use secrecy::ExposeSecret;
use tempfile::TempDir;

pub(crate) use api::{Api, Listed, at, names, states};
pub(crate) use events::Events;
pub(crate) use github::{GitHub, job_ids};
pub(crate) use server::{Server, token};
pub(crate) use signing::{Payload, signature};

pub(crate) const REPOSITORY: &str = "acme/app";
pub(crate) const SECRET: &str = "the webhook's secret";
pub(crate) const TOKEN: &str = "a-token-of-the-fake-github";
const DEPLOYMENT: &str = "test";

/// The timeout of every wait, so that a missing event fails the test.
pub(crate) const LIMIT: Duration = Duration::from_secs(55);
/// The timeout of a whole test.
const TEST_LIMIT: Duration = Duration::from_secs(90);

/// The setup of a test, where it differs from the default.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) repositories: &'static str,
    /// Lines of the configuration's top level.
    pub(crate) top: &'static str,
    /// Lines below `[limits]`.
    pub(crate) limits: &'static str,
    pub(crate) classes: &'static str,
    /// Variables that the listener sees.
    pub(crate) listener: &'static [(&'static str, &'static str)],
    /// The silence after which the fake considers a listener lost.
    pub(crate) session_limit: Duration,
    pub(crate) poll: bool,
    /// The permissions of a GitHub App; without any, a token is used.
    pub(crate) app: &'static [(&'static str, &'static str)],
    /// Whether any account may install that App.
    pub(crate) public_app: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            repositories: r#"["acme/*"]"#,
            top: "",
            limits: "surplus_grace_secs = 1",
            classes: "[classes.small]\ncpu = 512\nmemory = 1024\n[classes.large]\ncpu = 4096\nmemory = 8192\n",
            listener: &[],
            session_limit: Duration::from_secs(10),
            poll: false,
            app: &[],
            public_app: false,
        }
    }
}

pub(crate) struct Testbed {
    dir: TempDir,
    setup: Setup,
    fake: FakeGitHub,
    pub(crate) github: GitHub,
}

impl Testbed {
    pub(crate) async fn set_up(setup: Setup) -> Self {
        let dir = tempfile::Builder::new().prefix("ecsrunner-test-").tempdir().unwrap();
        // As root, each runner has its own user, and the official runner lists each
        // directory above its own.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let key = app_key().private_pem.expose_secret();
        for (name, secret) in [("token", TOKEN), ("webhook-secret", SECRET), ("app.pem", key)] {
            fs::write(dir.path().join(name), secret).unwrap();
            fs::set_permissions(dir.path().join(name), Permissions::from_mode(0o600)).unwrap();
        }
        put_listener(dir.path());
        let fake = FakeGitHub::start(Options {
            tokens: vec![TOKEN.into()],
            session_limit: setup.session_limit,
            lock_limit: setup.session_limit,
            app: (!setup.app.is_empty()).then(|| App {
                id: 1234,
                client_id: "Iv23liEXAMPLE".to_owned(),
                public: setup.public_app,
                public_key_pem: app_key().public_pem.clone(),
                permissions: setup
                    .app
                    .iter()
                    .map(|(name, level)| ((*name).to_owned(), (*level).to_owned()))
                    .collect(),
            }),
            repositories: vec![RepositoryOptions {
                name: ecsrunner_core::id::Repository::parse("acme/open").unwrap(),
                private: false,
                fork: false,
            }],
            ..Options::default()
        })
        .await
        .unwrap();
        let github = GitHub::at(fake.url());
        let testbed = Self { dir, setup, fake, github };
        testbed.configure();
        testbed
    }

    fn configure(&self) {
        let Setup { repositories, top, limits, classes, listener, .. } = &self.setup;
        let github = if self.setup.app.is_empty() {
            "[github]\ntoken_file = \"token\""
        } else {
            "[github.app]\nid = 1234\nprivate_key_file = \"app.pem\""
        };
        let names: Vec<&str> = listener.iter().map(|(name, _)| *name).collect();
        let config = format!(
            "version = 1\ndeployment = \"{DEPLOYMENT}\"\nrepositories = {repositories}\n{top}\n\
             [limits]\n{limits}\n\
             [paces]\ngithub = {{ burst = 1000, per_minute = 60000 }}\n\
             fargate = {{ burst = 1000, per_minute = 60000 }}\n\
             {github}\n\
             [webhook]\nsecret_files = [\"webhook-secret\"]\n\
             [runner]\ndir = \"actions-runner\"\nenv = {names:?}\nfirst_uid = 63000\n\
             {classes}"
        );
        fs::write(self.config(), config).unwrap();
    }

    pub(crate) fn github_url(&self) -> &str {
        self.fake.url()
    }

    pub(crate) fn classes(&self) -> &'static str {
        self.setup.classes
    }

    /// Writes the configuration with other classes, for a server that starts later.
    pub(crate) fn reconfigure(&mut self, classes: &'static str) {
        self.setup.classes = classes;
        self.configure();
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("config.toml")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts the server and tells GitHub where its webhooks go.
    pub(crate) async fn serve(&self) -> Server {
        self.serve_by(self.command()).await
    }

    /// Starts the server with this command, and tells GitHub where its webhooks go.
    pub(crate) async fn serve_by(&self, command: tokio::process::Command) -> Server {
        let server = Server::start(command, self.dir.path()).await;
        self.github.send_webhooks_to(&server.url("/webhook")).await;
        server
    }

    /// Starts a server that GitHub does not know.
    pub(crate) async fn serve_unheard(&self) -> Server {
        Server::start(self.command(), self.dir.path()).await
    }

    /// Returns the command that starts the server.
    pub(crate) fn command(&self) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(executable(self.dir.path()));
        command
            .args(["local", "up", "--listen", "127.0.0.1:0", "--state"])
            .arg(self.state())
            .arg("--config")
            .arg(self.config())
            .args(self.setup.poll.then_some("--poll"))
            .env("GITHUB_API_URL", self.fake.url())
            .env_remove("ECSRUNNER_WEBHOOK_SECRET_FILE")
            .env_remove("ECSRUNNER_LOG")
            .env_remove("ECSRUNNER_SIM_LISTENER_FAULT")
            .env("ECSRUNNER_SIM_EXECUTOR", "steps")
            .envs(self.setup.listener.iter().copied());
        command
    }

    /// Waits until no runner is left, ends the server, and checks that it left nothing behind.
    pub(crate) async fn ends_with_nothing_left(&self, server: Server) {
        server
            .api()
            .until("every runner to be gone", |api| api.runners.iter().all(|r| r["state"] == "gone"))
            .await;
        let github = self.github.wait("unregistered=true").await;
        assert_eq!(github["registrations"], serde_json::json!([]));
        server.terminate().await;
        assert_eq!(processes::with_cgroup(&self.state().join("tasks")), [""; 0]);
        assert_eq!(self.left().await, Left { processes: 0, boot_items: 0, open_records: 0 });
    }

    /// Returns the process ids of running agents.
    pub(crate) fn agents(&self) -> Vec<Pid> {
        processes::agents(&self.state().join("tasks"))
    }

    /// Kills every agent; there must be one.
    pub(crate) fn kill_agents(&self) {
        let agents = self.agents();
        assert!(!agents.is_empty(), "no agent is there");
        agents.into_iter().for_each(processes::end);
    }

    /// Kills every listener; there must be one.
    pub(crate) fn kill_listeners(&self) {
        let listeners = processes::listeners(&self.state().join("tasks"));
        assert!(!listeners.is_empty(), "no listener is there");
        listeners.into_iter().for_each(processes::end);
    }

    /// Returns what an ended server left behind.
    pub(crate) async fn left(&self) -> Left {
        left::count(&self.state(), &Deployment::parse(DEPLOYMENT).unwrap()).await.unwrap()
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tell(&self.dir.path().join("server.log"));
        }
        processes::end_all(&self.state().join("tasks"));
    }
}

#[expect(clippy::print_stderr, reason = "for the reader of a failed test")]
fn tell(log: &Path) {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    eprintln!("--- the end of the server's log\n{}", lines[lines.len().saturating_sub(60)..].join("\n"));
}

/// Runs a test with a timeout.
pub(crate) async fn bounded(test: impl Future<Output = ()>) {
    tokio::time::timeout(TEST_LIMIT, test).await.expect("the test took too long");
}

/// Waits for something on this machine that sends no event, such as a process, a device or a file.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    until_within(LIMIT, what, is_so).await;
}

pub(crate) async fn until_within(limit: Duration, what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + limit;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Returns a link to or a copy of the executable under test that any user may execute.
fn executable(dir: &Path) -> PathBuf {
    let copy = dir.join("ecsrunner");
    if !copy.exists() {
        let own = env!("CARGO_BIN_EXE_ecsrunner");
        if fs::hard_link(own, &copy).is_err() {
            fs::copy(own, &copy).unwrap();
        }
    }
    copy
}

/// Writes a stand-in in place of an unpacked actions/runner.
fn put_listener(dir: &Path) {
    let bin = dir.join("actions-runner/bin");
    fs::create_dir_all(&bin).unwrap();
    let script = format!("#!/bin/sh\nexec '{}' stand-in-listener \"$@\"\n", executable(dir).display());
    let listener = bin.join("Runner.Listener");
    fs::write(&listener, script).unwrap();
    fs::set_permissions(&listener, Permissions::from_mode(0o755)).unwrap();
}
