//! Runs one agent as a process, with a shell script as its listener.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use ecsrunner_skip::skip;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::ecs::Ecs;
use crate::table::{ACCESS_KEY_ID, Answer, OWNER, ROLE, SECRET_ACCESS_KEY, SESSION_TOKEN, Table, item};

/// Longer than any test takes: a test that hangs fails.
const LIMIT: Duration = Duration::from_secs(60);

/// What the official runner 2.336 prints before it has a session.
pub(crate) const START: &str = "printf '\n√ Connected to GitHub\n\n'";
/// Printed once there is a session.
pub(crate) const LISTEN: &str =
    "echo \"Current runner version: '2.336.0'\"; echo '2026-11-01 12:00:00Z: Listening for Jobs'";
/// Both of these, as the official runner prints them.
pub(crate) const CONNECT: &str = "printf '\n√ Connected to GitHub\n\n'; \
    echo \"Current runner version: '2.336.0'\"; echo '2026-11-01 12:00:00Z: Listening for Jobs'";
pub(crate) const RUN: &str = "echo '2026-11-01 12:00:01Z: Running job: build'";
/// The job ended; the listener removes its configuration afterwards.
pub(crate) const COMPLETE: &str = "echo '2026-11-01 12:00:02Z: Job build completed with result: Succeeded'; \
    printf '√ Removed .credentials\n√ Removed .runner\n'";
/// Ends on a signal as the official runner 2.336 does while it waits: on INT with
/// 0 and a message, on TERM with 143 and none.
pub(crate) const GRACEFUL: &str = "trap 'echo Exiting...; exit 0' INT; trap 'exit 143' TERM";
/// Waits for ever, in a way that lets a trap run at once.
pub(crate) const WAIT: &str = "while :; do sleep 60 & wait; done";

/// An agent that is about to be started.
pub(crate) struct Agent {
    dir: TempDir,
    table: Table,
    exe: PathBuf,
    /// Set if it runs in an ECS task.
    task: Option<Ecs>,
    /// Set if it is process 1: shell lines that run before it in its namespace.
    container: Option<String>,
    variables: Vec<(String, String)>,
}

/// A program from `tests/programs`.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_ecsrunner-agent")).with_file_name("examples").join(name);
    assert!(path.is_file(), "{} is built with the tests", path.display());
    path
}

impl Agent {
    /// Creates an agent whose listener executes these shell lines, with its boot item in the table.
    pub(crate) fn with_listener(lines: &[&str]) -> Self {
        Self::with_answers(vec![Answer::Item(item())], lines)
    }

    pub(crate) fn with_answers(answers: Vec<Answer>, lines: &[&str]) -> Self {
        let agent = Self::without_listener(answers);
        let path = agent.path("runner/bin/Runner.Listener");
        fs::write(&path, format!("#!/bin/bash\n{}\n", lines.join("\n"))).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        agent
    }

    pub(crate) fn without_listener(answers: Vec<Answer>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir_all(dir.path().join("runner/bin")).unwrap();
        let exe = PathBuf::from(env!("CARGO_BIN_EXE_ecsrunner-agent"));
        let table = Table::answering(answers);
        Self { dir, table, exe, task: None, container: None, variables: Vec::new() }
    }

    /// Runs it in an ECS task. It therefore executes itself again.
    pub(crate) fn in_task(mut self, ecs: Ecs) -> Self {
        self.task = Some(ecs);
        self
    }

    /// Runs it in a process namespace of its own, with a listener of another user.
    /// If this machine does not allow that, skips the test and returns `None`.
    pub(crate) fn in_container(self) -> Option<Self> {
        let unshare = Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).output();
        if !nix::unistd::geteuid().is_root() || !unshare.is_ok_and(|tried| tried.status.success()) {
            skip("process 1 of a namespace of its own takes root, and `unshare`");
            return None;
        }
        // The official image's user, with its groups.
        fs::write(
            self.path("passwd"),
            "root:x:0:0::/root:/bin/sh\nrunner:x:1001:1001::/home/runner:/bin/sh\n",
        )
        .unwrap();
        fs::write(self.path("group"), "root:x:0:\nsudo:x:27:runner\ndocker:x:123:runner\nrunner:x:1001:\n")
            .unwrap();
        let (passwd, group) = (self.path("passwd"), self.path("group"));
        let accounts = format!(
            "mount --bind {} /etc/passwd && mount --bind {} /etc/group",
            passwd.display(),
            group.display()
        );
        let mut agent = self.reachable_by_all().env("ECSRUNNER_RUNNER_UID", 1001);
        agent.container = Some(accounts);
        Some(agent)
    }

    /// Runs this shell line first, in its namespace.
    pub(crate) fn after(mut self, line: &str) -> Self {
        if let Some(container) = &mut self.container {
            container.push_str(&format!(" && {line}"));
        }
        self
    }

    pub(crate) fn executable(&self) -> PathBuf {
        self.exe.clone()
    }

    pub(crate) fn with_executable(mut self, executable: &Path) -> Self {
        self.exe = executable.to_owned();
        self
    }

    /// A file below the test's own directory; `runner` is the runner's.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.variables.push((name.to_owned(), value.to_string()));
        self
    }

    /// Copies the executable to a place where every user can execute it.
    pub(crate) fn reachable_by_all(mut self) -> Self {
        let copy = self.path("ecsrunner-agent");
        fs::copy(&self.exe, &copy).unwrap();
        fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(self.path("runner"), Permissions::from_mode(0o777)).unwrap();
        self.exe = copy;
        self
    }

    pub(crate) fn start(self) -> Running {
        let mut command = match &self.container {
            None => Command::new(&self.exe),
            Some(before) => {
                let mut unshare = Command::new("/usr/bin/unshare");
                unshare.args(["--pid", "--fork", "--mount-proc", "--kill-child", "/bin/sh", "-c"]);
                unshare.arg(format!("{before} && exec {}", self.exe.display()));
                unshare
            }
        };
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("ECSRUNNER_BOOT_TABLE", "boot")
            .env("AWS_ENDPOINT_URL_DYNAMODB", &self.table.url)
            .env("AWS_REGION", "eu-west-1");
        match &self.task {
            Some(ecs) => command.env("ECSRUNNER_BOOT_ROLE", ROLE).envs(ecs.variables()),
            None => command
                .env("ECSRUNNER_BOOT_OWNER", OWNER)
                .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
                .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
                .env("AWS_SESSION_TOKEN", SESSION_TOKEN),
        };
        let mut child = command
            .env("ECSRUNNER_RUNNER_DIR", self.path("runner"))
            .env("ECSRUNNER_AGENT_DIR", self.path("run/agent"))
            .env("ECSRUNNER_RETRY_DELAY_MS", "1")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stdout.split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        Running { agent: self, child, lines, seen: Vec::new(), deadline: Instant::now() + LIMIT }
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Ended {
        self.start().end()
    }
}

/// A running agent.
pub(crate) struct Running {
    agent: Agent,
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    deadline: Instant,
}

impl Running {
    /// Waits until a line contains a text.
    pub(crate) fn until(&mut self, text: &str) -> &mut Self {
        while !self.seen.last().is_some_and(|line| line.contains(text)) {
            assert!(self.next_line(), "no line contains `{text}`: {:#?}", self.seen);
        }
        self
    }

    /// Waits until the agent has polled the table.
    pub(crate) fn until_polled(&mut self) -> &mut Self {
        self.agent.table.wait_for_request();
        self
    }

    /// The URL of the table that has its boot item.
    pub(crate) fn table_url(&self) -> &str {
        &self.agent.table.url
    }

    pub(crate) fn signal(&mut self, signal: Signal) -> &mut Self {
        let child = self.child.id().cast_signed();
        let agent = if self.agent.container.is_some() { child_of(child) } else { child };
        kill(Pid::from_raw(agent), signal).unwrap();
        self
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.agent.path(name)
    }

    pub(crate) fn end(mut self) -> Ended {
        while self.next_line() {}
        let code = self.child.wait().unwrap().code();
        Ended { agent: self.agent, code, lines: self.seen }
    }

    fn next_line(&mut self) -> bool {
        match self.lines.recv_timeout(self.deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => self.seen.push(line),
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => {
                self.child.kill().unwrap();
                panic!("the agent hangs: {:#?}", self.seen);
            }
        }
        true
    }
}

/// An agent that has ended.
pub(crate) struct Ended {
    agent: Agent,
    pub(crate) code: Option<i32>,
    pub(crate) lines: Vec<String>,
}

impl Ended {
    /// The exit code and the last line's reason, which must agree.
    pub(crate) fn ending(&self) -> (i32, String) {
        let last: Value = serde_json::from_str(self.lines.last().unwrap()).unwrap();
        assert_eq!(last["message"], "agent ended", "{:#?}", self.lines);
        assert_eq!(last["exit"].as_i64(), self.code.map(i64::from), "{:#?}", self.lines);
        (self.code.unwrap(), last["reason"].as_str().unwrap().to_owned())
    }

    /// The last line's detail.
    pub(crate) fn detail(&self) -> String {
        let last: Value = serde_json::from_str(self.lines.last().unwrap()).unwrap();
        last["detail"].as_str().unwrap().to_owned()
    }

    /// Fails with the agent's whole output if it ended otherwise.
    pub(crate) fn ended_with(self, code: i32, reason: &str) -> Self {
        assert_eq!(self.ending(), (code, reason.to_owned()), "{:#?}", self.lines);
        self
    }

    /// How many sets of credentials it has used.
    pub(crate) fn credentials_used(&self) -> usize {
        self.agent.table.credentials()
    }

    /// The value of a field of one of the agent's own lines.
    pub(crate) fn told(&self, message: &str, field: &str) -> Value {
        let mut lines = self.lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let line = lines.find(|line| line["message"] == message);
        line.unwrap_or_else(|| panic!("no line `{message}`: {:#?}", self.lines))[field].clone()
    }

    /// The agent's own lines, by message.
    pub(crate) fn messages(&self) -> Vec<String> {
        let lines = self.lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter_map(|line| Some(line.get("message")?.as_str()?.to_owned())).collect()
    }

    pub(crate) fn text(&self) -> String {
        self.lines.join("\n")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.agent.path(name)
    }
}

/// The only child of a process.
fn child_of(parent: i32) -> i32 {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    children.trim().parse().unwrap()
}

/// Whether a process exists, also as a zombie.
pub(crate) fn is_there(pid: &str) -> bool {
    Path::new("/proc").join(pid.trim()).exists()
}

/// Waits for something on this machine that sends no event, such as a process or a device.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
