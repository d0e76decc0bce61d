//! The stand-in runner sends the lines of a step while it runs.

use serde_json::{Value, json};

use crate::harness::{Harness, Listener};

#[test]
fn lines_come_before_their_step_ends() {
    let harness = Harness::new();
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let script = format!("echo first; until [ -e {} ]; do sleep 0.05; done; echo; echo last", go.display());
    let text = json!({"on": "push", "jobs": {"a": {"runs-on": "x", "steps": [{"run": script}]}}}).to_string();
    let job = harness.submit(&text)["a"];
    let listener = Listener::start(&harness.register("one", &["x"]), &[]);
    let lines = || {
        let (status, answer) = harness.call("GET", &format!("/_sim/jobs/{job}/lines"), &Value::Null);
        assert_eq!(status, 200, "{answer}");
        let lines = answer["lines"].as_array().unwrap().iter();
        lines.map(|line| line.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    harness.wait(&format!("job={job}&state=in_progress&line=first"));
    assert!(!lines().contains(&"last".to_owned()));
    std::fs::write(&go, "").unwrap();
    assert_eq!(listener.code(), 0);
    harness.job_in(job, "completed");
    let all = lines();
    assert_eq!(all.iter().filter(|line| *line == "first" || *line == "last").count(), 2, "{all:?}");
    // The order is that of the log, which has empty lines too.
    let log = harness.call("GET", &format!("/_sim/jobs/{job}/log"), &Value::Null).1;
    let whole: Vec<&str> = log.as_str().unwrap().lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(all, whole);
}

#[test]
fn what_a_step_reports_becomes_annotations() {
    let harness = Harness::new();
    let script = "echo before\necho \"::group::A group\"\necho \"::error file=$GITHUB_WORKSPACE/src/a.rs,line=3,title=Lint::no%0Agood\"\n\
                  echo '::endgroup::'\necho '::notice::look'\necho 'text ::warning::none'\nexit 3";
    let text = json!({"on": "push", "jobs": {"a": {"runs-on": "x", "steps": [
        {"run": "echo '::warning file=b::w'"}, {"run": script},
    ]}}});
    let job = harness.submit(&text.to_string())["a"];
    assert_eq!(Listener::start(&harness.register("one", &["x"]), &[]).code(), 0);
    let job = harness.job_in(job, "completed");
    insta::assert_json_snapshot!(job["annotations"], @r#"
    [
      {
        "level": "WARNING",
        "message": "w",
        "path": "b",
        "stepNumber": 2
      },
      {
        "endLine": 3,
        "level": "FAILURE",
        "message": "no\ngood",
        "path": "src/a.rs",
        "startLine": 3,
        "stepNumber": 3,
        "title": "Lint"
      },
      {
        "endLine": 8,
        "level": "NOTICE",
        "message": "look",
        "startLine": 8,
        "stepNumber": 3
      },
      {
        "endLine": 10,
        "level": "FAILURE",
        "message": "Process completed with exit code 3.",
        "startLine": 10,
        "stepNumber": 3
      }
    ]
    "#);
    let log = harness.log(job["id"].as_u64().unwrap());
    let step = &log[log.find("before").unwrap()..log.find("exit code 3").unwrap()];
    insta::assert_snapshot!(step, @"
    before
    ##[endgroup]
    before
    ##[group]A group
    ##[error]no
    good
    ##[endgroup]
    ##[notice]look
    text ::warning::none
    ##[error]Process completed with
    ");
}
