//! One job under execution: its processes, its log, and what stops it.

use std::collections::{BTreeMap, HashSet};
use std::process::{Command, ExitStatus};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::protocol::{Completion, Conclusion, JobSpec, Message, StepReport};

use super::connection::Connection;
use super::events::Event;
use super::fault::Fault;
use super::jit::Config;
use super::process;

/// How long a process has to end after SIGINT and then SIGTERM, as the real runner does it.
const INTERRUPT_GRACE: Duration = Duration::from_millis(7_500);
const TERMINATE_GRACE: Duration = Duration::from_millis(2_500);

/// How long output is waited for that a background process keeps open.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// How long lines wait for others before they are sent.
const LOG_INTERVAL: Duration = Duration::from_millis(200);

/// Lines are sent at once when so many bytes are waiting.
const LOG_CHUNK: usize = 64 * 1024;

/// Why a job does not run to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Interruption {
    /// Cancelled at GitHub: steps with `always()` or `cancelled()` still run.
    Cancelled,
    /// The listener shuts down: no further step is evaluated.
    ShuttingDown,
}

/// How a process is ended when the job is interrupted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Manner {
    /// SIGINT, SIGTERM, SIGKILL, with time between them.
    InStages,
    /// At once: it would go on with further steps otherwise.
    AtOnce,
}

/// How a process ended.
#[derive(Debug)]
pub(super) enum Ended {
    Exited(ExitStatus),
    NotStarted(std::io::Error),
    /// It was ended because of the job's interruption.
    Interrupted,
}

pub(super) struct JobRun<'a> {
    pub config: &'a Config,
    pub spec: JobSpec,
    /// The variables of every step; steps add to them.
    pub variables: BTreeMap<String, String>,
    pub failed: bool,
    pub interruption: Option<Interruption>,
    pub reports: Vec<StepReport>,
    connection: &'a Connection,
    sender: Sender<Event>,
    events: &'a Receiver<Event>,
    fault: &'a Fault,
    /// Numbers processes and steps' files.
    number: u64,
    log: String,
    log_sent: Instant,
}

impl<'a> JobRun<'a> {
    pub(super) fn new(
        config: &'a Config,
        connection: &'a Connection,
        (sender, events): (Sender<Event>, &'a Receiver<Event>),
        fault: &'a Fault,
        spec: JobSpec,
    ) -> Self {
        Self {
            config,
            spec,
            variables: BTreeMap::new(),
            failed: false,
            interruption: None,
            reports: Vec::new(),
            connection,
            sender,
            events,
            fault,
            number: 0,
            log: String::new(),
            log_sent: Instant::now(),
        }
    }

    /// Whether the listener is shutting down.
    pub(super) fn is_stopping(&self) -> bool {
        self.interruption == Some(Interruption::ShuttingDown)
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    pub(super) fn completion(&mut self) -> Completion {
        self.send_log();
        let conclusion = match (self.interruption, self.failed) {
            (Some(_), _) => Conclusion::Cancelled,
            (None, true) => Conclusion::Failure,
            (None, false) => Conclusion::Success,
        };
        Completion { conclusion, steps: std::mem::take(&mut self.reports) }
    }

    /// Adds a line to the job's log.
    pub(super) fn write(&mut self, line: &str) {
        self.log.push_str(line);
        self.log.push('\n');
        if self.log.len() >= LOG_CHUNK {
            self.send_log();
        }
    }

    fn send_log(&mut self) {
        self.log_sent = Instant::now();
        if !self.log.is_empty() && self.connection.log(self.spec.job, &self.log) {
            self.log.clear();
        }
    }

    /// Runs a process to its end, or to that of the job; `line` sees each line of its output.
    pub(super) fn run_process(
        &mut self,
        command: Command,
        manner: Manner,
        mut line: impl FnMut(&mut Self, &str),
    ) -> Ended {
        let number = self.next_number();
        let root = match process::start(command, number, self.sender.clone()) {
            Ok(root) => root,
            Err(error) => return Ended::NotStarted(error),
        };
        let mut ending = Ending::default();
        // A step that runs because the job was cancelled is not cancelled for it again.
        let before = self.interruption;
        let (mut exited, mut closed) = (None, false);
        loop {
            match self.next_event(ending.next_check()) {
                Some(Event::Output(of, text)) if of == number => line(self, &text),
                Some(Event::OutputClosed(of)) if of == number => closed = true,
                Some(Event::Exited(of, status)) if of == number => exited = Some((status, Instant::now())),
                _ => {}
            }
            match exited {
                Some((status, at)) if closed || at.elapsed() >= DRAIN_LIMIT => {
                    return if ending.has_begun() { Ended::Interrupted } else { Ended::Exited(status) };
                }
                // A process that ended while others hold its output is not signalled again.
                Some(_) => {}
                None if self.interruption != before => ending.go_on(root, manner),
                None => {}
            }
        }
    }

    /// Waits as a synthetic job does; false if interrupted.
    pub(super) fn rest(&mut self, duration: Duration) -> bool {
        let end = Instant::now() + duration;
        while self.interruption.is_none() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            self.next_event(left);
        }
        false
    }

    /// Takes one event, or none within `limit`, and notes what interrupts the job.
    pub(super) fn next_event(&mut self, limit: Duration) -> Option<Event> {
        let limit = if self.log.is_empty() {
            limit
        } else {
            limit.min(LOG_INTERVAL.saturating_sub(self.log_sent.elapsed()))
        };
        let event = self.events.recv_timeout(limit).ok();
        match &event {
            Some(Event::Signal(signal)) if !self.fault.ignores(*signal) => {
                self.interruption = Some(Interruption::ShuttingDown);
            }
            Some(Event::Message(Message::Cancel(job))) if *job == self.spec.job => {
                self.interruption.get_or_insert(Interruption::Cancelled);
            }
            _ => {}
        }
        if !self.log.is_empty() && self.log_sent.elapsed() >= LOG_INTERVAL {
            self.send_log();
        }
        event
    }

    /// Notes what has arrived while no process ran.
    pub(super) fn take_waiting_events(&mut self) {
        while self.next_event(Duration::ZERO).is_some() {}
    }
}

/// The stages of ending a process: SIGINT, SIGTERM, SIGKILL.
#[derive(Default)]
struct Ending {
    begun: Option<Instant>,
    stage: Option<Signal>,
    /// The processes that have had the stage's signal.
    signalled: HashSet<Pid>,
    /// When the process's descendants were last looked for.
    looked: Option<Instant>,
}

impl Ending {
    fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// How long to wait for an event at most.
    fn next_check(&self) -> Duration {
        const WHILE_RUNNING: Duration = Duration::from_secs(3_600);
        if self.has_begun() { LOG_INTERVAL } else { WHILE_RUNNING }
    }

    fn go_on(&mut self, root: Pid, manner: Manner) {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        if manner == Manner::AtOnce {
            process::kill_tree(root);
            return;
        }
        let due = match begun.elapsed() {
            elapsed if elapsed >= INTERRUPT_GRACE + TERMINATE_GRACE => Signal::SIGKILL,
            elapsed if elapsed >= INTERRUPT_GRACE => Signal::SIGTERM,
            _ => Signal::SIGINT,
        };
        if self.stage != Some(due) {
            self.stage = Some(due);
            self.signalled.clear();
        } else if self.looked.is_some_and(|at| at.elapsed() < LOG_INTERVAL) {
            return;
        }
        self.looked = Some(Instant::now());
        process::signal_tree(root, due, &mut self.signalled);
    }
}
