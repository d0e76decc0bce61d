//! Creates the session, with as many attempts as the official listener makes.

use std::time::Duration;

use crate::runner_client::{CallError, RunnerClient};
use crate::times::Times;

use super::Listener;
use super::events::{Event, Stop};
use super::poll::is_unavailable;

const DELETED: &str = "Failed to create a session. The runner registration has been deleted from the server, \
                       please re-configure. Runner registrations are automatically deleted for runners that have \
                       not connected to the service recently.";

/// Why no session can be created.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SessionError {
    /// The runner has another session.
    Conflict,
    Failed,
    /// A signal came before.
    Stopped(Stop),
}

/// Retries until there is a session, a refusal or a signal.
pub(super) fn create(listener: &Listener) -> Result<String, SessionError> {
    let terminal = &listener.terminal;
    let (mut conflicts, mut is_told) = (0, false);
    loop {
        // As in the official runner, before the first request to GitHub.
        terminal.line("");
        terminal.success("Connected to GitHub");
        terminal.line("");
        let error = match listener.client.create_session() {
            Ok(session) => {
                if is_told {
                    terminal.timed_line("Runner reconnected.");
                }
                return Ok(session);
            }
            Err(error) => error,
        };
        if is_unavailable(&error) {
            listener.rest(listener.times.unavailable())?;
        }
        match &error {
            CallError::Deleted => {
                terminal.error(DELETED);
                return Err(SessionError::Failed);
            }
            CallError::Refused { status: 401 | 403, message, .. } => {
                terminal.error(&format!("Failed to create session. {message}"));
                return Err(SessionError::Failed);
            }
            CallError::Refused { status: 409, message, .. } => {
                conflicts += 1;
                terminal.error("A session for this runner already exists.");
                if conflicts >= Times::SESSION_CONFLICTS {
                    terminal.error("Stop retry on SessionConflictException after retried for 240 seconds.");
                    terminal.error(&format!("Failed to create session. {message}"));
                    return Err(SessionError::Conflict);
                }
            }
            CallError::Refused { .. } | CallError::Unreachable(_) => {}
        }
        if !is_told {
            terminal.timed_error(&format!("Runner connect error: {error}. Retrying until reconnected."));
            is_told = true;
        }
        listener.rest(listener.times.session_retry())?;
    }
}

impl Listener {
    /// Waits, and returns an error if a signal comes.
    fn rest(&self, duration: Duration) -> Result<(), SessionError> {
        match self.events.recv_timeout(duration) {
            Ok(Event::Signal(stop)) if !self.fault.ignores(stop) => {
                self.exiting(stop);
                Err(SessionError::Stopped(stop))
            }
            _ => Ok(()),
        }
    }
}

/// Creates a session that replaces one that the broker no longer knows.
pub(super) fn create_again(client: &RunnerClient) -> Result<String, SessionError> {
    client.create_session().map_err(|_| SessionError::Failed)
}
