//! Reads the table's reply: the item, or an error code.

use std::collections::BTreeMap;
use std::fmt;

use ecsrunner_core::id::RunnerName;
use ecsrunner_core::rules::policy::Policy;
use ecsrunner_core::rules::service::offer::Offer;
use ecsrunner_core::wire::boot::{About, Again, BootItem, Fail, attribute};
use secrecy::SecretString;
use serde::Deserialize;

/// The boot item that this task, and no other, has taken.
#[derive(Debug)]
pub struct Taken {
    /// The part that may be shown.
    pub item: BootItem,
    /// GitHub's encoded just-in-time configuration.
    pub jit: SecretString,
}

/// Why an item cannot be read. It never quotes the secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BootItemError(pub String);

#[derive(Deserialize)]
struct Reply {
    #[serde(rename = "Attributes")]
    attributes: Option<BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
struct Value {
    #[serde(rename = "S")]
    text: Option<String>,
}

/// Reads the reply to a `DeleteItem`. Returns `None` if the table had no such item.
///
/// # Errors
///
/// The reply is not that of a `DeleteItem`, or an attribute is missing or malformed. Errors of the JSON parser that could
/// quote the secret are not passed on.
pub fn read(reply: &[u8]) -> Result<Option<Taken>, BootItemError> {
    let unreadable = BootItemError;
    let reply: Reply = serde_json::from_slice(reply)
        .map_err(|_| unreadable("the table's reply is not that of a DeleteItem".to_owned()))?;
    let Some(mut attributes) = reply.attributes else { return Ok(None) };
    if attributes.is_empty() {
        return Ok(None);
    }
    let mut text = |name: &str| attributes.remove(name).and_then(|value| value.text);
    let missing = |name: &str| unreadable(format!("attribute `{name}` is missing or not a string"));
    let wrong = |name: &str, error: &dyn fmt::Display| unreadable(format!("attribute `{name}`: {error}"));

    let jit = text(attribute::JIT).filter(|jit| !jit.is_empty()).map(SecretString::from);
    let jit = jit.ok_or_else(|| missing(attribute::JIT))?;
    let runner = text(attribute::RUNNER).ok_or_else(|| missing(attribute::RUNNER))?;
    let runner = RunnerName::parse(&runner).map_err(|error| wrong(attribute::RUNNER, &error))?;
    let policy = text(attribute::POLICY).ok_or_else(|| missing(attribute::POLICY))?;
    let policy: Policy = serde_json::from_str(&policy).map_err(|error| wrong(attribute::POLICY, &error))?;
    let fail: Option<Fail> = text(attribute::FAIL)
        .map(|fail| serde_json::from_str(&fail))
        .transpose()
        .map_err(|error| wrong(attribute::FAIL, &error))?;
    let services: Option<Offer> = text(attribute::SERVICES)
        .map(|services| serde_json::from_str(&services))
        .transpose()
        .map_err(|error| wrong(attribute::SERVICES, &unquoted(&error)))?;
    // Both are only shown: what a later release writes otherwise is left out, and the runner does its work.
    let about = text(attribute::ABOUT).and_then(|about| serde_json::from_str::<About>(&about).ok());
    let about = about.filter(|about| about.v == About::VERSION);
    let reruns = text(attribute::RERUNS).and_then(|reruns| serde_json::from_str::<Vec<Again>>(&reruns).ok());
    let reruns = reruns.unwrap_or_default();
    Ok(Some(Taken { item: BootItem { runner, policy, fail, services, about, reruns }, jit }))
}

/// Where the parser stopped. Its own words could quote the value of a variable.
fn unquoted(error: &serde_json::Error) -> String {
    format!("not the expected JSON at line {} column {}", error.line(), error.column())
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "__type")]
    code: String,
}

/// The error code, such as `ResourceNotFoundException` from
/// `com.amazonaws.dynamodb.v20120810#ResourceNotFoundException`.
pub fn error_code(status: u16, reply: &[u8]) -> String {
    let code = serde_json::from_slice::<Refusal>(reply).ok().map(|refusal| refusal.code);
    let code = code.as_deref().and_then(|code| code.rsplit('#').next()).unwrap_or_default();
    let plain = !code.is_empty() && code.len() <= 80 && code.bytes().all(|b| b.is_ascii_alphanumeric());
    if plain { code.to_owned() } else { format!("HTTP status {status}") }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const RUNNER: &str = "ecsr-test-abcdefg234-01arz3ndektsv4rrffq69g5fav";

    fn item(attributes: serde_json::Value) -> Vec<u8> {
        serde_json::json!({ "Attributes": attributes }).to_string().into_bytes()
    }

    fn unreadable(attributes: serde_json::Value) -> String {
        read(&item(attributes)).unwrap_err().to_string()
    }

    #[test]
    fn an_item_reads_back_with_its_policy() {
        let reply = item(serde_json::json!({
            "owner": {"S": "me"}, "jit": {"S": "secret"}, "runner": {"S": RUNNER},
            "policy": {"S": r#"{"repositories":["acme/*"]}"#}, "expires_at": {"N": "1"},
        }));
        let taken = read(&reply).unwrap().unwrap();
        assert_eq!(taken.item.runner.as_str(), RUNNER);
        assert_eq!(taken.jit.expose_secret(), "secret");
        assert!(taken.item.fail.is_none() && taken.item.services.is_none());
    }

    #[test]
    fn a_deletion_that_returns_nothing_means_no_item() {
        assert!(read(b"{}").unwrap().is_none());
    }

    #[test]
    fn a_broken_item_is_named_by_attribute_and_never_by_its_secret() {
        assert_eq!(
            unreadable(serde_json::json!({"jit": {"N": "1"}})),
            "attribute `jit` is missing or not a string"
        );
        let text = unreadable(serde_json::json!({"jit": {"S": "s3cret"}, "runner": {"S": "x"}}));
        assert!(text.contains("attribute `runner`") && !text.contains("s3cret"), "{text}");
        let text = unreadable(serde_json::json!({
            "jit": {"S": "secret"}, "runner": {"S": RUNNER},
            "policy": {"S": r#"{"repositories":["acme/*"]}"#},
            "services": {"S": r#"{"class":"a","services":{"db":"s3cret"}}"#},
        }));
        assert!(text.contains("attribute `services`") && !text.contains("s3cret"), "{text}");
        let text = read(br#"{"Attributes":"s3cret"}"#).unwrap_err().to_string();
        assert!(!text.contains("s3cret"), "{text}");
    }

    #[test]
    fn an_error_code_is_the_part_behind_the_hash_and_nothing_longer() {
        let reply =
            br#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"x"}"#;
        assert_eq!(error_code(400, reply), "ResourceNotFoundException");
        assert_eq!(error_code(403, b"<html>"), "HTTP status 403");
    }
}
