//! §6.3: all kinds of steps.

use serde_json::{Value, json};

use crate::client::{guid, keys};
use crate::encoding::{entry, token};
use crate::harness::Harness;
use crate::job_message::message_of;
use crate::runner::Listening;

const KEYS: [&str; 12] = [
    "condition",
    "contextName",
    "continueOnError",
    "displayNameToken",
    "enabled",
    "environment",
    "id",
    "inputs",
    "name",
    "reference",
    "timeoutInMinutes",
    "type",
];

/// Returns the steps of a job in the message. `items` are YAML items of a flow sequence.
fn steps(harness: &Harness, items: &str) -> Vec<Value> {
    let text = format!("{{on: push, jobs: {{build: {{runs-on: x, steps: [{items}]}}}}}}");
    message_of(harness, &text).message["steps"].as_array().unwrap().clone()
}

fn step(items: &str) -> Value {
    let mut steps = steps(&Harness::new(), items);
    assert_eq!(steps.len(), 1);
    steps.remove(0)
}

/// Returns the decoded input of a step.
fn input(step: &Value, name: &str) -> Option<Value> {
    entry(&token(&step["inputs"]), name).cloned()
}

#[test]
fn a_script_is_a_step_with_a_script_as_input() {
    let step = step("{run: echo hi}");
    let known: Vec<&str> = keys(&step).into_iter().filter(|key| !KEYS.contains(key)).collect();
    assert_eq!(known, Vec::<&str>::new());
    guid(&step["id"]);
    assert_eq!(step["type"], "action");
    assert_eq!(step["name"], "__run");
    assert_eq!(step["contextName"], "__run");
    assert_eq!(step["enabled"], true);
    assert_eq!(step["condition"], "success()");
    assert_eq!(step["reference"], json!({"type": "script"}));
    assert_eq!(token(&step["inputs"]), json!([["script", "echo hi"]]));
    for key in ["continueOnError", "timeoutInMinutes", "displayNameToken"] {
        assert!(step.get(key).is_none_or(Value::is_null), "{key}: {step}");
    }
}

#[test]
fn a_script_has_its_shell_its_directory_its_environment_and_its_name() {
    let step =
        step("{name: Say hello, id: hello, run: echo, shell: bash, working-directory: sub, env: {A: '1'}}");
    assert_eq!(step["contextName"], "hello");
    assert_eq!(token(&step["displayNameToken"]), "Say hello");
    assert_eq!(input(&step, "script").unwrap(), "echo");
    assert_eq!(input(&step, "shell").unwrap(), "bash");
    assert_eq!(input(&step, "workingDirectory").unwrap(), "sub");
    assert_eq!(token(&step["environment"]), json!([["A", "1"]]));
}

#[test]
fn steps_have_ids_and_context_names_of_their_own() {
    let harness = Harness::new();
    harness.action("o/act.x@v1", &[("action.yml", "runs: {using: node20, main: main.js}")]);
    let items =
        "{run: echo 1}, {run: echo 2}, {id: three, run: echo 3}, {uses: o/act.x@v1}, {uses: o/act.x@v1}";
    let steps = steps(&harness, items);
    let unique = |key: &str| {
        let mut values: Vec<&str> = steps.iter().map(|step| step[key].as_str().unwrap()).collect();
        values.sort_unstable();
        values.dedup();
        values.len()
    };
    assert_eq!((unique("id"), unique("contextName")), (5, 5), "{steps:?}");
    for step in &steps {
        // Expressions must be able to read it as `steps.<name>`.
        let name = step["contextName"].as_str().unwrap();
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)), "{name}");
    }
}

#[test]
fn an_action_of_a_repository_is_named_by_repository_reference_and_path() {
    let harness = Harness::new();
    harness.action("o/act@v1", &[("action.yml", "runs: {using: node20, main: main.js}")]);
    let step = &steps(&harness, "{uses: o/act@v1, with: {Key: 'of ${{ github.sha }}', plain: text}}")[0];
    assert_eq!(
        step["reference"],
        json!({"type": "repository", "name": "o/act", "ref": "v1", "repositoryType": "GitHub", "path": ""})
    );
    assert_eq!(input(step, "plain").unwrap(), "text");
    assert_eq!(input(step, "Key").unwrap(), json!({"expression": "format('of {0}', github.sha)"}));
    assert_eq!(step["type"], "action");
    assert_eq!(step["condition"], "success()");
    assert!(!step["contextName"].as_str().unwrap().is_empty());
}

#[test]
fn a_folder_of_an_actions_repository_becomes_its_path() {
    let harness = Harness::new();
    harness.action("o/act@v1", &[("sub/action.yml", "runs: {using: node20, main: main.js}")]);
    let step = &steps(&harness, "{uses: o/act/sub@v1}")[0];
    assert_eq!(
        step["reference"],
        json!({"type": "repository", "name": "o/act", "ref": "v1", "repositoryType": "GitHub", "path": "sub"})
    );
}

#[test]
fn an_action_of_the_workspace_has_no_repository() {
    let harness = Harness::new();
    let files = json!({"act/action.yml": "runs: {using: composite, steps: [{run: echo, shell: bash}]}"});
    let text = "{on: push, jobs: {build: {runs-on: x, steps: [{uses: ./act}]}}}";
    harness.submit_with(text, &json!({"actions": files}));
    let message = Listening::new(&harness, "one").start_job().message;
    let local: Vec<&Value> = message["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| &step["reference"])
        .filter(|reference| reference["repositoryType"] == "self")
        .collect();
    let expected =
        json!({"type": "repository", "name": null, "ref": null, "repositoryType": "self", "path": "./act"});
    assert_eq!(local, [&expected]);
}

#[test]
fn an_image_is_named_without_its_scheme() {
    let step = step("{uses: 'docker://alpine:3'}");
    assert_eq!(step["reference"], json!({"type": "containerRegistry", "image": "alpine:3"}));
}

#[test]
fn conditions_are_completed_as_the_service_completes_them() {
    for (written, completed) in [
        ("always()", "always()"),
        ("failure()", "failure()"),
        ("cancelled()", "cancelled()"),
        ("'!cancelled()'", "!cancelled()"),
        ("'${{ always() }}'", "always()"),
        ("\"github.ref == 'x'\"", "success() && (github.ref == 'x')"),
        ("\"${{ github.ref == 'x' }}\"", "success() && (github.ref == 'x')"),
        ("\"failure() && github.ref == 'x'\"", "failure() && github.ref == 'x'"),
        ("''", "success()"),
        ("false", "success() && (false)"),
        ("Always()", "Always()"),
        ("always ( )", "always ( )"),
        ("\"steps.failure.outcome == 'x'\"", "success() && (steps.failure.outcome == 'x')"),
        // The name of a function in a text is not a call.
        ("\"github.ref == 'always()'\"", "success() && (github.ref == 'always()')"),
    ] {
        let step = step(&format!("{{run: echo, if: {written}}}"));
        assert_eq!(step["condition"], completed, "{written}");
    }
}

#[test]
fn texts_with_expressions_become_calls_of_format() {
    for (written, expression) in [
        ("'${{ github.sha }}'", "github.sha"),
        ("'x ${{ github.sha }} y ${{ matrix.n }}'", "format('x {0} y {1}', github.sha, matrix.n)"),
        ("\"it's ${{ github.sha }}\"", "format('it''s {0}', github.sha)"),
        ("'a {b} ${{ github.sha }}'", "format('a {{b}} {0}', github.sha)"),
        ("\"${{ format('}}{0}', github.sha) }}\"", "format('}}{0}', github.sha)"),
        ("\"a ${{ 'it''s }}' }} b\"", "format('a {0} b', 'it''s }}')"),
    ] {
        let step = step(&format!("{{run: {written}}}"));
        assert_eq!(input(&step, "script").unwrap(), json!({"expression": expression}), "{written}");
    }
}

#[test]
fn texts_without_expressions_stay_as_they_are() {
    for text in ["it's {0} $HOME", "a }} b", "$ {{ github.sha }}"] {
        let step = step(&format!("{{run: {}}}", json!(text)));
        assert_eq!(input(&step, "script").unwrap(), *text);
    }
}

#[test]
fn a_name_and_an_environment_may_hold_expressions() {
    let step = step("{name: 'Build ${{ github.sha }}', run: echo, env: {A: '${{ github.ref }}'}}");
    assert_eq!(token(&step["displayNameToken"]), json!({"expression": "format('Build {0}', github.sha)"}));
    assert_eq!(token(&step["environment"]), json!([["A", {"expression": "github.ref"}]]));
}

#[test]
fn flags_and_limits_are_values_of_their_types_or_expressions() {
    let literal = step("{run: echo, continue-on-error: true, timeout-minutes: 5}");
    assert_eq!(token(&literal["continueOnError"]), true);
    assert_eq!(token(&literal["timeoutInMinutes"]).as_f64(), Some(5.0));
    let off = step("{run: echo, continue-on-error: false}");
    assert_eq!(token(&off["continueOnError"]), false);
    let computed =
        step("{run: echo, continue-on-error: '${{ matrix.soft }}', timeout-minutes: '${{ matrix.n }}'}");
    assert_eq!(token(&computed["continueOnError"]), json!({"expression": "matrix.soft"}));
    assert_eq!(token(&computed["timeoutInMinutes"]), json!({"expression": "matrix.n"}));
}
