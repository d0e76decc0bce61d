//! What a job of a workflow adds to the message: its matrix, needs, inputs, secrets, environment and containers.

use serde_json::{Value, json};

use crate::encoding::{context, token};
use crate::harness::Harness;
use crate::job_message::message_of;
use crate::runner::Listening;

#[test]
fn a_job_has_its_inputs_secrets_variables_and_permissions() {
    let harness = Harness::new();
    let text = "
on: {workflow_dispatch: {inputs: {dry: {type: boolean}, level: {type: number, default: 2}, who: {required: true}}}}
permissions: {contents: read, pull-requests: write}
jobs: {build: {runs-on: x, steps: [{run: echo}]}}
";
    let more = json!({
        "executor": "official", "event": "workflow_dispatch", "inputs": [["who", "Ann"]],
        "secrets": [["KEY", "hunter2"]], "vars": [["REGION", "north"]],
    });
    harness.submit_with(text, &more);
    let message = Listening::new(&harness, "one").start_job().message;
    assert_eq!(context(&message["contextData"]["inputs"]), json!({"dry": false, "level": 2, "who": "Ann"}));
    assert_eq!(context(&message["contextData"]["vars"]), json!({"REGION": "north"}));
    assert_eq!(message["variables"]["KEY"], json!({"value": "hunter2", "isSecret": true}));
    let permissions = message["variables"]["system.github.token.permissions"]["value"].as_str().unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(permissions).unwrap(),
        json!({"Contents": "read", "Metadata": "read", "PullRequests": "write"})
    );
    let event = &context(&message["contextData"]["github"])["event"];
    assert_eq!(event["inputs"], json!({"dry": "false", "level": "2", "who": "Ann"}));
}

#[test]
fn a_token_has_the_permissions_that_github_gives() {
    let permissions = |key: &str| -> Value {
        let harness = Harness::new();
        let text = format!("{{on: push, {key}jobs: {{a: {{runs-on: x, steps: [{{run: echo}}]}}}}}}");
        let job = message_of(&harness, &text);
        serde_json::from_str(job.variable("system.github.token.permissions")).unwrap()
    };
    assert_eq!(permissions(""), json!({"Contents": "read", "Metadata": "read", "Packages": "read"}));
    assert_eq!(permissions("permissions: {}, "), json!({"Metadata": "read"}));
    let (read, write) = (permissions("permissions: read-all, "), permissions("permissions: write-all, "));
    for (name, of_read, of_write) in [
        ("Contents", json!("read"), json!("write")),
        ("Discussions", json!("read"), json!("write")),
        ("SecurityEvents", json!("read"), json!("write")),
        ("IdToken", Value::Null, json!("write")),
        ("Metadata", json!("read"), json!("read")),
    ] {
        assert_eq!((&read[name], &write[name]), (&of_read, &of_write), "{name}");
    }
}

#[test]
fn node_24_executes_actions_of_node_20_if_the_runner_has_it() {
    let variables = |more: Value| {
        let harness = Harness::new();
        harness.submit_with("{on: push, jobs: {a: {runs-on: x, steps: [{run: echo}]}}}", &more);
        Listening::new(&harness, "one").start_job().message["variables"].clone()
    };
    let (with, without) = (variables(json!({"node24": true})), variables(json!({})));
    assert_eq!(with["actions.runner.usenode24bydefault"]["value"], "true");
    assert_eq!(without.get("actions.runner.usenode24bydefault"), None);
    assert_eq!(without["DistributedTask.DeprecateStepOutputCommands"]["value"], "true");
}

#[test]
fn only_a_job_that_uses_a_local_action_without_a_checkout_gets_the_files() {
    let harness = Harness::new();
    harness.action("actions/checkout@v4", &[("action.yml", "name: checkout")]);
    let text = "
on: push
jobs:
  a: {runs-on: x, steps: [{uses: ./act}]}
  b: {runs-on: x, steps: [{run: echo}]}
  c: {runs-on: x, steps: [{uses: actions/checkout@v4}, {uses: ./act}]}
";
    harness.submit_with(text, &json!({"actions": {"act/action.yml": "name: act"}}));
    for expected in [&["__files", "__self"][..], &["__run"], &["__actions_checkout", "__self"]] {
        let message = Listening::new(&harness, expected[0]).start_job().message;
        let names: Vec<&str> =
            message["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{}", message["jobDisplayName"]);
    }
}

#[test]
fn the_stand_in_takes_the_last_defaults_as_a_whole() {
    let harness = Harness::new();
    let text = "
on: push
defaults: {run: {shell: bash, working-directory: top}}
jobs: {a: {runs-on: x, defaults: {run: {shell: sh}}, steps: [{run: echo}]}}
";
    harness.submit_with(text, &json!({"executor": "stand-in"}));
    let message = Listening::new(&harness, "one").start_job().message;
    assert_eq!(token(&message["steps"][0]["inputs"]), json!([["script", "echo"], ["shell", "sh"]]));
}

#[test]
fn containers_services_and_the_environment_are_templates() {
    let harness = Harness::new();
    let text = "
on: push
jobs:
  build:
    runs-on: x
    environment: {name: 'to-${{ github.ref_name }}', url: '${{ steps.a.outputs.url }}'}
    container: {image: 'debian:${{ matrix.v }}', env: {A: '1'}, ports: [80], options: --cpus 1}
    services:
      db: {image: postgres, ports: ['5432:5432'], env: {PASSWORD: '${{ secrets.P }}'}}
    strategy: {matrix: {v: [12]}}
    steps: [{run: echo}]
";
    harness.submit_with(text, &json!({"executor": "official"}));
    let message = Listening::new(&harness, "one").start_job().message;
    assert_eq!(message["actionsEnvironment"]["name"], "to-main");
    assert_eq!(token(&message["actionsEnvironment"]["url"]), json!({"expression": "steps.a.outputs.url"}));
    assert_eq!(
        token(&message["jobContainer"]),
        json!([
            ["image", {"expression": "format('debian:{0}', matrix.v)"}],
            ["env", [["A", "1"]]],
            ["ports", ["80"]],
            ["options", "--cpus 1"],
        ])
    );
    assert_eq!(
        token(&message["jobServiceContainers"]),
        json!([["db", [
            ["image", "postgres"],
            ["ports", ["5432:5432"]],
            ["env", [["PASSWORD", {"expression": "secrets.P"}]]],
        ]]])
    );
    assert_eq!(message["jobName"], "_12");
}

#[test]
fn the_official_runner_gets_expressions_and_the_stand_in_their_values() {
    let text = "{on: push, jobs: {a: {runs-on: x, strategy: {matrix: {n: [1.50]}}, steps: [{run: 'echo ${{ matrix.n }}'}]}}}";
    let script = |executor: &str| {
        let harness = Harness::new();
        harness.submit_with(text, &json!({"executor": executor}));
        let message = Listening::new(&harness, "one").start_job().message;
        token(&message["steps"][0]["inputs"])
    };
    assert_eq!(script("official"), json!([["script", {"expression": "format('echo {0}', matrix.n)"}]]));
    assert_eq!(script("stand-in"), json!([["script", "echo 1.5"]]));
}

#[test]
fn a_called_workflow_has_its_own_environment_and_a_path_of_its_own() {
    let harness = Harness::new();
    let called = "
on: {workflow_call: {inputs: {n: {type: number}}}}
env: {INNER: '1'}
jobs: {say: {runs-on: x, steps: [{run: echo}]}}
";
    let text = "
on: push
env: {OUTER: '1'}
jobs: {call: {uses: ./.github/workflows/inner.yml, with: {n: 3}, secrets: inherit}}
";
    let files = json!({".github/workflows/inner.yml": called});
    harness.submit_with(text, &json!({"actions": files, "secrets": [["KEY", "k"]]}));
    let job = Listening::new(&harness, "one").start_job();
    assert_eq!(job.message["jobDisplayName"], "call / say");
    assert_eq!(context(&job.message["contextData"]["inputs"]), json!({"n": 3}));
    assert_eq!(token(&job.message["environmentVariables"][0]), json!([["INNER", "1"]]));
    assert_eq!(job.variable("KEY"), "k");
    assert_eq!(job.variable("system.github.job"), "say");
    assert_eq!(job.variable("system.orchestrationId"), format!("{}.call.say.__default", job.plan));
    assert_eq!(job.message["fileTable"], json!([".github/workflows/inner.yml"]));
}

#[test]
fn steps_in_the_background_are_marked_and_waited_for() {
    let harness = Harness::new();
    let text = "
on: push
jobs:
  a:
    runs-on: x
    steps:
      - {id: server, run: serve, background: true}
      - {parallel: [{run: one}, {run: two}]}
      - {cancel: server}
";
    harness.submit_with(text, &json!({"executor": "official"}));
    let message = Listening::new(&harness, "one").start_job().message;
    let steps = message["steps"].as_array().unwrap();
    let of = |step: &Value| {
        json!([
            step["type"],
            step["background"],
            step["controlType"],
            step["stepIds"],
            step["parallelGroupId"]
        ])
    };
    assert_eq!(
        steps.iter().map(of).collect::<Value>(),
        json!([
            ["action", true, null, null, null],
            ["action", true, null, null, "parallel_2"],
            ["action", true, null, null, "parallel_2"],
            ["backgroundStepControl", null, "wait", ["__run", "__run_2"], "parallel_2"],
            ["backgroundStepControl", null, "cancel", ["server"], null],
        ])
    );
}

#[test]
fn the_repository_is_served_to_the_jobs_token_alone() {
    let harness = Harness::new();
    let (folder, git) = (tempfile::tempdir().unwrap(), |args: &[&str], at: &std::path::Path| {
        let mut command = std::process::Command::new("git");
        command
            .args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"])
            .args(args);
        let output = command.current_dir(at).env("GIT_TERMINAL_PROMPT", "0").output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
    });
    let (work, clone) = (folder.path().join("work"), folder.path().join("clone"));
    std::fs::create_dir_all(&work).unwrap();
    std::fs::create_dir_all(&clone).unwrap();
    std::fs::write(work.join("a.txt"), "hello").unwrap();
    for args in [&["init", "-q"][..], &["add", "."], &["commit", "-qm", "first"]] {
        assert!(git(args, &work).0, "{args:?}");
    }
    let (_, sha) = git(&["rev-parse", "HEAD"], &work);
    harness.sim("git", &json!({"repository": "acme/app", "directory": work.join(".git")}));
    let text = "{on: push, jobs: {a: {runs-on: x, steps: [{uses: actions/checkout@v4}]}}}";
    harness.submit_with(text, &json!({"executor": "official", "head_sha": sha}));
    let job = Listening::new(&harness, "one").start_job();
    assert_eq!(context(&job.message["contextData"]["github"])["sha"], sha);
    let token = job.variable("system.github.token").to_owned();
    let fetch = |token: &str| {
        use base64::Engine;
        let login = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{token}"));
        let header = format!("http.extraheader=AUTHORIZATION: basic {login}");
        git(&["init", "-q"], &clone);
        let url = format!("{}/acme/app", harness.url);
        git(&["-c", &header, "-c", "http.proxy=", "fetch", "-q", "--depth=1", &url, &sha], &clone).0
    };
    assert!(!fetch("another token"));
    assert!(fetch(&token));
    assert_eq!(git(&["show", "FETCH_HEAD:a.txt"], &clone).1, "hello");
}

#[test]
fn git_shows_which_permission_a_token_lacks() {
    use base64::Engine;
    let harness = Harness::new();
    let text = "{on: push, permissions: {issues: read}, jobs: {a: {runs-on: x, steps: [{run: echo}]}}}";
    let job = message_of(&harness, text);
    let login = format!("x-access-token:{}", job.variable("system.github.token"));
    let login = base64::engine::general_purpose::STANDARD.encode(login);
    let header = format!("http.extraheader=AUTHORIZATION: basic {login}");
    let mut git = std::process::Command::new("git");
    git.args(["-c", &header, "-c", "http.proxy=", "ls-remote", &format!("{}/acme/app", harness.url)]);
    let output = git.env("GIT_TERMINAL_PROMPT", "0").output().unwrap();
    let shown = String::from_utf8_lossy(&output.stderr);
    let expected = "remote: Repository not found: the token has no `contents: read`";
    assert!(!output.status.success() && shown.starts_with(expected), "{shown}");
}

#[test]
fn a_matrix_id_and_its_names_are_those_of_github() {
    let harness = Harness::new();
    let text = "{on: push, jobs: {a: {runs-on: x, strategy: {matrix: {include: [{b: x y}]}}, steps: [{run: echo}]}}}";
    let message = message_of(&harness, text).message;
    assert_eq!((&message["jobName"], &message["jobDisplayName"]), (&json!("x_y"), &json!("a (x y)")));
    assert_eq!(context(&message["contextData"]["matrix"]), json!({"b": "x y"}));
}

#[test]
fn a_token_that_is_given_to_a_called_workflow_is_that_of_the_job() {
    let harness = Harness::new();
    let inner = "{on: {workflow_call: {secrets: {MINE: }}}, jobs: {j: {runs-on: x, steps: [{run: echo}]}}}";
    let text = "
on: push
jobs: {call: {uses: ./.github/workflows/inner.yml, secrets: {MINE: '${{ secrets.GITHUB_TOKEN }}'}}}
";
    harness.submit_with(text, &json!({"actions": {".github/workflows/inner.yml": inner}}));
    let variables = Listening::new(&harness, "one").start_job().message["variables"].clone();
    assert_eq!(variables["MINE"]["value"], variables["github_token"]["value"]);
    assert_eq!(variables["MINE"]["isSecret"], true);
}

#[test]
fn a_job_knows_the_file_of_its_workflow() {
    let harness = Harness::new();
    let remote = "{on: workflow_call, jobs: {j: {runs-on: x, steps: [{uses: $/act}]}}}";
    harness
        .action("o/shared@v1", &[(".github/workflows/inner.yml", remote), ("act/action.yml", "name: act")]);
    let text = "{on: push, jobs: {call: {uses: o/shared/.github/workflows/inner.yml@v1}}}";
    harness.submit_with(text, &json!({}));
    let message = Listening::new(&harness, "one").start_job().message;
    let job = context(&message["contextData"]["job"]);
    assert_eq!(job["workflow_ref"], "o/shared/.github/workflows/inner.yml@v1");
    assert_eq!(job["workflow_repository"], "o/shared");
    assert_eq!(message["steps"][0]["reference"]["name"], "o/shared", "`$/` is the repository of the file");
    assert_eq!(message["steps"][0]["reference"]["ref"], "v1");
    harness.job();
    let message = Listening::new(&harness, "two").start_job().message;
    let job = context(&message["contextData"]["job"]);
    assert_eq!(job["workflow_ref"], "acme/app/.github/workflows/ci.yml@refs/heads/main");
    assert_eq!(job["workflow_sha"], context(&message["contextData"]["github"])["sha"]);
    assert!(job["check_run_id"].is_u64(), "{job}");
}
