//! A function's process: started like Lambda's, with a CPU share, and measured from outside.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use super::share::Group;

/// The program to run.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) executable: PathBuf,
    pub(crate) arguments: Vec<PathBuf>,
    pub(crate) environment: BTreeMap<String, String>,
}

/// Waits for a line, then becomes the program. So the process is in its group
/// before the program starts, and the whole start is measured.
const GATE: &str = r#"read -r go && exec "$0" "$@" </dev/null"#;

#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pid: u32,
    started: Instant,
    /// CPU time of the gate before the program started.
    gate_cpu: Duration,
    log: PathBuf,
    group: Option<Group>,
}

impl Process {
    /// Starts a program in a group, with its output in `logs`.
    pub(crate) async fn start(program: &Program, group: Option<Group>, logs: &Path) -> anyhow::Result<Self> {
        let log = logs.join(format!("{}.log", program.name));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut child = Command::new("/bin/sh")
            .args(["-c", GATE])
            .arg(&program.executable)
            .args(&program.arguments)
            .env_clear()
            .envs(&program.environment)
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.executable.display()))?;
        let pid = child.id().context("the process has ended")?;
        if let Some(group) = &group {
            group.add(pid)?;
        }
        let mut gate = child.stdin.take().context("no standard input")?;
        let gate_cpu = cpu_of(pid)?;
        let started = Instant::now();
        gate.write_all(b"\n").await?;
        Ok(Self { child, pid, started, gate_cpu, log, group })
    }

    /// When the program started.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Sets the CPU share of this memory size from now on.
    pub(crate) fn limit(&self, memory_mb: u64) -> anyhow::Result<()> {
        self.group.as_ref().context("the process is in no control group")?.limit(memory_mb)
    }

    /// CPU time of all threads of the process, including ended ones.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        Ok(cpu_of(self.pid)?.saturating_sub(self.gate_cpu))
    }

    /// Peak resident memory in MB (of 2²⁰ bytes, as Lambda counts).
    pub(crate) fn peak_rss_mb(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024.0)
    }

    /// Waits until the process ends by itself, which a function should never do.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        match self.child.wait().await {
            Ok(status) => anyhow::anyhow!("the process ended: {status}"),
            Err(error) => error.into(),
        }
    }

    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("the process cannot be ended")
    }

    /// The end of its output.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let from = log.len().saturating_sub(2000);
        format!("{} ends with:\n{}", self.log.display(), String::from_utf8_lossy(&log[from..]).trim())
    }
}

fn cpu_of(pid: u32) -> anyhow::Result<Duration> {
    let clock =
        clock_getcpuclockid(Pid::from_raw(pid.try_into()?)).context("the process has no CPU clock")?;
    Ok(clock_gettime(clock)?.into())
}
