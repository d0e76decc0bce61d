use super::records::{name, queued};
use crate::testing::{Fixture, TOKEN};
use ecsrunner_core::records::change::Change;
use jiff::Timestamp;

/// Every route of the API that needs the token.
const ROUTES: [&str; 14] = [
    "GET /api/v1/jobs",
    "GET /api/v1/jobs/1",
    "GET /api/v1/jobs/1/log",
    "GET /api/v1/runners",
    "GET /api/v1/runners/x",
    "GET /api/v1/classes",
    "GET /api/v1/status",
    "GET /api/v1/deployment",
    "GET /api/v1/budgets",
    "GET /api/v1/costs",
    "GET /api/v1/events",
    "POST /api/v1/pause",
    "POST /api/v1/runners/x/stop",
    "POST /api/v1/jobs/1/retry",
];

fn bearer() -> String {
    format!("Bearer {TOKEN}")
}

#[tokio::test]
async fn without_the_token_nothing_is_read_and_nothing_is_changed() {
    let fixture = Fixture::new().await;
    let server = fixture.serve().await;
    let before = fixture.reads();
    for route in ROUTES {
        for given in [None, Some("Bearer wrong"), Some("Basic 0123456789abcdef"), Some("Bearer ")] {
            let headers: Vec<_> = given.map(|given| ("authorization", given)).into_iter().collect();
            let (status, answer) = server.ask(route, &headers, "").await;
            assert_eq!(status, 401, "{route} with {given:?}: {answer}");
            assert!(answer.contains("the token of this test is expected"), "{answer}");
        }
        let (status, _) = server.ask(&format!("{route}?token={TOKEN}"), &[], "").await;
        assert_eq!(status, 401, "{route}: a token in the address is none");
    }
    assert_eq!(fixture.reads(), before);
    assert!(fixture.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_name_that_an_attacker_leads_to_this_machine_reads_nothing_even_with_the_token() {
    let fixture = Fixture::new().await;
    let server = fixture.serve().await;
    let port = server.host.rsplit(':').next().unwrap().to_owned();
    let bearer = bearer();
    for host in [format!("rebound.example:{port}"), "127.0.0.1.rebound.example".to_owned(), String::new()] {
        for route in ROUTES.iter().chain(&["GET /", "GET /main.js"]) {
            let headers = [("authorization", bearer.as_str()), ("host", &host)];
            let (status, answer) = server.ask(route, &headers, "").await;
            assert_eq!(status, 421, "{route} of `{host}`: {answer}");
        }
    }
}

#[tokio::test]
async fn a_page_of_another_origin_can_neither_read_nor_change_anything() {
    let fixture = Fixture::new().await;
    let server = fixture.serve().await;
    let bearer = bearer();
    for origin in ["http://evil.example", "http://127.0.0.1:1", "https://localhost", "null"] {
        for route in ROUTES {
            let headers = [
                ("authorization", bearer.as_str()),
                ("origin", origin),
                ("content-type", "application/json"),
            ];
            let (status, answer) = server.ask(route, &headers, r#"{"paused": true}"#).await;
            assert_eq!(status, 403, "{route} from {origin}: {answer}");
        }
    }
    assert!(fixture.asked.lock().unwrap().is_empty());
    let own = format!("http://{}", server.host);
    let headers =
        [("authorization", bearer.as_str()), ("origin", &own), ("content-type", "application/json")];
    let (status, _) = server.ask("POST /api/v1/pause", &headers, r#"{"paused": true}"#).await;
    assert_eq!((status, fixture.asked.lock().unwrap().as_slice()), (200, &["paused: true".to_owned()][..]));
}

#[tokio::test]
async fn the_page_itself_needs_no_token_and_holds_none() {
    let fixture = Fixture::new().await;
    let server = fixture.serve().await;
    for path in ["/", "/main.js", "/token.js"] {
        let (status, answer) = server.ask(&format!("GET {path}"), &[], "").await;
        assert_eq!(status, 200, "{path}");
        assert!(!answer.contains(TOKEN), "{path}");
        assert!(answer.contains("frame-ancestors 'none'"), "{path} can be framed");
    }
}

#[tokio::test]
async fn a_refusal_by_aws_is_told_with_its_words() {
    let fixture = Fixture::new().await;
    fixture.write(&[Change::Job(queued(1, Timestamp::now()))]).await;
    let server = fixture.serve().await;
    fixture.deny(true);
    let bearer = bearer();
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    for route in ["jobs", "runners", "jobs/1", "deployment", "costs", "events"] {
        let (status, answer) = server.ask(&format!("GET /api/v1/{route}"), &headers, "").await;
        assert_eq!(status, 403, "{route}: {answer}");
        assert!(answer.contains("no permission"), "{route}: {answer}");
    }
    let stop = format!("POST /api/v1/runners/{}/stop", name(1));
    let (status, answer) = server.ask(&stop, &headers, r#"{"force": false}"#).await;
    assert_eq!(status, 403);
    assert!(answer.contains("not authorized to perform: dynamodb:PutItem"), "{answer}");
    fixture.deny(false);
    assert_eq!(server.get("/api/v1/jobs").await["jobs"][0]["id"], 1);
}
