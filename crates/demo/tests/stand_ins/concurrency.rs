//! Concurrency groups of runs and jobs.

use serde_json::{Value, json};

use crate::harness::{Harness, Listener};
use crate::workflows::conclusions;

#[test]
fn a_run_waits_for_its_concurrency_group_and_a_third_takes_the_place_of_the_second() {
    let harness = Harness::new();
    let text =
        "{on: push, concurrency: 'g-${{ github.ref }}', jobs: {a: {runs-on: x, steps: [{run: echo}]}}}";
    let first = harness.submit(text)["a"];
    assert!(harness.submit(text).is_empty(), "the second run waits");
    assert!(harness.submit(text).is_empty());
    let runs = |harness: &Harness| {
        let list = harness.call("GET", "/repos/acme/app/actions/runs", &Value::Null).1;
        let runs = list["workflow_runs"].as_array().unwrap().iter();
        runs.map(|run| json!([run["status"], run["conclusion"]])).collect::<Value>()
    };
    assert_eq!(runs(&harness), json!([["pending", null], ["completed", "cancelled"], ["queued", null]]));
    assert_eq!(Listener::start(&harness.register("one", &["x"]), &[]).code(), 0);
    harness.job_in(first, "completed");
    assert_eq!(
        runs(&harness),
        json!([["queued", null], ["completed", "cancelled"], ["completed", "success"]])
    );
    let cancels =
        text.replace("'g-${{ github.ref }}'", "{group: 'G-refs/heads/main', cancel-in-progress: true}");
    let last = harness.submit(&cancels);
    assert_eq!(last.len(), 1, "the queued run was cancelled");
    assert_eq!(runs(&harness)[1], json!(["completed", "cancelled"]));
}

#[test]
fn runs_that_queue_for_their_group_get_it_in_order_and_at_most_a_hundred_wait() {
    let harness = Harness::new();
    let text =
        "{on: push, concurrency: {group: g, queue: max}, jobs: {a: {runs-on: x, steps: [{run: echo}]}}}";
    let first = harness.submit(text)["a"];
    for _ in 0..100 {
        assert!(harness.submit(text).is_empty());
    }
    // The oldest run first.
    let statuses = |harness: &Harness| -> Vec<Value> {
        let state = harness.call("GET", "/_sim/state", &Value::Null).1;
        let runs = state["runs"].as_array().unwrap().iter();
        runs.map(|run| json!([run["status"], run["conclusion"]])).collect()
    };
    let (waits, cancelled) = (json!(["pending", null]), json!(["completed", "cancelled"]));
    assert_eq!(statuses(&harness)[100], waits);
    assert!(harness.submit(text).is_empty());
    assert_eq!(statuses(&harness)[100..], [waits.clone(), cancelled.clone()]);
    assert_eq!(Listener::start(&harness.register("one", &["x"]), &[]).code(), 0);
    harness.job_in(first, "completed");
    assert_eq!(
        statuses(&harness)[1..3],
        [json!(["queued", null]), waits.clone()],
        "the longest wait ends first"
    );
    assert!(harness.submit(&text.replace(", queue: max", "")).is_empty());
    let now = statuses(&harness);
    assert!(now[2..102].iter().all(|run| *run == cancelled), "{now:?}");
    assert_eq!(now[102], waits);
}

#[test]
fn a_job_that_its_own_caller_keeps_from_its_group_is_cancelled() {
    for (group, inner_group) in [("g", "G"), ("${{ github.workflow }}", "ci.yml")] {
        let harness = Harness::new();
        let inner = format!(
            "{{on: workflow_call, jobs: {{j: {{runs-on: x, concurrency: {inner_group}, steps: [{{run: echo}}]}}}}}}"
        );
        let text = format!(
            "{{on: push, jobs: {{call: {{concurrency: '{group}', uses: ./.github/workflows/inner.yml}}}}}}"
        );
        let new = json!({"repository": "acme/app", "file": "ci.yml", "text": text,
            "actions": {".github/workflows/inner.yml": inner}});
        harness.submit_with(&new);
        let state = harness.wait("completed=1");
        assert_eq!(conclusions(&state), json!({"call / j": "cancelled"}), "{group}");
    }
}
