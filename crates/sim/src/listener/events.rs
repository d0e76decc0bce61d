//! Everything that a listener reacts to, in one queue.

use std::io;
use std::process::ExitStatus;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::protocol::Message;

use super::connection::{Backoff, Connection, Polled};
use super::fault::Fault;
use super::{SUCCESS, TERMINATED};

#[derive(Debug)]
pub(super) enum Event {
    Message(Message),
    /// The registration is gone; no further message will come.
    Deregistered,
    Signal(Stop),
    /// A line that process number `.0` wrote.
    Output(u64, String),
    /// Process number `.0` and all that inherited its output closed it.
    OutputClosed(u64),
    Exited(u64, ExitStatus),
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

/// Polls for messages in a thread of its own, for as long as this process lives:
/// while a job runs, that is how a cancellation arrives.
pub(super) fn poll(connection: &Connection, sender: Sender<Event>) -> io::Result<()> {
    let connection = connection.clone();
    thread::Builder::new().name("poll".to_owned()).spawn(move || {
        let mut backoff = Backoff::new();
        loop {
            let event = match connection.poll() {
                Polled::Message(message) => Event::Message(message),
                Polled::Deregistered => Event::Deregistered,
                Polled::Nothing => {
                    backoff = Backoff::new();
                    continue;
                }
                Polled::Unreachable => {
                    backoff.wait();
                    continue;
                }
            };
            backoff = Backoff::new();
            let last = matches!(event, Event::Deregistered);
            if sender.send(event).is_err() || last {
                return;
            }
        }
    })?;
    Ok(())
}

/// Does nothing until a signal comes that the fault does not ignore.
pub(super) fn wait_for_signal(events: &Receiver<Event>, fault: &Fault) -> u8 {
    loop {
        match events.recv() {
            Ok(Event::Signal(signal)) if !fault.ignores(signal) => return SUCCESS,
            Ok(_) => {}
            Err(_) => return TERMINATED,
        }
    }
}
