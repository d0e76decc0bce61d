//! The API and the page, as documented in `docs/interface.md`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::testbed::{Payload, Setup, Testbed, bounded, names};

const SMALL: [&str; 2] = ["self-hosted", "class:small"];

/// Replaces the values that differ between runs by their names.
fn redacted(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(redacted).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), redacted_field(key, value))).collect()
        }
        other => other.clone(),
    }
}

fn redacted_field(key: &str, value: &Value) -> Value {
    match (key, value) {
        (_, Value::Null) => Value::Null,
        ("at" | "created_at", Value::String(text)) if text.parse::<jiff::Timestamp>().is_ok() => {
            json!("[time]")
        }
        ("id" | "run_id" | "job" | "launched_for", Value::Number(_)) => json!("[id]"),
        ("runner" | "name", Value::String(text)) if text.starts_with("ecsr-test-") => json!("[runner name]"),
        ("task", Value::String(text)) if text.len() == 32 => json!("[task id]"),
        ("pool", Value::String(_)) => json!("[pool hash]"),
        ("cost_usd" | "hosted_usd", Value::Number(_)) => json!("[dollars]"),
        ("version", Value::String(_)) => json!("[version]"),
        (_, value) => redacted(value),
    }
}

#[tokio::test]
async fn jobs_have_the_documented_shape() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        testbed.github.submit(&SMALL, 1, 300, json!({"name": "build"})).await;
        server.api().until("the job to be done", |api| api.is_done(1)).await;
        server.deliver("workflow_job", Payload::queued(3, &["self-hosted", "class:gpu"])).await;
        let (status, refused) = server.api().get("/api/v1/jobs?state=refused").await;
        assert_eq!(status, 200);
        insta::assert_json_snapshot!(redacted(&refused), @r#"
        {
          "jobs": [
            {
              "attempt": 1,
              "class": null,
              "conclusion": null,
              "created_at": "[time]",
              "id": "[id]",
              "labels": [
                "class:gpu",
                "self-hosted"
              ],
              "name": "build",
              "pool": null,
              "reason": {
                "code": "class_unknown",
                "text": "runner class `gpu` does not exist: the catalogue has large, small"
              },
              "repository": "acme/app",
              "run_id": "[id]",
              "runner": null,
              "state": "refused",
              "timeline": [
                {
                  "at": "[time]",
                  "state": "refused"
                }
              ],
              "workflow": "CI"
            }
          ],
          "next": null
        }
        "#);
        let (_, completed) = server.api().get("/api/v1/jobs?state=completed").await;
        insta::assert_json_snapshot!(redacted(&completed), @r#"
        {
          "jobs": [
            {
              "attempt": 1,
              "class": "small",
              "conclusion": "success",
              "created_at": "[time]",
              "id": "[id]",
              "labels": [
                "class:small",
                "self-hosted"
              ],
              "name": "build",
              "pool": "[pool hash]",
              "reason": null,
              "repository": "acme/app",
              "run_id": "[id]",
              "runner": "[runner name]",
              "state": "completed",
              "timeline": [
                {
                  "at": "[time]",
                  "state": "queued"
                },
                {
                  "at": "[time]",
                  "state": "in_progress"
                },
                {
                  "at": "[time]",
                  "state": "completed"
                }
              ],
              "workflow": "synthetic"
            }
          ],
          "next": null
        }
        "#);
    })
    .await;
}

#[tokio::test]
async fn runners_have_the_documented_shape() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        testbed.github.submit_one(&SMALL, 300).await;
        server.api().until("the job to be done", |api| api.is_done(1)).await;
        let (status, mut runners) = server.api().get("/api/v1/runners").await;
        assert_eq!(status, 200);
        // A task may be reported before RunTask answers. The timeline has its own test.
        runners["runners"][0]["timeline"].take();
        // The wait has its own test too.
        assert!(runners["runners"][0].as_object().unwrap().contains_key("wait"));
        runners["runners"][0]["wait"].take();
        // It is there if this machine gives tasks cgroups of their own.
        runners["runners"][0].as_object_mut().unwrap().remove("peaks");
        assert!(runners["runners"][0]["stopped_at"].take().is_string());
        let seconds = runners["runners"][0]["task_seconds"].take();
        assert!(seconds.as_f64().is_some_and(|seconds| (0.3..30.0).contains(&seconds)), "{seconds}");
        insta::assert_json_snapshot!(redacted(&runners), @r#"
        {
          "next": null,
          "runners": [
            {
              "capacity_provider": "FARGATE",
              "class": "small",
              "cost_usd": "[dollars]",
              "cpu": 512,
              "ending": "completed",
              "hosted_usd": "[dollars]",
              "job": "[id]",
              "job_minutes": 1,
              "launched_for": "[id]",
              "memory": 1024,
              "name": "[runner name]",
              "pool": "[pool hash]",
              "reason": null,
              "repository": "acme/app",
              "runner_version": "2.336.0",
              "state": "gone",
              "stopped_at": null,
              "task": "[task id]",
              "task_seconds": null,
              "timeline": null,
              "wait": null
            }
          ]
        }
        "#);
    })
    .await;
}

#[tokio::test]
async fn an_open_job_shows_what_it_waits_for() {
    bounded(async {
        let testbed = Testbed::set_up(Setup { top: "paused = true", ..Setup::default() }).await;
        let server = testbed.serve().await;
        let job = testbed.github.submit_one(&SMALL, 10).await;
        let api = server.api().until("the pause to be shown", |api| api.reason(job) == Some("paused")).await;
        insta::assert_json_snapshot!(redacted(api.job(job).unwrap()), @r#"
        {
          "attempt": 1,
          "class": "small",
          "conclusion": null,
          "created_at": "[time]",
          "id": "[id]",
          "labels": [
            "class:small",
            "self-hosted"
          ],
          "name": "job",
          "pool": "[pool hash]",
          "reason": {
            "code": "paused",
            "text": "launches are paused"
          },
          "repository": "acme/app",
          "run_id": "[id]",
          "runner": null,
          "state": "queued",
          "timeline": [
            {
              "at": "[time]",
              "state": "queued"
            }
          ],
          "workflow": "synthetic"
        }
        "#);
        let approval = testbed.github.submit(&SMALL, 1, 10, json!({"waiting": true})).await[0];
        let api = server.api().until("the approval to be shown", |api| api.reason(approval).is_some()).await;
        assert_eq!(
            (api.job(approval).unwrap()["state"].as_str(), api.reason(approval)),
            (Some("waiting"), Some("approval_pending"))
        );
    })
    .await;
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap_or_a_repetition() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        let jobs = testbed.github.submit(&SMALL, 5, 10, Value::Null).await;
        server.api().until("5 jobs to be done", |api| api.is_done(5)).await;
        for (what, field) in [("jobs", "id"), ("runners", "job")] {
            let mut seen = Vec::new();
            let mut path = format!("/api/v1/{what}?limit=2");
            for page in 1.. {
                let (status, body) = server.api().get(&path).await;
                assert_eq!(status, 200, "{body}");
                let ids = body[what].as_array().unwrap().iter().map(|item| item[field].as_u64().unwrap());
                seen.extend(ids);
                let Some(next) = body["next"].as_str() else { break };
                assert!(page <= 3, "{what}: the pages do not end");
                path = format!("/api/v1/{what}?limit=2&cursor={next}");
            }
            assert_eq!(seen.len(), 5, "{what}: {seen:?}");
            assert_eq!(BTreeSet::from_iter(seen), BTreeSet::from_iter(jobs.clone()), "{what}");
        }
    })
    .await;
}

#[tokio::test]
async fn lists_are_filtered_by_repository_class_and_state() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        testbed.github.submit(&SMALL, 1, 10, json!({"name": "a"})).await;
        testbed
            .github
            .submit(&["self-hosted", "class:large"], 1, 10, json!({"name": "b", "repository": "acme/lib"}))
            .await;
        server.api().until("2 jobs to be done", |api| api.is_done(2)).await;
        testbed.github.submit(&["self-hosted", "class:none"], 1, 10, json!({"name": "c"})).await;
        server.api().until("the third to be refused", |api| api.jobs_in("refused").len() == 1).await;
        let jobs = async |filter: &str| {
            let (status, body) = server.api().get(&format!("/api/v1/jobs?{filter}")).await;
            assert_eq!(status, 200, "{body}");
            names(body["jobs"].as_array().unwrap(), "name").concat()
        };
        assert_eq!(jobs("").await, "abc");
        assert_eq!(jobs("repository=acme/app").await, "ac");
        assert_eq!(jobs("repository=Acme/Lib").await, "b");
        assert_eq!(jobs("class=small").await, "a");
        assert_eq!(jobs("state=refused").await, "c");
        assert_eq!(jobs("state=completed&class=large").await, "b");
        assert_eq!(jobs("repository=acme/none").await, "");
        let runners = async |filter: &str| {
            let (_, body) = server.api().get(&format!("/api/v1/runners?{filter}")).await;
            names(body["runners"].as_array().unwrap(), "class").concat()
        };
        assert_eq!(runners("repository=acme/lib&state=gone").await, "large");
        assert_eq!(runners("class=small").await, "small");
        assert_eq!(runners("state=busy").await, "");
    })
    .await;
}

#[tokio::test]
async fn a_query_that_means_nothing_is_refused() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve_unheard().await;
        for query in ["limit=many", "stat=queued", "repository=acme", "cursor=nobody-gave-this-out"] {
            let (status, body) = server.api().get(&format!("/api/v1/jobs?{query}")).await;
            assert_eq!(status, 400, "{query}: {body}");
        }
    })
    .await;
}

#[tokio::test]
async fn health_and_counts_are_told() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve_unheard().await;
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(server.api().get("/healthz").await, (200, json!({"status": "ok", "version": version})));
        assert_eq!(server.api().get("/api/v1/counts").await, (200, json!({"webhooks": {}})));
        assert_eq!(server.api().get("/api/v2/jobs").await.0, 404);
    })
    .await;
}

#[tokio::test]
async fn events_begin_with_a_greeting_and_tell_each_change() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        let mut events = server.api().events().await;
        assert_eq!(
            events.hello,
            json!({"type": "hello", "version": env!("CARGO_PKG_VERSION"), "polled": false})
        );
        let job = testbed.github.submit_one(&SMALL, 300).await;
        let (mut jobs, mut runners) = (Vec::new(), Vec::new());
        let state = |record: &Value| record["state"].as_str().unwrap().to_owned();
        while runners.last().is_none_or(|state| state != "gone") {
            let event = events.next().await;
            match event["type"].as_str() {
                Some("job") => {
                    assert_eq!(event["job"]["id"], job);
                    jobs.push(state(&event["job"]));
                }
                Some("runner") => {
                    assert_eq!(event["runner"]["launched_for"], job);
                    runners.push(state(&event["runner"]));
                }
                other => panic!("an event of the type {other:?}: {event}"),
            }
        }
        jobs.dedup();
        assert_eq!(jobs, ["queued", "in_progress", "completed"]);
        assert_eq!(runners.first().unwrap(), "reserved");
        assert!(runners.contains(&"busy".to_owned()), "{runners:?}");
    })
    .await;
}

#[tokio::test]
async fn the_page_comes_whole_from_the_server_and_lets_nothing_else_in() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve_unheard().await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        for (path, content_type) in [
            ("/", "text/html"),
            ("/page.css", "text/css"),
            ("/first-paint.js", "text/javascript"),
            ("/main.js", "text/javascript"),
            ("/job-details.js", "text/javascript"),
            ("/icon.svg", "image/svg+xml"),
        ] {
            let answer = client.get(server.url(path)).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
            assert!(header("content-type").starts_with(content_type), "{path}");
            assert_eq!(
                header("content-security-policy"),
                "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            );
            assert_eq!(header("x-content-type-options"), "nosniff");
            assert_eq!(header("referrer-policy"), "no-referrer");
            let text = answer.text().await.unwrap();
            assert!(!text.contains("https://") && !text.is_empty(), "{path} names another host");
        }
        for path in ["/page.js", "/no-such-module.js", "/test/page.test.mjs"] {
            assert_eq!(client.get(server.url(path)).send().await.unwrap().status(), 404, "{path}");
        }
    })
    .await;
}
