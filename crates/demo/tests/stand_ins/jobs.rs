use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::{Harness, Listener};

/// A job with a `pre:` script, an ordinary step and one with `always()`. Each writes to the log.
const STEPS: &str = "
on: push
jobs:
  build:
    runs-on: self-hosted
    steps:
      - name: ordinary
        run: echo ordinary ran
      - uses: acme/tell@v1
      - name: tidy
        if: always()
        run: echo tidy ran
";

fn submit(harness: &Harness, text: &str) -> u64 {
    harness.action(
        "acme/tell@v1",
        &[
            ("action.yml", "name: tell\nruns: {using: node20, pre: pre.js, main: main.js}\n"),
            ("pre.js", "console.log('pre ran')"),
            ("main.js", "console.log('main ran')"),
        ],
    );
    let new = json!({"repository": "acme/app", "file": "ci.yml", "text": text});
    *harness.submit_with(&new).values().next().unwrap()
}

fn has_result(lines: &[String], result: &str) -> bool {
    lines.iter().any(|line| line.ends_with(&format!("Job build completed with result: {result}")))
}

fn hook(folder: &std::path::Path, text: &str) -> String {
    let path = folder.join("hook.sh");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[test]
fn a_failing_started_hook_fails_the_job_but_pre_and_always_still_run() {
    let (harness, folder) = (Harness::new(), tempfile::tempdir().unwrap());
    let hook = hook(folder.path(), "echo the hook refuses $GITHUB_REPOSITORY of $GITHUB_JOB; exit 1");
    let job = submit(&harness, STEPS);
    let jit = harness.register("one", &["self-hosted"]);
    let listener = Listener::start(&jit, &[("ACTIONS_RUNNER_HOOK_JOB_STARTED", &hook)]);
    let (lines, status) = listener.end();
    assert!(has_result(&lines, "Failed"), "{lines:?}");
    assert_eq!(status.code(), Some(0));
    let log = harness.log(job);
    for (text, there) in [
        ("the hook refuses acme/app of build", true),
        ("pre ran", true),
        ("ordinary ran", false),
        ("main ran", false),
        ("tidy ran", true),
    ] {
        assert_eq!(log.contains(text), there, "{text}: {log}");
    }
    assert_eq!(harness.job_in(job, "completed")["conclusion"], "failure");
}

#[test]
fn an_interrupt_in_the_hook_evaluates_no_further_step_not_even_pre_and_always() {
    let (harness, folder) = (Harness::new(), tempfile::tempdir().unwrap());
    let told = folder.path().join("told");
    nix::unistd::mkfifo(&told, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = format!("echo refused | tee -a $GITHUB_STEP_SUMMARY; echo > {}; sleep 600", told.display());
    let hook = hook(folder.path(), &script);
    let job = submit(&harness, STEPS);
    let jit = harness.register("one", &["self-hosted"]);
    let listener = Listener::start(&jit, &[("ACTIONS_RUNNER_HOOK_JOB_STARTED", &hook)]);
    fs::read_to_string(&told).unwrap();
    listener.signal(Signal::SIGINT);
    let (lines, status) = listener.end();
    assert!(has_result(&lines, "Canceled"), "{lines:?}");
    assert_eq!(status.code(), Some(0));
    let log = harness.log(job);
    assert!(log.contains("refused"), "{log}");
    assert!(!log.contains(" ran\n"), "{log}");
    // The listener's line differs, but GitHub uses the worker's report.
    let ended = harness.job_in(job, "completed");
    assert_eq!(ended["conclusion"], "failure");
    assert_eq!(
        ended["summaries"],
        json!([{"step": "Set up runner", "text": "refused\n"}]),
        "it is sent all the same"
    );
}

#[test]
fn each_step_has_a_summary_of_its_own_and_the_completed_hook_too_after_a_failed_step() {
    let (harness, folder) = (Harness::new(), tempfile::tempdir().unwrap());
    let hook = hook(folder.path(), "echo note >> $GITHUB_STEP_SUMMARY");
    let job = submit(
        &harness,
        "
on: push
jobs:
  build:
    runs-on: self-hosted
    steps:
      - {name: one, run: echo one >> $GITHUB_STEP_SUMMARY}
      - {name: none, run: echo none}
      - {name: large, run: 'head -c 1048577 /dev/zero >> $GITHUB_STEP_SUMMARY'}
      - {name: fails, run: echo fails >> $GITHUB_STEP_SUMMARY; exit 1}
",
    );
    let jit = harness.register("one", &["self-hosted"]);
    assert_eq!(Listener::start(&jit, &[("ACTIONS_RUNNER_HOOK_JOB_COMPLETED", &hook)]).code(), 0);
    let ended = harness.job_in(job, "completed");
    let told = |step: &str, text: &str| json!({"step": step, "text": text});
    let expected = json!([told("one", "one\n"), told("fails", "fails\n"), told("Complete runner", "note\n")]);
    assert_eq!(ended["summaries"], expected);
    let log = harness.log(job);
    assert!(
        log.contains("$GITHUB_STEP_SUMMARY upload aborted, supports content up to a size of 1024k"),
        "{log}"
    );
}

#[test]
fn a_job_cancelled_at_github_still_runs_its_always_steps() {
    let harness = Harness::new();
    let job = submit(
        &harness,
        "
on: push
jobs:
  build:
    runs-on: self-hosted
    steps:
      - {name: long, run: echo long ran; sleep 600}
      - run: echo next ran
      - {if: cancelled(), run: echo cancelled ran}
      - {if: '${{ always() }}', run: echo tidy ran}
",
    );
    let listener = harness.listener("one", &["self-hosted"]);
    harness.step(job, "long");
    harness.sim(&format!("jobs/{job}/cancel"), &json!(null));
    assert_eq!(listener.code(), 0);
    let log = harness.log(job);
    assert!(log.contains("\ncancelled ran\n") && log.contains("\ntidy ran\n"), "{log}");
    assert!(!log.contains("\nnext ran\n"), "{log}");
    assert_eq!(harness.job_in(job, "completed")["conclusion"], "cancelled");
}

#[test]
fn steps_pass_variables_and_paths_on_and_the_configuration_stays_hidden() {
    let harness = Harness::new();
    let job = submit(
        &harness,
        r#"
on: push
env: {TOP: top}
jobs:
  build:
    runs-on: [self-hosted]
    env: {JOB: job}
    steps:
      - run: |
          echo "LATER=from $TOP $JOB $STEP" >> "$GITHUB_ENV"
          mkdir bin; printf '#!/bin/sh\necho tool ran\n' > bin/tool; chmod +x bin/tool
          echo "$PWD/bin" >> "$GITHUB_PATH"
        env: {STEP: step}
      - {run: exit 3, continue-on-error: true}
      - shell: bash
        run: echo "$LATER"; tool; env
      - {if: failure(), run: echo failed ran}
"#,
    );
    assert_eq!(Listener::start(&harness.register("one", &["self-hosted"]), &[]).code(), 0);
    let log = harness.log(job);
    assert!(log.contains("from top job step\ntool ran\n"), "{log}");
    assert!(log.contains("RUNNER_NAME=one") && log.contains("GITHUB_EVENT_NAME=push"), "{log}");
    assert!(!log.contains("JITCONFIG") && !log.contains("failed ran"), "{log}");
    assert_eq!(harness.job_in(job, "completed")["conclusion"], "success");
}

#[test]
fn a_pull_request_from_a_fork_tells_its_head_in_the_event_file() {
    let harness = Harness::new();
    let text = "{on: pull_request, jobs: {build: {runs-on: x, steps: [{run: cat \"$GITHUB_EVENT_PATH\"}]}}}";
    let new = json!({"repository": "acme/app", "file": "ci.yml", "text": text, "event": "pull_request",
        "head_repository": "mallory/app"});
    let job = harness.submit_with(&new)["build"];
    assert_eq!(Listener::start(&harness.register("one", &["x"]), &[]).code(), 0);
    let log = harness.log(job);
    let event = log.lines().find(|line| line.starts_with('{')).unwrap();
    let event: serde_json::Value = serde_json::from_str(event).unwrap();
    assert_eq!(event["repository"]["full_name"], "acme/app");
    assert_eq!(event["pull_request"]["head"]["repo"]["full_name"], "mallory/app");
    assert_eq!(event["pull_request"]["head"]["repo"]["fork"], true);
}
