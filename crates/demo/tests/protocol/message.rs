//! §4.3 to §4.5: polls, messages and acknowledgements.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Body, guid, keys, send};
use crate::harness::Harness;
use crate::runner::{BROKER, Listening, RunningJob};

/// Sends a poll and does not read the answer.
fn open_poll(listening: &Listening) -> TcpStream {
    let url = listening.registered.broker(&listening.message_path("Online"));
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let token = &listening.token;
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
    stream
}

/// Waits until the fake holds this many polls of its one runner.
fn wait_for_polls(harness: &Harness, polls: u64) {
    let deadline = std::time::Instant::now() + crate::client::LIMIT;
    while harness.state()["runners"][0]["polls"] != polls {
        assert!(std::time::Instant::now() < deadline, "{}", harness.state());
        std::thread::yield_now();
    }
}

#[test]
fn a_poll_without_a_message_is_held_and_ends_empty() {
    let harness = Harness::with_instant_timers();
    let listening = Listening::new(&harness, "one");
    for status in ["Online", "Busy"] {
        let begun = harness.now();
        listening.poll(status).is_empty(202);
        // This clock also advances while the request is sent.
        let held = harness.now() - begun;
        assert!((Duration::from_secs(36)..Duration::from_secs(120)).contains(&held), "{status}: {held:?}");
    }
}

#[test]
fn a_job_is_offered_with_the_address_of_its_run_service() {
    let harness = Harness::new();
    harness.job();
    let listening = Listening::new(&harness, "one");
    let message = listening.poll("Online").json(200);
    assert_eq!(keys(&message), ["body", "messageId", "messageType"]);
    assert!(message["messageId"].as_u64().is_some_and(|id| id > 0), "{message}");
    assert_eq!(message["messageType"], "RunnerJobRequest");
    let body: Value = serde_json::from_str(message["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        keys(&body),
        ["billing_owner_id", "run_service_url", "runner_request_id", "should_acknowledge"]
    );
    assert_eq!(body["should_acknowledge"], true);
    for key in ["billing_owner_id", "runner_request_id"] {
        assert!(body[key].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    }
    let url = body["run_service_url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{}/", harness.url)) && url.ends_with('/'), "{url}");
}

#[test]
fn a_held_poll_hears_of_a_job_that_comes_later() {
    let harness = Harness::new();
    let listening = Listening::new(&harness, "one");
    std::thread::scope(|scope| {
        let poll = scope.spawn(|| listening.poll("Online"));
        wait_for_polls(&harness, 1);
        harness.job();
        assert_eq!(poll.join().unwrap().json(200)["messageType"], "RunnerJobRequest");
    });
}

#[test]
fn a_poll_that_was_given_up_swallows_no_message() {
    let harness = Harness::new();
    let listening = Listening::new(&harness, "one");
    let poll = open_poll(&listening);
    wait_for_polls(&harness, 1);
    drop(poll);
    wait_for_polls(&harness, 0);
    harness.job();
    listening.offer();
}

#[test]
fn a_message_comes_once_and_the_next_one_has_a_higher_id() {
    let harness = Harness::new();
    let job = harness.job();
    let listening = Listening::new(&harness, "one");
    let (first, offer) = listening.message("Online", "RunnerJobRequest");
    let running = RunningJob::new(listening.acquire(&offer).json(200));
    running.renew().json(200);
    harness.sim(&format!("jobs/{job}/cancel"), &json!(null));
    let (second, _) = listening.message("Busy", "JobCancellation");
    assert!(second > first, "{second} after {first}");
}

#[test]
fn an_offer_is_not_repeated() {
    let harness = Harness::with_instant_timers();
    harness.job();
    let listening = Listening::new(&harness, "one");
    listening.start_job();
    for status in ["Online", "Busy"] {
        listening.poll(status).is_empty(202);
    }
}

#[test]
fn a_cancellation_names_the_job_and_gives_five_minutes() {
    let harness = Harness::new();
    let job = harness.job();
    let listening = Listening::new(&harness, "one");
    let running = listening.start_job();
    harness.sim(&format!("jobs/{job}/cancel"), &json!(null));
    let (_, body) = listening.message("Busy", "JobCancellation");
    assert_eq!(body, json!({"jobId": running.id, "timeout": "00:05:00"}));
    running.complete("canceled").is_success();
    assert_eq!(harness.job_shown(job)["conclusion"], "cancelled");
}

#[test]
fn a_poll_of_an_unknown_session_asks_for_a_new_one() {
    let harness = Harness::new();
    let mut listening = Listening::new(&harness, "one");
    listening.session = "5f0c5bd1-6e0f-4c5e-9f0c-000000000001".to_owned();
    let answer = listening.poll("Online");
    assert!(answer.status >= 400 && answer.status != 401, "{}", answer.status);
    assert_eq!(answer.error(BROKER, answer.status).as_deref(), Some("RunnerSessionInvalid"));
}

#[test]
fn a_poll_after_the_sessions_end_asks_for_a_new_one() {
    let harness = Harness::new();
    let listening = Listening::new(&harness, "one");
    listening.close_session().is_success();
    let answer = listening.poll("Online");
    assert_eq!(answer.error(BROKER, answer.status).as_deref(), Some("RunnerSessionInvalid"));
    let again = listening.registered.listen();
    guid(&json!(again.session));
}

#[test]
fn a_runner_hears_that_its_registration_is_gone() {
    let harness = Harness::new();
    let (one, two) = (Listening::new(&harness, "one"), Listening::new(&harness, "two"));
    harness.delete_runner(one.registered.id);
    harness.sim(&format!("registrations/{}/forget", two.registered.id), &json!(null));
    for listening in [one, two] {
        let kind = listening.poll("Online").error(BROKER, 404);
        assert_eq!(kind.as_deref(), Some("RunnerNotFound"));
    }
}

#[test]
fn a_held_poll_hears_that_the_registration_is_gone() {
    let harness = Harness::new();
    let listening = Listening::new(&harness, "one");
    std::thread::scope(|scope| {
        let poll = scope.spawn(|| listening.poll("Online"));
        wait_for_polls(&harness, 1);
        harness.delete_runner(listening.registered.id);
        let kind = poll.join().unwrap().error(BROKER, 404);
        assert_eq!(kind.as_deref(), Some("RunnerNotFound"));
    });
}

#[test]
fn a_poll_needs_the_token_of_its_runner() {
    let harness = Harness::new();
    let listening = Listening::new(&harness, "one");
    let url = listening.registered.broker(&listening.message_path("Online"));
    for token in [None, Some("another token")] {
        assert_eq!(send("GET", &url, token, Body::None).status, 401);
    }
    let other = Listening::new(&harness, "two");
    let stolen = send("GET", &url, Some(&other.token), Body::None);
    assert!(stolen.status >= 400, "{}: {}", stolen.status, stolen.text());
}

#[test]
fn errors_of_the_broker_have_the_form_that_the_runner_reads() {
    let harness = Harness::new();
    let listening = Listening::new(&harness, "one");
    for (status, kind) in [(403, "RunnerVersionTooOld"), (400, "HostedRunnerDeprovisioned")] {
        let fault =
            json!({"call": "message", "status": status, "error_kind": kind, "message": "a text", "times": 1});
        harness.sim("faults", &json!({"runner": [fault]}));
        let answer = listening.poll("Online");
        assert_eq!(answer.error(BROKER, status).as_deref(), Some(kind));
        assert_eq!(answer.json(status)["errorMessage"], "a text");
    }
}

#[test]
fn an_offer_is_acknowledged_by_its_id() {
    let harness = Harness::new();
    harness.job();
    let listening = Listening::new(&harness, "one");
    let offer = listening.offer();
    listening.acknowledge(offer["runner_request_id"].as_str().unwrap()).is_success();
    listening.acquire(&offer).json(200);
}

#[test]
fn an_offer_that_does_not_exist_cannot_be_acknowledged() {
    let harness = Harness::new();
    harness.job();
    let listening = Listening::new(&harness, "one");
    listening.offer();
    let answer = listening.acknowledge("5f0c5bd1-6e0f-4c5e-9f0c-000000000002");
    assert!(answer.status >= 400 && answer.status != 401, "{}", answer.status);
    assert_eq!(answer.error(BROKER, answer.status).as_deref(), Some("AcknowledgeJobNotFound"));
}

#[test]
fn an_offer_whose_job_was_cancelled_cannot_be_acknowledged() {
    let harness = Harness::new();
    let job = harness.job();
    let listening = Listening::new(&harness, "one");
    let offer = listening.offer();
    harness.sim(&format!("jobs/{job}/cancel"), &json!(null));
    let answer = listening.acknowledge(offer["runner_request_id"].as_str().unwrap());
    assert_eq!(answer.error(BROKER, answer.status).as_deref(), Some("AcknowledgeJobNotFound"));
}

#[test]
fn an_offer_to_another_runner_cannot_be_acknowledged() {
    let harness = Harness::new();
    harness.job();
    let listening = Listening::new(&harness, "one");
    let offer = listening.offer();
    let other = Listening::new(&harness, "two");
    let answer = other.acknowledge(offer["runner_request_id"].as_str().unwrap());
    assert_eq!(answer.error(BROKER, answer.status).as_deref(), Some("AcknowledgeJobNotFound"));
}
