//! The steps of tasks and of the agents in them, and of GitHub's assignment.

use std::time::Duration;

use ecsrunner_core::id::{JobId, RunnerId, TaskName};
use ecsrunner_core::reason::Code;
use ecsrunner_core::records::job::JobState;
use ecsrunner_core::records::runner::Runner;
use ecsrunner_core::records::times::{AgentReport, JobTimes, Times};
use ecsrunner_core::records::wait::{Wait, split};
use ecsrunner_core::records::warm::WarmState;
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::wire::event::{StopCause, TaskChange, TaskEvent};
use ecsrunner_core::wire::exit::AgentExit;
use ecsrunner_core::wire::exit_record::AgentTimes;
use ecsrunner_core::wire::job::Conclusion;
use jiff::SignedDuration;

use super::fleet::{JobEnd, Phase, Task, TaskNumber};
use super::happening::{Action, Happening, Input, TaskStep};
use super::state::State;
use super::time::{Millis, millis, timestamp};

/// How often an agent asks for its boot item.
const POLL_MS: usize = 1000;
/// How long a listener takes to end after its job.
const LEAVE: Millis = 1000;

impl State {
    /// Queues the next job.
    pub(super) fn queue_next(&mut self, now: Millis) {
        if let Some(arrival) = self.next.take() {
            let job = self.hub.queue(arrival.kind, arrival.lasts, now);
            self.tally.queued(job, arrival.kind, now);
            self.send(Input::Webhook { job, action: Action::Queued }, now);
            let assigns = millis(self.surroundings.assign.draw(&mut self.random));
            self.agenda.add(now + assigns, Happening::Assign(job));
        }
        self.next = self.arrivals.next();
        if let Some(next) = &self.next {
            let at = next.at.as_millisecond().max(now);
            self.agenda.add(at, Happening::Queue);
        }
    }

    /// Gives a queued job to a runner that waits for one, if there is any.
    pub(super) fn assign(&mut self, job: JobId, now: Millis) {
        if let Some((runner, task)) = self.hub.runner_for(job) {
            self.begin(job, runner, task, now);
        }
    }

    /// Runs the next step of a task.
    pub(super) fn step(&mut self, number: TaskNumber, step: TaskStep, now: Millis) {
        let Some(task) = self.fleet.task(number) else { return };
        match (step, task.phase.clone()) {
            (TaskStep::Run, Phase::Pending) => {
                let warm = task.warm_for;
                let boot = Duration::from_secs(self.rules.settings.limits.boot_limit_secs.into());
                let until = now + millis(warm.unwrap_or(boot));
                self.note(number, |agent| agent.started = Some(timestamp(now)));
                self.tell(number, TaskChange::Running, now);
                let first = Millis::try_from(self.random.below(POLL_MS)).unwrap_or_default();
                self.turn(number, Phase::Booting { until }, Some((now + first, TaskStep::Boot)));
            }
            (TaskStep::Boot, Phase::Booting { until }) => self.boot(number, until, now),
            (TaskStep::Connect, Phase::Connecting(registration)) => self.connect(number, registration, now),
            (TaskStep::Assign, Phase::Listening { registration, .. }) => {
                if let Some(job) = self.hub.job_for(registration) {
                    self.begin(job, registration, number, now);
                }
            }
            (TaskStep::GiveUp, Phase::Listening { registration, until }) => {
                self.hub.disconnect(registration);
                let exit = if now >= until { AgentExit::NoJob } else { AgentExit::RegistrationLost };
                self.exit(number, StopCause::Agent(exit), now);
            }
            (TaskStep::EndJob, Phase::Busy { registration, job, end }) => {
                self.end_job(number, registration, job, end, now);
            }
            (TaskStep::Leave, Phase::Leaving) => {
                self.exit(number, StopCause::Agent(AgentExit::Completed), now);
            }
            (TaskStep::Stop, Phase::Stopping(cause)) => {
                self.tell(number, TaskChange::Stopped(cause), now);
                if let Some(task) = self.fleet.remove(number) {
                    self.tally.task_stopped(task.cpu, now);
                }
            }
            _ => {}
        }
    }

    fn boot(&mut self, number: TaskNumber, until: Millis, now: Millis) {
        let Some(task) = self.fleet.task(number) else { return };
        let taken = self.tables.take_boot(&task.id.clone());
        if let Some(registration) = taken.and_then(|jit| jit.parse().ok()).map(RunnerId::new) {
            let taken = Some(timestamp(now));
            self.note(number, |agent| (agent.boot_item_taken, agent.listener_started) = (taken, taken));
            let connects = millis(self.surroundings.connect.draw(&mut self.random));
            let next = Some((now + connects, TaskStep::Connect));
            self.turn(number, Phase::Connecting(registration), next);
        } else if now >= until {
            let exit = if task.warm_for.is_some() { AgentExit::NotNeeded } else { AgentExit::NoBootItem };
            self.exit(number, StopCause::Agent(exit), now);
        } else {
            let next = Some((now + 1000, TaskStep::Boot));
            self.turn(number, Phase::Booting { until }, next);
        }
    }

    fn connect(&mut self, number: TaskNumber, registration: RunnerId, now: Millis) {
        if !self.hub.connect(registration, number) {
            self.exit(number, StopCause::Agent(AgentExit::RegistrationLost), now);
            return;
        }
        let until = now + Millis::from(self.rules.settings.limits.idle_limit_secs) * 1000;
        let made = Some(timestamp(now));
        self.note(number, |agent| (agent.connected, agent.session_made) = (made, made));
        let assigns = millis(self.surroundings.assign.draw(&mut self.random));
        self.turn(number, Phase::Listening { registration, until }, Some((now + assigns, TaskStep::Assign)));
        self.also(number, until, TaskStep::GiveUp);
    }

    /// Starts a job on the runner in a task.
    fn begin(&mut self, job: JobId, registration: RunnerId, number: TaskNumber, now: Millis) {
        let Some(task) = self.fleet.task(number) else { return };
        if self.runner_in(task).is_some_and(|runner| runner.facts.fails) {
            self.fail(job, registration, number, now);
            return;
        }
        let (limit, market) = (task.max_job, task.market);
        let Some(found) = self.hub.job(job) else { return };
        let (kind, lasts, queued_at) = (found.kind, found.lasts, found.queued_at);
        self.hub.begin(job, registration, now);
        self.tally.started(job, kind, queued_at, now);
        if let Some(wait) = self.wait_of(job, number, queued_at, now) {
            self.tally.waits.add(&wait);
        }
        self.send(Input::Webhook { job, action: Action::InProgress }, now);
        let (mut lasts, mut end) =
            if lasts > limit { (limit, JobEnd::Timeout) } else { (lasts, JobEnd::Done) };
        let share = self.surroundings.spot_interrupted_share;
        if market == Market::Spot && share > 0.0 && self.random.happens(share) {
            lasts = Duration::from_secs_f64(lasts.as_secs_f64() * self.random.unit());
            end = JobEnd::Interrupted;
        }
        let next = Some((now + millis(lasts), TaskStep::EndJob));
        self.turn(number, Phase::Busy { registration, job, end }, next);
    }

    /// Ends a job on a runner that fails it, before its first step.
    fn fail(&mut self, job: JobId, registration: RunnerId, number: TaskNumber, now: Millis) {
        let code = match self.tables.open().jobs.get(&job).map(|job| &job.state) {
            Some(JobState::Refused { reason }) => reason.code(),
            Some(JobState::Queued { wait, .. }) => wait.code(),
            _ => Code::JobRefused,
        };
        self.hub.begin(job, registration, now);
        self.tally.refused(job, code, now);
        self.send(Input::Webhook { job, action: Action::InProgress }, now);
        self.hub.complete(job, registration, Conclusion::Failure, now);
        self.send(Input::Webhook { job, action: Action::Completed }, now);
        self.exit(number, StopCause::Agent(AgentExit::JobRefused), now);
    }

    /// Returns the open runner in a task.
    fn runner_in(&self, task: &Task) -> Option<&Runner> {
        let open = self.tables.open();
        match &task.name {
            TaskName::Runner(name) => open.runners.get(name),
            TaskName::Warm(warm) => match &open.warm.get(warm)?.state {
                WarmState::Used(name) => open.runners.get(name),
                _ => None,
            },
        }
    }

    /// Notes when an agent did something.
    fn note(&mut self, number: TaskNumber, note: impl FnOnce(&mut AgentTimes)) {
        if let Some(task) = self.fleet.task_mut(number) {
            note(&mut task.agent);
        }
    }

    /// Splits the wait of a job that starts now in a task.
    fn wait_of(&self, job: JobId, number: TaskNumber, queued_at: Millis, now: Millis) -> Option<Wait> {
        let (open, task) = (self.tables.open(), self.fleet.task(number)?);
        let runner = self.runner_in(task)?;
        let started_at = timestamp(now);
        let recorded = open.jobs.get(&job).map(|job| job.times(started_at));
        // GitHub's own time has whole seconds. A microsecond later, it is none: the simulation knows the time exactly.
        let times = JobTimes {
            queued_at: timestamp(queued_at) + SignedDuration::from_micros(1),
            recorded_at: recorded.as_ref().and_then(|times| times.recorded_at),
            started_at,
            held_by: recorded.and_then(|times| times.held_by),
        };
        let agent = AgentReport {
            written_at: started_at,
            times: task.agent.clone(),
            runner_version: None,
            peaks: None,
        };
        let times = Times { task: task.times, agent: Some(agent), job: Some(times) };
        split(&runner.facts, &runner.timeline, &times)
    }

    fn end_job(&mut self, number: TaskNumber, registration: RunnerId, job: JobId, end: JobEnd, now: Millis) {
        let (conclusion, cause) = match end {
            JobEnd::Done => (Conclusion::Success, None),
            JobEnd::Timeout => (Conclusion::Failure, Some(StopCause::Agent(AgentExit::JobTimeout))),
            JobEnd::Interrupted => (Conclusion::Failure, Some(StopCause::SpotInterrupted)),
        };
        self.tally.completed(end == JobEnd::Done, now);
        self.hub.complete(job, registration, conclusion, now);
        self.send(Input::Webhook { job, action: Action::Completed }, now);
        match cause {
            Some(cause) => self.exit(number, cause, now),
            None => self.turn(number, Phase::Leaving, Some((now + LEAVE, TaskStep::Leave))),
        }
    }

    /// Stops a task, as ECS does for StopTask.
    pub(super) fn terminate(&mut self, number: TaskNumber, now: Millis) {
        let Some(task) = self.fleet.task(number) else { return };
        match task.phase.clone() {
            Phase::Pending => self.exit(number, StopCause::StoppedByUser, now),
            Phase::Booting { .. } | Phase::Connecting(_) => {
                self.exit(number, StopCause::Agent(AgentExit::Interrupted), now);
            }
            Phase::Listening { registration, .. } => {
                self.hub.disconnect(registration);
                self.exit(number, StopCause::Agent(AgentExit::Interrupted), now);
            }
            Phase::Busy { registration, job, .. } => {
                self.tally.completed(false, now);
                self.hub.complete(job, registration, Conclusion::Failure, now);
                self.send(Input::Webhook { job, action: Action::Completed }, now);
                self.exit(number, StopCause::Agent(AgentExit::InterruptedBusy), now);
            }
            Phase::Leaving => self.exit(number, StopCause::Agent(AgentExit::Completed), now),
            Phase::Stopping(_) => {}
        }
    }

    /// Ends a container. Its task stops a little later.
    fn exit(&mut self, number: TaskNumber, cause: StopCause, now: Millis) {
        let stops = millis(self.surroundings.task_stop.draw(&mut self.random));
        self.turn(number, Phase::Stopping(cause), Some((now + stops, TaskStep::Stop)));
    }

    /// Sends a task's state change to the function.
    fn tell(&mut self, number: TaskNumber, change: TaskChange, now: Millis) {
        let Some(task) = self.fleet.task_mut(number) else { return };
        task.version += 1;
        let event = TaskEvent {
            name: task.name.clone(),
            task: task.id.clone(),
            version: task.version,
            change,
            times: task.times,
            instance: task.instance(),
            at: timestamp(now),
        };
        self.send(Input::Task(Box::new(event)), now);
    }
}
