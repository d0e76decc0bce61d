//! The job-started hook, as the listener's job calls it.

use std::fs;
use std::io::Write;

use serde_json::{Value, json};

use crate::harness::{Agent, CONNECT, Ended, RUN};
use crate::table::{Answer, item};

/// As the real listener does: the hook is a step, whose failure does not keep
/// `always()` steps from running, but a shutdown does.
const JOB: [&str; 6] = [
    "trap 'kill -TERM $hook; wait $hook; exit 0' INT",
    CONNECT,
    RUN,
    "bash -e \"$ACTIONS_RUNNER_HOOK_JOB_STARTED\" & hook=$!; wait $hook; echo hook $?",
    "touch always-step-ran",
    "echo 'Job build completed with result: Succeeded'",
];

struct Job {
    event: Value,
    name: &'static str,
    repository: &'static str,
    fail: Option<Value>,
}

impl Default for Job {
    fn default() -> Self {
        let event = json!({"repository": {"full_name": "acme/app", "private": true}});
        Self { event, name: "push", repository: "acme/app", fail: None }
    }
}

impl Job {
    fn run(self) -> Ended {
        self.run_with(&JOB, |agent| agent)
    }

    fn run_with(self, lines: &[&str], change: impl FnOnce(Agent) -> Agent) -> Ended {
        let mut item = item();
        if let Some(fail) = &self.fail {
            item["fail"] = json!({"S": fail.to_string()});
        }
        let agent = Agent::with_answers(vec![Answer::Item(item)], lines);
        let event = agent.path("event.json");
        fs::write(&event, self.event.to_string()).unwrap();
        let agent = agent
            .env(
                "ECSRUNNER_LISTENER_ENV",
                "GITHUB_EVENT_PATH,GITHUB_EVENT_NAME,GITHUB_REPOSITORY,GITHUB_RUN_ID,GITHUB_RUN_ATTEMPT,GITHUB_JOB",
            )
            .env("GITHUB_EVENT_PATH", event.display())
            .env("GITHUB_EVENT_NAME", self.name)
            .env("GITHUB_REPOSITORY", self.repository)
            .env("GITHUB_RUN_ID", 7)
            .env("GITHUB_RUN_ATTEMPT", 2)
            .env("GITHUB_JOB", "key");
        change(agent).run()
    }

    fn runs(self) {
        let ended = self.run().ended_with(0, "completed");
        assert!(ended.path("runner/always-step-ran").exists());
    }

    fn executes_no_step(self, reason: &str) {
        let ended = self.run().ended_with(20, "job_refused");
        let sentence = format!("ecsrunner refuses this job: {reason}");
        assert!(ended.lines.iter().any(|line| line.starts_with(&sentence)), "{:#?}", ended.lines);
        assert!(!ended.path("runner/always-step-ran").exists(), "a step ran: {:#?}", ended.lines);
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
        "the head repository of its pull request is gone, and this deployment refuses forks",
    );
}

#[test]
fn a_run_that_a_forks_run_started_executes_no_step() {
    let event = json!({"workflow_run": {"head_repository": {"full_name": "mallory/app"}}});
    Job { event, name: "workflow_run", ..Job::default() }
        .executes_no_step("the run's head is in the fork `mallory/app`, and this deployment refuses forks");
}

#[test]
fn an_event_that_cannot_be_read_executes_no_step() {
    Job { event: json!({"pull_request": "none"}), ..Job::default() }
        .executes_no_step("its event cannot be read: no event of GitHub's at line 1");
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
fn a_job_that_is_to_fail_fails_by_its_display_name() {
    let fail = json!({"run": 7, "attempt": 2, "job": "build", "reason": "class `gpu` does not exist"});
    Job { fail: Some(fail), ..Job::default() }.executes_no_step("class `gpu` does not exist");
}

#[test]
fn another_job_of_the_run_is_not_failed_in_its_place() {
    let fail = json!({"run": 7, "attempt": 2, "job": "test", "reason": "x"});
    Job { fail: Some(fail), ..Job::default() }.runs();
    let fail = json!({"run": 7, "attempt": 1, "job": "build", "reason": "x"});
    Job { fail: Some(fail), ..Job::default() }.runs();
}

#[test]
fn a_job_that_writes_into_the_fifo_itself_ends_no_more_than_itself() {
    let forged =
        "echo forged > ${ACTIONS_RUNNER_HOOK_JOB_STARTED%/*}/refusals; while :; do sleep 60 & wait; done";
    let lines = ["trap 'exit 0' INT", CONNECT, RUN, forged];
    let ended = Job::default().run_with(&lines, |agent| agent).ended_with(20, "job_refused");
    assert!(ended.lines.last().unwrap().contains(r#""detail":"forged""#));
}

#[test]
fn another_user_is_refused_too_and_cannot_change_what_it_is_judged_by() {
    if !nix::unistd::geteuid().is_root() {
        writeln!(std::io::stderr(), "skipped: only root can switch to another user").unwrap();
        return;
    }
    let tamper = "for f in ${ACTIONS_RUNNER_HOOK_JOB_STARTED%/*}/*; do \
                  { echo x >> $f; } 2>/dev/null && echo changed $f; rm -f $f 2>/dev/null && echo removed $f; done";
    // The FIFO is the only one that it may write into, and that would end it.
    let tamper = tamper.replace("}/*;", "}/{job-started.sh,policy.json};");
    let lines = [&["id -u", "id -G", tamper.as_str()], &JOB[..]].concat();
    let job = Job { repository: "other/app", ..Job::default() };
    let ended = job.run_with(&lines, |agent| agent.reachable_by_all().env("ECSRUNNER_RUNNER_UID", 54321));
    let ended = ended.ended_with(20, "job_refused");
    assert_eq!(ended.lines.iter().filter(|line| *line == "54321").count(), 2, "{:#?}", ended.lines);
    assert!(!ended.text().contains("changed") && !ended.text().contains("removed"), "{}", ended.text());
    assert!(!ended.path("runner/always-step-ran").exists());
}
