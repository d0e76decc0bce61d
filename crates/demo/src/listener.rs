//! The stand-in for GitHub's `Runner.Listener`. Its lines, exit codes, order,
//! signals and times are checked against the official one (2.336).
//!
//! It speaks GitHub's own protocol with the fake. As in the official runner, a
//! separate process executes the job: [`crate::worker`]. Launching and watching a
//! listener does not belong here.

mod dispatch;
mod events;
mod fault;
mod poll;
mod root;
mod session;
mod terminal;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender};

use crate::protocol::RUNNER_VERSION;
use crate::runner_client::{JobRequest, Message, RunnerClient};
use crate::times::Times;
use crate::worker;

use events::{Event, Stop};
use fault::Fault;
use root::Root;
use session::SessionError;
use terminal::Terminal;

/// Exit codes of the real listener, which handles TERM itself and ends with 143.
const SUCCESS: u8 = 0;
const TERMINATED: u8 = 1;
const RETRYABLE: u8 = 2;
const SESSION_CONFLICT: u8 = 5;
const VERSION_DEPRECATED: u8 = 7;
const BY_TERM: u8 = 143;

/// The variable with the just-in-time configuration.
const JIT_VARIABLE: &str = "ACTIONS_RUNNER_INPUT_JITCONFIG";
/// Makes a version that is too old end with a distinct exit code.
const DEPRECATED_CODE_VARIABLE: &str = "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE";

/// Runs the listener in this process. `args` are the arguments without the
/// program's name, usually `run`. The configuration comes from
/// `ACTIONS_RUNNER_INPUT_JITCONFIG`, and the root is the current directory.
///
/// With the argument `spawnclient`, the same executable is the worker.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    if args.first().is_some_and(|first| first == worker::ARGUMENT) {
        return worker::main();
    }
    ExitCode::from(run(&args))
}

fn run(args: &[OsString]) -> u8 {
    let root = match Root::here() {
        Ok(root) => root,
        Err(error) => {
            Terminal::default().error(&format!("An error occurred: {error}"));
            return RETRYABLE;
        }
    };
    let terminal = Terminal::of(&root);
    if let Err(error) = root.check_directories() {
        terminal.error(&format!("An error occurred: {error}"));
        return TERMINATED;
    }
    if args.iter().any(|arg| arg == "--version") {
        terminal.line(RUNNER_VERSION);
        return SUCCESS;
    }
    let unknown: Vec<_> = args.iter().filter(|arg| *arg != "run").map(|arg| arg.to_string_lossy()).collect();
    if !unknown.is_empty() {
        let unknown = unknown.join(", ");
        terminal.error(&format!("Unrecognized command-line input arguments for command run: '{unknown}'."));
    }
    let fault = Fault::of(&root, &terminal);
    if let Some(code) = fault::exit_before_connecting(&fault, &terminal) {
        return code;
    }
    let configuration = match root.configure(&terminal) {
        Ok(configuration) => configuration,
        Err(code) => return code,
    };
    let (sender, events) = match events::watch_signals() {
        Ok(watch) => watch,
        Err(error) => {
            terminal.error(&format!("An error occurred: signals cannot be watched: {error}"));
            return RETRYABLE;
        }
    };
    if fault == Fault::NeverConnects {
        return events::wait_for_signal(&events, &fault);
    }
    let times = Times::scaled_by(root.variable(crate::times::SCALE_VARIABLE));
    let client = RunnerClient::new(configuration);
    let listener = Listener { root, terminal, client, times, sender, events, fault };
    listener.listen_in_a_session()
}

/// A listener with a configuration.
struct Listener {
    root: Root,
    terminal: Terminal,
    client: RunnerClient,
    times: Times,
    sender: Sender<Event>,
    events: Receiver<Event>,
    fault: Fault,
}

impl Listener {
    fn listen_in_a_session(&self) -> u8 {
        let session = match session::create(self) {
            Ok(session) => session,
            Err(SessionError::Stopped(stop)) => return stopped(stop),
            Err(SessionError::Conflict) => return SESSION_CONFLICT,
            Err(SessionError::Failed) => return TERMINATED,
        };
        self.terminal.line(&format!("Current runner version: '{RUNNER_VERSION}'"));
        self.terminal.timed_line("Listening for Jobs");
        fault::after_connecting(&self.fault, &self.terminal);
        if self.fault == Fault::VersionDeprecated {
            let message =
                format!("Runner version v{RUNNER_VERSION} is deprecated and cannot receive messages.");
            return self.refused_version(&message);
        }
        if self.fault == Fault::Idle {
            return events::wait_for_signal(&self.events, &self.fault);
        }
        let polling = match poll::start(self, session.clone()) {
            Ok(polling) => polling,
            Err(error) => {
                self.terminal.error(&format!("An error occurred: no thread for polling: {error}"));
                return RETRYABLE;
            }
        };
        loop {
            match self.events.recv() {
                Ok(Event::Message(Message::JobRequest(request))) => {
                    if let Some(code) = self.take(&session, &request, &polling) {
                        return code;
                    }
                }
                Ok(Event::Signal(stop)) if !self.fault.ignores(stop) => {
                    self.exiting(stop);
                    self.close_session();
                    return stopped(stop);
                }
                Ok(Event::PollEnded(end)) => {
                    if let Some(code) = self.poll_ended(&end) {
                        return code;
                    }
                }
                Ok(_) => {}
                // Both threads that send events run as long as this process.
                Err(_) => return RETRYABLE,
            }
        }
    }

    /// Acquires and executes an offered job. Returns `None` if it could not be acquired, and
    /// the listener continues to listen.
    fn take(&self, session: &str, request: &JobRequest, polling: &poll::Polling) -> Option<u8> {
        if request.should_acknowledge
            && let Err(error) = self.client.acknowledge(session, request)
            && error.kind() == Some("AcknowledgeJobNotFound")
        {
            self.root.remove_configuration(&self.terminal);
            self.close_session();
            return Some(SUCCESS);
        }
        let message = dispatch::acquire(self, request)?;
        if self.fault == Fault::CrashesInJob {
            self.terminal.timed_line(&format!("Running job: {}", dispatch::name(&message)));
            std::process::abort();
        }
        let ended = dispatch::execute(self, &message, polling);
        if ended.stop.is_none() {
            self.root.remove_configuration(&self.terminal);
            if !ended.is_deregistered {
                self.close_session();
            }
        } else {
            self.close_session();
        }
        fault::after_job(&self.fault, &self.terminal);
        Some(match (ended.stop, &ended.poll_end) {
            (Some(stop), _) => stopped(stop),
            (None, Some(end)) => self.poll_ended(end).unwrap_or(SUCCESS),
            (None, None) => SUCCESS,
        })
    }

    fn exiting(&self, stop: Stop) {
        if stop == Stop::Interrupt {
            self.terminal.line("Exiting...");
        }
    }

    /// Handles the end of polling while no job ran. Returns the exit code, if the listener must end.
    fn poll_ended(&self, end: &poll::PollEnd) -> Option<u8> {
        match end {
            poll::PollEnd::RunnerNotFound if self.fault == Fault::ListensThoughDeregistered => None,
            poll::PollEnd::RunnerNotFound => {
                self.tell_deregistered();
                Some(SUCCESS)
            }
            poll::PollEnd::Refused => {
                self.terminal.error("An error occurred: Get next message failed with non-retryable error.");
                Some(TERMINATED)
            }
            poll::PollEnd::VersionTooOld(message) => Some(self.refused_version(message)),
            poll::PollEnd::GivenUp(message) => {
                self.terminal.error(&format!("An error occurred: {message}"));
                Some(RETRYABLE)
            }
        }
    }

    fn refused_version(&self, message: &str) -> u8 {
        self.terminal.error(&format!("An error occurred: {message}"));
        let has_code = self.root.variable(DEPRECATED_CODE_VARIABLE) == Some("1");
        if has_code { VERSION_DEPRECATED } else { TERMINATED }
    }

    fn tell_deregistered(&self) {
        self.terminal.error("The runner no longer exists on the server. Cleaning up local configuration.");
        self.root.remove_configuration(&self.terminal);
    }

    /// Closes the session with best effort, because the process ends.
    fn close_session(&self) {
        let _ = self.client.delete_session(self.times.session_deletion());
    }
}

fn stopped(stop: Stop) -> u8 {
    match stop {
        Stop::Interrupt => SUCCESS,
        Stop::Terminate => BY_TERM,
    }
}
