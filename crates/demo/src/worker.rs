//! The stand-in for GitHub's `Runner.Worker`: one job, executed in a process of
//! its own, below its listener.
//!
//! It reads its job from standard input, and after that at most one control
//! message. As in the official runner, a second one is never read: a shutdown
//! after a cancellation has no effect.

mod act;
mod action;
mod environment;
mod file_commands;
mod job;
mod log;
mod order;
mod process;
mod sequence;

use std::process::ExitCode;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use job::JobRun;
use order::Order;
use process::Event;

/// The first argument that asks the listener's executable to be its worker.
pub(crate) const ARGUMENT: &str = "spawnclient";

/// From the job's report to the worker's end: seen with the official runner.
const EXIT_DELAY: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Control {
    /// The job is cancelled: steps with `always()` or `cancelled()` still run.
    Cancel,
    /// The listener shuts down: no further step is evaluated.
    Shutdown,
}

impl Control {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Shutdown => "shutdown",
        }
    }
}

/// How a worker's job ended, which is its exit code too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Succeeded,
    Failed,
    Canceled,
}

impl Outcome {
    const fn code(self) -> u8 {
        match self {
            Self::Succeeded => 100,
            Self::Failed => 102,
            Self::Canceled => 103,
        }
    }

    /// `None` for a worker that ended without a result.
    pub(crate) fn of_code(code: i32) -> Option<Self> {
        [Self::Succeeded, Self::Failed, Self::Canceled]
            .into_iter()
            .find(|outcome| i32::from(outcome.code()) == code)
    }

    /// The word of the listener's line.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Canceled => "Canceled",
        }
    }
}

/// Executes the job that comes on standard input.
pub(crate) fn main() -> ExitCode {
    let (sender, events) = mpsc::channel();
    // A signal to the whole group does not end the worker, but it reaches the running step.
    if process::outlive_signals().is_err() {
        return ExitCode::FAILURE;
    }
    let mut line = String::new();
    let order = match std::io::stdin().read_line(&mut line) {
        Ok(1..) => Order::read(&line),
        Ok(_) | Err(_) => None,
    };
    let Some(order) = order else { return ExitCode::FAILURE };
    if watch_control(sender.clone()).is_err() {
        return ExitCode::FAILURE;
    }
    let outcome = JobRun::new(order, (sender, events)).execute();
    // Its listener may hear first that the registration is gone.
    thread::sleep(EXIT_DELAY);
    ExitCode::from(outcome.code())
}

/// Reads one control message. A listener that is gone sends none, and the job goes on.
fn watch_control(sender: Sender<Event>) -> std::io::Result<()> {
    let watch = move || {
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line);
        let control =
            [Control::Cancel, Control::Shutdown].into_iter().find(|control| control.word() == line.trim());
        if let (Ok(1..), Some(control)) = (read, control) {
            // The job may have ended meanwhile.
            let _ = sender.send(Event::Control(control));
        }
    };
    thread::Builder::new().name("control".to_owned()).spawn(watch).map(|_| ())
}
