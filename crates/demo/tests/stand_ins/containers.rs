//! The stand-in runner calls a container hook as the official runner does.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::harness::{Harness, Listener};

const WORKFLOW: &str = "
on: push
jobs:
  build:
    runs-on: self-hosted
    services:
      db: {image: 'postgres:17', env: {PASSWORD: pw}, ports: [5432, '80:80'], options: --health-cmd x}
      cache: {image: 'redis:7', volumes: ['/a:/b'], credentials: {username: u, password: p}}
      none: {image: \"${{ github.job == 'another' && 'mysql:9' || '' }}\"}
      tools: {image: 'docker://ghcr.io/acme/tools:1'}
    steps:
      - run: echo \"db is at ${{ job.services.db.ports['5432'] }} in ${{ job.services.db.network }}, $CACHE\"
        env: {CACHE: \"${{ format('cache is {0} of {1}', job.services.cache.id, github.job) }}\"}
      - {run: echo tidy ran, if: always()}
";

/// Runs the job with this hook. Returns its conclusion, its log and the hook's calls.
fn run(hook: &str) -> (Value, String, Vec<Value>) {
    let (harness, folder) = (Harness::new(), tempfile::tempdir().unwrap());
    let path = folder.path().join("hook.sh");
    let calls = folder.path().join("calls");
    let record = format!("call=$(cat); echo \"$call\" >> {}; ", calls.display());
    fs::write(&path, format!("{record}\n{hook}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let job = *harness.submit(WORKFLOW).values().next().unwrap();
    let jit = harness.register("one", &["self-hosted"]);
    let hook = path.display().to_string();
    let variables = [("ACTIONS_RUNNER_CONTAINER_HOOKS", hook.as_str())];
    assert_eq!(Listener::start(&jit, &variables).code(), 0);
    let calls = fs::read_to_string(calls).unwrap();
    let calls = calls.lines().map(|call| serde_json::from_str(call).unwrap()).collect();
    (harness.job_in(job, "completed")["conclusion"].clone(), harness.log(job), calls)
}

#[test]
fn services_are_asked_for_by_position_and_steps_know_them_by_name() {
    let answer = json!({"state": {"mine": 7}, "context": {"services": [
        {"id": "d", "network": "host", "ports": {"5432": "40001", "80": "80"}},
        {"id": "c", "network": "host", "ports": {}},
        {"id": "t", "network": "host", "ports": {}},
    ]}});
    let hook = format!(
        "file=$(sed -n 's/.*\"responseFile\":\"\\([^\"]*\\)\".*/\\1/p' <<<\"$call\")\n\
         case $call in *prepare_job*) test -e \"$file\"; echo '{answer}' > \"$file\"; echo prepared;; esac"
    );
    let (conclusion, log, calls) = run(&hook);
    assert_eq!(conclusion, "success", "{log}");
    assert!(log.contains("db is at 40001 in host, cache is c of build"), "{log}");
    assert!(log.contains("prepared"), "{log}");
    let left_out =
        "The service 'none' will not be started because the container definition has an empty image.";
    assert!(log.contains(left_out), "{log}");
    let service = |image: &str| {
        json!({"image": image, "dockerfile": null, "entryPointArgs": [], "entryPoint": null, "workingDirectory": null,
               "createOptions": null, "registry": null, "environmentVariables": {}, "portMappings": [],
               "systemMountVolumes": [], "userMountVolumes": []})
    };
    let (mut db, mut cache) = (service("postgres:17"), service("redis:7"));
    let mut tools = service("ghcr.io/acme/tools:1");
    db["environmentVariables"] = json!({"PASSWORD": "pw"});
    db["portMappings"] = json!(["5432", "80:80"]);
    db["createOptions"] = json!("--health-cmd x");
    cache["userMountVolumes"] = json!(["/a:/b"]);
    cache["registry"] = json!({"username": "u", "password": "p", "serverUrl": ""});
    // The workflow gives no credentials for it.
    let token = calls[0]["args"]["services"][2]["registry"]["password"].clone();
    assert!(token.as_str().is_some_and(|token| token.len() > 10), "{calls:#?}");
    tools["registry"] = json!({"username": "octocat", "password": token, "serverUrl": "ghcr.io"});
    assert_eq!(calls.len(), 2, "{calls:#?}");
    assert_eq!(calls[0]["command"], "prepare_job");
    assert_eq!(calls[0]["args"], json!({"container": null, "services": [db, cache, tools]}));
    assert_eq!(calls[1]["command"], "cleanup_job");
    assert_eq!((&calls[1]["args"], &calls[1]["state"]), (&json!({}), &json!({"mine": 7})));
}

#[test]
fn a_hook_that_fails_fails_the_job_whose_always_steps_run_and_the_clean_up_too() {
    let (conclusion, log, calls) =
        run("case $call in *prepare_job*) echo '::error::no such service'; exit 1;; esac");
    assert_eq!(conclusion, "failure", "{log}");
    assert!(log.contains("##[error]no such service"), "{log}");
    assert!(log.contains("##[error]Executing the custom container implementation failed. "), "{log}");
    assert!(!log.contains("db is at") && log.contains("tidy ran"), "{log}");
    assert_eq!(calls[1]["command"], "cleanup_job");
    assert_eq!(calls[1]["state"], Value::Null);
}

#[test]
fn a_hook_that_answers_fewer_services_fails_the_job() {
    let (conclusion, log, _) = run("exit 0");
    assert_eq!(conclusion, "failure", "{log}");
    assert!(log.contains("##[error]the hook has answered 0 services of 3"), "{log}");
}
