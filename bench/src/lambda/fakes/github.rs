//! The part of GitHub's API that a control plane needs for a job. It accepts every request.
//! (`ecsrunner-sim` has a stateful fake, which checks requests and is slower.)

use axum::http::Method;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Asked, Reply, World};

/// GitHub's own are 4.0 to 4.6 KB.
const JIT_CONFIG_BYTES: usize = 3200;

/// The path of the API on GitHub Enterprise Server, which the peer uses for every host except `github.com`.
const ENTERPRISE_PREFIX: &str = "/api/v3";

fn path(asked: &Asked) -> &str {
    let path = asked.uri.path();
    path.strip_prefix(ENTERPRISE_PREFIX).unwrap_or(path)
}

/// The operation's name: its path with ids and names left out.
pub(super) fn operation(asked: &Asked) -> String {
    format!("{} {}", asked.method, template(path(asked)))
}

fn template(path: &str) -> String {
    let segments: Vec<&str> = path.split('/').collect();
    let named = segments.iter().enumerate().map(|(at, &segment)| match (segments.get(1).copied(), at) {
        (Some("repos"), 2) => "{owner}",
        (Some("repos"), 3) => "{repo}",
        (Some("orgs"), 2) => "{org}",
        _ if !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_digit()) => "{id}",
        _ => segment,
    });
    named.collect::<Vec<_>>().join("/")
}

pub(super) fn answer(asked: &Asked, world: &mut World) -> Reply {
    let path = path(asked);
    let ends = |with: &str| path.ends_with(with);
    match asked.method {
        Method::POST if ends("/access_tokens") => Reply::json(201, &access_token()),
        Method::POST if ends("/actions/runners/registration-token") => {
            Reply::json(201, &registration_token())
        }
        Method::POST if ends("/actions/runners/generate-jitconfig") => {
            Reply::json(201, &jit_config(&asked.json(), world))
        }
        Method::GET if ends("/installation") => Reply::json(200, &json!({"id": 2, "app_id": 1})),
        Method::GET if path == "/octocat" => Reply {
            content_type: "application/octocat-stream",
            body: b"octocat".to_vec(),
            ..Reply::json(200, &Value::Null)
        },
        Method::GET if ends("/actions/runners") => {
            Reply::json(200, &json!({"total_count": 0, "runners": []}))
        }
        Method::DELETE if path.contains("/actions/runners/") => {
            Reply { body: Vec::new(), ..Reply::json(204, &Value::Null) }
        }
        _ => Reply::json(404, &json!({"message": "Not Found", "status": "404"})),
    }
}

fn in_an_hour() -> String {
    let at = Timestamp::now() + SignedDuration::from_hours(1);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn access_token() -> Value {
    json!({
        // Tokens of installations can be 520 characters.
        "token": format!("ghs_{}", "t".repeat(516)),
        "expires_at": in_an_hour(),
        "permissions": {"actions": "read", "administration": "write", "metadata": "read"},
        "repository_selection": "selected",
    })
}

fn registration_token() -> Value {
    json!({"token": "AABBCCDDEEFFGGHHIIJJKKLLMMNNO", "expires_at": in_an_hour()})
}

fn jit_config(request: &Value, world: &mut World) -> Value {
    let name = request.get("name").and_then(Value::as_str).unwrap_or_default();
    world.runner = Some(name.to_owned());
    let labels = request.get("labels").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let labels: Vec<_> = labels
        .iter()
        .enumerate()
        .map(|(id, label)| json!({"id": id, "name": label, "type": "custom"}))
        .collect();
    json!({
        "runner": {
            "id": world.id(), "name": name, "os": "unknown", "status": "offline", "busy": false,
            "runner_group_id": 1, "ephemeral": true, "labels": labels,
        },
        "encoded_jit_config": BASE64_STANDARD.encode(vec![b'j'; JIT_CONFIG_BYTES]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_are_left_out() {
        let named = [
            "/app/installations/2/access_tokens",
            "/repos/acme/app/actions/jobs/17",
            "/orgs/acme/actions/runners",
        ];
        let templates = [
            "/app/installations/{id}/access_tokens",
            "/repos/{owner}/{repo}/actions/jobs/{id}",
            "/orgs/{org}/actions/runners",
        ];
        assert_eq!(named.map(template), templates);
    }
}
