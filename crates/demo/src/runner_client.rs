//! A client of the runner's protocol (V2) for a listener and its worker: tokens,
//! a session, messages, a job.
//!
//! It makes single calls. Retries, times and the handling of failures belong in
//! the listener.

mod configuration;
mod feed;
mod jwt;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{Method, Request, Response};

pub use configuration::{Configuration, ConfigurationError, FILES, Files};
pub use feed::Feed;

use crate::protocol::RUNNER_VERSION;

/// The timeout of a call. The broker answers a poll after 50 s at most.
const CALL_LIMIT: Duration = Duration::from_secs(100);
const POLL_LIMIT: Duration = Duration::from_secs(65);

/// Why a call failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    /// There was no answer.
    #[error("{0}")]
    Unreachable(String),
    /// GitHub answers that the registration is deleted.
    #[error("the runner registration has been deleted")]
    Deleted,
    #[error("{message}")]
    Refused {
        status: u16,
        /// The error's kind, if the service sends one.
        kind: Option<String>,
        message: String,
    },
}

impl CallError {
    /// Returns the HTTP status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Unreachable(_) | Self::Deleted => None,
        }
    }

    /// Returns the kind of a refusal.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        match self {
            Self::Refused { kind, .. } => kind.as_deref(),
            Self::Unreachable(_) | Self::Deleted => None,
        }
    }
}

/// The message in the answer to a poll.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// A job is offered.
    JobRequest(JobRequest),
    /// The job with this GUID is cancelled.
    Cancellation(String),
    /// Another type of message, which is not handled.
    Other(String),
}

/// The offer of a job.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct JobRequest {
    /// The id for acquiring the job.
    pub runner_request_id: String,
    /// The service that has the job.
    pub run_service_url: String,
    /// Whether the broker expects an acknowledgement of the offer.
    #[serde(default)]
    pub should_acknowledge: bool,
}

/// A registered runner, and its token while that is valid.
#[derive(Clone)]
pub struct RunnerClient {
    agent: Agent,
    configuration: Arc<Configuration>,
    token: Arc<Mutex<Option<String>>>,
}

impl std::fmt::Debug for RunnerClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunnerClient").finish_non_exhaustive()
    }
}

impl RunnerClient {
    /// Makes a client without any call.
    #[must_use]
    pub fn new(configuration: Configuration) -> Self {
        Self { agent: agent(), configuration: Arc::new(configuration), token: Arc::default() }
    }

    /// Returns the configuration of this client.
    #[must_use]
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// Opens a session and returns its id.
    ///
    /// # Errors
    ///
    /// 409 if the runner has one, 401 and 403 if it may not have one.
    pub fn create_session(&self) -> Result<String, CallError> {
        let configuration = &self.configuration;
        let body = json!({
            "sessionId": "00000000-0000-0000-0000-000000000000",
            "ownerName": format!("stand-in (PID: {})", std::process::id()),
            "agent": {
                "id": configuration.agent_id,
                "name": configuration.agent_name,
                "version": RUNNER_VERSION,
                "osDescription": "Linux",
                "ephemeral": null,
                "status": 0,
                "provisioningState": null,
            },
            "useFipsEncryption": false,
        });
        let url = format!("{}session", configuration.server_url);
        let answer = self.call(Method::POST, &url, Some(&body), CALL_LIMIT)?;
        match answer["sessionId"].as_str() {
            Some(id) => Ok(id.to_owned()),
            None => Err(CallError::Unreachable("the answer names no session".to_owned())),
        }
    }

    /// Closes the session.
    ///
    /// # Errors
    ///
    /// Fails if the broker does not confirm it.
    pub fn delete_session(&self, limit: Duration) -> Result<(), CallError> {
        let url = format!("{}session", self.configuration.server_url);
        self.call(Method::DELETE, &url, None, limit).map(|_| ())
    }

    /// Waits for a message. Returns `None` if none came.
    ///
    /// # Errors
    ///
    /// Kinds `RunnerNotFound`, `RunnerVersionTooOld`, `RunnerSessionInvalid`, and any status.
    pub fn next_message(&self, session: &str, busy: bool) -> Result<Option<Message>, CallError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw {
            message_type: String,
            body: String,
        }
        let url = format!(
            "{}message?{}&disableUpdate=true",
            self.configuration.server_url,
            parameters(session, busy)
        );
        let answer = self.call(Method::GET, &url, None, POLL_LIMIT)?;
        let Ok(raw) = Raw::deserialize(&answer) else { return Ok(None) };
        let body: Value = serde_json::from_str(&raw.body).unwrap_or_default();
        let message = match raw.message_type.as_str() {
            "RunnerJobRequest" => JobRequest::deserialize(&body).ok().map(Message::JobRequest),
            "JobCancellation" => body["jobId"].as_str().map(|id| Message::Cancellation(id.to_owned())),
            _ => None,
        };
        Ok(Some(message.unwrap_or(Message::Other(raw.message_type))))
    }

    /// Acknowledges an offer.
    ///
    /// # Errors
    ///
    /// Kind `AcknowledgeJobNotFound` if the job is gone.
    pub fn acknowledge(&self, session: &str, request: &JobRequest) -> Result<(), CallError> {
        const LIMIT: Duration = Duration::from_secs(5);
        let url = format!("{}acknowledge?{}", self.configuration.server_url, parameters(session, false));
        let body = json!({"runnerRequestId": request.runner_request_id});
        self.call(Method::POST, &url, Some(&body), LIMIT).map(|_| ())
    }

    /// Acquires an offered job and returns its message.
    ///
    /// # Errors
    ///
    /// 404, 409 and 422 if the job cannot be acquired.
    pub fn acquire(&self, request: &JobRequest) -> Result<Value, CallError> {
        let url = format!("{}acquirejob", request.run_service_url);
        let body = json!({
            "jobMessageId": request.runner_request_id, "runnerOS": "Linux", "billingOwnerId": "U_1",
        });
        // As in the official runner, a new connection gets its own token.
        self.set_token(None);
        self.call(Method::POST, &url, Some(&body), CALL_LIMIT)
    }

    /// Makes a call with the runner's token. After a 401, retries once with a fresh token.
    fn call(
        &self,
        method: Method,
        url: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<Value, CallError> {
        let token = match self.known_token() {
            Some(token) => Some(token),
            None => self.fresh_token()?,
        };
        let answer = send(&self.agent, method.clone(), url, token.as_deref(), body, limit);
        match answer {
            Err(CallError::Refused { status: 401, .. }) => {
                let token = self.fresh_token()?;
                send(&self.agent, method, url, token.as_deref(), body, limit)
            }
            answer => answer,
        }
    }

    fn known_token(&self) -> Option<String> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_token(&self, token: Option<String>) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// Requests a token. Returns `None` if the service refuses one without a reason.
    fn fresh_token(&self) -> Result<Option<String>, CallError> {
        let configuration = &self.configuration;
        let assertion = jwt::assertion(configuration).map_err(CallError::Unreachable)?;
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion.as_str()),
        ];
        let sent = self.agent.post(&configuration.authorization_url).send_form(form);
        let mut response = sent.map_err(|error| CallError::Unreachable(error.to_string()))?;
        let status = response.status().as_u16();
        let answer: Value = response.body_mut().read_json().unwrap_or_default();
        let token = match status {
            200 => answer["access_token"].as_str().map(str::to_owned),
            400 if answer["error"] == "invalid_client" => return Err(CallError::Deleted),
            429 | 500.. => {
                return Err(CallError::Unreachable(format!("status {status} of the token service")));
            }
            _ => None,
        };
        self.set_token(token.clone());
        Ok(token)
    }
}

/// The calls that the token of an acquired job allows.
#[derive(Clone)]
pub struct JobClient {
    agent: Agent,
    /// The base URL of the run service.
    url: String,
    token: String,
    /// The URL of the live feed, if there is one.
    feed: Option<String>,
    pub plan: String,
    pub job: String,
}

impl std::fmt::Debug for JobClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobClient").field("job", &self.job).finish_non_exhaustive()
    }
}

impl JobClient {
    /// Makes a client from a job message. Returns `None` if a required field is missing.
    #[must_use]
    pub fn of(message: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let endpoint = message["resources"]["endpoints"].as_array()?.first()?;
        Some(Self {
            agent: agent(),
            url: text(&endpoint["url"])?,
            token: text(&endpoint["authorization"]["parameters"]["AccessToken"])?,
            feed: text(&endpoint["data"]["FeedStreamUrl"]),
            plan: text(&message["plan"]["planId"])?,
            job: text(&message["jobId"])?,
        })
    }

    /// Renews the job's lock.
    ///
    /// # Errors
    ///
    /// 404 if the job is no longer this runner's.
    pub fn renew(&self) -> Result<(), CallError> {
        let body = json!({"planId": self.plan, "jobId": self.job});
        self.post(&format!("{}renewjob", self.url), &body).map(|_| ())
    }

    /// Reports the job's end. `report` holds `conclusion` and its details.
    ///
    /// # Errors
    ///
    /// Fails if the run service does not accept it.
    pub fn complete(&self, mut report: Value) -> Result<(), CallError> {
        report["planId"] = self.plan.clone().into();
        report["jobId"] = self.job.clone().into();
        self.post(&format!("{}completejob", self.url), &report).map(|_| ())
    }

    /// Posts JSON to another service with the job's token.
    ///
    /// # Errors
    ///
    /// Fails if the service refuses it.
    pub fn post(&self, url: &str, body: &Value) -> Result<Value, CallError> {
        send(&self.agent, Method::POST, url, Some(&self.token), Some(body), CALL_LIMIT)
    }

    /// Uploads a text to the URL that a service returned.
    ///
    /// # Errors
    ///
    /// Fails if it is not accepted.
    pub fn upload(&self, url: &str, text: &str) -> Result<(), CallError> {
        let sent = self.agent.put(url).header("content-type", "text/plain").send(text);
        let response = sent.map_err(|error| CallError::Unreachable(error.to_string()))?;
        read(response).map(|_| ())
    }

    /// Returns the live feed of the job's lines, if the service has one. It connects when the first lines are sent.
    #[must_use]
    pub fn feed(&self) -> Option<Feed> {
        Some(Feed::new(self.feed.clone()?, self.token.clone()))
    }

    /// Downloads a file.
    ///
    /// # Errors
    ///
    /// Fails if it does not exist.
    pub fn download(&self, url: &str) -> Result<Vec<u8>, CallError> {
        let sent = self.agent.get(url).call();
        let mut response = sent.map_err(|error| CallError::Unreachable(error.to_string()))?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(CallError::Refused { status, kind: None, message: format!("status {status}") });
        }
        response.body_mut().read_to_vec().map_err(|error| CallError::Unreachable(error.to_string()))
    }
}

fn parameters(session: &str, busy: bool) -> String {
    let status = if busy { "Busy" } else { "Online" };
    let architecture = if cfg!(target_arch = "aarch64") { "ARM64" } else { "X64" };
    format!(
        "sessionId={session}&status={status}&runnerVersion={RUNNER_VERSION}&os=Linux&architecture={architecture}"
    )
}

fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        // The fake is on this machine or near it, never behind a proxy.
        .proxy(None)
        .build()
        .into()
}

fn send(
    agent: &Agent,
    method: Method,
    url: &str,
    token: Option<&str>,
    body: Option<&Value>,
    limit: Duration,
) -> Result<Value, CallError> {
    let unreachable = |error: &dyn std::fmt::Display| CallError::Unreachable(error.to_string());
    let mut request = Request::builder().method(method).uri(url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let sent = match body {
        Some(body) => {
            let request =
                request.header("content-type", "application/json; charset=utf-8").body(body.to_string());
            let request = request.map_err(|error| unreachable(&error))?;
            agent.run(agent.configure_request(request).timeout_global(Some(limit)).build())
        }
        None => {
            let request = request.body(()).map_err(|error| unreachable(&error))?;
            agent.run(agent.configure_request(request).timeout_global(Some(limit)).build())
        }
    };
    read(sent.map_err(|error| unreachable(&error))?)
}

/// Returns the JSON of an answer, or null for an empty body.
fn read(mut response: Response<ureq::Body>) -> Result<Value, CallError> {
    let status = response.status();
    let text = response.body_mut().with_config().limit(64 * 1024 * 1024).read_to_string();
    let text = text.map_err(|error| CallError::Unreachable(error.to_string()))?;
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    if status.is_success() {
        return Ok(body);
    }
    let message = match status.as_u16() {
        401 => "You are not authorized to access the service.".to_owned(),
        403 if body["errorKind"].is_null() => "Error: Forbidden".to_owned(),
        409 => "Error: Conflict".to_owned(),
        _ => body["errorMessage"].as_str().map_or_else(|| format!("Error: {status}"), str::to_owned),
    };
    let kind = body["errorKind"].as_str().map(str::to_owned);
    Err(CallError::Refused { status: status.as_u16(), kind, message })
}
