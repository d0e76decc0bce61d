//! The agent of a task: takes its boot item, connects to GitHub, executes one job
//! and ends with a code, within the limits of the real agent.

use std::collections::BTreeMap;
use std::time::Duration;

use ecsrunner_core::id::{JobId, RunnerId, RunnerName, TaskId};
use ecsrunner_core::rules::policy::{Policy, Subject};
use ecsrunner_core::wire::boot::Fail;
use ecsrunner_core::wire::event::ExitReport;
use ecsrunner_core::wire::exit::AgentExit;
use ecsrunner_core::wire::exit_record::AgentTimes;
use jiff::{SignedDuration, Timestamp};

use super::agenda::Happening;
use super::driver::{Arrival, Input};
use super::faults::ExitRecords;
use super::outside::{Outside, millis};

/// How often an agent requests its boot item.
const POLL_MS: usize = 1000;
/// How often an idle listener notices that its registration is gone.
const LISTEN_MS: usize = 10_000;
/// How long a listener takes to end after its job.
const LEAVE_MS: usize = 1000;
/// How long a job lasts that its hook fails.
const SECOND: Duration = Duration::from_secs(1);
/// How long a job lasts that its hook refuses: the runner downloads its actions before that, and reports its end after.
const REFUSAL: Duration = Duration::from_secs(6);
/// How long CloudWatch Logs takes to hand a line to the function.
const LOG_TAKES: Duration = Duration::from_secs(4);
/// How long GitHub waits for a lost runner before its job fails.
const LOST_SECS: i64 = 600;

/// The states of the agents.
#[derive(Debug, Default)]
pub(super) struct Agents {
    alive: BTreeMap<TaskId, Agent>,
    /// What the hook of each task allows.
    policies: BTreeMap<TaskId, Policy>,
    /// How long the agents of warm tasks wait for their boot item.
    warm: BTreeMap<TaskId, SignedDuration>,
    /// The tasks that fail a job instead of executing one.
    fails: BTreeMap<TaskId, Fail>,
    /// What the exit record of each agent will say.
    lives: BTreeMap<TaskId, AgentLife>,
    /// The jobs that such tasks failed, each with the words in its log.
    failed: BTreeMap<JobId, String>,
}

/// When an agent did what, and the runner of its boot item.
#[derive(Clone, Default, Debug)]
struct AgentLife {
    times: AgentTimes,
    runner: Option<RunnerName>,
}

#[derive(Clone, Copy, Debug)]
struct Agent {
    since: Timestamp,
    doing: Doing,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Doing {
    Booting,
    Connecting(RunnerId),
    Listening(RunnerId),
    Busy {
        job: JobId,
        until: Timestamp,
    },
    /// Its job has ended.
    Leaving,
}

impl Agents {
    /// Returns the job that the agent of this task executes.
    pub(super) fn job_of(&self, task: &TaskId) -> Option<JobId> {
        match self.alive.get(task)?.doing {
            Doing::Busy { job, .. } => Some(job),
            _ => None,
        }
    }

    /// Notes how long a warm task waits; nothing for the task of a runner.
    pub(super) fn is_warm(&mut self, task: &TaskId, waits: Option<SignedDuration>) {
        self.warm.extend(waits.map(|waits| (task.clone(), waits)));
    }

    /// Returns the words with which a runner failed this job on purpose.
    pub(super) fn words_for(&self, job: JobId) -> Option<&str> {
        self.failed.get(&job).map(String::as_str)
    }

    /// Returns the tasks that execute a job, in order.
    pub(super) fn busy(&self) -> impl Iterator<Item = &TaskId> {
        self.alive.iter().filter(|(_, agent)| matches!(agent.doing, Doing::Busy { .. })).map(|(task, _)| task)
    }
}

impl Outside {
    pub(super) fn agent_begins(&mut self, task: &TaskId, now: Timestamp) {
        if !self.agents.alive.contains_key(task) {
            self.agents.alive.insert(task.clone(), Agent { since: now, doing: Doing::Booting });
            self.life(task).times.started = Some(now);
            let after = self.random.below(POLL_MS);
            self.wake_agent(task, now + millis(after));
        }
    }

    /// Runs the next step of an agent.
    pub(super) fn agent_due(&mut self, task: &TaskId, now: Timestamp) {
        let Some(Agent { since, doing }) = self.agents.alive.get(task).copied() else { return };
        match doing {
            Doing::Booting => self.agent_boots(task, since, now),
            Doing::Connecting(registration) => {
                if self.hub.refuses_connection(registration) {
                    let limit = self.rules.settings.limits.connect_limit_secs;
                    let until = since + SignedDuration::from_secs(i64::from(limit));
                    if now < until {
                        self.wake_agent(task, until);
                    } else {
                        self.agent_exits(task, AgentExit::NotConnected, now);
                    }
                } else if self.hub.takes_away(registration) {
                    self.agent_exits(task, AgentExit::RegistrationLost, now);
                } else if self.hub.connect(registration, &mut self.random) {
                    let times = &mut self.life(task).times;
                    (times.connected, times.session_made) = (Some(now), Some(now));
                    self.assign_soon(now);
                    self.agent_does(task, Doing::Listening(registration), now);
                    self.wake_agent(task, now + millis(LISTEN_MS));
                } else {
                    self.agent_exits(task, AgentExit::RegistrationLost, now);
                }
            }
            Doing::Listening(registration) => {
                let idle_limit =
                    SignedDuration::from_secs(i64::from(self.rules.settings.limits.idle_limit_secs));
                if !self.hub.runners.contains_key(&registration) {
                    self.agent_exits(task, AgentExit::RegistrationLost, now);
                } else if now.duration_since(since) >= idle_limit {
                    self.hub.disconnect(registration);
                    self.agent_exits(task, AgentExit::NoJob, now);
                } else {
                    self.wake_agent(task, now + millis(LISTEN_MS));
                }
            }
            Doing::Busy { job, until } => {
                if let Some(fail) = self.agents.fails.get(task) {
                    let (run, attempt, name) = (fail.run, fail.attempt, fail.job.as_str());
                    let is_meant =
                        self.hub.jobs.get(&job).is_some_and(|job| {
                            (job.run, job.attempt, job.name.as_str()) == (run, attempt, name)
                        });
                    let words =
                        if is_meant { fail.reason.clone() } else { format!("it is not the job `{name}`") };
                    self.agents.failed.insert(job, words);
                    self.hub.complete(job, "failure", now);
                    self.agent_exits(task, AgentExit::JobRefused, now);
                } else if self.hook_refuses(task, job) {
                    self.hub.complete(job, "failure", now);
                    self.agent_exits(task, AgentExit::JobRefused, now);
                } else if self.hub.faults.clinging.contains(&job) {
                    // Its listener is stopped, so nothing ends it but the end of its container.
                } else if self.hub.is_completed(job) || now >= until {
                    self.hub.complete(job, "success", now);
                    self.life(task).times.job_ended = Some(now);
                    self.agent_does(task, Doing::Leaving, now);
                    self.wake_agent(task, now + millis(LEAVE_MS));
                }
            }
            Doing::Leaving => self.agent_exits(task, AgentExit::Completed, now),
        }
    }

    fn agent_boots(&mut self, task: &TaskId, since: Timestamp, now: Timestamp) {
        let boot_limit = SignedDuration::from_secs(i64::from(self.rules.settings.limits.boot_limit_secs));
        let (limit, exit) = match self.agents.warm.get(task) {
            Some(waits) => (*waits, AgentExit::NotNeeded),
            None => (boot_limit, AgentExit::NoBootItem),
        };
        if let Some(boot) = self.tables.take_boot(task) {
            let Ok(registration) = boot.jit.parse().map(RunnerId::new) else { return };
            self.ledger.took_configuration(registration);
            let life = self.life(task);
            (life.times.boot_item_taken, life.times.listener_started) = (Some(now), Some(now));
            life.runner = Some(boot.item.runner.clone());
            self.agents.policies.insert(task.clone(), boot.item.policy);
            if let Some(fail) = boot.item.fail {
                self.agents.fails.insert(task.clone(), fail);
            }
            if self.yard.too_old.contains(task) {
                self.agent_exits(task, AgentExit::ImageTooOld, now);
                return;
            }
            self.agent_does(task, Doing::Connecting(registration), now);
            let after = self.start_times.listener.draw(&mut self.random);
            self.wake_agent(task, now + after);
        } else if now.duration_since(since) >= limit {
            self.agent_exits(task, exit, now);
        } else {
            if !self.agents.warm.contains_key(task) {
                self.ledger.boots_before_item += 1;
            }
            self.wake_agent(task, now + millis(POLL_MS));
        }
    }

    /// Starts a job that GitHub assigned to the runner.
    pub(super) fn agent_takes(&mut self, registration: RunnerId, job: JobId, now: Timestamp) {
        let listening = Doing::Listening(registration);
        let task = self.agents.alive.iter().find(|(_, agent)| agent.doing == listening);
        let Some((task, _)) = task.map(|(task, agent)| (task.clone(), agent)) else { return };
        let lasts = match self.agents.fails.contains_key(&task) {
            true => SECOND,
            false if self.hook_refuses(&task, job) => REFUSAL,
            false => self.hub.jobs.get(&job).map(|job| job.order.lasts).unwrap_or_default(),
        };
        let until = now + lasts;
        self.life(&task).times.job_acquired = Some(now);
        self.agent_does(&task, Doing::Busy { job, until }, now);
        self.wake_agent(&task, until);
    }

    /// Whether the hook of a task refuses a job.
    fn hook_refuses(&self, task: &TaskId, job: JobId) -> bool {
        let (Some(policy), Some(job)) = (self.agents.policies.get(task), self.hub.jobs.get(&job)) else {
            return false;
        };
        let repository = &job.order.repository;
        let subject = Subject {
            repository,
            private: Some(true),
            event: Some("push"),
            head_repository: Some(repository),
        };
        policy.judge(&subject).is_err()
    }

    /// Cancels a job. Its runner ends it soon.
    pub fn cancel(&mut self, job: JobId, now: Timestamp) {
        self.end_job(job, "cancelled", now);
    }

    /// Ends a job by itself, such as by a step that fails. Its runner ends soon.
    pub fn end_job(&mut self, job: JobId, conclusion: &'static str, now: Timestamp) {
        let task = self
            .agents
            .alive
            .iter()
            .find(|(_, agent)| matches!(agent.doing, Doing::Busy { job: at_work, .. } if at_work == job));
        let task = task.map(|(task, _)| task.clone());
        self.hub.complete(job, conclusion, now);
        if let Some(task) = task {
            self.wake_agent(&task, now + millis(LEAVE_MS));
        }
    }

    /// Handles SIGTERM to the container.
    pub(super) fn agent_terminated(&mut self, task: &TaskId, now: Timestamp) {
        let Some(agent) = self.agents.alive.get(task).copied() else { return };
        match agent.doing {
            Doing::Booting | Doing::Connecting(_) => self.agent_exits(task, AgentExit::Interrupted, now),
            Doing::Listening(registration) => {
                self.hub.disconnect(registration);
                self.agent_exits(task, AgentExit::Interrupted, now);
            }
            Doing::Busy { job, .. } => {
                self.hub.complete(job, "failure", now);
                self.lose(job, now);
                self.agent_exits(task, AgentExit::InterruptedBusy, now);
            }
            Doing::Leaving => self.agent_exits(task, AgentExit::Completed, now),
        }
    }

    /// Handles the stop of a task, whose agent ends without a report.
    pub(super) fn agent_gone(&mut self, task: &TaskId, now: Timestamp) {
        let Some(agent) = self.agents.alive.remove(task) else { return };
        self.agents.policies.remove(task);
        self.agents.lives.remove(task);
        match agent.doing {
            Doing::Listening(registration) => self.hub.disconnect(registration),
            Doing::Busy { job, .. } => {
                self.lose(job, now);
            }
            Doing::Booting | Doing::Connecting(_) | Doing::Leaving => {}
        }
    }

    /// Ends the job and the session of a runner that is gone, once GitHub has waited for it.
    fn lose(&mut self, job: JobId, now: Timestamp) {
        let ends: super::agenda::Act = Box::new(move |outside, at| {
            outside.hub.complete(job, "failure", at);
            outside.hub.forget_runner_of(job);
        });
        self.agenda.add(now + SignedDuration::from_secs(LOST_SECS), Happening::Act(ends));
    }

    fn agent_does(&mut self, task: &TaskId, doing: Doing, now: Timestamp) {
        self.agents.alive.insert(task.clone(), Agent { since: now, doing });
    }

    fn agent_exits(&mut self, task: &TaskId, exit: AgentExit, now: Timestamp) {
        self.agents.alive.remove(task);
        self.agents.policies.remove(task);
        self.write_exit_record(task, now);
        // A container that was killed meanwhile has also ended.
        if let Err(error) = self.ecs.exit(task.as_str(), i32::from(exit.code()), now) {
            tracing::debug!(%task, %error, "its container was gone");
        }
    }

    fn life(&mut self, task: &TaskId) -> &mut AgentLife {
        self.agents.lives.entry(task.clone()).or_default()
    }

    /// Writes an agent's exit record into its log, from which it comes to the function.
    fn write_exit_record(&mut self, task: &TaskId, now: Timestamp) {
        let Some(AgentLife { times, runner: Some(runner) }) = self.agents.lives.remove(task) else { return };
        let report = ExitReport {
            runner,
            task: task.clone(),
            written_at: now,
            times,
            runner_version: None,
            peaks: None,
        };
        let copies = match self.fault_plan.exit_records {
            ExitRecords::Lost => 0,
            ExitRecords::Once => 1,
            ExitRecords::Repeated => 2,
        };
        for copy in 1..=copies {
            let arrival = Arrival::first(Input::Exit(Box::new(report.clone())));
            self.agenda.add(now + LOG_TAKES * copy, Happening::Arrives(arrival));
        }
    }
}
