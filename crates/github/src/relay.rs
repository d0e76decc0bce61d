//! Questions that another process asks GitHub for a caller who has no credentials, such as a deployment's function for an
//! operator. Only reads of [`READS`] are passed on, so that a caller learns what operators need and nothing else.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ecsrunner_core::id::{Organization, Repository};
use ecsrunner_engine::ports::github::GitHubError;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::auth::{Grant, InstallationId, RunnerScope};
use crate::client::Client;
use crate::http::Call;
use crate::reply::{Fault, Reply};

/// The paths that may be read; `*` stands for one segment.
const READS: &[&str] = &[
    "app",
    "app/hook/config",
    "app/hook/deliveries",
    "app/hook/deliveries/*",
    "app/installations",
    "apps/*",
    "meta",
    "orgs/*/actions/runner-groups",
    "orgs/*/actions/runners",
    "repos/*/*/actions/jobs/*",
    "repos/*/*/actions/runners",
    "repos/*/*/actions/runs",
    "repos/*/*/actions/runs/*",
    "repos/*/*/actions/runs/*/jobs",
];
/// The headers of a reply that are passed on: where the next page is, and when to come back.
const HEADERS: &[&str] = &["link", "retry-after", "x-ratelimit-remaining", "x-ratelimit-reset"];
/// The longest text of a question, in bytes.
const MAX_TEXT: usize = 1000;

/// A question to GitHub.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    asker: Asker,
    path: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    query: Vec<(String, String)>,
}

/// With whose permissions a question is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Asker {
    /// The App about itself.
    App,
    /// The user of a plain token.
    User,
    /// Anyone on the internet.
    Anyone,
    /// Who may read this repository's jobs.
    Jobs(Repository),
    /// Who may manage this repository's runners.
    RepositoryRunners(Repository),
    /// Who may manage this organization's runners.
    OrganizationRunners(Organization),
    /// An installation of the App.
    Installation(u64),
}

/// The answer to a question.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// GitHub's reply, of any status.
    Reply(RelayedReply),
    /// The credentials are of another kind: a token has no App, and an App no user.
    NotApplicable,
    /// The credentials cannot be used. Says why, without a secret.
    Credentials(String),
}

/// GitHub's reply, as far as it is passed on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RelayedReply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QuestionError {
    #[error(
        "`{0}` may not be read through a deployment: a path that operators need is expected, such as `app`"
    )]
    NotAllowed(String),
    #[error(transparent)]
    GitHub(#[from] GitHubError),
}

/// A carrier could not bring a question to its deployment, or the answer back.
#[derive(Debug, thiserror::Error)]
#[error("the deployment did not answer")]
pub struct CarrierError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Brings questions to a process that has GitHub's credentials.
pub trait Carrier: Send + Sync {
    fn carry<'a>(
        &'a self,
        question: &'a Question,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, CarrierError>> + Send + 'a>>;
}

/// Asks through a carrier.
#[derive(Clone)]
pub(crate) struct Relay(Arc<dyn Carrier>);

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Relay")
    }
}

impl Relay {
    pub(crate) fn new(carrier: impl Carrier + 'static) -> Self {
        Self(Arc::new(carrier))
    }

    pub(crate) async fn ask(&self, grant: &Grant, call: &Call) -> Result<Reply, Fault> {
        let asker = match grant {
            Grant::Read(repository) | Grant::Rerun(repository) => Asker::Jobs(repository.clone()),
            Grant::Runners(RunnerScope::Repository(repository)) => {
                Asker::RepositoryRunners(repository.clone())
            }
            Grant::Runners(RunnerScope::Organization(organization)) => {
                Asker::OrganizationRunners(organization.clone())
            }
            Grant::Installation(installation) => Asker::Installation(installation.get()),
        };
        let reply = self.carry(asker, call).await?;
        reply.ok_or_else(|| Fault::credentials("the deployment has none for this call"))
    }

    pub(crate) async fn ask_as_app(&self, call: &Call) -> Result<Option<Reply>, Fault> {
        self.carry(Asker::App, call).await
    }

    pub(crate) async fn ask_as_user(&self, call: &Call) -> Result<Option<Reply>, Fault> {
        self.carry(Asker::User, call).await
    }

    pub(crate) async fn ask_as_anyone(&self, call: &Call) -> Result<Reply, Fault> {
        let reply = self.carry(Asker::Anyone, call).await?;
        reply.ok_or_else(|| Fault::credentials("the deployment has none for this call"))
    }

    async fn carry(&self, asker: Asker, call: &Call) -> Result<Option<Reply>, Fault> {
        if call.method != Method::GET {
            return Err(Fault::credentials(format!(
                "{} changes something at GitHub, which no deployment does for the command line",
                call.name()
            )));
        }
        let query = call.query.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        let question = Question { asker, path: call.path.clone(), query };
        let answer = self.0.carry(&question).await.map_err(|error| Fault::unreachable(call.name(), error))?;
        match answer {
            Answer::Reply(reply) => Ok(Some(reply.read(call))),
            Answer::NotApplicable => Ok(None),
            Answer::Credentials(why) => Err(Fault::credentials(why)),
        }
    }
}

impl RelayedReply {
    fn of(reply: &Reply) -> Self {
        let header = |name: &&str| {
            let value = reply.headers().get(*name)?.to_str().ok()?;
            Some(((*name).to_owned(), value.to_owned()))
        };
        Self {
            status: reply.status(),
            headers: HEADERS.iter().filter_map(header).collect(),
            body: reply.text().into_owned(),
        }
    }

    fn read(self, call: &Call) -> Reply {
        let header = |(name, value): (String, String)| {
            Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
        };
        let headers: HeaderMap = self.headers.into_iter().filter_map(header).collect();
        Reply::new(call.name(), self.status, headers, self.body.into_bytes())
    }
}

impl Question {
    /// Whether this question may be asked on behalf of another process.
    fn is_allowed(&self) -> bool {
        let texts = self.query.iter().flat_map(|(name, value)| [name, value]).chain([&self.path]);
        texts.map(String::len).sum::<usize>() <= MAX_TEXT
            && READS.iter().any(|read| {
                let (mut expected, mut segments) = (read.split('/'), self.path.split('/'));
                loop {
                    match (expected.next(), segments.next()) {
                        (None, None) => return true,
                        (Some("*"), Some(segment)) if is_name(segment) => {}
                        (Some(expected), Some(segment)) if expected == segment && expected != "*" => {}
                        _ => return false,
                    }
                }
            })
    }
}

/// Whether a segment of a path is a name or a number, and leads nowhere else.
fn is_name(segment: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !segment.is_empty() && segment.chars().all(is_plain) && segment != "." && segment != ".."
}

impl Client {
    /// Creates a client without credentials, whose questions a carrier brings to a process that has some. It can only read.
    #[must_use]
    pub fn through(carrier: impl Carrier + 'static) -> Self {
        Self::of_relay(Relay::new(carrier))
    }

    /// Asks GitHub a question of another process, with this client's credentials.
    ///
    /// # Errors
    ///
    /// The question is about anything but what operators need to know, or GitHub cannot be asked.
    pub async fn answer(&self, question: Question) -> Result<Answer, QuestionError> {
        if !question.is_allowed() {
            return Err(QuestionError::NotAllowed(question.path.chars().take(100).collect()));
        }
        let mut call = Call::get("answer-question", "an operator", question.path);
        call.query = question.query.into_iter().map(|(name, value)| (name.into(), value)).collect();
        let grant = match question.asker {
            Asker::App => return Answer::of(self.ask_as_app(&call).await),
            Asker::User => return Answer::of(self.ask_as_user(&call).await),
            Asker::Anyone => return Answer::of(self.ask_as_anyone(&call).await.map(Some)),
            Asker::Jobs(repository) => Grant::Read(repository),
            Asker::RepositoryRunners(repository) => Grant::Runners(RunnerScope::Repository(repository)),
            Asker::OrganizationRunners(organization) => {
                Grant::Runners(RunnerScope::Organization(organization))
            }
            Asker::Installation(installation) => Grant::Installation(InstallationId::new(installation)),
        };
        Answer::of(self.ask(&grant, &call).await.map(Some))
    }
}

impl Answer {
    fn of(reply: Result<Option<Reply>, Fault>) -> Result<Self, QuestionError> {
        match reply.map_err(GitHubError::from) {
            Ok(Some(reply)) => Ok(Self::Reply(RelayedReply::of(&reply))),
            Ok(None) => Ok(Self::NotApplicable),
            Err(GitHubError::Credentials(why)) => Ok(Self::Credentials(why)),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(path: &str) -> bool {
        Question { asker: Asker::App, path: path.to_owned(), query: Vec::new() }.is_allowed()
    }

    #[test]
    fn only_what_operators_need_is_read_for_them() {
        for path in ["app", "app/hook/deliveries/7", "repos/acme/my.app/actions/jobs/42", "meta"] {
            assert!(allows(path), "{path}");
        }
        for path in [
            "",
            "user",
            "app/installations/1/access_tokens",
            "repos/acme/app/contents/README.md",
            "repos/acme/app/actions/secrets",
            "repos/acme/app/actions/jobs/42/logs",
            "repos/acme/../actions/jobs/42",
            "repos/acme/app/actions/jobs/42?x=1",
            "repos/acme/%2e%2e/actions/jobs/42",
            "repos/*/*/actions/runs/*/jobs",
            "repos//app/actions/runs",
            "app/",
            "/app",
        ] {
            assert!(!allows(path), "{path}");
        }
        assert!(!allows(&format!("apps/{}", "a".repeat(2000))));
    }
}
