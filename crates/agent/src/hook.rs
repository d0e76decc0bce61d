//! The job-started hook: judges the job before its first step.
//!
//! The official runner executes it as a step of the job, as the job's user. A
//! hook that only fails does not stop a job: steps with `if: always()` or
//! `failure()`, and the `pre:` and `post:` steps of actions, still run. So a
//! refusing hook reports to the agent and blocks, and the agent interrupts the
//! listener, which then runs no further step. A hook that allows the job reports
//! too: it has checked in (all seen with the official runner 2.336).

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ecsrunner_core::id::{Repository, RunId};
use ecsrunner_core::rules::policy::{Refusal, Subject};
use ecsrunner_core::wire::boot::{Again, Fail};
use ecsrunner_core::wire::job::JobFacts;
use nix::fcntl::OFlag;
use serde::Deserialize;

use crate::agent_dir::{self, Rules, Verdict};
use crate::note;
use crate::signals::Signals;

/// The subcommand that runs the hook. Its argument is the agent's directory.
pub(crate) const HOOK_SUBCOMMAND: &str = "agent-hook";

/// How long a refusing hook blocks at most. The agent kills the job's processes
/// before that.
pub(crate) const BLOCK_LIMIT: Duration = Duration::from_secs(120);
/// How long it keeps blocking after a signal. The worker signals its step only
/// once it is shutting down, and never for a cancellation at GitHub.
const LINGER: Duration = Duration::from_secs(2);
/// How long the agent may take to write the job's name.
const JOB_NAME_LIMIT: Duration = Duration::from_secs(5);
/// GitHub caps an event at 25 MB.
const EVENT_LIMIT_BYTES: u64 = 32 * 1024 * 1024;

/// Why the job is refused: completes the sentence `ecsrunner refuses this job: …`.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("its policy cannot be read: {0}")]
    Rules(String),
    #[error("its event cannot be read: {0}")]
    Event(String),
    #[error("{0} is missing or invalid in its environment")]
    Variable(&'static str),
    #[error(transparent)]
    Policy(#[from] Refusal),
    #[error("{0}")]
    Fail(String),
    /// GitHub gave another job of its pool to a runner that only fails one.
    #[error(
        "its runner was launched only to fail the job `{}` of run {}, which has the same labels and cannot be served: {}", .0.job, .0.run, .0.reason
    )]
    FailsOther(Fail),
}

/// Judges the job by the rules in the agent's directory and returns the exit
/// code: 0 if the job may run.
///
/// The verdict is sent to the agent in either case. If the job is refused, one
/// sentence is written to `out`, which is the job's log, as an error annotation, and the call blocks
/// until the runner ends it, for at most two minutes. `lookup` is usually
/// [`std::env::var_os`].
///
/// INT and TERM are caught from the start: if a signal ended the hook before its
/// verdict, the job's next step could begin.
pub(crate) fn hook(agent_dir: &Path, lookup: impl Fn(&str) -> Option<OsString>, mut out: impl Write) -> u8 {
    let signals = Signals::install();
    let environment = Environment(lookup);
    let reason = match judge(agent_dir, &environment) {
        Ok(again) => {
            if let Some(again) = again {
                let (attempt, cause) = (again.attempt, Verdict::printable(&again.cause));
                let line =
                    format!("this is attempt {attempt}, because the job's runner was lost before: {cause}");
                let _ = writeln!(out, "ecsrunner: {line}").and_then(|()| out.flush());
            }
            // If this does not reach the agent, it ends the job at the hook limit.
            let _ = tell_agent(agent_dir, &Verdict::Allowed);
            return 0;
        }
        Err(reason) => reason,
    };
    let sentence = format!("ecsrunner refuses this job: {reason}");
    // As a command, it is an annotation of the run as well.
    let _ = writeln!(out, "::error::{}", escaped(&sentence)).and_then(|()| out.flush());
    // The runner uploads the summary of a step that it ends, too: so it is written before the agent knows. The reason can
    // hold a stranger's words, and a line in a fence is no Markdown.
    let summary = environment.text("GITHUB_STEP_SUMMARY");
    let shown = Verdict::printable(&sentence);
    let _ = summary.map(|path| note::append(Path::new(&path), &format!("~~~text\n{shown}\n~~~\n")));
    // If the agent is gone, blocking is all that is left to do.
    let _ = tell_agent(agent_dir, &Verdict::Refused(reason.to_string()));
    match signals {
        Ok(signals) if signals.stops_within(BLOCK_LIMIT) => thread::sleep(LINGER),
        Ok(_) => {}
        Err(_) => thread::sleep(BLOCK_LIMIT),
    }
    1
}

/// Escapes the data of a command. (actions/runner, `src/Runner.Common/ActionCommand.cs`)
fn escaped(data: &str) -> String {
    data.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Sends the verdict to the agent, which may be of an older release: on one
/// machine a runner can run across an upgrade of the executable, and its hook is
/// then the new one. Such an agent has no `verdicts` FIFO. It reads any text in
/// its `refusals` FIFO as a refusal.
pub(crate) fn tell_agent(agent_dir: &Path, verdict: &Verdict) -> io::Result<()> {
    let open = |path| OpenOptions::new().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
    match (open(agent_dir::verdicts_path(agent_dir)), verdict) {
        (Ok(mut fifo), _) => fifo.write_all(verdict.line().as_bytes()),
        (Err(_), Verdict::Refused(reason)) => {
            let line = format!("{}\n", Verdict::printable(reason));
            open(agent_dir::refusals_path(agent_dir))?.write_all(line.as_bytes())
        }
        (Err(error), Verdict::Allowed | Verdict::Note(_) | Verdict::Outputs(_)) => Err(error),
    }
}

/// Judges the job. Returns its rerun, if it is one of a job whose runner was lost.
fn judge(
    agent_dir: &Path,
    environment: &Environment<impl Fn(&str) -> Option<OsString>>,
) -> Result<Option<Again>, Refused> {
    let rules =
        fs::read(agent_dir::rules_path(agent_dir)).map_err(|error| Refused::Rules(error.to_string()))?;
    let rules: Rules = serde_json::from_slice(&rules).map_err(|error| Refused::Rules(error.to_string()))?;
    let repository = Repository::parse(&environment.text("GITHUB_REPOSITORY")?)
        .map_err(|_| Refused::Variable("GITHUB_REPOSITORY"))?;
    let name = environment.text("GITHUB_EVENT_NAME")?;
    let event = Event::read(Path::new(&environment.text("GITHUB_EVENT_PATH")?))?;
    let head = event.head().map(Repository::parse).transpose();
    let head = head.map_err(|error| Refused::Event(error.to_string()))?;
    rules.policy.judge(&Subject {
        repository: &repository,
        private: event.repository.as_ref().and_then(|repository| repository.private),
        event: Some(&name),
        head_repository: head.as_ref(),
    })?;
    // GitHub may have given this runner another job of the same pool than the one that is to fail. It is refused too:
    // with another sentence.
    match &rules.fail {
        Some(fail) if is_this_job((fail.run, fail.attempt, &fail.job), agent_dir, environment)? => {
            Err(Refused::Fail(fail.reason.clone()))
        }
        Some(fail) => Err(Refused::FailsOther(fail.clone())),
        None => Ok(rules.reruns.into_iter().find(|again| {
            // A job does not fail because it cannot be told what it is.
            is_this_job((again.run, again.attempt, &again.job), agent_dir, environment).unwrap_or(false)
        })),
    }
}

/// Whether this is the job of this run, attempt and name.
fn is_this_job(
    (run, attempt, job): (RunId, u32, &str),
    agent_dir: &Path,
    environment: &Environment<impl Fn(&str) -> Option<OsString>>,
) -> Result<bool, Refused> {
    let number =
        |name: &'static str| environment.text(name)?.parse::<u64>().map_err(|_| Refused::Variable(name));
    if number("GITHUB_RUN_ID")? != run.get() || number("GITHUB_RUN_ATTEMPT")? != u64::from(attempt) {
        return Ok(false);
    }
    // GITHUB_JOB is the job's key in the workflow file. It is also the display
    // name if the job has no `name` and no matrix.
    let is_its_name = |name: &str| *JobFacts::cut(name) == *job;
    if is_its_name(&environment.text("GITHUB_JOB")?) {
        return Ok(true);
    }
    let deadline = Instant::now() + JOB_NAME_LIMIT;
    loop {
        match fs::read_to_string(agent_dir::job_path(agent_dir)) {
            Ok(name) => return Ok(is_its_name(&name)),
            Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
            Err(_) => return Ok(false),
        }
    }
}

/// The variables that GitHub's runner gives to each step.
struct Environment<F>(F);

impl<F: Fn(&str) -> Option<OsString>> Environment<F> {
    fn text(&self, name: &'static str) -> Result<String, Refused> {
        let text = (self.0)(name).and_then(|value| value.into_string().ok());
        text.filter(|text| !text.is_empty()).ok_or(Refused::Variable(name))
    }
}

/// The part of the event's payload that is read. A schedule's payload has no
/// repository. The policy decides about whatever an event does not tell.
#[derive(Deserialize)]
struct Event {
    repository: Option<EventRepository>,
    pull_request: Option<PullRequest>,
    workflow_run: Option<WorkflowRun>,
}

#[derive(Deserialize)]
struct EventRepository {
    private: Option<bool>,
}

#[derive(Deserialize)]
struct PullRequest {
    head: PullRequestHead,
}

#[derive(Deserialize)]
struct PullRequestHead {
    /// Null once the fork is deleted.
    repo: Option<HeadRepository>,
}

#[derive(Deserialize)]
struct WorkflowRun {
    head_repository: Option<HeadRepository>,
}

#[derive(Deserialize)]
struct HeadRepository {
    full_name: String,
}

impl Event {
    fn read(path: &Path) -> Result<Self, Refused> {
        let failed = |error: io::Error| Refused::Event(error.to_string());
        let mut bytes = Vec::new();
        File::open(path).map_err(failed)?.take(EVENT_LIMIT_BYTES).read_to_end(&mut bytes).map_err(failed)?;
        // The parser's message could quote the event, so only its position is shown.
        serde_json::from_slice(&bytes).map_err(|error| {
            Refused::Event(format!("not a GitHub event at line {} column {}", error.line(), error.column()))
        })
    }

    /// Returns the head repository as `owner/name`, if the event has one and it still exists.
    fn head(&self) -> Option<&str> {
        let repository = match (&self.pull_request, &self.workflow_run) {
            (Some(pull_request), _) => pull_request.head.repo.as_ref(),
            (None, run) => run.as_ref()?.head_repository.as_ref(),
        };
        repository.map(|repository| repository.full_name.as_str())
    }
}
