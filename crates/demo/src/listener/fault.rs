//! Injected faults, for tests of the agent that watches a listener.

use std::fs;
use std::process::{Command, Stdio};

use super::RETRYABLE;
use super::events::Stop;
use super::root::Root;
use super::terminal::Terminal;

/// The variable that names the fault. Unset for none.
const FAULT_VARIABLE: &str = "ECSRUNNER_SIM_LISTENER_FAULT";

/// The file in the current directory that counts how often the listener ended with 2.
const RETRIES_FILE: &str = "_sim_retries";

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    None,
    /// `never-connects`: prints nothing and waits.
    NeverConnects,
    /// `idle`: connects, but never asks for a job.
    Idle,
    /// `listens-though-deregistered`: continues when its registration is gone.
    ListensThoughDeregistered,
    /// `hangs-on-int`: ignores SIGINT.
    HangsOnInterrupt,
    /// `ignores-term`: ignores SIGTERM and SIGINT.
    IgnoresTerminate,
    /// `crash`: aborts when it listens.
    Crashes,
    /// `crash-in-job`: aborts when the job runs.
    CrashesInJob,
    /// `silent-end`: exits with 0 after the job, without the line with its result.
    SilentEnd,
    /// `zombies`: leaves short-lived orphans, which its parent must reap.
    Zombies,
    /// `retryable:N`: ends with 2 the first N times.
    Retryable(u32),
    /// `version-deprecated`: GitHub refuses its version when it listens.
    VersionDeprecated,
}

impl Fault {
    pub(super) fn of(root: &Root, terminal: &Terminal) -> Self {
        match root.variable(FAULT_VARIABLE).unwrap_or_default() {
            "" => Self::None,
            "never-connects" => Self::NeverConnects,
            "idle" => Self::Idle,
            "listens-though-deregistered" => Self::ListensThoughDeregistered,
            "hangs-on-int" => Self::HangsOnInterrupt,
            "ignores-term" => Self::IgnoresTerminate,
            "crash" => Self::Crashes,
            "crash-in-job" => Self::CrashesInJob,
            "silent-end" => Self::SilentEnd,
            "zombies" => Self::Zombies,
            "version-deprecated" => Self::VersionDeprecated,
            other => match other.strip_prefix("retryable:").and_then(|times| times.parse().ok()) {
                Some(times) => Self::Retryable(times),
                None => {
                    terminal.line(&format!("unknown {FAULT_VARIABLE} `{other}` is ignored"));
                    Self::None
                }
            },
        }
    }

    pub(super) fn ignores(&self, signal: Stop) -> bool {
        match self {
            Self::IgnoresTerminate => true,
            Self::HangsOnInterrupt => signal == Stop::Interrupt,
            _ => false,
        }
    }
}

/// Returns the exit code of a listener that ends before it connects.
pub(super) fn exit_before_connecting(fault: &Fault, terminal: &Terminal) -> Option<u8> {
    match fault {
        Fault::Retryable(times) => {
            let before: u32 =
                fs::read_to_string(RETRIES_FILE).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            if before >= *times {
                return None;
            }
            if let Err(error) = fs::write(RETRIES_FILE, (before + 1).to_string()) {
                terminal.line(&format!("{RETRIES_FILE} cannot be written: {error}"));
            }
            terminal.error("An error occurred: a retryable one that was asked for");
            Some(RETRYABLE)
        }
        _ => None,
    }
}

pub(super) fn after_connecting(fault: &Fault, terminal: &Terminal) {
    match fault {
        Fault::Crashes => std::process::abort(),
        Fault::Zombies => leave_orphans(terminal),
        _ => {}
    }
}

pub(super) fn after_job(fault: &Fault, terminal: &Terminal) {
    if *fault == Fault::Zombies {
        leave_orphans(terminal);
    }
}

/// Starts processes that outlive their parent.
fn leave_orphans(terminal: &Terminal) {
    let orphans = Command::new("sh")
        .args(["-c", "for i in 1 2 3; do sleep 0.1 & done"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if let Err(error) = orphans {
        terminal.line(&format!("no orphans could be left: {error}"));
    }
}
