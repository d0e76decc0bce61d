//! The thread that polls for messages as long as the process runs. While a job
//! runs, cancellations arrive by these polls.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::runner_client::{CallError, RunnerClient};

use super::Listener;
use super::events::Event;
use super::session::{SessionError, create_again};

/// Attempts of one call before it counts as failed, and rounds of them before polling
/// ends.
const TRIES: u32 = 5;
const ROUNDS: u32 = 10;

/// Why polling ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum PollEnd {
    RunnerNotFound,
    /// 401.
    Refused,
    VersionTooOld(String),
    /// It failed too often.
    GivenUp(String),
}

/// The listener's status, which its polls report.
#[derive(Clone, Debug)]
pub(super) struct Polling {
    busy: Arc<AtomicBool>,
}

impl Polling {
    pub(super) fn set_busy(&self) {
        self.busy.store(true, Ordering::Relaxed);
    }
}

pub(super) fn start(listener: &Listener, session: String) -> io::Result<Polling> {
    let polling = Polling { busy: Arc::default() };
    let poller = Poller {
        client: listener.client.clone(),
        busy: Arc::clone(&polling.busy),
        terminal: listener.terminal.clone(),
        times: listener.times,
    };
    let sender = listener.sender.clone();
    thread::Builder::new().name("poll".to_owned()).spawn(move || {
        let mut session = session;
        loop {
            let event = match poller.next(&mut session) {
                Ok(Some(message)) => Event::Message(message),
                Ok(None) => continue,
                Err(end) => Event::PollEnded(end),
            };
            let last = matches!(event, Event::PollEnded(_));
            if sender.send(event).is_err() || last {
                return;
            }
        }
    })?;
    Ok(polling)
}

struct Poller {
    client: RunnerClient,
    busy: Arc<AtomicBool>,
    terminal: super::terminal::Terminal,
    times: crate::times::Times,
}

impl Poller {
    fn next(&self, session: &mut String) -> Result<Option<crate::runner_client::Message>, PollEnd> {
        for round in 1..=ROUNDS {
            let mut tries = 0;
            let error = loop {
                tries += 1;
                match self.client.next_message(session, self.busy.load(Ordering::Relaxed)) {
                    Ok(message) => return Ok(message),
                    Err(error) if is_unavailable(&error) && tries < TRIES => {
                        thread::sleep(self.times.unavailable());
                    }
                    Err(error) => match final_end(&error) {
                        Some(end) => return Err(end),
                        None if error.kind() == Some("RunnerSessionInvalid") => {
                            *session =
                                create_again(&self.client).map_err(|_: SessionError| PollEnd::Refused)?;
                        }
                        None if tries >= TRIES => break error,
                        None => thread::sleep(self.times.call_retry()),
                    },
                }
            };
            // While a job runs, nothing is printed (seen with the official runner 2.336).
            if round == 1 && !self.busy.load(Ordering::Relaxed) {
                self.terminal.timed_error(&format!(
                    "Runner connect error: Failed to get job message. {error}. Retrying until reconnected."
                ));
            }
            if round == ROUNDS {
                return Err(PollEnd::GivenUp(format!("Failed to get job message. {error}")));
            }
            thread::sleep(self.times.poll_retry(round));
        }
        Ok(None)
    }
}

/// Whether the HTTP layer of the official runner retries by itself.
pub(super) fn is_unavailable(error: &CallError) -> bool {
    matches!(error.status(), Some(502..=504))
}

/// Returns the end of polling for an error that is never retried.
fn final_end(error: &CallError) -> Option<PollEnd> {
    match (error.kind(), error) {
        (Some("RunnerNotFound"), _) => Some(PollEnd::RunnerNotFound),
        (Some("RunnerVersionTooOld"), CallError::Refused { message, .. }) => {
            Some(PollEnd::VersionTooOld(message.clone()))
        }
        (_, CallError::Refused { status: 401, .. } | CallError::Deleted) => Some(PollEnd::Refused),
        _ => None,
    }
}
