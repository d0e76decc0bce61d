//! §4.2 and §4.6: sessions.

use serde_json::Value;

use crate::client::{guid, keys};
use crate::harness::Harness;
use crate::runner::{BROKER, Listening, Registered};

#[test]
fn a_session_repeats_what_was_asked_with_an_id_of_its_own() {
    let harness = Harness::new();
    let registered = Registered::new(&harness, "one");
    let token = registered.token();
    let answer = registered.open_session(Some(&token));
    assert!(matches!(answer.status, 200 | 201));
    let session = answer.json(answer.status);
    guid(&session["sessionId"]);
    let request = registered.session_request();
    for key in keys(&request).into_iter().filter(|key| *key != "sessionId") {
        assert_eq!(session[key], request[key], "{key}");
    }
    assert_eq!(session["assignmentQueued"], false);
    assert_eq!(session["orchestrationId"], "");
    // Without a key, the bodies of messages are not encrypted.
    assert_eq!(session.get("encryptionKey"), None);
}

#[test]
fn a_runner_is_online_while_it_has_a_session() {
    let harness = Harness::new();
    let listening = Listening::new(&harness, "one");
    assert_eq!(harness.runner(listening.registered.id)["status"], "online");
    listening.close_session().is_success();
    assert_eq!(harness.runner(listening.registered.id)["status"], "offline");
}

#[test]
fn a_second_session_conflicts_while_the_first_one_lives() {
    let harness = Harness::new();
    let first = Listening::new(&harness, "one");
    for token in [first.token.clone(), first.registered.token()] {
        first.registered.open_session(Some(&token)).error(BROKER, 409);
    }
    // The first session still works.
    harness.job();
    first.offer();
}

#[test]
fn the_same_configuration_opens_one_session_after_the_other() {
    let harness = Harness::new();
    let first = Listening::new(&harness, "one");
    first.close_session().is_success();
    let (id, registered) = (first.session, first.registered);
    let second = registered.listen();
    assert_ne!(second.session, id);
}

#[test]
fn two_runners_have_sessions_side_by_side() {
    let harness = Harness::new();
    let (one, two) = (Listening::new(&harness, "one"), Listening::new(&harness, "two"));
    assert_ne!(one.session, two.session);
    one.close_session().is_success();
    assert_eq!(harness.runner(two.registered.id)["status"], "online");
}

#[test]
fn a_session_needs_a_token_of_the_service() {
    let harness = Harness::new();
    let registered = Registered::new(&harness, "one");
    assert_eq!(registered.open_session(None).status, 401);
    assert_eq!(registered.open_session(Some("another token")).status, 401);
    let listening = registered.listen();
    let refused = crate::client::send(
        "DELETE",
        &listening.registered.broker("session"),
        Some("another token"),
        crate::client::Body::None,
    );
    assert_eq!(refused.status, 401);
}

#[test]
fn a_token_outlives_no_registration() {
    let harness = Harness::new();
    let registered = Registered::new(&harness, "one");
    let token = registered.token();
    harness.delete_runner(registered.id);
    let answer = registered.open_session(Some(&token));
    assert!(matches!(answer.status, 401 | 404), "{}: {}", answer.status, answer.text());
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    assert_eq!(body.get("sessionId"), None);
}
