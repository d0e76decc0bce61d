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

#[test]
fn masked_values_are_hidden_and_stopped_commands_are_output() {
    let harness = Harness::new();
    let first = "echo ::add-mask::s3cret\necho the s3cret\necho ::notice title=s3cret::of s3cret\necho sum s3cret >> $GITHUB_STEP_SUMMARY\n\
                 echo hidden=a s3cret >> $GITHUB_OUTPUT\necho shown=a word >> $GITHUB_OUTPUT\n\
                 echo ::stop-commands::a-token\necho ::error::stopped\necho ::a-token::\necho ::warning::read\n\
                 echo ::stop-commands::error\necho ::stop-commands::other";
    let text = json!({"on": "push", "jobs": {"a": {"runs-on": "x",
        "outputs": {"hidden": "${{ steps.first.outputs.hidden }}", "shown": "${{ steps.first.outputs.shown }}"}, "steps": [
        {"run": first, "name": "first", "id": "first"}, {"run": "echo s3cret; echo ::notice::again", "name": "second"},
    ]}}});
    let job = harness.submit(&text.to_string())["a"];
    assert_eq!(Listener::start(&harness.register("one", &["x"]), &[]).code(), 0);
    let job = harness.job_in(job, "completed");
    let annotations = job["annotations"].as_array().unwrap().iter();
    let told: Vec<Value> = annotations.map(|made| json!([made["title"], made["message"]])).collect();
    let bad =
        "stop-commands has the token \"error\": expected a text that is no command, such as a random one";
    let hidden = "Skip output 'hidden' since it may contain secret.";
    assert_eq!(
        json!(told),
        json!([["***", "of ***"], [null, "read"], [null, bad], [null, "again"], [null, hidden]]),
        "a stop ends with its step"
    );
    assert_eq!(job["summaries"], json!([{"step": "first", "text": "sum ***\n"}]));
    assert_eq!(job["outputs"], json!({"shown": "a word"}));
    let log = harness.log(job["id"].as_u64().unwrap());
    let step = &log[log.find("the ***").unwrap()..log.find("##[group]second").unwrap()];
    let expected = [
        "the ***",
        "##[notice]of ***",
        "::stop-commands::***",
        "::error::stopped",
        "::***::",
        "##[warning]read",
    ];
    let bad = format!("##[error]{bad}");
    assert_eq!(step.lines().collect::<Vec<_>>(), [&expected[..], &[&bad, "::stop-commands::other"]].concat());
    assert!(!log.contains("s3cret"), "{log}");
    assert!(log.contains("\n***\n##[notice]again\n"), "{log}");
    let lines = harness.call("GET", &format!("/_sim/jobs/{}/lines", job["id"]), &Value::Null).1;
    assert!(!lines.to_string().contains("s3cret"), "{lines}");
}
