//! Reads a task's id and its role's credentials from ECS's endpoints.
//!
//! The paths of both endpoints come only from environment variables. The path of
//! the credentials is a secret, since it is all that a caller needs.

pub(super) mod containers;
pub(super) mod stats;

use std::fmt;
use std::io;
use std::time::Duration;

use ecsrunner_core::id::TaskId;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::Credentials;
use super::http::{Exchange, Http, Request};

/// How much of an answer is read at most. Metadata take some KB for each container.
const MAX_BYTES: u64 = 1024 * 1024;
/// The base of a relative credentials URI.
const CREDENTIALS_HOST: &str = "http://169.254.170.2";

/// The endpoints that ECS gives a container. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct TaskEndpoints {
    metadata: String,
    credentials: CredentialsEndpoint,
}

/// Where a container gets its role's credentials. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct CredentialsEndpoint {
    url: SecretString,
    token: Option<SecretString>,
}

/// The endpoint of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// The task's metadata, version 4.
    Metadata,
    /// The credentials of the task's role.
    Credentials,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metadata => "task metadata",
            Self::Credentials => "task credentials",
        })
    }
}

/// ECS gave no usable answer. No error shows an endpoint's path.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// No answer, or an incomplete one.
    #[error("the endpoint of the {asked} does not answer")]
    Unanswered { asked: Asked, source: io::Error },
    /// An answer with an error status.
    #[error("the endpoint of the {asked} answers with HTTP status {status}")]
    Status { asked: Asked, status: u16 },
    /// An answer that is not as expected.
    #[error("the endpoint of the {asked} gives an answer that cannot be used: {fault}")]
    Unusable { asked: Asked, fault: String },
}

impl TaskError {
    /// Whether the same request may succeed a moment later.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Self::Unanswered { .. } => true,
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            Self::Unusable { .. } => false,
        }
    }
}

impl CredentialsEndpoint {
    /// From `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`, which ECS sets.
    #[must_use]
    pub fn relative(uri: &str) -> Self {
        Self { url: SecretString::from(format!("{CREDENTIALS_HOST}{uri}")), token: None }
    }

    /// From `AWS_CONTAINER_CREDENTIALS_FULL_URI` and its authorization token.
    #[must_use]
    pub fn full(url: SecretString, token: Option<SecretString>) -> Self {
        Self { url, token }
    }
}

impl TaskEndpoints {
    /// `metadata` is `ECS_CONTAINER_METADATA_URI_V4`.
    #[must_use]
    pub fn new(metadata: &str, credentials: CredentialsEndpoint) -> Self {
        Self { metadata: metadata.trim_end_matches('/').to_owned(), credentials }
    }

    /// The task's id: the last part of its ARN.
    ///
    /// # Errors
    ///
    /// See [`TaskError`].
    pub fn task(&self, http: &Http, limit: Duration) -> Result<TaskId, TaskError> {
        #[derive(Deserialize)]
        struct Metadata {
            #[serde(rename = "TaskARN")]
            task_arn: String,
        }
        let asked = Asked::Metadata;
        let body = get(http, asked, &format!("{}/task", self.metadata), None, limit)?;
        let metadata: Metadata = serde_json::from_slice(&body)
            .map_err(|error| TaskError::Unusable { asked, fault: error.to_string() })?;
        let fault = || format!("`{}` is not a task's ARN", metadata.task_arn);
        task_of(&metadata.task_arn).ok_or_else(|| TaskError::Unusable { asked, fault: fault() })
    }

    /// Temporary credentials of the task's role. They are valid for hours, longer
    /// than any boot limit, but not always as long as a warm task waits.
    ///
    /// # Errors
    ///
    /// See [`TaskError`].
    pub fn credentials(&self, http: &Http, limit: Duration) -> Result<Credentials, TaskError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            access_key_id: String,
            secret_access_key: String,
            token: Option<String>,
            expiration: Option<Timestamp>,
        }
        let asked = Asked::Credentials;
        let CredentialsEndpoint { url, token } = &self.credentials;
        let body = get(http, asked, url.expose_secret(), token.as_ref(), limit)?;
        // The parser's message could quote a secret.
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| {
            let fault = "it has no AccessKeyId and SecretAccessKey".to_owned();
            TaskError::Unusable { asked, fault }
        })?;
        Ok(Credentials {
            access_key_id: answer.access_key_id,
            secret_access_key: answer.secret_access_key.into(),
            session_token: answer.token.map(SecretString::from),
            expires_at: answer.expiration,
        })
    }
}

fn get(
    http: &Http,
    asked: Asked,
    url: &str,
    token: Option<&SecretString>,
    limit: Duration,
) -> Result<Vec<u8>, TaskError> {
    let headers =
        token.map(|token| ("authorization", token.expose_secret().to_owned())).into_iter().collect();
    let request = Request { url, headers, body: None, limit, max_bytes: MAX_BYTES };
    match http.exchange(request) {
        Ok(answer) if answer.status == 200 => Ok(answer.body),
        Ok(answer) => Err(TaskError::Status { asked, status: answer.status }),
        Err(Exchange::Unsent(source) | Exchange::Broken(source)) => {
            Err(TaskError::Unanswered { asked, source })
        }
        // The error would show the address.
        Err(Exchange::Malformed(_)) => {
            Err(TaskError::Unusable { asked, fault: "its address is not an http URL".to_owned() })
        }
    }
}

/// The id from `arn:<partition>:ecs:<Region>:<account>:task/<cluster>/<id>`. ARNs
/// of the old format have no cluster.
fn task_of(arn: &str) -> Option<TaskId> {
    let mut parts = arn.splitn(6, ':');
    let is_ecs = parts.next() == Some("arn") && parts.next().is_some() && parts.next() == Some("ecs");
    let resource = parts.nth(2).filter(|_| is_ecs)?;
    let id = resource.strip_prefix("task/")?.rsplit('/').next()?;
    let is_id = id.len() >= 32 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    TaskId::parse(id).ok().filter(|_| is_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_task_is_the_last_part_of_its_arn_and_nothing_else_is_one() {
        let task = |arn: &str| task_of(arn).map(|task| task.to_string());
        for arn in [
            format!("arn:aws:ecs:eu-west-1:123456789012:task/ecsrunner-ci/{ID}"),
            format!("arn:aws-cn:ecs:cn-north-1:123456789012:task/{ID}"),
        ] {
            assert_eq!(task(&arn).as_deref(), Some(ID), "{arn}");
        }
        for arn in [
            "",
            ID,
            "arn:aws:ecs:eu-west-1:123456789012:task/ecsrunner-ci/",
            "arn:aws:ecs:eu-west-1:123456789012:cluster/ecsrunner-ci",
            "arn:aws:ecs:eu-west-1:123456789012:task/ecsrunner-ci/../../x",
            "arn:aws:ec2:eu-west-1:123456789012:task/c/0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(task(arn), None, "{arn}");
        }
    }

    #[test]
    fn only_what_can_pass_is_asked_again() {
        let status = |status| TaskError::Status { asked: Asked::Metadata, status }.passes();
        assert_eq!([404, 403, 429, 500, 503].map(status), [false, false, true, true, true]);
    }
}
