//! What the stand-in gives to steps and actions, and what it refuses by name.

use serde_json::{Value, json};

use crate::harness::{Harness, Listener};

/// Submits a workflow with files of its repository. Returns the messages of a refusal.
fn refused(text: &str, files: &Value) -> Vec<String> {
    let new = json!({"repository": "acme/app", "file": "ci.yml", "text": text, "actions": files});
    let (status, reply) = Harness::new().call("POST", "/_sim/workflows", &new);
    assert!(matches!(status, 200 | 422), "{reply}");
    let messages = reply["messages"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
    messages.map(|message| message.as_str().unwrap().to_owned()).collect()
}

/// Runs the only job of a workflow. Returns it with its log.
fn run(harness: &Harness, new: &Value) -> (Value, String) {
    let mut all = json!({"repository": "acme/app", "file": "ci.yml"});
    for (key, value) in new.as_object().unwrap() {
        all[key] = value.clone();
    }
    let id = *harness.submit_with(&all).values().next().unwrap();
    assert_eq!(Listener::start(&harness.register("one", &["x"]), &[]).code(), 0);
    (harness.job_in(id, "completed"), harness.log(id))
}

#[test]
fn what_the_runner_adds_to_github_is_there() {
    let text = "
on: push
env: {WHERE: '${{ github.workspace }}', '${{ insert }}': '${{ fromJSON(''{\"MORE\":\"more\"}'') }}'}
jobs:
  build:
    runs-on: x
    strategy: {matrix: {v: [one]}}
    steps:
      - run: |
          test '${{ github.workspace }}' = \"$GITHUB_WORKSPACE\" && test \"$WHERE\" = \"$GITHUB_WORKSPACE\"
          test '${{ github.event_path }}' = \"$GITHUB_EVENT_PATH\"
          case \"$TOKEN\" in ghs_*) echo \"token with $LEFT, $MORE and ${{ matrix.v }}\";; esac
        env: {TOKEN: '${{ github.token }}', '${{ insert }}': '${{ fromJSON(''{\"LEFT\":\"left\"}'') }}'}
";
    let (job, log) = run(&Harness::new(), &json!({"text": text}));
    assert_eq!(job["conclusion"], "success", "{log}");
    assert!(log.contains("\ntoken with left, more and one\n"), "{log}");
}

#[test]
fn what_only_the_official_runner_adds_to_github_is_refused_by_its_name() {
    let text = "
on: push
jobs:
  build:
    runs-on: x
    strategy: {matrix: {v: [one]}}
    steps:
      - {run: 'echo ${{ GitHub.Action_Path }} ${{ github.env || github.output }} ${{ github.sha }}'}
      - {run: 'echo ${{ toJSON(github) }}'}
      - {run: 'echo ${{ github[matrix.v] }} ${{ github.* }}'}
      - {run: 'echo ${{ github.event.action_path }} ${{ github.actor }} ${{ toJSON(github.event) }}'}
";
    insta::assert_snapshot!(refused(text, &json!({})).join("\n"), @"
    ci.yml:8:15: an expression of `run` uses `github.action_path`, `github.env`, `github.output`, which needs the official runner: `--runner-dir DIR`
    ci.yml:9:15: an expression of `run` uses `github` as a whole, which needs the official runner: `--runner-dir DIR`
    ci.yml:10:15: an expression of `run` uses `github` as a whole, which needs the official runner: `--runner-dir DIR`
    ");
}

#[test]
fn an_action_tells_its_later_scripts_what_it_saves() {
    let harness = Harness::new();
    let script = "
        const fs = require('fs');
        const { STATE_isPost, STATE_old, INPUT_WHO } = process.env;
        if (STATE_isPost) {
            console.log(`post of ${INPUT_WHO}, ${STATE_isPost}, ${STATE_old}`);
        } else {
            fs.appendFileSync(process.env.GITHUB_STATE, `isPost=${INPUT_WHO} was here\\n`);
            console.log('::save-state name=old::one%0Atwo');
            console.log(`main of ${INPUT_WHO}`);
        }";
    let action = "{name: a, inputs: {who: {default: nobody}}, runs: {using: node20, main: a.js, post: a.js}}";
    harness.action("acme/keep@v1", &[("action.yml", action), ("a.js", script)]);
    let text = "
on: push
jobs:
  build:
    runs-on: x
    steps: [{uses: acme/keep@v1, with: {who: anna}}, {uses: acme/keep@v1}]
";
    let (job, log) = run(&harness, &json!({"text": text}));
    assert_eq!(job["conclusion"], "success", "{log}");
    for line in [
        "main of anna",
        "main of nobody",
        "post of nobody, nobody was here, one\ntwo",
        "post of anna, anna was here, one\ntwo",
    ] {
        assert_eq!(log.matches(line).count(), 1, "{line}: {log}");
    }
}

#[test]
fn the_default_of_an_input_is_evaluated_or_refused() {
    let harness = Harness::new();
    let action = |default: &str| {
        format!("{{name: a, inputs: {{a: {{default: '{default}'}}}}, runs: {{using: node20, main: a.js}}}}")
    };
    let script = "console.log(`got <${process.env.INPUT_A}>`)";
    harness.action(
        "acme/Say@v1",
        &[
            (
                "action.yml",
                &action("${{ github.repository }} at ${{ github.workspace != '''' && matrix.v }}"),
            ),
            ("a.js", script),
        ],
    );
    harness.action("acme/os@v1", &[("action.yml", &action("${{ runner.os }}")), ("a.js", script)]);
    let text = "
on: push
jobs:
  build:
    runs-on: x
    strategy: {matrix: {v: [one]}}
    steps: [{uses: Acme/say@v1}, {uses: acme/os@v1, with: {A: linux}}, {uses: acme/os@v1}]
";
    let (job, log) = run(&harness, &json!({"text": text}));
    assert_eq!(job["conclusion"], "failure", "{log}");
    assert!(log.contains("\ngot <acme/app at one>\n") && log.contains("\ngot <linux>\n"), "{log}");
    let wrong =
        "the default of the input `a`: the stand-in runner cannot evaluate the expression `${{ runner.os }}`";
    assert!(log.contains(wrong), "{log}");
    let files = json!({"local/action.yml": action("${{ runner.os }}"), "local/a.js": script});
    let text =
        "{on: push, jobs: {a: {runs-on: x, steps: [{uses: ./local}, {uses: ./local, with: {A: linux}}]}}}";
    assert_eq!(
        refused(text, &files),
        [
            "ci.yml:1:43: the default of the input `a` of `./local` uses `runner`, which needs the official runner: `--runner-dir DIR`"
        ]
    );
}

#[test]
fn a_local_action_is_found_however_its_path_is_written() {
    let action = |main: &str| format!("{{name: a, runs: {{using: node20, main: {main}}}}}");
    let files = json!({
        "action.yml": action("./i.js"), "i.js": "console.log('at the root')",
        "act/action.yml": action("../dist/i.js"), "dist/i.js": "console.log('beside')",
    });
    let text =
        "{on: push, jobs: {a: {runs-on: x, steps: [{uses: ./}, {uses: ./.}, {uses: ./dist/../act/}]}}}";
    let (job, log) = run(&Harness::new(), &json!({"text": text, "actions": files}));
    assert_eq!(job["conclusion"], "success", "{log}");
    assert_eq!((log.matches("at the root").count(), log.matches("beside").count()), (2, 1), "{log}");
}

#[test]
fn secrets_are_not_shown_and_outputs_with_one_or_without_a_value_are_left_out() {
    let text = "
on: push
jobs:
  build:
    runs-on: x
    outputs: {hidden: '${{ steps.s.outputs.hidden }}', none: '${{ steps.s.outputs.none }}', fine: '${{ steps.s.outputs.fine }}'}
    steps: [{id: s, run: 'echo \"it is hunter2!\"; echo hidden=x-hunter2 >> $GITHUB_OUTPUT; echo fine=1 >> $GITHUB_OUTPUT'}]
";
    let secrets = json!([["PASSWORD", " hunter2\n"]]);
    let (job, log) = run(&Harness::new(), &json!({"text": text, "secrets": secrets}));
    assert!(log.contains("\nit is ***!\n") && !log.contains("hunter2"), "{log}");
    assert_eq!(job["outputs"], json!({"fine": "1"}));
    let warning = "Skip output 'hidden' since it may contain secret.";
    let annotations = job["annotations"].as_array().unwrap();
    assert!(annotations.iter().any(|one| one["message"] == warning), "{annotations:?}");
}

#[test]
fn a_working_directory_that_is_not_there_is_named() {
    let text = "{on: push, jobs: {a: {runs-on: x, steps: [{run: 'true', working-directory: none/such}]}}}";
    let (job, log) = run(&Harness::new(), &json!({"text": text}));
    assert_eq!(job["conclusion"], "failure");
    assert!(log.contains("the process `bash` could not be started in the directory `"), "{log}");
    assert!(log.contains("/none/such`: "), "{log}");
}
