//! §6.1 and §6.2: the contexts of expressions.

use serde_json::{Value, json};

use crate::encoding::context;
use crate::harness::Harness;
use crate::job_message::message_of;
use crate::runner::Listening;

/// The keys that become `GITHUB_*` variables, without those that the runner itself adds.
const VARIABLES: [&str; 23] = [
    "actor",
    "actor_id",
    "api_url",
    "base_ref",
    "event_name",
    "graphql_url",
    "head_ref",
    "job",
    "ref",
    "ref_name",
    "ref_type",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "retention_days",
    "run_attempt",
    "run_id",
    "run_number",
    "server_url",
    "sha",
    "triggering_actor",
    "workflow",
];

const SIMPLE: &str = "{name: CI, on: push, jobs: {build: {runs-on: x, steps: [{run: echo hi}]}}}";

fn contexts(message: &Value) -> Value {
    let data = message["contextData"].as_object().unwrap();
    data.iter().map(|(name, value)| (name.clone(), context(value))).collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn every_context_of_the_specification_is_there() {
    let harness = Harness::new();
    let all = contexts(&message_of(&harness, SIMPLE).message);
    for name in ["github", "needs", "inputs", "matrix", "strategy", "vars"] {
        assert!(all.get(name).is_some(), "{name}: {all}");
    }
    assert!(all["github"].is_object() && all["needs"].is_object() && all["vars"].is_object(), "{all}");
    assert!(all["inputs"].is_null() || all["inputs"].is_object(), "{all}");
    assert_eq!(all["matrix"], Value::Null);
}

#[test]
fn the_github_context_has_every_variable_with_its_type() {
    let harness = Harness::new();
    let job = message_of(&harness, SIMPLE);
    let github = &contexts(&job.message)["github"];
    for name in VARIABLES.into_iter().chain(["workflow_ref", "workflow_sha"]) {
        assert!(github[name].is_string(), "{name}: {}", github[name]);
    }
    for (name, value) in github.as_object().unwrap() {
        assert_eq!(
            value.is_string(),
            !["event", "ref_protected"].contains(&name.as_str()),
            "{name}: {value}"
        );
    }
    for (name, value) in [
        ("repository", "acme/app"),
        ("repository_owner", "acme"),
        ("event_name", "push"),
        ("ref", "refs/heads/main"),
        ("ref_name", "main"),
        ("ref_type", "branch"),
        ("base_ref", ""),
        ("head_ref", ""),
        ("job", "build"),
        ("workflow", "CI"),
        ("workflow_ref", "acme/app/.github/workflows/ci.yml@refs/heads/main"),
        ("run_attempt", "1"),
        ("repositoryUrl", "git://github.com/acme/app.git"),
        ("server_url", harness.url.as_str()),
    ] {
        assert_eq!(github[name], value, "{name}");
    }
    // A text would count as true in a condition.
    assert_eq!(github["ref_protected"], false);
    let event = &github["event"];
    assert_eq!(github["actor_id"], event["sender"]["id"].to_string());
    assert_eq!(github["repository_owner_id"], event["repository"]["owner"]["id"].to_string());
    for name in ["actor_id", "repository_id", "repository_owner_id", "retention_days", "run_id", "run_number"]
    {
        assert!(github[name].as_str().unwrap().parse::<u64>().is_ok(), "{name}: {}", github[name]);
    }
    let sha = github["sha"].as_str().unwrap();
    assert!(sha.len() == 40 && sha.chars().all(|c| c.is_ascii_hexdigit()), "{sha}");
    assert!(github["api_url"].as_str().unwrap().starts_with(&harness.url), "{}", github["api_url"]);
}

#[test]
fn a_push_has_the_event_of_a_push() {
    let harness = Harness::new();
    let github = &contexts(&message_of(&harness, SIMPLE).message)["github"];
    let event = &github["event"];
    assert_eq!(event["ref"], "refs/heads/main");
    assert_eq!(event["after"], github["sha"]);
    assert_eq!(event["repository"]["full_name"], "acme/app");
    assert_eq!(event["repository"]["private"], true);
    assert_eq!(event["repository"]["owner"]["login"], "acme");
    assert_eq!(event["repository"]["id"].to_string(), github["repository_id"].as_str().unwrap());
    assert!(event["sender"]["login"].is_string(), "{event}");
}

/// The commit of a run, as the demo reads it from a repository.
fn commit(parent: Option<&str>) -> Value {
    let (ann, bob) =
        (json!({"name": "Ann", "email": "a@example.com"}), json!({"name": "Bob", "email": "b@example.com"}));
    json!({"tree_id": "3".repeat(40), "message": "Mend it [skip]\n\nWhy.", "timestamp": "2026-12-01T01:02:03+01:00",
        "author": ann, "committer": bob, "parent": parent})
}

/// Returns the context `github` of a run whose workflow has a `run-name`.
fn github_of(event: &str, on: &str, more: &Value) -> Value {
    let harness = Harness::new();
    let mut new = json!({"event": event});
    new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let text = SIMPLE.replace("on: push", &format!("run-name: shown, on: {on}"));
    harness.submit_with(&text, &new);
    contexts(&Listening::new(&harness, "one").start_job().message)["github"].clone()
}

#[test]
fn a_push_has_its_commit_and_the_commit_before() {
    let before = "2".repeat(40);
    let given = json!({"head_sha": "1".repeat(40), "commit": commit(Some(&before))});
    let event = github_of("push", "push", &given)["event"].clone();
    let head = &event["head_commit"];
    assert_eq!((&head["id"], &head["message"]), (&event["after"], &json!("Mend it [skip]\n\nWhy.")));
    assert_eq!(head["tree_id"], "3".repeat(40));
    assert_eq!(head["timestamp"], "2026-12-01T01:02:03+01:00");
    assert_eq!((&head["author"]["name"], &head["committer"]["name"]), (&json!("Ann"), &json!("Bob")));
    assert!(
        head["url"].as_str().unwrap().ends_with(&format!("/acme/app/commit/{}", "1".repeat(40))),
        "{head}"
    );
    assert_eq!(event["commits"], json!([head]));
    assert_eq!((&event["before"], &event["created"]), (&json!(before), &json!(false)));

    let zeros = json!("0".repeat(40));
    let event = github_of("push", "push", &json!({"commit": commit(None)}))["event"].clone();
    assert_eq!((&event["before"], &event["created"]), (&zeros, &json!(true)), "a first commit");
    let tag = json!({"tag": "v1", "commit": commit(Some(&before))});
    let event = github_of("push", "push", &tag)["event"].clone();
    assert_eq!((&event["before"], &event["created"], &event["commits"]), (&zeros, &json!(true), &json!([])));
    let event = github_of("push", "push", &json!({}))["event"].clone();
    assert_eq!(event["head_commit"]["message"], "Update ci.yml", "without a repository");
}

#[test]
fn a_pull_request_has_the_subject_of_its_commit_as_title() {
    let given = json!({"commit": commit(None), "head_branch": "topic"});
    for event in ["pull_request", "pull_request_target", "pull_request_review"] {
        let github = github_of(event, event, &given);
        assert_eq!(github["event"]["pull_request"]["title"], "Mend it [skip]", "{event}");
        let branches = if event == "pull_request_review" { ["", ""] } else { ["topic", "main"] };
        assert_eq!([&github["head_ref"], &github["base_ref"]], branches, "{event}");
    }
}

#[test]
fn other_events_have_what_the_workflow_and_the_tag_say() {
    let schedule = "{schedule: [{cron: '0 4 * * 1'}, {cron: '5 5 * * *'}]}";
    let event = github_of("schedule", schedule, &json!({}))["event"].clone();
    assert_eq!(
        (&event["schedule"], &event["workflow"]),
        (&json!("0 4 * * 1"), &json!(".github/workflows/ci.yml"))
    );
    let event = github_of("release", "release", &json!({"tag": "v1.2"}))["event"].clone();
    assert_eq!(
        event["release"],
        json!({"tag_name": "v1.2", "name": "v1.2", "draft": false, "prerelease": false})
    );
    let on = "{workflow_run: {workflows: [Build, Test], types: [completed]}}";
    let event = github_of("workflow_run", on, &json!({"head_sha": "1".repeat(40)}))["event"].clone();
    let followed = &event["workflow_run"];
    for (key, value) in [
        ("name", json!("Build")),
        ("event", json!("push")),
        ("status", json!("completed")),
        ("conclusion", json!("success")),
        ("head_branch", json!("main")),
        ("head_sha", json!("1".repeat(40))),
    ] {
        assert_eq!(followed[key], value, "{key}");
    }
    assert!(followed["id"].is_u64() && followed["head_commit"]["message"].is_string(), "{followed}");
    for repository in ["repository", "head_repository"] {
        assert_eq!(followed[repository]["full_name"], "acme/app", "{followed}");
    }
    let harness = Harness::new();
    let notes = |event: &str, more: Value| {
        let mut new = json!({"repository": "acme/app", "file": "ci.yml", "event": event,
            "text": SIMPLE.replace("on: push", &format!("on: {event}"))});
        new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        harness.sim("workflows", &new)["notes"].clone()
    };
    let missing = "`github.event` has only what all events have: `--payload FILE` gives the rest of `issues`";
    assert_eq!(notes("issues", json!({})), json!([missing]));
    assert_eq!(notes("issues", json!({"payload": {"issue": {"number": 1}}})), json!([]));
    let missing = "`github.event` has no `release`: `--tag NAME` or `--payload FILE` gives it";
    assert_eq!(notes("release", json!({})), json!([missing]));
    assert_eq!(notes("release", json!({"tag": "v1"})), json!([]));
    assert_eq!(notes("push", json!({})), json!([]));
}

#[test]
fn a_pull_request_from_a_fork_has_its_event_and_references() {
    let harness = Harness::new();
    let more = json!({"event": "pull_request", "head_repository": "mallory/app", "head_branch": "topic"});
    harness.submit_with(&SIMPLE.replace("on: push", "on: pull_request"), &more);
    let message = Listening::new(&harness, "one").start_job().message;
    let github = &contexts(&message)["github"];
    let event = &github["event"];
    let number = event["number"].as_u64().unwrap();
    for (name, value) in [
        ("event_name", "pull_request".to_owned()),
        ("ref", format!("refs/pull/{number}/merge")),
        ("ref_name", format!("{number}/merge")),
        ("base_ref", "main".to_owned()),
        ("head_ref", "topic".to_owned()),
        ("repository", "acme/app".to_owned()),
    ] {
        assert_eq!(github[name], value, "{name}");
    }
    let pull_request = &event["pull_request"];
    assert_eq!(pull_request["number"], number);
    assert_eq!(pull_request["base"]["ref"], "main");
    assert_eq!(pull_request["base"]["repo"]["full_name"], "acme/app");
    assert_eq!(pull_request["head"]["ref"], "topic");
    assert_eq!(pull_request["head"]["repo"]["full_name"], "mallory/app");
    assert_eq!(pull_request["head"]["repo"]["fork"], true);
    assert!(pull_request["head"]["sha"].is_string(), "{event}");
    assert!(event["action"].is_string(), "{event}");
}

#[test]
fn the_base_branch_of_a_pull_request_is_the_default_branch_or_what_is_given() {
    let base_sha = "1".repeat(40);
    for (more, base) in [
        (json!({"default_branch": "next"}), "next"),
        (json!({"default_branch": "next", "base_branch": "v1"}), "v1"),
        (json!({"payload": {"pull_request": {"base": {"ref": "v2"}, "draft": true}}}), "v2"),
    ] {
        let harness = Harness::new();
        for event in ["pull_request", "pull_request_target"] {
            let mut new = json!({"event": event, "head_branch": "topic", "base_sha": base_sha});
            new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let on = format!("on: {{{event}: {{branches: [{base}]}}}}");
            harness.submit_with(&SIMPLE.replace("on: push", &on), &new);
            let message = Listening::new(&harness, event).start_job().message;
            let github = &contexts(&message)["github"];
            let (head, pull) = (&github["event"]["pull_request"]["head"], &github["event"]["pull_request"]);
            assert_eq!(
                (github["base_ref"].as_str(), github["head_ref"].as_str()),
                (Some(base), Some("topic"))
            );
            assert_eq!(
                (pull["base"]["ref"].as_str(), pull["base"]["sha"].as_str()),
                (Some(base), Some(&*base_sha))
            );
            assert_eq!(head["ref"], "topic", "what is given beside it stays");
            let default = more["default_branch"].as_str().unwrap_or("main");
            assert_eq!(github["event"]["repository"]["default_branch"], default);
            if event == "pull_request_target" {
                assert_eq!(github["ref"], format!("refs/heads/{base}"));
                assert_eq!(github["sha"], base_sha.as_str(), "it sees the base branch, not the change");
            } else {
                assert_eq!(github["sha"], head["sha"]);
            }
        }
    }
}

#[test]
fn a_matrix_keeps_the_types_of_its_values() {
    let harness = Harness::new();
    let text = "
on: push
jobs:
  build:
    runs-on: x
    strategy:
      matrix:
        size: [2]
        ratio: [1.5]
        fast: [true]
        name: [a b]
    steps: [{run: echo}]
";
    let all = contexts(&message_of(&harness, text).message);
    assert_eq!(all["matrix"], json!({"size": 2, "ratio": 1.5, "fast": true, "name": "a b"}));
}

#[test]
fn the_strategy_counts_the_jobs_of_a_matrix() {
    let harness = Harness::new();
    let text =
        "{on: push, jobs: {build: {runs-on: x, strategy: {matrix: {n: [1, 2]}}, steps: [{run: echo}]}}}";
    harness.submit(text);
    let mut seen = Vec::new();
    for name in ["one", "two"] {
        let job = Listening::new(&harness, name).start_job();
        let all = contexts(&job.message);
        assert_eq!(all["strategy"]["job-total"], 2);
        assert!(all["strategy"]["fail-fast"].is_boolean(), "{all}");
        assert!(all["strategy"]["max-parallel"].is_number(), "{all}");
        let id = job.variable("system.orchestrationId").to_owned();
        assert!(id.starts_with(&format!("{}.build.", job.plan)), "{id}");
        seen.push((all["strategy"]["job-index"].as_u64().unwrap(), all["matrix"]["n"].as_u64().unwrap(), id));
    }
    seen.sort_unstable();
    assert_eq!([(seen[0].0, seen[0].1), (seen[1].0, seen[1].1)], [(0, 1), (1, 2)]);
    assert_ne!(seen[0].2, seen[1].2, "two jobs of a run have different ids");
}

#[test]
fn needs_hold_each_result_even_of_a_job_without_outputs() {
    let harness = Harness::new();
    harness.submit(
        "
on: push
jobs:
  first: {runs-on: x, steps: [{run: echo}]}
  second: {needs: [first], runs-on: x, steps: [{run: echo}]}
",
    );
    Listening::new(&harness, "one").start_job().complete("succeeded").is_success();
    let all = contexts(&Listening::new(&harness, "two").start_job().message);
    assert_eq!(all["needs"], json!({"first": {"result": "success", "outputs": {}}}));
}
