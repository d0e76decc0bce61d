//! Traces of a local server.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::testbed::{LIMIT, Setup, Testbed, bounded};

/// The requests that a collector got: their headers and bodies.
type Got = Arc<watch::Sender<Vec<(HeaderMap, Bytes)>>>;

/// Starts a collector. Returns its address.
async fn collect(got: Got) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let take = move |headers: HeaderMap, body: Bytes| async move {
        got.send_modify(|requests| requests.push((headers, body)));
        StatusCode::OK
    };
    tokio::spawn(axum::serve(listener, Router::new().route("/v1/traces", post(take))).into_future());
    address
}

fn has(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|some| some == part)
}

/// Whether there is a span of that name: field 5 of OTLP's `Span`, a text with its length.
fn is_named(body: &[u8], span: &str) -> bool {
    let length = u8::try_from(span.len()).unwrap();
    has(body, &[&[(5 << 3) | 2, length][..], span.as_bytes()].concat())
}

#[tokio::test]
async fn a_job_that_is_over_is_one_trace_at_the_endpoint() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let got = Got::default();
        let mut command = testbed.command();
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collect(Arc::clone(&got)).await);
        command.env("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20secret");
        let server = testbed.serve_by(command).await;
        let id = testbed.github.submit_one(&["self-hosted", "class:small"], 100).await;
        let api = server.api().until("the job to be done", |api| api.is_done(1)).await;
        let job = api.job(id).unwrap().clone();
        let whole = |body: &[u8]| has(body, b"clean_up");
        let mut came = got.subscribe();
        let trace = came.wait_for(|requests| requests.iter().any(|(_, body)| whole(body)));
        tokio::time::timeout(LIMIT, trace).await.expect("no trace").unwrap();
        testbed.ends_with_nothing_left(server).await;

        let got = got.borrow();
        assert!(got.iter().all(|(headers, _)| headers["x-key"] == "a secret"));
        assert_eq!(got.iter().filter(|(_, body)| whole(body)).count(), 1, "one trace");
        let subject = format!("ecsrunner/{}/1/{id}", job["run_id"]);
        let trace_id = &Sha256::digest(subject)[..16];
        for (_, body) in got.iter() {
            assert!(has(body, trace_id), "the id of another trace");
        }
        let (_, body) = got.iter().find(|(_, body)| whole(body)).unwrap();
        for span in ["webhook", "decision", "launch", "boot", "run"] {
            assert!(is_named(body, span), "no span {span}");
        }
        for secret in [&b"a secret"[..], crate::testbed::TOKEN.as_bytes(), crate::testbed::SECRET.as_bytes()]
        {
            assert!(!has(body, secret), "a secret in a trace");
        }
    })
    .await;
}

#[tokio::test]
async fn a_wrong_endpoint_stops_the_start_and_one_that_is_away_harms_no_job() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let mut wrong = testbed.command();
        let wrong = wrong.env("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317").output().await.unwrap();
        assert_eq!(wrong.status.code(), Some(2));
        let told = String::from_utf8(wrong.stderr).unwrap();
        assert!(told.contains("OTEL_EXPORTER_OTLP_ENDPOINT is not the URL of an OTLP endpoint"), "{told}");

        let mut command = testbed.command();
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
        let server = testbed.serve_by(command).await;
        testbed.github.submit_one(&["self-hosted", "class:small"], 100).await;
        server.api().until("the job to be done", |api| api.is_done(1)).await;
        testbed.ends_with_nothing_left(server).await;
        let log = std::fs::read_to_string(testbed.path("server.log")).unwrap();
        assert!(log.contains("traces were dropped") && log.contains("http://127.0.0.1:9"), "{log}");
    })
    .await;
}
