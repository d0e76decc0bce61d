//! The stand-in for GitHub's `Runner.Listener`: its arguments, lines, exit
//! codes and signals, against the fake GitHub's runner side.
//!
//! It executes one job, as a just-in-time runner does. What launches and
//! watches it does not belong here.

mod act;
mod connection;
mod environment;
mod events;
mod fault;
mod file_commands;
mod jit;
mod job;
mod process;
mod sequence;
mod terminal;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender};

use ecsrunner_core::id::JobId;

use crate::protocol::{Message, RUNNER_VERSION};

use connection::{ConnectError, Connection};
use events::Event;
use fault::Fault;
use job::JobRun;

/// Exit codes of the real listener.
const SUCCESS: u8 = 0;
const TERMINATED: u8 = 1;
const RETRYABLE: u8 = 2;
const SESSION_CONFLICT: u8 = 5;
const VERSION_DEPRECATED: u8 = 7;

/// Where the just-in-time configuration comes from.
pub(crate) const JIT_VARIABLE: &str = "ACTIONS_RUNNER_INPUT_JITCONFIG";

/// Runs the listener in this process: `args` are those behind the program's
/// name, of which only `run` is known. Takes the configuration from
/// `ACTIONS_RUNNER_INPUT_JITCONFIG`, works below the current directory.
///
/// Exit codes are the real listener's: 0 done, shut down, or deregistered; 1
/// not configured, or the configuration is spent; 2 retryable; 5 another
/// session is open; 7 the version is too old.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    ExitCode::from(run(&args.collect::<Vec<_>>()))
}

fn run(args: &[OsString]) -> u8 {
    match args {
        [only] if only == "run" => {}
        [only] if only == "--version" => {
            terminal::line(RUNNER_VERSION);
            return SUCCESS;
        }
        _ => {
            terminal::line("Unrecognized command-line input arguments: only `run` is known here");
            return TERMINATED;
        }
    }
    if nix::unistd::geteuid().is_root() && std::env::var_os("RUNNER_ALLOW_RUNASROOT").is_none() {
        terminal::line("Must not run with root privileges");
        return SUCCESS;
    }
    let fault = Fault::from_environment();
    if let Some(code) = fault::exit_before_connecting(&fault) {
        return code;
    }
    let config = match jit::read() {
        Ok(config) => config,
        Err(error) => {
            terminal::line(&format!("An error occurred: {error}"));
            return TERMINATED;
        }
    };
    let (sender, events) = match events::watch_signals() {
        Ok(watch) => watch,
        Err(error) => {
            terminal::line(&format!("An error occurred: signals cannot be watched: {error}"));
            return TERMINATED;
        }
    };
    if fault == Fault::NeverConnects {
        return events::wait_for_signal(&events, &fault);
    }
    let connection = match Connection::open(&config, &events) {
        Ok(connection) => connection,
        Err(ConnectError::Stopped) => return SUCCESS,
        Err(error @ ConnectError::Conflict) => {
            terminal::line(&error.to_string());
            return SESSION_CONFLICT;
        }
        Err(error) => {
            terminal::line(&error.to_string());
            return TERMINATED;
        }
    };
    terminal::line("");
    terminal::line("\u{221a} Connected to GitHub");
    terminal::line("");
    terminal::line(&format!("Current runner version: '{RUNNER_VERSION}'"));
    terminal::timed_line("Listening for Jobs");
    fault::after_connecting(&fault);
    if fault == Fault::Idle {
        return events::wait_for_signal(&events, &fault);
    }
    if let Err(error) = events::poll(&connection, sender.clone()) {
        terminal::line(&format!("An error occurred: no thread for polling: {error}"));
        return TERMINATED;
    }
    Listener { config, connection, sender, events, fault }.listen()
}

struct Listener {
    config: jit::Config,
    connection: Connection,
    sender: Sender<Event>,
    events: Receiver<Event>,
    fault: Fault,
}

impl Listener {
    fn listen(&self) -> u8 {
        loop {
            match self.events.recv() {
                Ok(Event::Message(Message::Job(job))) => {
                    if let Some(code) = self.execute(job) {
                        return code;
                    }
                }
                Ok(Event::Signal(signal)) if !self.fault.ignores(signal) => {
                    terminal::line("Exiting...");
                    self.connection.close();
                    return SUCCESS;
                }
                Ok(Event::Deregistered) if self.fault != Fault::ListensThoughDeregistered => {
                    terminal::line("Runner registration has been deleted from the server.");
                    return SUCCESS;
                }
                Ok(_) => {}
                // Both threads that send events live as long as this process.
                Err(_) => return TERMINATED,
            }
        }
    }

    /// Executes a job that was assigned; `None` if it was not to be had.
    fn execute(&self, job: JobId) -> Option<u8> {
        let spec = self.connection.start(job)?;
        terminal::timed_line(&format!("Running job: {}", spec.name));
        if self.fault == Fault::CrashesInJob {
            std::process::abort();
        }
        let name = spec.name.clone();
        let queue = (self.sender.clone(), &self.events);
        let mut run = JobRun::new(&self.config, &self.connection, queue, &self.fault, spec);
        let completion = run.execute();
        let result = sequence::result_word(completion.conclusion);
        self.connection.complete(job, &completion, run.is_stopping());
        if self.fault != Fault::SilentEnd {
            terminal::timed_line(&format!("Job {name} completed with result: {result}"));
        }
        fault::after_job(&self.fault);
        Some(SUCCESS)
    }
}
