//! The queue of all events that a listener reacts to.

use std::io;
use std::process::ExitStatus;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::runner_client::Message;

use super::fault::Fault;
use super::poll::PollEnd;
use super::{RETRYABLE, stopped};

#[derive(Debug)]
pub(super) enum Event {
    Message(Message),
    /// No further message will come.
    PollEnded(PollEnd),
    Signal(Stop),
    /// The job's lock was renewed for the first time.
    Renewed,
    /// The lock is no longer renewed.
    RenewalEnded,
    WorkerEnded(ExitStatus),
}

/// The signals that end a listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    Interrupt,
    Terminate,
}

/// Turns SIGINT and SIGTERM into events.
pub(super) fn watch_signals() -> io::Result<(Sender<Event>, Receiver<Event>)> {
    let (sender, events) = mpsc::channel();
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let watcher = sender.clone();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in &mut signals {
            let stop = if signal == SIGTERM { Stop::Terminate } else { Stop::Interrupt };
            if watcher.send(Event::Signal(stop)).is_err() {
                return;
            }
        }
    })?;
    Ok((sender, events))
}

/// Waits for a signal that the fault does not ignore.
pub(super) fn wait_for_signal(events: &Receiver<Event>, fault: &Fault) -> u8 {
    loop {
        match events.recv() {
            Ok(Event::Signal(stop)) if !fault.ignores(stop) => return stopped(stop),
            Ok(_) => {}
            Err(_) => return RETRYABLE,
        }
    }
}
