//! The environment of one row: a fake GitHub, a directory with the runner, and its listener.

mod github;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use ecsrunner_core::id::Repository;
use ecsrunner_demo::github::{FakeGitHub, Options, RepositoryOptions};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const TOKEN: &str = "a plain token";
/// The limit of every wait without its own limit.
const LIMIT: Duration = Duration::from_secs(60);
/// The user of rows that need a user without access to every file.
pub(crate) const USER: u32 = 61_555;

/// The runner that is checked.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    Official(PathBuf),
    StandIn { executable: PathBuf, scale: f64 },
}

impl Subject {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Official(dir) => format!("the official runner in {}", dir.display()),
            Self::StandIn { scale, .. } => format!("the stand-in, times scaled by {scale}"),
        }
    }

    fn scale(&self) -> f64 {
        match self {
            Self::Official(_) => 1.0,
            Self::StandIn { scale, .. } => *scale,
        }
    }
}

/// The result of a row that cannot be checked here.
pub(crate) const SKIPPED: &str = "skipped: only root can run it as another user";

/// The result of a row's check. The error says what is wrong.
pub(crate) type Checked = Result<(), String>;

/// The environment of one row.
pub(crate) struct Trial {
    subject: Subject,
    dir: TempDir,
    agent: ureq::Agent,
    url: String,
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
    user: Option<u32>,
    listener: Option<Child>,
    lines: Option<Receiver<String>>,
    seen: Vec<String>,
    started: Instant,
    _fake: FakeGitHub,
    _runtime: Runtime,
}

impl Trial {
    pub(crate) fn begin(subject: &Subject) -> Result<Self, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| text(&error))?;
        let name = Repository::parse("acme/app").map_err(|error| text(&error))?;
        let options = Options {
            tokens: vec![TOKEN.into()],
            repositories: vec![RepositoryOptions { name, private: true, fork: false }],
            // As at GitHub, which fails the job of a lost runner after minutes.
            session_limit: Duration::from_secs(600),
            lock_limit: Duration::from_secs(600),
            ..Options::default()
        };
        let fake = runtime.block_on(FakeGitHub::start(options)).map_err(|error| text(&error))?;
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(LIMIT))
            .proxy(None)
            .build()
            .into();
        let dir = tempfile::Builder::new().prefix("runner-check-").tempdir().map_err(|error| text(&error))?;
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).map_err(|error| text(&error))?;
        let trial = Self {
            subject: subject.clone(),
            dir,
            agent,
            url: fake.url().to_owned(),
            variables: Vec::new(),
            arguments: vec!["run".to_owned()],
            user: None,
            listener: None,
            lines: None,
            seen: Vec::new(),
            started: Instant::now(),
            _fake: fake,
            _runtime: runtime,
        };
        trial.install().map_err(|error| format!("the runner cannot be copied: {error}"))?;
        Ok(trial)
    }

    /// Copies the runner into the row's directory.
    fn install(&self) -> std::io::Result<()> {
        let root = self.root();
        match &self.subject {
            Subject::StandIn { executable, .. } => {
                fs::create_dir_all(root.join("bin"))?;
                copy(executable, &root.join("bin/Runner.Listener"))?;
            }
            Subject::Official(source) => {
                fs::create_dir(&root)?;
                // The listener needs only this. Its root is the working directory.
                copy(&source.join("bin"), &root.join("bin"))?;
                symlink(source.join("externals"), root.join("externals"))?;
            }
        }
        Ok(())
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("runner")
    }

    /// Returns the path of a file beside the runner's root.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Converts seconds of the official runner to the time scale of this runner.
    pub(crate) fn secs(&self, secs: f64) -> Duration {
        Duration::from_secs_f64(secs * self.subject.scale())
    }

    /// Returns seconds in this time scale, as an argument of `sleep`.
    pub(crate) fn sleep(&self, secs: f64) -> String {
        format!("sleep {:.2}", (secs * self.subject.scale()).max(1.0))
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn argue(&mut self, argument: &str) {
        self.arguments.push(argument.to_owned());
    }

    /// Writes a job-started hook, sets it, and returns its path.
    pub(crate) fn hook(&mut self, file: &str, script: &str) -> Result<PathBuf, String> {
        let path = self.path(file);
        fs::write(&path, script).map_err(|error| error.to_string())?;
        fs::set_permissions(&path, Permissions::from_mode(0o755)).map_err(|error| error.to_string())?;
        self.set("ACTIONS_RUNNER_HOOK_JOB_STARTED", &path.display().to_string());
        Ok(path)
    }

    /// Makes the listener run as [`USER`]. Returns false if this process is not permitted to.
    pub(crate) fn as_user(&mut self) -> Result<bool, String> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(false);
        }
        self.user = Some(USER);
        own(&self.root(), USER).map_err(|error| error.to_string())?;
        Ok(true)
    }

    /// Registers a runner and starts its listener.
    pub(crate) fn start(&mut self) -> Checked {
        let jit = self.register()?;
        self.start_with(&jit)
    }

    /// Starts the listener with a configuration.
    pub(crate) fn start_with(&mut self, jit: &str) -> Checked {
        let root = self.root();
        let mut command = Command::new(root.join("bin/Runner.Listener"));
        command
            .args(&self.arguments)
            .current_dir(&root)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &root)
            .env("LANG", "C.UTF-8")
            .env("ACTIONS_RUNNER_INPUT_JITCONFIG", jit)
            .env("ECSRUNNER_SIM_EXECUTOR", "steps")
            .env("ECSRUNNER_SIM_TIME_SCALE", self.subject.scale().to_string())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        let mut child =
            spawn(&mut command).map_err(|error| format!("the listener cannot be started: {error}"))?;
        let (sender, lines) = mpsc::channel();
        let streams: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>),
            child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>),
        ];
        for (mark, stream) in ["", "err: "].into_iter().zip(streams) {
            let Some(stream) = stream else { continue };
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                    if sender.send(format!("{mark}{}", String::from_utf8_lossy(&line))).is_err() {
                        return;
                    }
                }
            });
        }
        self.started = Instant::now();
        self.lines = Some(lines);
        self.listener = Some(child);
        Ok(())
    }

    /// Waits for a line that contains the text. Returns its time since the start.
    pub(crate) fn line(&mut self, text: &str) -> Result<Duration, String> {
        self.line_within(text, LIMIT)
    }

    pub(crate) fn line_within(&mut self, text: &str, limit: Duration) -> Result<Duration, String> {
        let end = Instant::now() + limit;
        loop {
            match self.next_line(end) {
                Some(line) if line.contains(text) => return Ok(self.started.elapsed()),
                Some(_) => {}
                None => return Err(format!("no line with `{text}` within {:.1} s", limit.as_secs_f64())),
            }
        }
    }

    /// Fails if a line with the text comes within `time`.
    pub(crate) fn quiet(&mut self, text: &str, time: Duration) -> Checked {
        let end = Instant::now() + time;
        while let Some(line) = self.next_line(end) {
            if line.contains(text) {
                return Err(format!("there is a line with `{text}`"));
            }
        }
        Ok(())
    }

    fn next_line(&mut self, end: Instant) -> Option<String> {
        let lines = self.lines.as_ref()?;
        let line = lines.recv_timeout(end.saturating_duration_since(Instant::now())).ok()?;
        self.seen.push(line.clone());
        Some(line)
    }

    /// Waits until the listener ends, and checks its exit code. For a process that a
    /// signal ended, the code is 128 plus the signal's number.
    pub(crate) fn exits(&mut self, code: i32) -> Checked {
        self.exits_within(code, LIMIT)
    }

    pub(crate) fn exits_within(&mut self, code: i32, limit: Duration) -> Checked {
        let end = Instant::now() + limit;
        loop {
            let listener = self.listener.as_mut().ok_or("no listener was started")?;
            if let Some(status) = listener.try_wait().map_err(|error| error.to_string())? {
                // Reads its last lines.
                while self.next_line(Instant::now() + Duration::from_millis(300)).is_some() {}
                use std::os::unix::process::ExitStatusExt;
                let ended = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
                return if ended == Some(code) {
                    Ok(())
                } else {
                    Err(format!("it ended with {ended:?}; {code} is right"))
                };
            }
            if Instant::now() >= end {
                return Err(format!("it did not end within {:.1} s", limit.as_secs_f64()));
            }
            self.next_line(Instant::now() + Duration::from_millis(20));
        }
    }

    /// Fails if the listener has ended.
    pub(crate) fn lives(&mut self) -> Checked {
        let listener = self.listener.as_mut().ok_or("no listener was started")?;
        match listener.try_wait() {
            Ok(None) => Ok(()),
            other => Err(format!("the listener has ended: {other:?}")),
        }
    }

    fn pid(&self) -> Result<Pid, String> {
        let listener = self.listener.as_ref().ok_or("no listener was started")?;
        Ok(Pid::from_raw(listener.id().cast_signed()))
    }

    pub(crate) fn signal(&self, signal: Signal) -> Checked {
        kill(self.pid()?, signal).map_err(|error| error.to_string())
    }

    pub(crate) fn signal_group(&self, signal: Signal) -> Checked {
        killpg(self.pid()?, signal).map_err(|error| error.to_string())
    }

    /// Kills the listener's worker.
    pub(crate) fn kill_worker(&self) -> Checked {
        let listener = self.pid()?;
        for entry in fs::read_dir("/proc").map_err(|error| error.to_string())?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(1));
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let is_worker = String::from_utf8_lossy(&command).contains("spawnclient");
            if is_worker && parent == Some(&listener.to_string()) {
                return kill(Pid::from_raw(pid), Signal::SIGKILL).map_err(|error| error.to_string());
            }
        }
        Err("there is no worker".to_owned())
    }

    /// Waits until a file exists.
    pub(crate) fn file(&self, path: &Path) -> Checked {
        let end = Instant::now() + LIMIT;
        while !path.exists() {
            if Instant::now() >= end {
                return Err(format!("{} does not come", path.display()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Returns the listener's lines so far.
    pub(crate) fn seen(&self) -> &[String] {
        &self.seen
    }

    /// Checks that lines with these texts come in this order.
    pub(crate) fn order(&self, texts: &[&str]) -> Checked {
        let mut lines = self.seen.iter();
        for text in texts {
            if !lines.any(|line| line.contains(text)) {
                return Err(format!("`{text}` is missing, or not in this order"));
            }
        }
        Ok(())
    }

    pub(crate) fn lacks(&self, text: &str) -> Checked {
        match self.seen.iter().find(|line| line.contains(text)) {
            None => Ok(()),
            Some(line) => Err(format!("there is a line `{line}`")),
        }
    }

    /// Returns the listener's lines for a failure report.
    pub(crate) fn transcript(&self) -> String {
        self.seen.iter().map(|line| format!("\n| {line}")).collect()
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if let (Ok(pid), Some(listener)) = (self.pid(), &mut self.listener) {
            // The processes may have ended.
            let _ = killpg(pid, Signal::SIGKILL);
            let _ = listener.wait();
        }
    }
}

/// Checks that a duration is in a range, with a margin for a busy machine.
pub(crate) fn between(elapsed: Duration, from: Duration, to: Duration) -> Checked {
    let slack = Duration::from_secs(2);
    if elapsed + Duration::from_millis(100) >= from && elapsed <= to + slack {
        Ok(())
    } else {
        Err(format!(
            "it took {:.1} s; {:.1} to {:.1} is right",
            elapsed.as_secs_f64(),
            from.as_secs_f64(),
            to.as_secs_f64()
        ))
    }
}

/// Starts a process. Retries while a file that was just written is busy, which
/// happens while another thread starts a process.
fn spawn(command: &mut Command) -> std::io::Result<Child> {
    const TRIES: u32 = 50;
    for _ in 1..TRIES {
        match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                thread::sleep(Duration::from_millis(20));
            }
            other => return other,
        }
    }
    command.spawn()
}

/// Copies a file or a directory. Files are hard links where possible.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_symlink() {
        symlink(fs::read_link(from)?, to)
    } else if kind.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        Ok(())
    } else {
        fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(|_| ()))
    }
}

fn own(path: &Path, user: u32) -> std::io::Result<()> {
    chown(path, Some(user), Some(user))
}
