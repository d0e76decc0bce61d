//! The filters of an event: what does not start a workflow, and with what they are compared.

use serde_json::{Value, json};

use crate::harness::Harness;

const JOBS: &str = "jobs: {a: {runs-on: x, steps: [{run: echo}]}}";

/// Submits a workflow, and returns its notes, or why it is not started.
fn told(on: &str, more: &Value) -> Vec<String> {
    let mut new =
        json!({"repository": "acme/app", "file": "ci.yml", "text": format!("{{on: {on}, {JOBS}}}")});
    for (key, value) in more.as_object().unwrap() {
        new[key] = value.clone();
    }
    let (status, reply) = Harness::new().call("POST", "/_sim/workflows", &new);
    let texts = if status == 200 { &reply["notes"] } else { &reply["messages"] };
    texts.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_filter_by_path_is_compared_with_the_changed_files_and_says_so() {
    let on = "{push: {paths: ['src/**']}}";
    let changes = |files: Value, of: &str| json!({"changes": {"files": files, "of": of}});
    assert_eq!(
        told(on, &changes(json!(["src/a.rs"]), "the 1 file that changed from x to y")),
        ["ci.yml:1:21: `paths` is compared with the 1 file that changed from x to y"]
    );
    assert_eq!(
        told(on, &changes(json!(["a.md"]), "the 1 file that changed from x to y")),
        [
            "ci.yml:1:21: the event `push` does not start this workflow: the changed file `a.md` does not match its `paths`, \
          which has src/** (compared with the 1 file that changed from x to y; `--changed FILE` names other files)"
        ]
    );
    assert_eq!(
        told(on, &changes(Value::Null, "there is no Git repository")),
        ["ci.yml:1:21: `paths` is taken as matched: there is no Git repository"]
    );
    let mut tag = changes(json!(["a.md"]), "x");
    tag["tag"] = json!("v1");
    assert_eq!(told(on, &tag), ["ci.yml:1:21: `paths` is not looked at for a tag, as at GitHub"]);
}

#[test]
fn branches_are_those_of_the_base_of_the_run_that_ended_or_of_the_queue() {
    let branch = |name: &str, what: &str| {
        format!(
            "the event `{what}` of the branch `{name}` does not start this workflow: its `branches` has v1"
        )
    };
    for (event, more, name) in [
        ("pull_request", json!({"head_branch": "v1"}), "main"),
        ("pull_request", json!({"default_branch": "trunk"}), "trunk"),
        ("pull_request", json!({"default_branch": "v1", "base_branch": "v2"}), "v2"),
        ("pull_request_target", json!({"payload": {"pull_request": {"base": {"ref": "v3"}}}}), "v3"),
        ("workflow_run", json!({"head_branch": "topic"}), "topic"),
        ("workflow_run", json!({"payload": {"workflow_run": {"head_branch": "next"}}}), "next"),
        ("merge_group", json!({"payload": {"merge_group": {"base_ref": "refs/heads/v4"}}}), "v4"),
        ("push", json!({"head_branch": "topic"}), "topic"),
    ] {
        let workflows = if event == "workflow_run" { "workflows: [Build], " } else { "" };
        let mut more = more;
        more["event"] = json!(event);
        let refused = told(&format!("{{{event}: {{{workflows}branches: [v1]}}}}"), &more);
        assert!(refused[0].ends_with(&branch(name, event)), "{more}: {refused:?}");
    }
    let started = json!({"event": "pull_request", "base_branch": "v1"});
    assert!(told("{pull_request: {branches: [v1]}}", &started).is_empty());
}

#[test]
fn a_run_that_ended_is_one_of_a_workflow_that_is_named() {
    let on = "{workflow_run: {workflows: [Build], types: [completed]}}";
    assert!(told(on, &json!({"event": "workflow_run"})).is_empty());
    let other = json!({"event": "workflow_run", "payload": {"workflow_run": {"name": "Test"}}});
    assert!(told(on, &other)[0].ends_with("its `workflows` has Build"));
}
