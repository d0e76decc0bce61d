use super::*;
use crate::expression::{Contexts, Value};

fn triggers(on: &str) -> Triggers {
    let text = format!("on: {on}\njobs: {{a: {{runs-on: x, steps: [{{run: echo}}]}}}}");
    crate::read("ci.yml", &text).unwrap().triggers
}

fn event<'a>(name: &'a str, branch: Option<&'a str>, tag: Option<&'a str>) -> Event<'a> {
    Event { name, activity: None, branch, tag }
}

#[test]
fn an_event_that_starts_nothing_says_why() {
    let all = triggers("{push: {branches: [main, 'v*'], tags: ['v1*']}, pull_request: , workflow_call: }");
    all.admit(event("push", Some("main"), None)).unwrap();
    all.admit(event("push", None, Some("v1.2"))).unwrap();
    all.admit(event("pull_request", Some("x"), None)).unwrap();
    let only_branches = triggers("{push: {branches: main}}");
    insta::assert_snapshot!(
        [
            all.admit(event("push", Some("dev"), None)).unwrap_err(),
            all.admit(event("push", None, Some("v2"))).unwrap_err(),
            all.admit(event("release", None, None)).unwrap_err(),
            all.admit(Event { activity: Some("labeled"), ..event("pull_request", None, None) }).unwrap_err(),
            only_branches.admit(event("push", None, Some("v2"))).unwrap_err(),
            triggers("{push: {branches-ignore: ['wip/**']}}").admit(event("push", Some("wip/a/b"), None)).unwrap_err(),
        ]
        .join("\n"),
        @"
    the event `push` of the branch `dev` does not start this workflow: its `branches` has main, v*
    the event `push` of the tag `v2` does not start this workflow: its `tags` has v1*
    the event `release` does not start this workflow: it runs on push, pull_request, workflow_call
    the event `pull_request` of the activity `labeled` does not start this workflow: its `types` has opened, synchronize, reopened
    the event `push` of the tag `v2` does not start this workflow: its `branches` has main
    the event `push` of the branch `wip/a/b` does not start this workflow: its `branches-ignore` has wip/**
    "
    );
}

#[test]
fn inputs_of_a_person_have_types_and_defaults() {
    let inputs = triggers(
        "{workflow_dispatch: {inputs: {level: {type: choice, options: [low, high]}, dry: {type: boolean, default: true}, \
         count: {type: number}, name: {required: true}, note: }}}",
    )
    .dispatch;
    let given = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        dispatched(&inputs, &pairs).map(|value| serde_json::to_string(&value).unwrap())
    };
    assert_eq!(
        given(&[("NAME", "x"), ("count", "3")]).unwrap(),
        r#"{"level":"low","dry":true,"count":3,"name":"x","note":""}"#
    );
    assert_eq!(
        given(&[("dry", "yes"), ("level", "mid"), ("other", "1")]).unwrap_err(),
        [
            "the workflow has no input `other`: it takes level, dry, count, name, note",
            "the input `level` is `mid`: one of low, high is expected",
            "the input `dry` is `yes`: true or false is expected",
            "the input `name` is required: --input name=VALUE gives it",
        ]
    );
}

#[test]
fn inputs_of_a_caller_are_checked_against_their_types() {
    let call = triggers(
        "{workflow_call: {inputs: {who: {type: string, required: true}, dry: {type: boolean}, at: {type: string, default: '${{ github.ref }}'}}}}",
    )
    .call
    .unwrap();
    let contexts = Contexts::default().with("github", Value::from([("ref", Value::from("refs/heads/main"))]));
    let given = |json: &str| {
        let given: Value = serde_json::from_str(json).unwrap();
        called(&call.inputs, &given, &contexts).map(|value| serde_json::to_string(&value).unwrap())
    };
    assert_eq!(given(r#"{"WHO": 3}"#).unwrap(), r#"{"who":"3","dry":false,"at":"refs/heads/main"}"#);
    assert_eq!(given("{}").unwrap_err(), "the called workflow needs the input `who`");
    assert_eq!(
        given(r#"{"who":"x","dry":"true"}"#).unwrap_err(),
        "the input `dry` is a text: true or false is expected"
    );
    assert_eq!(given(r#"{"who":"x","y":1}"#).unwrap_err(), "the called workflow has no input `y`");
}

#[test]
fn times_and_too_many_inputs_are_told_with_their_places() {
    let inputs: String = (0..26).map(|number| format!("i{number}: , ")).collect();
    let text = format!(
        "{{on: {{schedule: [{{cron: '0 4 * * *'}}, {{cron: hourly}}], workflow_dispatch: {{inputs: {{{inputs}}}}}}}, \
         jobs: {{a: {{runs-on: x, steps: [{{run: echo, timeout-minutes: 0}}]}}}}}}"
    );
    let wrong = crate::read("ci.yml", &text).unwrap_err().to_string();
    let lines: Vec<&str> = wrong.lines().collect();
    assert_eq!(lines.len(), 2, "{wrong}");
    assert!(lines[0].starts_with("ci.yml:1:46: `cron` is `hourly`: 5 fields are expected"), "{wrong}");
    assert!(lines[1].ends_with("there are 26 inputs: GitHub takes at most 25"), "{wrong}");
}

#[test]
fn an_event_comes_from_the_first_time_or_workflow_that_is_named() {
    let triggers = triggers(
        "{push: {branches: [main]}, schedule: [{cron: '0 4 * * 1'}, {cron: '5 5 * * *'}], workflow_run: {workflows: [Build, Test]}}",
    );
    let source = |event| triggers.source(event);
    assert_eq!(source("schedule").as_deref(), Some("0 4 * * 1"));
    assert_eq!(source("workflow_run").as_deref(), Some("Build"));
    assert_eq!((source("push"), source("release")), (None, None));
}
