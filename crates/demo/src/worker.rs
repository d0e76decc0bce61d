//! The stand-in for GitHub's `Runner.Worker`: a child process of the listener
//! that executes one job.
//!
//! It reads its job from standard input, and then at most one control message.
//! As in the official runner, a second one is never read, so a shutdown after a
//! cancellation has no effect.

mod act;
mod action;
mod annotations;
mod containers;
mod environment;
mod file_commands;
mod job;
mod log;
mod masks;
mod order;
mod process;
mod report;
mod sequence;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use job::JobRun;
use order::Order;
use process::Event;

/// The first argument that makes the listener's executable its worker.
pub(crate) const ARGUMENT: &str = "spawnclient";

/// From the job's report to the worker's end, as seen with the official runner.
const EXIT_DELAY: Duration = Duration::from_millis(20);
/// From a shutdown message to its effect, if the worker got the signal too. With the
/// official runner the step ends by that signal, and the next one begins before the
/// shutdown has an effect.
const GROUP_DELAY: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Control {
    /// The job is cancelled: steps with `always()` or `cancelled()` still run.
    Cancel,
    /// The listener shuts down: no more steps are evaluated.
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

/// How a worker's job ended. This is also its exit code.
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

    /// Returns `None` for a worker that ended without a result.
    pub(crate) fn of_code(code: i32) -> Option<Self> {
        [Self::Succeeded, Self::Failed, Self::Canceled]
            .into_iter()
            .find(|outcome| i32::from(outcome.code()) == code)
    }

    /// Returns the word for the listener's line.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Canceled => "Canceled",
        }
    }
}

/// Executes the job from standard input.
pub(crate) fn main() -> ExitCode {
    let (sender, events) = mpsc::channel();
    // A signal to the whole group does not end the worker, but reaches the running step.
    let Ok(signalled) = process::outlive_signals() else {
        return ExitCode::FAILURE;
    };
    let mut line = String::new();
    let order = match std::io::stdin().read_line(&mut line) {
        Ok(1..) => Order::read(&line),
        Ok(_) | Err(_) => None,
    };
    let Some(order) = order else { return ExitCode::FAILURE };
    if watch_control(sender.clone(), signalled).is_err() {
        return ExitCode::FAILURE;
    }
    let outcome = JobRun::new(order, (sender, events)).execute();
    // The listener may learn before that the registration is gone.
    thread::sleep(EXIT_DELAY);
    ExitCode::from(outcome.code())
}

/// Reads one control message. If the listener is gone, none comes, and the job continues.
fn watch_control(sender: Sender<Event>, signalled: Arc<AtomicBool>) -> std::io::Result<()> {
    let watch = move || {
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line);
        let control =
            [Control::Cancel, Control::Shutdown].into_iter().find(|control| control.word() == line.trim());
        if let (Ok(1..), Some(control)) = (read, control) {
            if control == Control::Shutdown && signalled.load(Ordering::Relaxed) {
                thread::sleep(GROUP_DELAY);
            }
            // The job may have ended.
            let _ = sender.send(Event::Control(control));
        }
    };
    thread::Builder::new().name("control".to_owned()).spawn(watch).map(|_| ())
}
