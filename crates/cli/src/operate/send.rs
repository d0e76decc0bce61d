//! `ecsrunner webhook send`.

use std::time::Duration;

use anyhow::{Context, anyhow};
use aws_lc_rs::hmac;
use ecsrunner_core::wire::webhook::MAX_BODY_BYTES;
use reqwest::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::input;
use crate::arguments::SendWebhook;
use crate::exit::Failure;
use crate::output::{self, clean, is_for_people, print};

const LIMIT: Duration = Duration::from_secs(10);

#[derive(Serialize)]
struct Document {
    delivery: String,
    /// The answer's status of HTTP.
    status: u16,
    /// The answer's body, as a string if it is no JSON.
    answer: Value,
}

pub(super) async fn send(arguments: &SendWebhook) -> Result<(), Failure> {
    let body = input::bytes(&arguments.file)?;
    let secret = std::fs::read(&arguments.secret_file)
        .with_context(|| format!("{} cannot be read", arguments.secret_file.display()))
        .map_err(Failure::usage)?;
    if body.len() > MAX_BODY_BYTES {
        output::say(&format!(
            "note: the body has {} bytes, and a deployment refuses more than {MAX_BODY_BYTES} bytes",
            body.len()
        ));
    }
    let delivery = delivery_id()?;
    let answer = reqwest::Client::builder()
        .timeout(LIMIT)
        .build()?
        .post(&arguments.url)
        .header("content-type", "application/json")
        .header("user-agent", concat!("ecsrunner/", env!("CARGO_PKG_VERSION")))
        .header("x-github-event", &arguments.event)
        .header("x-github-delivery", &delivery)
        .header("x-hub-signature-256", signature(&secret, &body))
        .body(body)
        .send()
        .await
        .with_context(|| format!("no answer from {}", arguments.url))?;
    let status = answer.status();
    let text = answer.text().await?;
    if arguments.format.json {
        let answer = serde_json::from_str(&text).unwrap_or(Value::String(text));
        output::print_json(&Document { delivery: delivery.clone(), status: status.as_u16(), answer })?;
    } else {
        let text = if is_for_people() { clean(&text) } else { text };
        print(&format!("{text}\n"))?;
    }
    if status.is_success() {
        Ok(())
    } else {
        let failure = Failure::from(anyhow!("{} answered {status} to delivery {delivery}", arguments.url));
        Err(match advice(status) {
            Some(advice) => failure.hint(advice),
            None => failure,
        })
    }
}

/// Returns what to do about an answer.
fn advice(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::UNAUTHORIZED => {
            Some("compare `--secret-file` with the webhook's secret of the deployment")
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            Some("correct `--url`: the path of a local server is `/webhook`")
        }
        StatusCode::PAYLOAD_TOO_LARGE => Some("send a smaller payload: those of jobs have 7 to 12 KB"),
        _ => None,
    }
}

/// Returns the `X-Hub-Signature-256`. Line ends after the secret in its file are ignored.
fn signature(secret: &[u8], body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.trim_ascii_end());
    let hex = hmac::sign(&key, body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("sha256={hex}")
}

/// Makes a GUID, as each delivery of GitHub's has one.
fn delivery_id() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow!("the system's random number generator failed"))?;
    let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    Ok([part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_githubs_documentation() {
        // docs.github.com, "Validating webhook deliveries".
        let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(signature(b"It's a Secret to Everybody\n", b"Hello, World!"), expected);
    }

    #[test]
    fn deliveries_have_ids_in_githubs_form() {
        let id = delivery_id().unwrap();
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
    }
}
