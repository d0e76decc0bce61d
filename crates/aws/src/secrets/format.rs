//! The formats of secrets. Errors show no part of a secret.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// The credentials for GitHub. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub enum GitHubCredentials {
    App(GitHubApp),
    Token(SecretString),
}

/// A GitHub App's credentials.
#[derive(Clone, Debug)]
pub struct GitHubApp {
    /// The App's id or client id.
    pub id: String,
    /// In PEM.
    pub private_key: SecretString,
    /// The installation's id. If `None`, each owner's installation is looked up.
    pub installation: Option<u64>,
}

const WEBHOOK_FORM: &str = "a JSON list of texts, `{\"secrets\": [\"…\"]}` or one bare text that begins with neither `[` nor `{` is expected";
const GITHUB_FORM: &str = "`{\"app_id\": …, \"private_key\": \"…\"}` or `{\"token\": \"…\"}` is expected";

/// Whether both lists are the same.
pub(super) fn are_same_webhook_secrets(one: &[SecretString], other: &[SecretString]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
}

pub(super) fn are_same_github_credentials(one: &GitHubCredentials, other: &GitHubCredentials) -> bool {
    match (one, other) {
        (GitHubCredentials::Token(one), GitHubCredentials::Token(other)) => is_same(one, other),
        (GitHubCredentials::App(one), GitHubCredentials::App(other)) => {
            (&one.id, one.installation) == (&other.id, other.installation)
                && is_same(&one.private_key, &other.private_key)
        }
        _ => false,
    }
}

/// Not in constant time: both values are ours, so the time reveals nothing.
fn is_same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

/// Returns the headers of an OTLP endpoint as text. The exporter parses them.
pub(super) fn headers(text: &str) -> Result<SecretString, &'static str> {
    let text = text.trim();
    if text.is_empty() { Err("it is empty") } else { Ok(SecretString::from(text)) }
}

pub(crate) fn webhook_secrets(text: &str) -> Result<Vec<SecretString>, &'static str> {
    // A console or an editor may have added a line break.
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err("it is empty");
    }
    if !text.starts_with(['[', '{']) {
        return Ok(vec![SecretString::from(text)]);
    }
    let mut value: Value = serde_json::from_str(text).map_err(|_| WEBHOOK_FORM)?;
    let list = match &mut value {
        Value::Object(object) => object.remove("secrets").ok_or(WEBHOOK_FORM)?,
        other => other.take(),
    };
    let Value::Array(items) = list else { return Err(WEBHOOK_FORM) };
    if items.is_empty() {
        return Err("the list of webhook secrets is empty");
    }
    items
        .into_iter()
        .map(|item| match item {
            // Anyone could sign with an empty secret.
            Value::String(secret) if secret.is_empty() => Err("one of the webhook secrets is empty"),
            Value::String(secret) => Ok(SecretString::from(secret)),
            _ => Err(WEBHOOK_FORM),
        })
        .collect()
}

pub(crate) fn github_credentials(text: &str) -> Result<GitHubCredentials, &'static str> {
    let Ok(Value::Object(mut object)) = serde_json::from_str(text) else { return Err(GITHUB_FORM) };
    let mut take = |key: &str| object.remove(key).filter(|value| !value.is_null());
    match (take("token"), take("app_id")) {
        (Some(Value::String(token)), None) if !token.trim().is_empty() => {
            Ok(GitHubCredentials::Token(SecretString::from(token.trim())))
        }
        (Some(_), None) => Err("`token` is not a text, or is empty"),
        (Some(_), Some(_)) => Err("`token` and `app_id` are both present: one of them is expected"),
        (None, None) => Err(GITHUB_FORM),
        (None, Some(id)) => {
            let id = match id {
                Value::String(id) if !id.is_empty() => id,
                Value::Number(id) => id.to_string(),
                _ => return Err("`app_id` is neither a number nor a text"),
            };
            let private_key = match take("private_key") {
                Some(Value::String(key)) if key.contains("-----BEGIN") => SecretString::from(key),
                Some(_) => return Err("`private_key` is not in PEM (`-----BEGIN …`)"),
                None => return Err("`private_key` is missing"),
            };
            let installation = match take("installation_id") {
                None => None,
                Some(Value::String(id)) if id.is_empty() => None,
                Some(id) => {
                    let number = id.as_u64().or_else(|| id.as_str().and_then(|id| id.parse().ok()));
                    Some(number.ok_or("`installation_id` is not a number")?)
                }
            };
            Ok(GitHubCredentials::App(GitHubApp { id, private_key, installation }))
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn webhook(text: &str) -> Result<Vec<String>, &'static str> {
        let secrets = webhook_secrets(text)?;
        Ok(secrets.iter().map(|secret| secret.expose_secret().to_owned()).collect())
    }

    #[test]
    fn webhook_secrets_are_a_list_an_object_or_one_bare_text() {
        assert_eq!(webhook(r#"["new", "old"]"#).unwrap(), ["new", "old"]);
        assert_eq!(webhook(r#"{"secrets": ["one"], "note": 1}"#).unwrap(), ["one"]);
        assert_eq!(webhook("It's a \"Secret\" to Everybody\n").unwrap(), ["It's a \"Secret\" to Everybody"]);
    }

    #[test]
    fn a_list_of_no_secret_or_an_empty_one_is_refused() {
        for text in ["", "\n", "[]", r#"["one", ""]"#, r#"["one""#, r#"{"secret": "s3cret"}"#, "[1]"] {
            let fault = webhook(text).unwrap_err();
            assert!(!fault.contains("s3cret"), "{fault}");
        }
    }

    #[test]
    fn github_knows_us_by_an_app_or_a_token() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\\nMIIE\\n-----END RSA PRIVATE KEY-----";
        let app = |ids: &str| github_credentials(&format!(r#"{{{ids}, "private_key": "{key}"}}"#)).unwrap();
        for (ids, id, installation) in [
            (r#""app_id": 1234"#, "1234", None),
            (r#""app_id": "Iv23li0a", "installation_id": null"#, "Iv23li0a", None),
            (r#""app_id": 1234, "installation_id": 5678"#, "1234", Some(5678)),
            (r#""app_id": "1234", "installation_id": "5678""#, "1234", Some(5678)),
        ] {
            let GitHubCredentials::App(app) = app(ids) else { panic!("an App is expected") };
            assert_eq!((app.id.as_str(), app.installation), (id, installation));
            assert!(app.private_key.expose_secret().contains("KEY-----\nMIIE\n"));
        }
        let token = github_credentials(r#"{"token": "ghp_s3cret\n"}"#).unwrap();
        assert!(matches!(&token, GitHubCredentials::Token(token) if token.expose_secret() == "ghp_s3cret"));
        assert!(!format!("{token:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_wrong_with_credentials_is_said_without_showing_them() {
        for text in [
            "ghp_s3cret",
            "{}",
            r#"{"token": ""}"#,
            r#"{"token": "s3cret", "app_id": 1}"#,
            r#"{"app_id": 1}"#,
            r#"{"app_id": 1, "private_key": "s3cret"}"#,
            r#"{"app_id": true, "private_key": "-----BEGIN s3cret"}"#,
            r#"{"app_id": 1, "private_key": "-----BEGIN s3cret", "installation_id": "x"}"#,
        ] {
            let fault = github_credentials(text).unwrap_err();
            assert!(!fault.contains("s3cret"), "{fault}");
        }
    }
}
