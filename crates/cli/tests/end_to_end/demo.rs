//! `ecsrunner demo`, as a user sees it: exit code, standard output and standard error.

use std::fs;

use serde_json::Value;

use crate::command_line::{ecsrunner, run, told};

#[test]
fn a_workflow_that_cannot_be_executed_is_refused_by_file_line_and_column() {
    let dir = tempfile::tempdir().unwrap();
    let workflow = "
on: push
jobs:
  build:
    runs-on: [self-hosted, 'class:small']
    container: debian
    steps:
      - uses: actions/checkout@v4
      - {name: Deploy, run: 'echo ${{ secrets.TOKEN }}'}
  test:
    runs-on: [self-hosted, 'class:small']
    steps: [{run: 'true', shell: pwsh}]
";
    fs::write(dir.path().join("ci.yml"), workflow).unwrap();
    let output = ecsrunner(dir.path()).args(["demo", "--json", "--workflow", "ci.yml"]).output().unwrap();
    insta::assert_snapshot!(told(&output, dir.path()), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: the demo cannot run this workflow:
      ci.yml:6:16: the job has a `container`, which needs the official runner: `--runner-dir DIR`
      ci.yml:9:29: an expression of `run` uses `secrets`, which needs the official runner: `--runner-dir DIR`
      ci.yml:12:34: the step has the shell `pwsh`, which needs the official runner: `--runner-dir DIR`

    hint: use `--runner-dir DIR` to execute the steps with the official runner, unpacked in DIR: the stand-in runner executes simple steps only
    "#);
}

#[test]
fn each_refusal_of_a_workflow_says_what_would_help() {
    let dir = tempfile::tempdir().unwrap();
    let hint = |workflow: &str, arguments: &[&str]| {
        fs::write(dir.path().join("ci.yml"), workflow).unwrap();
        let output =
            ecsrunner(dir.path()).args(["demo", "--workflow", "ci.yml"]).args(arguments).output().unwrap();
        let told = told(&output, dir.path());
        assert!(told.starts_with("exit code 2\n"), "{told}");
        told.split_once("hint: ").unwrap_or_else(|| panic!("{told}")).1.trim_end().to_owned()
    };
    let job = "jobs: {build: {runs-on: self-hosted, steps: [{run: 'true'}]}}\n";
    let correct = "correct the workflow; docs/workflows.md lists what the demo can run";
    assert_eq!(hint("", &[]), correct);
    assert_eq!(hint("on: [", &[]), correct);
    assert_eq!(hint(&format!("on: push\ncolour: red\n{job}"), &[]), correct);
    let pushed = format!("on: push\n{job}");
    assert_eq!(hint(&pushed, &["--event", "pull_request"]), "use `--event push`");
    assert_eq!(hint(&pushed, &["--input", "a=b"]), "use `--event workflow_dispatch`, or omit `--input`");
    let filtered = format!("on: {{push: {{branches: [release]}}}}\n{job}");
    let other_branch = "use another `--branch`, or another `--base` for a pull request";
    assert_eq!(hint(&filtered, &["--branch", "main"]), other_branch);
    let local = "on: push\njobs: {build: {runs-on: self-hosted, steps: [{uses: ./tools/paint}]}}\n";
    assert_eq!(hint(local, &[]), "add `tools/paint/action.yml` below [dir]");
    let called = "on: push\njobs: {build: {uses: ./.github/workflows/x.yml}}\n";
    assert_eq!(hint(called, &[]), "add `.github/workflows/x.yml` below [dir]");
}

#[test]
fn every_event_and_payload_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let demo = |event: &str, payload: &str| {
        let on = if event == "workflow_run" { "{workflow_run: {workflows: [Build]}}" } else { event };
        let text = format!("on: {on}\njobs: {{a: {{runs-on: self-hosted, steps: [{{run: 'true'}}]}}}}\n");
        fs::write(dir.path().join("ci.yml"), text).unwrap();
        fs::write(dir.path().join("payload.json"), payload).unwrap();
        let mut command = ecsrunner(dir.path());
        command.args(["demo", "--workflow", "ci.yml", "--event", event, "--payload", "payload.json"]);
        told(&command.output().unwrap(), dir.path())
    };
    for (event, payload) in [
        ("workflow_run", "{}"),
        ("deployment", "{}"),
        ("pull_request", r#"{"pull_request": {"head": {"repo": null}}}"#),
        ("pull_request", r#"{"pull_request": {"head": {"repo": {"full_name": "mallory/app"}}}}"#),
    ] {
        let told = demo(event, payload);
        assert!(told.starts_with("exit code 0\n"), "{event}, {payload}: {told}");
    }
    let told = demo("push", r#"{"repository": {"private": false}}"#);
    if nix::unistd::geteuid().is_root() {
        assert!(told.starts_with("exit code 0\n"), "{told}");
    } else {
        assert!(told.starts_with("exit code 2\n") && told.contains("hint: run the demo as root"), "{told}");
    }
}

#[test]
fn a_name_that_is_given_twice_is_wrong_usage() {
    insta::assert_snapshot!(run(&["demo", "--workflow", "ci.yml", "--var", "A=1", "--var", "a=2"]), @"
    exit code 2
    --- stdout
    --- stderr
    error: `--var A` is given twice, without regard to case
    ");
}

#[test]
fn quiet_prints_the_result_only() {
    let dir = tempfile::tempdir().unwrap();
    let output = ecsrunner(dir.path()).args(["demo", "--quiet", "--jobs", "1"]).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
    let table = String::from_utf8(output.stdout).unwrap();
    let header: Vec<&str> =
        table.lines().next().unwrap().split("  ").filter(|name| !name.is_empty()).map(str::trim).collect();
    assert_eq!(header, ["JOB", "CLASS", "RUNNER", "QUEUED AT", "WAITED", "RAN", "RESULT", "COST"], "{table}");
}

#[test]
fn a_label_without_a_class_of_the_demo_is_wrong_usage() {
    insta::assert_snapshot!(run(&["demo", "--workflow", "ci.yml", "--label", "windows-latest=huge", "--label", "linux=small"]), @r"
    exit code 2
    --- stdout
    --- stderr
    error: --label: label `linux` cannot be mapped to a class: GitHub's own labels are not expected: a class has `self-hosted`, `linux` and its architecture by itself
      --label windows-latest=huge: the demo has the classes large and small
    ");
    let told = run(&["demo", "--jobs", "1", "--label", "a=small"]);
    assert!(told.starts_with("exit code 2\n") && told.contains("cannot be used with"), "{told}");
}

#[test]
fn a_workflow_file_that_is_not_there_is_wrong_usage() {
    insta::assert_snapshot!(run(&["demo", "--workflow", "none.yml"]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: the workflow file none.yml cannot be read
      caused by: No such file or directory (os error 2)
    "#);
}

#[test]
fn the_demos_json_is_one_document_of_the_documented_shape() {
    let dir = tempfile::tempdir().unwrap();
    let output = ecsrunner(dir.path()).args(["demo", "--json", "--jobs", "2"]).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
    let mut report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for job in report["jobs"].as_array_mut().unwrap() {
        for field in ["queued_at", "started_at", "completed_at"] {
            assert!(job[field].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{field}: {job}");
            job[field] = "[time]".into();
        }
        let steps: Vec<Value> =
            job["steps"].as_array().unwrap().iter().map(|step| step["name"].clone()).collect();
        assert_eq!(steps, ["Set up job", "Set up runner", "Run sleep 0.200", "Complete job"]);
        job["steps"] = "[steps]".into();
        assert!(job["cost_usd"].as_f64().unwrap() > 0.0);
        assert!(job["id"].is_u64() && job["runner"].as_str().unwrap().starts_with("ecsr-demo-"), "{job}");
        for (field, word) in [("cost_usd", "[dollars]"), ("id", "[id]"), ("runner", "[runner name]")] {
            job[field] = word.into();
        }
    }
    let waits = report["webhook_to_agent_ms"].as_object_mut().unwrap();
    assert!(waits.values().all(|wait| wait.as_f64().unwrap() > 0.0), "{waits:?}");
    for wait in waits.values_mut() {
        *wait = "[milliseconds]".into();
    }
    insta::assert_json_snapshot!(report, @r#"
    {
      "conclusion": "success",
      "jobs": [
        {
          "annotations": [],
          "class": "small",
          "completed_at": "[time]",
          "conclusion": "success",
          "cost_usd": "[dollars]",
          "id": "[id]",
          "left_queued": null,
          "log": null,
          "name": "job 1",
          "outputs": {},
          "queued_at": "[time]",
          "runner": "[runner name]",
          "started_at": "[time]",
          "steps": "[steps]",
          "summaries": []
        },
        {
          "annotations": [],
          "class": "small",
          "completed_at": "[time]",
          "conclusion": "success",
          "cost_usd": "[dollars]",
          "id": "[id]",
          "left_queued": null,
          "log": null,
          "name": "job 2",
          "outputs": {},
          "queued_at": "[time]",
          "runner": "[runner name]",
          "started_at": "[time]",
          "steps": "[steps]",
          "summaries": []
        }
      ],
      "left": {
        "boot_items": 0,
        "open_records": 0,
        "processes": 0,
        "registrations": 0
      },
      "webhook_to_agent_ms": {
        "p50": "[milliseconds]",
        "p99": "[milliseconds]"
      }
    }
    "#);
}

#[test]
fn the_built_in_demo_succeeds_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let output = ecsrunner(dir.path()).arg("demo").env("ECSRUNNER_SIM_EXECUTOR", "steps").output().unwrap();
    let told = told(&output, dir.path());
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("left: 0 processes, 0 registrations, 0 boot items, 0 open records\n"), "{told}");
    for job in ["lint", "test (1)", "test (2)", "test (3)", "build"] {
        assert!(String::from_utf8_lossy(&output.stdout).contains(job), "{told}");
    }
}

#[test]
fn the_demo_shows_the_note_in_each_jobs_summary() {
    let dir = tempfile::tempdir().unwrap();
    let output = ecsrunner(dir.path()).args(["demo", "--summary", "--jobs", "1"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for part in ["summary of job, Complete runner:", "### The runner of this job", "| cost here | $"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_demo_whose_job_fails_fails() {
    let dir = tempfile::tempdir().unwrap();
    let workflow = "
on: push
jobs:
  good: {runs-on: [self-hosted, 'class:small'], steps: [{run: 'true'}]}
  bad: {runs-on: [self-hosted, 'class:small'], steps: [{run: 'false'}]}
";
    fs::write(dir.path().join("ci.yml"), workflow).unwrap();
    let mut demo = ecsrunner(dir.path());
    demo.args(["demo", "--json", "--workflow", "ci.yml"]).env("ECSRUNNER_SIM_EXECUTOR", "steps");
    let output = demo.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @r#"
    error: not successful: bad
    "#);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["jobs"].as_array().unwrap().len(), 2);
}

#[test]
fn a_demo_whose_job_is_left_queued_says_why_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let workflow = "
on: push
jobs:
  build: {runs-on: [self-hosted, 'class:gpu'], steps: [{run: 'true'}]}
  far: {runs-on: windows-latest, steps: [{run: 'true'}]}
  near: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}
  after: {needs: far, runs-on: self-hosted, steps: [{run: 'true'}]}
";
    fs::write(dir.path().join("ci.yml"), workflow).unwrap();
    let mut demo = ecsrunner(dir.path());
    demo.args(["demo", "--json", "--workflow", "ci.yml"]).env("ECSRUNNER_SIM_EXECUTOR", "steps");
    let output = demo.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @r#"
    error: 2 jobs were left queued

    hint: the result says why; `--label LABEL=CLASS` has a class serve jobs with a label
    "#);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let why: Vec<&Value> = report["jobs"].as_array().unwrap().iter().map(|job| &job["left_queued"]).collect();
    assert_eq!(
        serde_json::json!(why),
        serde_json::json!([
            "runner class `gpu` does not exist: the catalogue has large, small",
            "the job lacks the label this deployment requires: self-hosted (`--label LABEL=CLASS` maps one)",
            null,
            null
        ])
    );
    let jobs = report["jobs"].as_array().unwrap().iter();
    let ended: Vec<Value> = jobs.map(|job| serde_json::json!([job["name"], job["conclusion"]])).collect();
    assert_eq!(
        serde_json::json!(ended),
        serde_json::json!([
            ["build", "cancelled"],
            ["far", "cancelled"],
            ["near", "success"],
            ["after", "skipped"]
        ])
    );
}
