//! The life of a task after RunTask accepted it.

use jiff::Timestamp;
use serde_json::{Value, json};
use thiserror::Error;

use super::events;
use super::reply::Refusal;
use super::representation::{Form, task_json};
use super::request;
use super::state::{Ecs, Number};
use super::task::{Exit, Provider, Status, Step, Stop, StopCode, Task};

/// Exit codes for SIGTERM and SIGKILL, as in a shell.
const TERMINATED: i32 = 143;
const KILLED: i32 = 137;

/// An operation that the task's state does not allow.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ControlError {
    #[error("task {0} is not known")]
    Unknown(String),
    /// The task has a status that does not allow it.
    #[error("task {task} is {}", status.as_str())]
    Status { task: String, status: Status },
    /// On-Demand capacity is never interrupted.
    #[error("task {0} is not on Spot capacity")]
    NotSpot(String),
}

impl Ecs {
    /// Ends a running task's container with a code, as its process would. The next
    /// step is due at once, and is done by the next call or by [`Self::advance`].
    ///
    /// # Errors
    ///
    /// Fails if there is no such task, or its container does not run.
    pub fn exit(&mut self, task: &str, code: i32, now: Timestamp) -> Result<(), ControlError> {
        let now = self.settle(now);
        let number = self.playable(task, Task::has_container)?;
        self.change(number, now, |task| {
            task.exit = Some(Exit { code: Some(code), reason: None, at: now });
            task.stop.get_or_insert_with(|| Stop {
                code: StopCode::EssentialContainerExited,
                reason: "Essential container in task exited".to_owned(),
                at: now,
            });
        });
        Ok(())
    }

    /// Interrupts a Spot task, with two minutes' notice.
    ///
    /// # Errors
    ///
    /// Fails if there is no such task, it is stopping already, or it is not on Spot.
    pub fn interrupt(&mut self, task: &str, now: Timestamp) -> Result<(), ControlError> {
        let now = self.settle(now);
        let number = self.playable(task, |task| task.stop.is_none())?;
        if self
            .tasks
            .get(&number)
            .is_some_and(|task| !matches!(task.provider, Provider::FargateSpot | Provider::ManagedSpot))
        {
            return Err(ControlError::NotSpot(task.to_owned()));
        }
        self.stop(number, StopCode::SpotInterruption, "Your Spot Task was interrupted.", now);
        Ok(())
    }

    /// Makes a task that does not run yet fail with this `stoppedReason`, as `TaskFailedToStart`.
    ///
    /// # Errors
    ///
    /// Fails if there is no such task, or it runs already or is stopping.
    pub fn fail_to_start(&mut self, task: &str, reason: &str, now: Timestamp) -> Result<(), ControlError> {
        let now = self.settle(now);
        let number = self.playable(task, |task| task.stop.is_none() && task.status() < Status::Running)?;
        self.fail(number, reason.to_owned(), now);
        Ok(())
    }

    pub(super) fn stop_task(&mut self, request: &Value, now: Timestamp) -> Result<Value, Refusal> {
        let request: request::StopTask = request::parse(request)?;
        let cluster = self.cluster(request.cluster.as_deref())?;
        let lag = self.options.lags.stop;
        let found = self
            .find(&request.task)
            .filter(|(_, task)| task.launch.cluster == cluster && task.created_at() + lag <= now);
        let Some((number, task)) = found else {
            return Err(Refusal::invalid("The referenced task was not found."));
        };
        if task.stop.is_none() {
            let reason = request.reason.as_deref().unwrap_or("Task stopped by user");
            self.stop(number, StopCode::UserInitiated, reason, now);
        }
        if self.options.stop_deletes_tags
            && let Some(task) = self.tasks.get_mut(&number)
        {
            task.tags.clear();
        }
        let task = self.tasks.get(&number);
        Ok(json!({"task": task.map(|task| task_json(task, &self.options, Form::Api { tags: false }))}))
    }

    /// Runs steps that are due until `now`, in the order of time. Returns the time that counts as now.
    pub(super) fn settle(&mut self, now: Timestamp) -> Timestamp {
        let now = self.not_before(now);
        while let Some((at, number)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.pop_first();
            match self.tasks.get(&number).and_then(|task| task.next(&self.options.durations)) {
                Some((_, Step::Enter(status))) => self.enter(number, status, at),
                Some((_, Step::Fail)) => {
                    let fault = self.tasks.get_mut(&number).and_then(|task| task.start_fault.take());
                    self.fail(number, fault.map(|fault| fault.reason).unwrap_or_default(), at);
                }
                None => {}
            }
        }
        while let Some((_, number)) = self.forget_at.first().copied().filter(|(at, _)| *at <= now) {
            self.forget_at.pop_first();
            if let Some(task) = self.tasks.remove(&number) {
                self.numbers.remove(&task.id);
            }
        }
        now
    }

    fn enter(&mut self, number: Number, status: Status, at: Timestamp) {
        let durations = self.options.durations;
        if status == Status::Pending {
            self.place(number, at);
        }
        self.change(number, at, |task| {
            if task.status() == Status::Stopping && task.exit.is_none() {
                let killed = task.stopping_lasts(&durations) < durations.stopping;
                let code = Some(if killed { KILLED } else { TERMINATED });
                task.exit = Some(Exit { code, reason: None, at });
            }
            task.timeline.push((status, at));
        });
        if status == Status::Stopped {
            self.leave(number, at);
        }
        if status == Status::Stopped
            && let Some(task) = self.tasks.get(&number)
        {
            self.tokens.task_stopped(&task.arn, at);
            self.forget_at.insert((at + durations.retention, number));
        }
    }

    fn fail(&mut self, number: Number, reason: String, at: Timestamp) {
        self.change(number, at, |task| {
            // The container also shows errors of its image.
            let of_container = reason.starts_with("CannotPullContainerError").then(|| reason.clone());
            task.exit = Some(Exit { code: None, reason: of_container, at });
            task.stop = Some(Stop { code: StopCode::TaskFailedToStart, reason, at });
        });
    }

    pub(super) fn stop(&mut self, number: Number, code: StopCode, reason: &str, now: Timestamp) {
        self.change(number, now, |task| task.stop = Some(Stop { code, reason: reason.to_owned(), at: now }));
    }

    fn playable(&self, task: &str, can: impl Fn(&Task) -> bool) -> Result<Number, ControlError> {
        let (number, found) = self.find(task).ok_or_else(|| ControlError::Unknown(task.to_owned()))?;
        if can(found) {
            return Ok(number);
        }
        Err(ControlError::Status { task: found.id.clone(), status: found.status() })
    }

    /// Changes a task, sends an event, and schedules its next step.
    fn change(&mut self, number: Number, at: Timestamp, change: impl FnOnce(&mut Task)) {
        if let Some(task) = self.tasks.get_mut(&number) {
            change(task);
        }
        self.note_change(number, at);
    }

    pub(super) fn note_change(&mut self, number: Number, at: Timestamp) {
        let Some(task) = self.tasks.get_mut(&number) else { return };
        task.version += 1;
        task.updated_at = at;
        if let Some(due) = task.due.take() {
            self.timers.remove(&(due, number));
        }
        task.due = task.next(&self.options.durations).map(|(due, _)| due);
        if let Some(due) = task.due {
            self.timers.insert((due, number));
        }
        let event = events::envelope(task, &self.options, self.random.guid(), at);
        self.outbox.put(event, at, &self.options.faults.events, &mut self.random);
    }
}
