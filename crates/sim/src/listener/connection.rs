//! The listener's calls to the fake GitHub. Each is repeated while the server
//! cannot be reached, up to a named limit.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use ecsrunner_core::id::JobId;
use secrecy::ExposeSecret;
use serde::Serialize;
use ureq::Agent;

use crate::protocol::{Completion, Connected, JobSpec, Message, RUNNER_PATH};

use super::events::Event;
use super::jit::Config;
use super::terminal;

/// A call is answered within this time, a poll within the server's 50 s and a little.
const CALL_LIMIT: Duration = Duration::from_secs(15);
const POLL_LIMIT: Duration = Duration::from_secs(65);

/// How long a server that cannot be reached is tried again.
const OPEN_LIMIT: Duration = Duration::from_secs(120);
const COMPLETE_LIMIT: Duration = Duration::from_secs(120);
const STOPPING_LIMIT: Duration = Duration::from_secs(15);
const START_LIMIT: Duration = Duration::from_secs(30);

const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("An error occurred: the runner registration is gone or its configuration was used before")]
    Refused,
    #[error("A session for this runner already exists.")]
    Conflict,
    #[error("An error occurred: the server cannot be reached: {0}")]
    Unreachable(String),
    #[error("stopped by a signal")]
    Stopped,
}

/// What a poll brought.
pub(super) enum Polled {
    Message(Message),
    Nothing,
    Deregistered,
    Unreachable,
}

/// An open session.
#[derive(Clone)]
pub(super) struct Connection {
    agent: Agent,
    /// `…/_runner/sessions/<session>`: a secret.
    session: String,
}

impl Connection {
    pub(super) fn open(config: &Config, events: &Receiver<Event>) -> Result<Self, ConnectError> {
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(CALL_LIMIT))
            // The fake is on this machine or near it, never behind a proxy.
            .proxy(None)
            .build()
            .into();
        let sessions = format!("{}{RUNNER_PATH}/sessions", config.runner.server_url);
        let authorization = format!("Bearer {}", config.token.expose_secret());
        let begun = Instant::now();
        let mut backoff = Backoff::new();
        loop {
            let failure = match agent.post(&sessions).header("authorization", &authorization).send_empty() {
                Ok(mut response) => match response.status().as_u16() {
                    200 => {
                        let connected: Connected = response
                            .body_mut()
                            .read_json()
                            .map_err(|error| ConnectError::Unreachable(error.to_string()))?;
                        return Ok(Self { agent, session: format!("{sessions}/{}", connected.session) });
                    }
                    409 => return Err(ConnectError::Conflict),
                    status if status < 500 => return Err(ConnectError::Refused),
                    status => format!("status {status}"),
                },
                Err(error) => error.to_string(),
            };
            if begun.elapsed() > OPEN_LIMIT {
                return Err(ConnectError::Unreachable(failure));
            }
            // Waiting on the events makes a signal end the attempts at once.
            if let Ok(Event::Signal(_)) = events.recv_timeout(backoff.next()) {
                return Err(ConnectError::Stopped);
            }
        }
    }

    /// Waits for a message.
    pub(super) fn poll(&self) -> Polled {
        let call = self
            .agent
            .get(format!("{}/message", self.session))
            .config()
            .timeout_global(Some(POLL_LIMIT))
            .build()
            .call();
        match call {
            Ok(mut response) => match response.status().as_u16() {
                200 => response.body_mut().read_json().map_or(Polled::Unreachable, Polled::Message),
                204 => Polled::Nothing,
                401 => Polled::Deregistered,
                _ => Polled::Unreachable,
            },
            Err(_) => Polled::Unreachable,
        }
    }

    /// Begins an assigned job; `None` if it is not to be had any more.
    pub(super) fn start(&self, job: JobId) -> Option<JobSpec> {
        let mut response = self.post(&format!("/jobs/{job}/start"), &(), START_LIMIT)?;
        (response.status() == 200).then(|| response.body_mut().read_json().ok()).flatten()
    }

    /// Adds to the job's log; false if it could not be delivered now.
    pub(super) fn log(&self, job: JobId, text: &str) -> bool {
        self.agent.post(format!("{}/jobs/{job}/log", self.session)).send(text).is_ok()
    }

    pub(super) fn complete(&self, job: JobId, completion: &Completion, stopping: bool) {
        let limit = if stopping { STOPPING_LIMIT } else { COMPLETE_LIMIT };
        if self.post(&format!("/jobs/{job}/complete"), completion, limit).is_none() {
            terminal::line("An error occurred: the job's completion could not be reported");
        }
    }

    /// Tells the server that nobody listens any more. Best effort, as the process ends.
    pub(super) fn close(&self) {
        let _ = self.agent.delete(&self.session).call();
    }

    fn post<T: Serialize>(
        &self,
        path: &str,
        body: &T,
        limit: Duration,
    ) -> Option<ureq::http::Response<ureq::Body>> {
        let begun = Instant::now();
        let mut backoff = Backoff::new();
        loop {
            match self.agent.post(format!("{}{path}", self.session)).send_json(body) {
                Ok(response) if response.status().as_u16() < 500 => return Some(response),
                _ if begun.elapsed() > limit => return None,
                _ => backoff.wait(),
            }
        }
    }
}

/// Waits that grow while a server cannot be reached.
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) fn new() -> Self {
        Self(FIRST_BACKOFF)
    }

    fn next(&mut self) -> Duration {
        let wait = self.0;
        self.0 = (wait * 2).min(MAX_BACKOFF);
        wait
    }

    pub(super) fn wait(&mut self) {
        std::thread::sleep(self.next());
    }
}
