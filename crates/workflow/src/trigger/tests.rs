use super::*;
use crate::expression::{Contexts, Value};

fn triggers(on: &str) -> Triggers {
    let text = format!("on: {on}\njobs: {{a: {{runs-on: x, steps: [{{run: echo}}]}}}}");
    crate::read("ci.yml", &text).unwrap().triggers
}

fn event<'a>(name: &'a str, branch: Option<&'a str>, tag: Option<&'a str>) -> Event<'a> {
    Event { name, branch, tag, ..Event::default() }
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
        .map(|refused| format!("{}:{}: {}", refused.at.line, refused.at.column, refused.text))
        .join("\n"),
        @"
    1:23: the event `push` of the branch `dev` does not start this workflow: its `branches` has main, v*
    1:43: the event `push` of the tag `v2` does not start this workflow: its `tags` has v1*
    1:1: the event `release` does not start this workflow: it runs on push, pull_request, workflow_call
    1:1: the event `pull_request` of the activity `labeled` does not start this workflow: its `types` has opened, synchronize, reopened
    1:23: the event `push` of the tag `v2` does not start this workflow: its `branches` has main
    1:30: the event `push` of the branch `wip/a/b` does not start this workflow: its `branches-ignore` has wip/**
    "
    );
}

fn refusal(on: &str, event: Event<'_>) -> String {
    match triggers(on).admit(event) {
        Ok(()) => "started".to_owned(),
        Err(refused) => format!("{}:{}: {}", refused.at.line, refused.at.column, refused.text),
    }
}

#[test]
fn changed_files_decide_as_at_github() {
    let changed = |on: &str, files: &[&str]| {
        let files: Vec<String> = files.iter().map(|&file| file.to_owned()).collect();
        refusal(on, Event { changed: Some(&files), ..event("push", Some("main"), None) })
    };
    let paths = "{push: {paths: ['src/**', '!src/docs/**', 'src/docs/api.md']}}";
    assert_eq!(changed(paths, &["README.md", "src/a.rs"]), "started");
    assert_eq!(changed(paths, &["src/docs/api.md"]), "started");
    assert_eq!(changed("{push: {paths-ignore: ['docs/**']}}", &["docs/a.md", "src/a.rs"]), "started");
    assert_eq!(changed("{push: {paths: []}}", &["a"]), "started");
    insta::assert_snapshot!(
        [
            changed(paths, &["README.md", "src/docs/x.md"]),
            changed(paths, &["README.md"]),
            changed(paths, &[]),
            changed("{push: {paths-ignore: ['docs/**', '**.md']}}", &["docs/a", "b.md", "c.md", "d.md", "e.md", "f.md"]),
            changed("{push: {paths-ignore: docs/a}}", &["docs/a"]),
            changed("{push: {branches: [dev], paths: [src/**]}}", &["src/a"]),
        ]
        .join("\n"),
        @"
    1:20: the event `push` does not start this workflow: none of the 2 changed files (`README.md`, `src/docs/x.md`) matches its `paths`, which has src/**, !src/docs/**, src/docs/api.md
    1:20: the event `push` does not start this workflow: the changed file `README.md` does not match its `paths`, which has src/**, !src/docs/**, src/docs/api.md
    1:20: the event `push` does not start this workflow: no file has changed, and its `paths` has src/**, !src/docs/**, src/docs/api.md
    1:27: the event `push` does not start this workflow: each of the 6 changed files (`docs/a`, `b.md`, `c.md`, `d.md`, `e.md`, …) matches its `paths-ignore`, which has docs/**, **.md
    1:27: the event `push` does not start this workflow: the changed file `docs/a` matches its `paths-ignore`, which has docs/a
    1:23: the event `push` of the branch `main` does not start this workflow: its `branches` has dev
    "
    );
    // No diff, a tag, and events that have no such filters.
    assert_eq!(refusal(paths, event("push", Some("main"), None)), "started");
    let none: &[String] = &[];
    assert_eq!(refusal(paths, Event { changed: Some(none), ..event("push", None, Some("v1")) }), "started");
    let release = Event { changed: Some(none), ..event("release", None, None) };
    assert_eq!(refusal("{release: {types: [published]}}", release), "started");
}

#[test]
fn filters_without_an_effect_on_an_event_refuse_nothing() {
    let changed = ["src/a.rs".to_owned()];
    for (on, name) in [
        ("{release: {paths: [docs/**]}}", "release"),
        ("{merge_group: {paths: [docs/**], tags: ['v*']}}", "merge_group"),
        ("{pull_request: {tags: ['v*']}}", "pull_request"),
        ("{pull_request_target: {tags-ignore: ['**']}}", "pull_request_target"),
        ("{release: {branches: [dev]}}", "release"),
        ("{push: {types: [created]}}", "push"),
    ] {
        let event = Event { changed: Some(&changed), activity: None, ..event(name, Some("main"), None) };
        assert_eq!(triggers(on).admit(event), Ok(()), "{on}");
        assert_eq!(triggers(on).path_filter(name), None, "{on}");
    }
    let activity = Event { activity: Some("deleted"), ..event("push", Some("main"), None) };
    assert_eq!(triggers("{push: {types: [created]}}").admit(activity), Ok(()));
}

#[test]
fn only_the_first_300_changed_files_are_compared() {
    let on = "{push: {paths: [z]}}";
    let mut files: Vec<String> = (0..299).map(|number| format!("a{number:03}")).collect();
    files.push("z".to_owned());
    let started =
        |files: &[String]| refusal(on, Event { changed: Some(files), ..event("push", Some("main"), None) });
    assert_eq!(started(&files), "started");
    files.insert(0, "a".to_owned());
    let refused = started(&files);
    assert!(
        refused.contains("301 changed files, whose first 300 GitHub compares, (`a`, `a000`"),
        "{refused}"
    );
    // With `paths-ignore` too, a file behind them does not start it.
    let ignoring = refusal(
        "{push: {paths-ignore: ['a*']}}",
        Event { changed: Some(&files), ..event("push", Some("main"), None) },
    );
    assert!(ignoring.contains("matches its `paths-ignore`"), "{ignoring}");
}

#[test]
fn a_run_that_has_ended_starts_those_that_name_its_workflow_and_branch() {
    let on = "{workflow_run: {workflows: ['C++ (all)'], branches: ['release/**']}}";
    let ended = |workflow, branch| {
        let event = Event { workflow: Some(workflow), ..event("workflow_run", Some(branch), None) };
        refusal(on, event)
    };
    assert_eq!(ended("C++ (all)", "release/1"), "started");
    assert_eq!(
        ended("C", "release/1"),
        "1:32: the event `workflow_run` of the workflow `C` does not start this workflow: its `workflows` has C++ (all)"
    );
    assert_eq!(
        ended("C++ (all)", "main"),
        "1:57: the event `workflow_run` of the branch `main` does not start this workflow: its `branches` has release/**"
    );
}

#[test]
fn patterns_that_match_nothing_are_noted() {
    let text = "on:\n  push:\n    branches: [refs/heads/main, '!x']\n    paths: [./src/**, docs/, '!/a', 'ok/**']\n    \
                tags-ignore: ['!v1']\n  pull_request:\n    paths: ['!docs/**']\n    branches: []\njobs: {a: {runs-on: x, steps: [{run: echo}]}}";
    let notes = crate::read("ci.yml", text).unwrap().notes;
    insta::assert_snapshot!(notes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"), @"
    ci.yml:3:16: `refs/heads/main` matches nothing: a name has no `refs/heads/` here
    ci.yml:4:13: `./src/**` matches nothing: a path begins at the top of the repository: `src/**` is expected
    ci.yml:4:23: `docs/` matches nothing: a changed file is no folder: `docs/**` matches the files below it
    ci.yml:4:30: `!/a` matches nothing: a path begins at the top of the repository: `a` is expected
    ci.yml:5:19: `tags-ignore` matches nothing: patterns without `!` must come before those with `!`
    ci.yml:7:13: `paths` matches nothing: a pattern without `!` must come before those with `!`
    ci.yml:8:15: `branches` has no pattern, and filters nothing
    ");
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
        given(&[("dry", "yes"), ("level", "mid"), ("other", "1"), ("DRY", "maybe")]).unwrap_err(),
        [
            "the workflow has no input `other`: it takes level, dry, count, name, note",
            "the input `DRY` is given twice",
            "the input `level` is `mid`: one of low, high is expected",
            "the input `dry` is `maybe`: true or false is expected",
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
