//! A running job: its processes, its log, and its interruption.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{self as os, ExitStatus};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::times::{SCALE_VARIABLE, Times};

use super::Control;
use super::annotations::{Command, Report, is_stop_token, resumes};
use super::log::{Log, StepRecord};
use super::order::{Condition, Order};
use super::process::{self, Event};

/// How to end a process when the job is interrupted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Manner {
    /// By INT, TERM and KILL, with time between them.
    InStages,
    /// At once, because it would otherwise continue with more steps.
    AtOnce,
    /// Not by a cancellation, because its step must run then too. By a shutdown, as
    /// [`Self::InStages`].
    UnlessCancelled,
}

impl Manner {
    /// Returns how to end a step with this condition.
    pub(super) fn of(condition: Condition) -> Self {
        match condition {
            Condition::Always | Condition::Cancelled => Self::UnlessCancelled,
            Condition::Success | Condition::Failure => Self::InStages,
        }
    }
}

/// How a process ended.
#[derive(Debug)]
pub(super) enum Ended {
    Exited(ExitStatus),
    NotStarted(std::io::Error),
    /// The interruption of the job ended it.
    Interrupted,
}

pub(super) struct JobRun {
    pub(super) order: Order,
    /// The variables of every step. Steps add to them.
    pub(super) variables: BTreeMap<String, String>,
    /// The outputs of steps: the step's name, the output's, and its value.
    pub(super) outputs: Vec<(String, String, String)>,
    /// What actions tell their later scripts: the step's name, the value's, and the value.
    pub(super) states: Vec<(String, String, String)>,
    /// The step whose action is executed, also by its `pre:` or `post:`.
    pub(super) action: Option<String>,
    /// The name of the step that is executed, if it is one of the workflow.
    pub(super) step: Option<String>,
    /// The token that ends the stop of commands in the current step, if they are stopped.
    pub(super) stop_token: Option<String>,
    pub(super) failed: bool,
    pub(super) interruption: Option<Control>,
    pub(super) records: Vec<StepRecord>,
    pub(super) log: Log,
    pub(super) times: Times,
    sender: Sender<Event>,
    events: Receiver<Event>,
    /// The number of the last process or step's files.
    number: u64,
}

impl JobRun {
    pub(super) fn new(order: Order, (sender, events): (Sender<Event>, Receiver<Event>)) -> Self {
        let results = order.variables.get("system.github.results_endpoint").cloned();
        let mut log = Log::new(order.client.clone(), results);
        order.secrets.iter().for_each(|secret| log.mask(secret.trim()));
        let scale = std::env::var(SCALE_VARIABLE).ok();
        Self {
            order,
            variables: BTreeMap::new(),
            outputs: Vec::new(),
            states: Vec::new(),
            action: None,
            step: None,
            stop_token: None,
            failed: false,
            interruption: None,
            records: Vec::new(),
            log,
            times: Times::scaled_by(scale.as_deref()),
            sender,
            events,
            number: 0,
        }
    }

    /// Whether the listener is shutting down.
    pub(super) fn is_stopping(&self) -> bool {
        self.interruption == Some(Control::Shutdown)
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Adds a line to the job's log.
    pub(super) fn write(&mut self, line: &str) {
        self.log.write(line);
    }

    /// Adds a line of a step's output, which may be a command.
    pub(super) fn take_line(&mut self, line: &str) {
        if let Some(token) = &self.stop_token {
            if resumes(line, token) {
                self.stop_token = None;
            }
            return self.write(line);
        }
        match Command::read(line) {
            Some(Command::Report(report)) => self.report_of_step(report),
            Some(Command::Group(title)) => self.write(&format!("##[group]{title}")),
            Some(Command::EndGroup) => self.write("##[endgroup]"),
            // Debug logging is off.
            Some(Command::Debug) => {}
            Some(Command::AddMask(value)) if value.trim().is_empty() => {
                self.report_of_step(Report::warning("add-mask has no value: write `::add-mask::VALUE`"));
            }
            // As in the official runner, the line itself is not shown.
            Some(Command::AddMask(value)) => self.log.mask(&value),
            Some(Command::Stop(token)) if is_stop_token(&token) => {
                // As in the official runner: a short one would hide ordinary text.
                if token.len() > 6 {
                    self.log.mask(&token);
                }
                self.write(line);
                self.stop_token = Some(token);
            }
            Some(Command::Stop(token)) => self.error(&format!(
                "stop-commands has the token \"{token}\": expected a text that is no command, such as a random one"
            )),
            Some(Command::SaveState { name, .. }) if name.is_empty() => {
                self.error("save-state has no name: write `::save-state name=NAME::VALUE`");
            }
            Some(Command::SaveState { name, value }) => self.save_state(vec![(name, value)]),
            None => self.write(line),
        }
    }

    /// Keeps what an action tells its later scripts.
    pub(super) fn save_state(&mut self, states: Vec<(String, String)>) {
        if let Some(action) = &self.action {
            self.states.extend(states.into_iter().map(|(name, value)| (action.clone(), name, value)));
        }
    }

    /// Reports a warning of the current step.
    pub(super) fn warn(&mut self, message: &str) {
        self.report_of_step(Report::warning(message));
    }

    /// Reports an error of the current step.
    pub(super) fn error(&mut self, message: &str) {
        self.report_of_step(Report::failure(message));
    }

    fn report_of_step(&mut self, mut report: Report) {
        report.mask(|text| self.log.masked(text));
        self.write(&report.shown());
        let workspace = self.variables.get("GITHUB_WORKSPACE").cloned().unwrap_or_default();
        let (number, line) = (self.records.len(), self.log.step_lines());
        if let Some(step) = self.records.last_mut() {
            let made = report.annotation(&step.annotations, Path::new(&workspace), number, line);
            step.annotations.extend(made);
        }
    }

    /// Runs a process until it ends or the job is interrupted. `line` gets each line of its output.
    pub(super) fn run_process(
        &mut self,
        command: os::Command,
        manner: Manner,
        line: impl FnMut(&mut Self, &str),
    ) -> Ended {
        self.run_process_with(command, None, manner, line)
    }

    /// As [`Self::run_process`], with this standard input.
    pub(super) fn run_process_with(
        &mut self,
        command: os::Command,
        input: Option<File>,
        manner: Manner,
        mut line: impl FnMut(&mut Self, &str),
    ) -> Ended {
        let number = self.next_number();
        let root = match process::start(command, input, number, self.sender.clone()) {
            Ok(root) => root,
            Err(error) => return Ended::NotStarted(error),
        };
        let mut ending = Ending { times: self.times, begun: None, stage: None };
        // A step that runs after a cancellation is not cancelled again because of it.
        let before = self.interruption;
        let (mut exited, mut closed) = (None, false);
        loop {
            match self.next_event(ending.next_check(exited.is_some())) {
                Some(Event::Output(of, text)) if of == number => line(self, &text),
                Some(Event::OutputClosed(of)) if of == number => closed = true,
                Some(Event::Exited(of, status)) if of == number => exited = Some((status, Instant::now())),
                _ => {}
            }
            match exited {
                Some((status, at)) if closed || at.elapsed() >= self.times.output_drain() => {
                    return if ending.has_begun() { Ended::Interrupted } else { Ended::Exited(status) };
                }
                // A process that has ended while others hold its output is not signalled again.
                Some(_) => {}
                None if self.interruption != before && self.ends(manner) => ending.go_on(root, manner),
                None => {}
            }
        }
    }

    fn ends(&self, manner: Manner) -> bool {
        manner != Manner::UnlessCancelled || self.is_stopping()
    }

    /// Waits as a synthetic job does. Returns false if the job is interrupted.
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

    /// Takes one event within `limit`, if there is one, and stores an interruption of the job.
    pub(super) fn next_event(&mut self, limit: Duration) -> Option<Event> {
        let limit = self.log.next_update().map_or(limit, |due| due.min(limit));
        let event = self.events.recv_timeout(limit).ok();
        if self.log.has_due_update() {
            self.log.update(&self.records);
        }
        if self.log.has_due_lines()
            && let Some(step) = self.records.last()
        {
            self.log.send_lines(&step.id);
        }
        if let Some(Event::Control(control)) = &event {
            self.interruption.get_or_insert(*control);
        }
        event
    }

    /// Handles events that arrived while no process ran.
    pub(super) fn take_waiting_events(&mut self) {
        while self.next_event(Duration::ZERO).is_some() {}
    }
}

/// The end of a process in stages: INT and TERM to the process, KILL to its tree.
struct Ending {
    times: Times,
    begun: Option<Instant>,
    stage: Option<Signal>,
}

impl Ending {
    fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Returns how long to wait for an event at most.
    fn next_check(&self, has_exited: bool) -> Duration {
        const WHILE_RUNNING: Duration = Duration::from_secs(3_600);
        const WHILE_ENDING: Duration = Duration::from_millis(50);
        if self.has_begun() || has_exited { WHILE_ENDING } else { WHILE_RUNNING }
    }

    fn go_on(&mut self, root: Pid, manner: Manner) {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let term_after = self.times.interrupt_grace();
        let due = match begun.elapsed() {
            _ if manner == Manner::AtOnce => Signal::SIGKILL,
            elapsed if elapsed >= term_after + self.times.terminate_grace() => Signal::SIGKILL,
            elapsed if elapsed >= term_after => Signal::SIGTERM,
            _ => Signal::SIGINT,
        };
        if self.stage == Some(due) {
            return;
        }
        self.stage = Some(due);
        match due {
            Signal::SIGKILL => process::kill_tree(root),
            other => process::signal(root, other),
        }
    }
}
