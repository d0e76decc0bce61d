//! The command, and what it prints while it runs.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::command_line::ecsrunner;
use crate::testbed::LIMIT;

pub(crate) struct Process {
    child: Child,
    told: Arc<Told>,
    reader: JoinHandle<()>,
    stdout: JoinHandle<String>,
}

#[derive(Default)]
struct Told {
    lines: Mutex<Vec<String>>,
    /// Whether no more lines come.
    is_over: AtomicBool,
    more: Notify,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Process {
    /// Starts `ecsrunner setup` in a directory, with that directory as home.
    pub(crate) fn start(dir: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Self {
        Self::start_with(dir, variables, arguments, "")
    }

    /// Starts it with this text on its standard input.
    pub(crate) fn start_with(
        dir: &Path,
        variables: &[(&str, &str)],
        arguments: &[&str],
        stdin: &str,
    ) -> Self {
        let mut command = Command::from(ecsrunner(dir));
        command
            .args(["setup", "--no-browser"])
            .args(arguments)
            .args(if arguments.contains(&"--timeout") { &[][..] } else { &["--timeout", "40s"] })
            .env("HOME", dir)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for name in ["XDG_STATE_HOME", "SSH_CONNECTION", "DISPLAY", "WAYLAND_DISPLAY", "RUNNER_STATE_TABLE"] {
            if !variables.iter().any(|(set, _)| *set == name) {
                command.env_remove(name);
            }
        }
        let mut child = command.spawn().unwrap();
        let told = Arc::new(Told::default());
        let mut input = child.stdin.take().unwrap();
        let text = stdin.to_owned();
        tokio::spawn(async move {
            let _closed = input.write_all(text.as_bytes()).await;
        });
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let sink = Arc::clone(&told);
        let reader = tokio::spawn(async move {
            while let Some(line) = lines.next_line().await.unwrap() {
                sink.lines.lock().unwrap().push(line);
                sink.more.notify_waiters();
            }
            sink.is_over.store(true, Ordering::Release);
            sink.more.notify_waiters();
        });
        let mut out = child.stdout.take().unwrap();
        let stdout = tokio::spawn(async move {
            let mut text = String::new();
            tokio::io::AsyncReadExt::read_to_string(&mut out, &mut text).await.unwrap();
            text
        });
        Self { child, told, reader, stdout }
    }

    /// Waits for a line that contains this text.
    pub(crate) async fn line(&self, part: &str) -> String {
        let found = async {
            loop {
                let more = self.told.more.notified();
                // Before the lines are read: the last one may come meanwhile.
                let is_over = self.told.is_over.load(Ordering::Acquire);
                if let Some(line) = self.stderr().lines().find(|line| line.contains(part)) {
                    return line.to_owned();
                }
                assert!(!is_over, "`{part}` was never printed:\n{}", self.stderr());
                more.await;
            }
        };
        let found = tokio::time::timeout(LIMIT, found).await;
        found.unwrap_or_else(|_| panic!("`{part}` was not printed in time:\n{}", self.stderr()))
    }

    /// Waits for the address of the page.
    pub(crate) async fn page(&self) -> String {
        self.line("http://127.0.0.1:").await.trim().to_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        self.told.lines.lock().unwrap().join("\n")
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGINT).unwrap();
    }

    /// Waits for the end of the command.
    pub(crate) async fn end(mut self) -> Ended {
        let status = tokio::time::timeout(LIMIT, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("setup does not end:\n{}", self.stderr())).unwrap();
        self.reader.await.unwrap();
        let stderr = self.told.lines.lock().unwrap().join("\n");
        Ended { code: status.code().unwrap(), stdout: self.stdout.await.unwrap(), stderr }
    }
}
