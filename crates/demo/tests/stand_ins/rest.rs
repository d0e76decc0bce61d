use ecsrunner_demo::github::{App, AppKey, Options, app_key};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::harness::Harness;

const JIT: &str = "/repos/acme/app/actions/runners/generate-jitconfig";

#[test]
fn a_name_is_taken_once_and_a_bad_request_is_refused() {
    let harness = Harness::new();
    harness.job(&["x"], &json!({"exit": 0}));
    let jit = |name: &str, labels: &[&str], group: u64| {
        harness.call("POST", JIT, &json!({"name": name, "runner_group_id": group, "labels": labels})).0
    };
    assert_eq!(jit("one", &["x"], 1), 201);
    assert_eq!(jit("ONE", &["x"], 1), 409);
    assert_eq!(jit("two", &[], 1), 422);
    assert_eq!(jit("two", &["x"], 2), 404, "no such group");
    assert_eq!(harness.call("POST", JIT, &json!({"name": "two"})).0, 422);
    let other = json!({"name": "two", "runner_group_id": 1, "labels": ["x"]});
    assert_eq!(harness.call("POST", &JIT.replace("app", "other"), &other).0, 404);
    assert_eq!(harness.call_as("another token", "POST", JIT, &other).0, 401);
    let enterprise = harness.call("GET", "/api/v3/repos/acme/app/actions/runners", &Value::Null);
    assert_eq!((enterprise.0, &enterprise.1["total_count"]), (200, &json!(1)));
}

#[test]
fn calls_fail_as_often_as_asked_for() {
    let harness = Harness::new();
    harness.job(&["x"], &json!({"exit": 0}));
    harness.sim(
        "faults",
        &json!({"rest": [{"method": "GET", "path": "/repos/acme", "times": 2, "status": 403, "retry_after_secs": 7}]}),
    );
    let call = || harness.call("GET", "/repos/acme/app", &Value::Null).0;
    assert_eq!([call(), call(), call()], [403, 403, 200]);
    let state = harness.call("GET", "/_sim/state", &Value::Null).1;
    assert_eq!(state["calls"]["GET /repos/{owner}/{repo}"], 3);
}

#[test]
fn an_app_gets_tokens_that_are_as_narrow_as_it_asks_for() {
    let AppKey { private_pem, public_pem, .. } = app_key();
    let permissions = [("actions", "read"), ("administration", "write")];
    let app = App {
        id: 4711,
        client_id: "Iv1.abc".to_owned(),
        public: false,
        public_key_pem: public_pem.clone(),
        permissions: permissions.map(|(name, level)| (name.to_owned(), level.to_owned())).into(),
    };
    let harness = Harness::with(Options { app: Some(app), ..Options::default() });
    harness.sim("repositories", &json!({"name": "acme/other", "private": true}));
    let jwt = |issuer: &str, from_now: [i64; 2]| {
        let now = Timestamp::now().as_second();
        let claims = json!({"iss": issuer, "iat": now + from_now[0], "exp": now + from_now[1]});
        let key = EncodingKey::from_rsa_pem(private_pem.expose_secret().as_bytes()).unwrap();
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap()
    };
    let app = |token: &str| harness.call_as(token, "GET", "/app", &Value::Null).0;
    assert_eq!(app(&jwt("4711", [-60, 540])), 200);
    assert_eq!(app(&jwt("Iv1.abc", [-60, 600])), 200);
    assert_eq!(app(&jwt("4711", [-60, 700])), 401, "it ends too late");
    assert_eq!(app(&jwt("4711", [-60, -1])), 401, "it has ended");
    assert_eq!(app(&jwt("4711", [300, 540])), 401, "it is issued in the future");
    assert_eq!(app(&jwt("1", [-60, 540])), 404, "another App's");

    let jwt = jwt("4711", [-60, 540]);
    let installation = harness.call_as(&jwt, "GET", "/repos/acme/app/installation", &Value::Null).1;
    let path = format!("/app/installations/{}/access_tokens", installation["id"]);
    let token = |request: Value| harness.call_as(&jwt, "POST", &path, &request);
    assert_eq!(token(json!({"permissions": {"issues": "read"}})).0, 422);
    assert_eq!(token(json!({"repositories": ["unknown"]})).0, 422);
    let narrow = token(json!({"repositories": ["app"], "permissions": {"administration": "read"}})).1;
    let narrow = narrow["token"].as_str().unwrap().to_owned();
    let get = |path: &str| harness.call_as(&narrow, "GET", path, &Value::Null).0;
    assert_eq!(get("/repos/acme/app/actions/runners"), 200);
    assert_eq!(get("/repos/acme/other/actions/runners"), 404, "not its repository");
    assert_eq!(get("/repos/acme/app/actions/runs"), 403, "not its permission");
    assert_eq!(harness.call_as(&narrow, "POST", JIT, &Value::Null).0, 403, "it may only read");
    harness.sim("tokens/expire", &Value::Null);
    assert_eq!(get("/repos/acme/app/actions/runners"), 401);
}

#[test]
fn a_job_and_those_that_need_it_are_run_again_as_the_next_attempt_once_the_run_has_ended() {
    let harness = Harness::new();
    let jobs = harness.submit(
        "
on: push
jobs:
  build: {runs-on: x, steps: [{run: exit 0}]}
  test: {runs-on: x, needs: build, steps: [{run: exit 0}]}
  lint: {runs-on: x, steps: [{run: exit 0}]}
",
    );
    let (build, lint) = (jobs["build"], jobs["lint"]);
    let rerun =
        |job: u64| harness.call("POST", &format!("/repos/acme/app/actions/jobs/{job}/rerun"), &Value::Null).0;
    let run = harness.call("GET", &format!("/repos/acme/app/actions/jobs/{build}"), &Value::Null).1;
    let run = format!("/repos/acme/app/actions/runs/{}", run["run_id"]);
    let get = |path: &str| harness.call("GET", &format!("{run}{path}"), &Value::Null).1;
    harness.sim(&format!("jobs/{build}/cancel"), &json!({}));
    assert_eq!(rerun(build), 403, "the run goes on");
    harness.sim(&format!("jobs/{lint}/cancel"), &json!({}));
    assert_eq!((rerun(build), rerun(build)), (201, 403));
    assert_eq!(rerun(1), 404);
    assert_eq!((&get("")["run_attempt"], &get("")["status"]), (&json!(2), &json!("in_progress")));

    let shown = |path: &str| -> Vec<(String, u64)> {
        let jobs = get(path)["jobs"].as_array().unwrap().clone();
        let mut shown: Vec<_> = jobs
            .iter()
            .map(|job| (job["name"].as_str().unwrap().to_owned(), job["run_attempt"].as_u64().unwrap()))
            .collect();
        shown.sort();
        shown
    };
    let of = |pairs: &[(&str, u64)]| -> Vec<(String, u64)> {
        pairs.iter().map(|(name, attempt)| ((*name).to_owned(), *attempt)).collect()
    };
    // The job that needs it is hidden until it is done, and one that was not run again is shown as it was.
    assert_eq!(shown("/jobs"), of(&[("build", 2), ("lint", 1)]));
    assert_eq!(shown("/jobs?filter=all"), of(&[("build", 1), ("build", 2), ("lint", 1), ("test", 1)]));
    assert_eq!(shown("/attempts/1/jobs"), of(&[("build", 1), ("lint", 1), ("test", 1)]));
    assert_eq!(harness.call("GET", &format!("{run}/attempts/3/jobs"), &Value::Null).0, 404);
}
