//! The job-started hook, as the listener's job calls it.

mod completed;
mod fails;

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use ecsrunner_skip::skip;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::{Agent, CONNECT, Ended, RUN, Running};
use crate::table::{Answer, item};
pub(crate) use completed::about;

/// Behaves as the real listener: the hook is a step. `always()` steps run if it
/// fails, but not after a shutdown.
const JOB: [&str; 6] = [
    "trap 'echo Exiting...; kill -TERM $!; echo signalled; wait $!; exit 0' INT",
    CONNECT,
    RUN,
    "bash -e \"$ACTIONS_RUNNER_HOOK_JOB_STARTED\" & hook=$!; wait $hook; echo hook $?",
    "touch always-step-ran",
    "echo '2026-11-01 12:00:02Z: Job build completed with result: Succeeded'",
];

pub(crate) struct Job {
    event: Value,
    name: &'static str,
    repository: &'static str,
    fail: Option<Value>,
    reruns: Option<Value>,
    about: Option<Value>,
}

impl Default for Job {
    fn default() -> Self {
        let event = json!({"repository": {"full_name": "acme/app", "private": true}});
        Self { event, name: "push", repository: "acme/app", fail: None, reruns: None, about: None }
    }
}

impl Job {
    fn run(self) -> Ended {
        self.run_with(&JOB, |agent| agent)
    }

    pub(crate) fn run_with(self, lines: &[&str], change: impl FnOnce(Agent) -> Agent) -> Ended {
        self.start_with(lines, change).end()
    }

    fn start_with(self, lines: &[&str], change: impl FnOnce(Agent) -> Agent) -> Running {
        let mut item = item();
        if let Some(fail) = &self.fail {
            item["fail"] = json!({"S": fail.to_string()});
        }
        for (name, value) in [("reruns", &self.reruns), ("about", &self.about)] {
            if let Some(value) = value {
                item[name] = json!({"S": value.to_string()});
            }
        }
        let agent = Agent::with_answers(vec![Answer::Item(item)], lines);
        let event = agent.path("event.json");
        fs::write(&event, self.event.to_string()).unwrap();
        let summary = agent.path("summary");
        fs::write(&summary, "").unwrap();
        let agent = agent
            .env(
                "ECSRUNNER_LISTENER_ENV",
                "GITHUB_EVENT_PATH,GITHUB_EVENT_NAME,GITHUB_REPOSITORY,GITHUB_RUN_ID,GITHUB_RUN_ATTEMPT,GITHUB_JOB,GITHUB_STEP_SUMMARY",
            )
            .env("GITHUB_STEP_SUMMARY", summary.display())
            .env("GITHUB_EVENT_PATH", event.display())
            .env("GITHUB_EVENT_NAME", self.name)
            .env("GITHUB_REPOSITORY", self.repository)
            .env("GITHUB_RUN_ID", 7)
            .env("GITHUB_RUN_ATTEMPT", 2)
            .env("GITHUB_JOB", "key");
        change(agent).start()
    }

    fn runs(self) {
        let ended = self.run().ended_with(0, "completed");
        assert!(ended.messages().contains(&"hook checked in".to_owned()), "{}", ended.text());
        assert!(ended.path("runner/always-step-ran").exists());
    }

    fn executes_no_step(self, reason: &str) {
        let ended = self.run().ended_with(20, "job_refused");
        let sentence = format!("ecsrunner refuses this job: {reason}");
        let command = format!("::error::{sentence}");
        assert!(ended.lines.iter().any(|line| line.starts_with(&command)), "{:#?}", ended.lines);
        assert!(!ended.path("runner/always-step-ran").exists(), "a step ran: {:#?}", ended.lines);
        let summary = fs::read_to_string(ended.path("summary")).unwrap();
        assert!(
            summary.starts_with(&format!("~~~text\n{sentence}")) && summary.ends_with("\n~~~\n"),
            "{summary}"
        );
    }
}

fn pull_request(head: Value) -> Job {
    let event = json!({"repository": {"private": true}, "pull_request": {"head": {"repo": head}}});
    Job { event, name: "pull_request", ..Job::default() }
}

#[test]
fn a_job_that_policy_allows_runs() {
    Job::default().runs();
    pull_request(json!({"full_name": "Acme/App"})).runs();
}

#[test]
fn a_schedule_whose_event_names_no_repository_runs() {
    Job { event: json!({"schedule": "0 0 * * *"}), name: "schedule", ..Job::default() }.runs();
}

#[test]
fn a_job_of_another_repository_executes_no_step() {
    Job { repository: "other/app", ..Job::default() }
        .executes_no_step("repository `other/app` is not allowed on this deployment");
}

#[test]
fn a_job_of_a_public_repository_executes_no_step() {
    Job { event: json!({"repository": {"private": false}}), ..Job::default() }
        .executes_no_step("repository `acme/app` is public, and this deployment refuses public repositories");
}

#[test]
fn a_forks_pull_request_executes_no_step() {
    pull_request(json!({"full_name": "mallory/app"}))
        .executes_no_step("the run's head is in the fork `mallory/app`, and this deployment refuses forks");
}

#[test]
fn a_pull_request_whose_fork_is_deleted_executes_no_step() {
    pull_request(Value::Null).executes_no_step(
        "event `pull_request` names no head repository, which may be a fork that is gone, and this deployment refuses forks",
    );
}

#[test]
fn a_run_that_a_forks_run_started_executes_no_step() {
    let event = json!({"workflow_run": {"head_repository": {"full_name": "mallory/app"}}});
    Job { event, name: "workflow_run", ..Job::default() }
        .executes_no_step("the run's head is in the fork `mallory/app`, and this deployment refuses forks");
}

/// What the hook does with a run that this event started, with this payload beside the repository.
fn of_event(name: &'static str, payload: Value) -> Job {
    let mut event = json!({"repository": {"full_name": "acme/app", "private": true}});
    event.as_object_mut().unwrap().extend(payload.as_object().unwrap().clone());
    Job { event, name, ..Job::default() }
}

#[test]
fn a_run_of_the_repositorys_own_code_runs() {
    for (name, payload) in [
        ("push", json!({"ref": "refs/heads/main", "after": "c0ffee"})),
        ("workflow_dispatch", json!({"ref": "refs/heads/main", "inputs": null})),
        ("repository_dispatch", json!({"action": "deploy", "client_payload": {}})),
        ("merge_group", json!({"merge_group": {"head_sha": "c0ffee"}})),
        ("release", json!({"action": "published", "release": {"tag_name": "v1"}})),
        // A comment on a fork's pull request: the default branch's code runs.
        ("issue_comment", json!({"issue": {"number": 1, "pull_request": {"url": "x"}}, "comment": {}})),
        ("workflow_run", json!({"workflow_run": {"head_repository": {"full_name": "acme/app"}}})),
    ] {
        of_event(name, payload).runs();
    }
}

#[test]
fn a_forks_code_executes_no_step_whichever_event_it_comes_by() {
    let head = json!({"head": {"repo": {"full_name": "mallory/app"}}});
    let fork = "the run's head is in the fork `mallory/app`, and this deployment refuses forks";
    of_event("pull_request_target", json!({"pull_request": head})).executes_no_step(fork);
    of_event("pull_request_review", json!({"pull_request": head})).executes_no_step(fork);
    for (name, payload) in [
        ("workflow_run", json!({"workflow_run": {"head_repository": null}})),
        ("pull_request_target", json!({})),
    ] {
        let reason = format!("event `{name}` names no head repository, which may be a fork that is gone");
        of_event(name, payload).executes_no_step(&reason);
    }
}

#[test]
fn a_deployment_that_a_third_party_made_executes_no_step_unless_the_event_is_named() {
    for name in ["deployment", "deployment_status", "invented"] {
        let payload = json!({"deployment": {"sha": "c0ffee", "ref": "refs/pull/1/head"}});
        of_event(name, payload).executes_no_step(&format!("event `{name}` can be about a commit of a fork"));
    }
}

#[test]
fn an_event_that_does_not_tell_whether_its_repository_is_public_executes_no_step() {
    for event in [json!({}), json!({"repository": {"full_name": "acme/app"}})] {
        Job { event, ..Job::default() }
            .executes_no_step("event `push` does not say whether its repository is public");
    }
}

#[test]
fn an_event_that_cannot_be_read_executes_no_step() {
    Job { event: json!({"pull_request": "none"}), ..Job::default() }
        .executes_no_step("its event cannot be read: not a GitHub event at line 1");
}

#[test]
fn a_policy_that_cannot_be_read_executes_no_step() {
    let broken = "dir=${ACTIONS_RUNNER_HOOK_JOB_STARTED%/*}; rm $dir/policy.json";
    let lines = [&[broken], &JOB[..]].concat();
    let ended = Job::default().run_with(&lines, |agent| agent).ended_with(20, "job_refused");
    assert!(
        ended.text().contains("ecsrunner refuses this job: its policy cannot be read"),
        "{}",
        ended.text()
    );
    assert!(!ended.path("runner/always-step-ran").exists());
}

#[test]
fn a_job_that_is_run_again_after_a_lost_runner_says_so_and_no_other_does() {
    let again = |run: u64, attempt: u32, job: &str| json!({"run": run, "attempt": attempt, "job": job, "cause": "AWS took the Spot\ncapacity back"});
    let line = "ecsrunner: this is attempt 2, because the job's runner was lost before: AWS took the Spotcapacity back";
    let others = [again(7, 1, "build"), again(8, 2, "build"), again(7, 2, "test")];
    for (reruns, is_told) in [
        (json!([others[0], again(7, 2, "build")]), true),
        (json!([again(7, 2, "key")]), true),
        (json!(others), false),
        // Of a release that writes them otherwise.
        (json!({"v": 2}), false),
    ] {
        let ended = Job { reruns: Some(reruns.clone()), ..Job::default() }.run().ended_with(0, "completed");
        assert_eq!(ended.lines.iter().any(|told| told == line), is_told, "{reruns}: {:#?}", ended.lines);
        assert!(ended.path("runner/always-step-ran").exists());
    }
}

#[test]
fn a_job_that_writes_into_the_fifo_itself_ends_no_more_than_itself() {
    let forged = "echo refused forged > ${ACTIONS_RUNNER_HOOK_JOB_STARTED%/*}/verdicts; while :; do sleep 60 & wait; done";
    let lines = ["trap 'exit 0' INT", CONNECT, RUN, forged];
    let ended = Job::default().run_with(&lines, |agent| agent).ended_with(20, "job_refused");
    assert!(ended.lines.last().unwrap().contains(r#""detail":"forged""#));
}

#[test]
fn a_verdict_that_is_written_again_and_again_is_told_once() {
    let lines = "allowed\\nallowed\\nrefused one\\nrefused two\\nallowed\\n";
    let forged = format!("printf '{lines}' > ${{ACTIONS_RUNNER_HOOK_JOB_STARTED%/*}}/verdicts");
    let lines = ["trap 'exit 0' INT", CONNECT, RUN, &forged, "while :; do sleep 60 & wait; done"];
    let ended = Job::default().run_with(&lines, |agent| agent).ended_with(34, "listener_hung");
    for message in ["hook checked in", "job was refused after its hook had checked in"] {
        let told = ended.messages().into_iter().filter(|told| told == message).count();
        assert_eq!(told, 1, "{message}: {}", ended.text());
    }
}

#[test]
fn the_agent_of_an_older_release_hears_a_refusal_and_nothing_else_from_a_newer_hook() {
    let dir = tempfile::tempdir().unwrap();
    let (event, fifo) = (dir.path().join("event.json"), dir.path().join("refusals"));
    fs::write(dir.path().join("policy.json"), r#"{"policy":{"repositories":["acme/*"]}}"#).unwrap();
    fs::write(&event, json!({"repository": {"private": true}}).to_string()).unwrap();
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut fifo = OpenOptions::new().read(true).write(true).open(fifo).unwrap();
    let hook = |repository: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ecsrunner-agent"));
        command.arg("agent-hook").arg(dir.path()).env("GITHUB_REPOSITORY", repository);
        command.env("GITHUB_EVENT_NAME", "push").env("GITHUB_EVENT_PATH", &event).spawn().unwrap()
    };
    assert!(hook("acme/app").wait().unwrap().success());
    let mut refusing = hook("other/app");
    // The refusal is the first text here: the hook that allowed wrote nothing.
    let (sender, heard) = channel();
    // If nothing is written, the read never ends.
    thread::spawn(move || {
        let mut bytes = [0; 1024];
        let read = fifo.read(&mut bytes).unwrap();
        sender.send(String::from_utf8_lossy(&bytes[..read]).into_owned())
    });
    let told = heard.recv_timeout(Duration::from_secs(10));
    refusing.kill().unwrap();
    refusing.wait().unwrap();
    assert_eq!(told.as_deref(), Ok("repository `other/app` is not allowed on this deployment\n"));
}

#[test]
fn another_user_is_refused_too_and_cannot_change_what_it_is_judged_by() {
    if !nix::unistd::geteuid().is_root() {
        return skip("only root can switch to another user");
    }
    let tamper = "for f in ${ACTIONS_RUNNER_HOOK_JOB_STARTED%/*}/*; do \
                  { echo x >> $f; } 2>/dev/null && echo changed $f; rm -f $f 2>/dev/null && echo removed $f; done";
    // The FIFO is left out: the job may write into it, and that would end the job.
    let tamper = tamper.replace("}/*;", "}/{job-started.sh,policy.json};");
    let lines = [&["id -u", "id -G", tamper.as_str()], &JOB[..]].concat();
    let job = Job { repository: "other/app", ..Job::default() };
    let ended = job.run_with(&lines, |agent| agent.reachable_by_all().env("ECSRUNNER_RUNNER_UID", 54321));
    let ended = ended.ended_with(20, "job_refused");
    assert_eq!(ended.lines.iter().filter(|line| *line == "54321").count(), 2, "{:#?}", ended.lines);
    assert!(!ended.text().contains("changed") && !ended.text().contains("removed"), "{}", ended.text());
    assert!(!ended.path("runner/always-step-ran").exists());
}

#[test]
fn a_job_whose_hook_has_checked_in_may_run_past_the_hook_limit() {
    let lines = [&JOB[..4], &["sleep 1.5"], &JOB[4..]].concat();
    let ended = Job::default().run_with(&lines, |agent| agent.env("ECSRUNNER_HOOK_LIMIT_SECS", 1));
    ended.ended_with(0, "completed");
}

#[test]
fn a_job_that_was_cancelled_at_github_and_is_then_refused_executes_no_step() {
    // A worker that is handling a cancellation ignores a shutdown. It would go on
    // with an `always()` step if its hook ended.
    let lines = [&["trap '' INT TERM"], &JOB[1..]].concat();
    let job = Job { repository: "other/app", ..Job::default() };
    let ended = job.run_with(&lines, |agent| agent.env("ECSRUNNER_STOP_TIMEOUT_SECS", 6));
    let ended = ended.ended_with(20, "job_refused");
    assert!(ended.messages().contains(&"killing listener".to_owned()), "{}", ended.text());
    assert!(ended.text().contains(r#""reason":"signal SIGKILL""#), "{}", ended.text());
    assert!(!ended.text().contains("hook 1"), "the hook was killed, and did not end: {}", ended.text());
    assert!(!ended.path("runner/always-step-ran").exists(), "{}", ended.text());
}

/// A job of another repository whose hook has no verdict yet, because it waits for the event.
fn undecided(change: impl FnOnce(Agent) -> Agent) -> (Running, File) {
    let lines = [&JOB[..3], &["mkfifo event", "echo ready"], &JOB[3..]].concat();
    let job = Job { repository: "other/app", ..Job::default() };
    let mut agent = job.start_with(&lines, |agent| {
        let event = agent.path("runner/event").display().to_string();
        change(agent.env("GITHUB_EVENT_PATH", event))
    });
    agent.until("ready");
    let path = agent.path("runner/event");
    let (sender, opened) = channel();
    // `open` returns once the hook reads the file, which a broken hook never does.
    thread::spawn(move || sender.send(OpenOptions::new().write(true).open(path)));
    (agent, opened.recv_timeout(Duration::from_secs(30)).unwrap().unwrap())
}

/// Lets the hook judge while the listener is being stopped.
fn decides((mut agent, mut event): (Running, File), code: i32, reason: &str) {
    // The listener has ended its step with TERM by then, as the worker does.
    agent.until("signalled");
    event.write_all(json!({"repository": {"private": true}}).to_string().as_bytes()).unwrap();
    drop(event);
    let ended = agent.end().ended_with(code, reason);
    assert!(ended.text().contains("ecsrunner refuses this job: "), "{}", ended.text());
    assert!(!ended.path("runner/always-step-ran").exists(), "{}", ended.text());
}

#[test]
fn a_signal_while_the_hook_judges_ends_neither_the_hook_nor_the_refusal() {
    let (mut agent, event) = undecided(|agent| agent);
    agent.signal(Signal::SIGTERM);
    decides((agent, event), 20, "job_refused");
}

#[test]
fn a_job_limit_that_passes_while_the_hook_judges_lets_no_step_run() {
    decides(undecided(|agent| agent.env("ECSRUNNER_JOB_LIMIT_SECS", 1)), 19, "job_timeout");
}

#[test]
fn a_hook_that_is_silent_and_refuses_after_all_lets_no_step_run() {
    decides(undecided(|agent| agent.env("ECSRUNNER_HOOK_LIMIT_SECS", 1)), 20, "job_refused");
}

#[test]
fn a_job_that_refuses_itself_after_its_hook_checked_in_is_not_believed() {
    const FORGER: [&str; 7] = [
        "trap 'echo Exiting...; exit 0' INT",
        CONNECT,
        RUN,
        "bash -e \"$ACTIONS_RUNNER_HOOK_JOB_STARTED\"; echo hook $?",
        "touch a-step-ran",
        "echo 'refused nothing ran' >\"$(dirname \"$ACTIONS_RUNNER_HOOK_JOB_STARTED\")/verdicts\"",
        "while :; do sleep 0.05; done",
    ];
    let ended = Job::default().run_with(&FORGER, |agent| agent);
    assert_eq!(ended.ending(), (34, "listener_hung".to_owned()));
    assert!(ended.lines.iter().any(|line| line.contains("job was refused after its hook had checked in")));
}
