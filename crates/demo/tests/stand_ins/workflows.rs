use serde_json::{Value, json};

use crate::harness::{Harness, Listener};

#[test]
fn a_matrix_expands_and_needs_wait_or_skip() {
    let harness = Harness::new();
    let jobs = harness.submit(
        "
name: CI
on: push
jobs:
  build:
    name: Build
    runs-on: ['self-hosted', 'class:${{ matrix.class }}']
    strategy:
      fail-fast: false
      matrix:
        class: [small, large]
        version: [1, 2]
        exclude: [{class: large, version: 1}]
        include: [{class: small, version: 1, extra: yes}]
    steps: [{run: 'exit ${{ matrix.version }}'}]
  deploy: {needs: build, runs-on: x, steps: [{run: 'true'}]}
  after: {needs: [deploy], runs-on: x, steps: [{run: 'true'}]}
  alone: {runs-on: x, steps: [{run: 'true'}]}
  last: {needs: alone, runs-on: x, steps: [{run: 'true'}]}
",
    );
    let names: Vec<&str> = jobs.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["Build (large, 2)", "Build (small, 1)", "Build (small, 2)", "after", "alone", "deploy", "last"]
    );
    harness.job_in(jobs["deploy"], "blocked");
    for (name, label) in
        [("a", "class:small"), ("b", "class:small"), ("c", "class:large"), ("d", "x"), ("e", "x")]
    {
        assert_eq!(Listener::start(&harness.register(name, &["self-hosted", label]), &[]).code(), 0);
    }
    let state = harness.wait("completed=7&unregistered=true");
    assert_eq!(
        conclusions(&state),
        json!({
            "Build (small, 1)": "failure",
            "Build (small, 2)": "failure",
            "Build (large, 2)": "failure",
            "deploy": "skipped",
            "after": "skipped",
            "alone": "success",
            "last": "success",
        })
    );
}

fn refused(text: &str) -> Vec<String> {
    let new = json!({"repository": "acme/app", "file": ".github/workflows/ci.yml", "text": text});
    let (status, reply) = Harness::new().call("POST", "/_sim/workflows", &new);
    assert_eq!(status, 422, "{reply}");
    let messages = reply["messages"].as_array().unwrap().iter();
    messages.map(|message| message.as_str().unwrap().replace(".github/workflows/ci.yml:", "")).collect()
}

#[test]
fn what_github_would_refuse_is_refused_at_once_by_line_and_column() {
    let messages = refused(
        "
on: push
jobs:
  build: {runs-on: x, step: []}
  test:
    runs-on: x
    needs: [nobody]
    steps: [{run: 'echo ${{ secret.TOKEN }}'}]
",
    );
    insta::assert_snapshot!(messages.join("\n"), @"
    4:23: `step` is not a key of a job: `name`, `needs`, `if`, `runs-on`, `permissions`, `environment`, `concurrency`, `outputs`, `env`, `defaults`, `steps`, `timeout-minutes`, `cancel-timeout-minutes`, `strategy`, `continue-on-error`, `container`, `services` or `snapshot` is expected
    7:13: job `test` needs `nobody`, which is not a job: one of `build`, `test` is expected
    8:19: `run`: the expression `secret.TOKEN` uses `secret`, which is not a context: github, inputs, vars, needs, strategy, matrix, secrets, steps, job, runner or env is expected
    ");
}

#[test]
fn what_the_stand_in_cannot_execute_is_refused_by_its_name() {
    let messages = refused(
        "
on: push
env: {TOKEN: '${{ secrets.TOKEN }}'}
jobs:
  build:
    runs-on: self-hosted
    outputs: {fine: '${{ steps.a.outputs.b }}', more: 'v${{ steps.a.outputs.b }}'}
    services: {db: {image: postgres, env: {A: '${{ secrets.A }}'}}}
    container: debian
    steps:
      - uses: actions/checkout@v4
      - {name: Deploy, run: 'echo ${{ github.sha }}${{ steps.a.outputs.b }}', if: github.ref == 'x'}
      - {uses: ./missing, timeout-minutes: 5}
      - {run: 'true', shell: pwsh}
      - {uses: 'docker://alpine'}
      - {run: serve, background: true}
",
    );
    insta::assert_snapshot!(messages.join("\n"), @"
    3:14: an expression of `env` uses `secrets`, which needs the official runner: `--runner-dir DIR`
    7:55: the output `more` is more than the output of a step, which needs the official runner: `--runner-dir DIR`
    8:47: an expression of `services` uses `secrets`, which needs the official runner: `--runner-dir DIR`
    9:16: the job has a `container`, which needs the official runner: `--runner-dir DIR`
    11:9: uses `actions/checkout@v4`, which was not given: `--action actions/checkout@v4=DIR` gives it from a directory, and `--online` from GitHub
    12:9: the step has the condition `github.ref == 'x'`, which needs the official runner: `--runner-dir DIR`
    12:29: an expression of `run` uses `steps`, which needs the official runner: `--runner-dir DIR`
    13:9: uses `./missing`, whose action.yml was not given with the workflow
    13:44: the step has `timeout-minutes`, which needs the official runner: `--runner-dir DIR`
    14:30: the step has the shell `pwsh`, which needs the official runner: `--runner-dir DIR`
    15:9: the step uses the image `alpine`, which needs the official runner: `--runner-dir DIR`
    16:9: the step is executed in the background, which needs the official runner: `--runner-dir DIR`
    ");
}

#[test]
fn an_event_that_does_not_start_the_workflow_and_wrong_inputs_are_refused() {
    let new = |more: Value| {
        let text = "{on: {push: {branches: [main]}, workflow_dispatch: {inputs: {level: {type: number}}}}, jobs: {a: {runs-on: x, steps: [{run: echo}]}}}";
        let mut new = json!({"repository": "acme/app", "file": "ci.yml", "text": text});
        more.as_object().unwrap().iter().for_each(|(key, value)| new[key] = value.clone());
        Harness::new().call("POST", "/_sim/workflows", &new)
    };
    for (more, expected) in [
        (
            json!({"event": "release"}),
            "1: the event `release` does not start this workflow: it runs on push, workflow_dispatch",
        ),
        (
            json!({"head_branch": "dev"}),
            "24: the event `push` of the branch `dev` does not start this workflow: its `branches` has main",
        ),
        (
            json!({"inputs": [["a", "b"]]}),
            "1: the input `a` is given, but the event is `push`: only `workflow_dispatch` has inputs",
        ),
        (
            json!({"event": "workflow_dispatch", "inputs": [["level", "x"]]}),
            "1: the input `level` is `x`: a number is expected",
        ),
    ] {
        let (status, reply) = new(more);
        assert_eq!((status, &reply["messages"][0]), (422, &json!(format!("ci.yml:1:{expected}"))));
    }
    assert_eq!(new(json!({"event": "workflow_dispatch", "inputs": [["level", "3"]]})).0, 200);
}

/// Returns the conclusions of all jobs by name.
pub(crate) fn conclusions(state: &Value) -> Value {
    let jobs = state["jobs"].as_array().unwrap().iter();
    let pairs = jobs.map(|job| (job["name"].as_str().unwrap().to_owned(), job["conclusion"].clone()));
    Value::Object(pairs.collect())
}

/// Runs a workflow's jobs one after the other on listeners with the label `x`. Returns names and conclusions.
fn run(harness: &Harness, text: &str, jobs: usize) -> Value {
    harness.submit(text);
    let mut done = 0;
    for number in 0.. {
        let state = harness.call("GET", "/_sim/state", &Value::Null).1;
        done = state["jobs"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|job| job["state"] == "completed")
            .count()
            .max(done);
        if done >= jobs {
            break;
        }
        let jit = harness.register(&format!("runner-{number}"), &["self-hosted", "x"]);
        assert_eq!(Listener::start(&jit, &[]).code(), 0);
    }
    conclusions(&harness.wait(&format!("completed={jobs}")))
}

#[test]
fn outputs_lead_to_the_jobs_of_a_matrix_and_to_conditions() {
    let harness = Harness::new();
    let ended = run(
        &harness,
        "
on: push
jobs:
  plan:
    runs-on: x
    outputs: {list: '${{ steps.s.outputs.list }}', level: '${{ steps.s.outputs.level }}'}
    steps:
      - id: s
        run: |
          echo 'list=[\"a\",{\"b\":2}]' >> \"$GITHUB_OUTPUT\"
          printf 'level<<END\\nhigh\\nEND\\n' >> \"$GITHUB_OUTPUT\"
  shard:
    needs: plan
    runs-on: x
    strategy: {max-parallel: 1, matrix: {n: '${{ fromJSON(needs.plan.outputs.list) }}'}}
    defaults: {run: {shell: bash}}
    steps: [{run: 'test \"${{ needs.plan.outputs.level }}\" = high && shopt -qo pipefail'}]
  off: {needs: plan, if: needs.plan.outputs.level != 'high', runs-on: x, steps: [{run: exit 1}]}
",
        4,
    );
    assert_eq!(
        ended,
        json!({"plan": "success", "shard (a)": "success", "off": "skipped", "shard (2)": "success"})
    );
}

#[test]
fn a_job_checks_out_the_repository_of_its_workflow() {
    let harness = Harness::new();
    let folder = tempfile::tempdir().unwrap();
    let git = |args: &[&str]| {
        let mut command = std::process::Command::new("git");
        command
            .args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"])
            .args(args);
        let output = command.current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    git(&["init", "-q"]);
    for text in ["one", "two"] {
        std::fs::write(folder.path().join("a.txt"), text).unwrap();
        git(&["add", "."]);
        git(&["commit", "-qm", text]);
    }
    let sha = git(&["rev-parse", "HEAD"]);
    harness.sim("git", &json!({"repository": "acme/app", "directory": folder.path().join(".git")}));
    let text = "
on: push
jobs:
  a:
    runs-on: x
    steps:
      - {uses: actions/checkout@v4, with: {fetch-depth: 0, persist-credentials: false}}
      - run: |
          test \"$(cat a.txt)\" = two && test \"$(git rev-parse HEAD)\" = \"$GITHUB_SHA\"
          test \"$(git rev-list --count HEAD)\" = 2 && test \"$(git branch --show-current)\" = main
          test -z \"$(git config --get-regexp extraheader)\"
      - {uses: actions/checkout@v4, with: {path: sub, ref: main}}
      - run: test \"$(cat sub/a.txt)\" = two && test \"$(git -C sub rev-list --count HEAD)\" = 1
";
    let new = json!({"repository": "acme/app", "file": "ci.yml", "text": text, "head_sha": sha});
    let job = harness.submit_with(&new)["a"];
    assert_eq!(Listener::start(&harness.register("one", &["x"]), &[]).code(), 0);
    assert_eq!(harness.job_in(job, "completed")["conclusion"], "success", "{}", harness.log(job));
}

#[test]
fn a_run_has_pages_with_its_steps_logs_outputs_and_annotations() {
    let harness = Harness::new();
    let text = "
name: <CI>
on: push
jobs:
  build:
    runs-on: x
    outputs: {version: '${{ steps.v.outputs.version }}'}
    steps:
      - {id: v, name: Find <it>, run: 'echo version=1.2 >> $GITHUB_OUTPUT; echo so far; echo \"<b>\"'}
  broken: {needs: build, runs-on: x, strategy: {matrix: '${{ fromJSON(needs.build.outputs.version) }}'}, steps: [{run: echo}]}
";
    let jobs = harness.submit(text);
    let state = harness.call("GET", "/_sim/state", &Value::Null).1;
    let run = &state["runs"][0]["id"];
    let get = |path: &str| match harness.call("GET", path, &Value::Null) {
        (200, Value::String(text)) => text,
        other => panic!("{path}: {other:?}"),
    };
    let (run, job) = (format!("/acme/app/actions/runs/{run}"), jobs["build"]);
    let waiting = get(&run);
    assert!(waiting.contains("http-equiv=\"refresh\"") && waiting.contains(">queued<"), "{waiting}");
    assert_eq!(Listener::start(&harness.register("one", &["x"]), &[]).code(), 0);
    harness.job_in(job, "completed");
    let ended = get(&run);
    assert!(!ended.contains("http-equiv=\"refresh\""), "{ended}");
    assert!(
        ended.contains("<h1>&lt;CI&gt;</h1>") && ended.contains(&format!("/job/{job}\">build</a>")),
        "{ended}"
    );
    assert!(ended.contains("build: output version = <code>1.2</code>"), "{ended}");
    assert!(ended.contains("<li class=\"error\">broken: failure: "), "{ended}");
    let page = get(&format!("{run}/job/{job}"));
    assert!(page.contains("<td>Find &lt;it&gt;</td><td>success</td>"), "{page}");
    assert!(page.contains("\nso far\n&lt;b&gt;\n"), "{page}");
    for path in [format!("/acme/other/actions/runs/1/job/{job}"), format!("{run}/job/999999")] {
        assert_eq!(harness.call("GET", &path, &Value::Null).0, 404, "{path}");
    }
}

#[test]
fn a_group_without_a_name_is_refused_and_what_has_no_effect_is_told() {
    let messages = refused(
        "{on: push, concurrency: {group: '${{ github.head_ref }}'}, jobs: {a: {runs-on: x, steps: [{run: echo}]}}}",
    );
    insta::assert_snapshot!(messages.join("\n"), @"1:25: `concurrency`: the name of the concurrency group is empty");
    let text =
        "{on: {push: {paths: ['docs/**'], types: [x]}}, jobs: {a: {runs-on: x, steps: [{run: echo}]}}}";
    let new = json!({"repository": "acme/app", "file": "ci.yml", "text": text});
    let reply = Harness::new().sim("workflows", &new);
    insta::assert_json_snapshot!(reply["notes"], @r#"
    [
      "ci.yml:1:34: `types` has no effect on the event `push`",
      "ci.yml:1:42: `x` is not an activity of `push`, which has none",
      "ci.yml:1:21: `paths` is taken as matched: no diff is given"
    ]
    "#);
}

#[test]
fn an_event_has_the_first_activity_that_starts_the_workflow_unless_another_is_given() {
    let harness = Harness::new();
    let jobs = "jobs: {a: {name: 'after ${{ github.event.action }}', runs-on: x, steps: [{run: echo}]}}";
    for (on, event, payload, name) in [
        ("pull_request", "pull_request", json!({}), "after opened"),
        ("{pull_request: {types: [closed]}}", "pull_request", json!({}), "after closed"),
        ("{release: {types: [released]}}", "release", json!({}), "after released"),
        ("issues", "issues", json!({"action": "labeled"}), "after labeled"),
    ] {
        let new = json!({"repository": "acme/app", "file": "ci.yml", "text": format!("{{on: {on}, {jobs}}}"),
            "event": event, "payload": payload});
        assert!(harness.submit_with(&new).contains_key(name), "{on}");
    }
    let new = json!({"repository": "acme/app", "file": "ci.yml", "event": "pull_request",
        "text": format!("{{on: pull_request, {jobs}}}"), "payload": {"action": "labeled"}});
    assert_eq!(harness.call("POST", "/_sim/workflows", &new).0, 422);
}

#[test]
fn a_called_workflow_that_cannot_be_downloaded_is_refused_with_the_reason() {
    let harness = Harness::new();
    // Nothing listens there.
    harness.sim("upstream", &json!({"url": "http://127.0.0.1:1"}));
    let text = "{on: push, jobs: {a: {uses: acme/other/.github/workflows/ci.yml@v1}}}";
    let new = json!({"repository": "acme/app", "file": "ci.yml", "text": text});
    let (_, reply) = harness.call("POST", "/_sim/workflows", &new);
    let message = reply["messages"][0].as_str().unwrap();
    assert!(message.starts_with("ci.yml:1:29: "), "{message}");
    assert!(message.contains("acme/other@v1 was not downloaded: "), "{message}");
}
