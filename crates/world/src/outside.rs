//! Everything outside ecsrunner under one lock: the tables, ECS, GitHub, the agents
//! in the tasks, and the schedule.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ecsrunner_core::id::{RunnerName, TaskId};
use ecsrunner_core::rules::budget::Budget;
use ecsrunner_core::rules::class::Catalogue;
use ecsrunner_core::wire::environment;
use ecsrunner_engine::Ruleset;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::agenda::{Agenda, Happening};
use super::agent::Agents;
use super::clock::VirtualClock;
use super::driver::{Arrival, Input};
use super::faults::{FaultPlan, Transit};
use super::github::{Assigned, Hub, UNSTARTED_LIMIT};
use super::images::Yard;
use super::ledger::Ledger;
use super::setup::Setup;
use super::start_times::StartTimes;
use super::store::Tables;
use super::tasks::{self, TaskNews};
use crate::ecs::Ecs;
use crate::random::Random;
use ecsrunner_engine::ports::Clock;

/// How long an event takes to reach the function, in milliseconds: the minimum, and the most in addition.
const TRANSIT_MS: (usize, usize) = (150, 250);

#[derive(Debug)]
pub struct Outside {
    pub tables: Tables,
    pub ecs: Ecs,
    pub hub: Hub,
    pub fault_plan: FaultPlan,
    /// How far the clock of processes that start from now on is ahead of the right time; negative if it is behind.
    pub clock_ahead: SignedDuration,
    pub ledger: Ledger,
    /// Builds of the deployment's own image.
    pub yard: Yard,
    pub(super) agents: Agents,
    pub(super) agenda: Agenda,
    pub(super) random: Random,
    pub(super) rules: Arc<Ruleset>,
    pub(super) start_times: StartTimes,
    pub(super) arrivals: VecDeque<Arrival>,
    assigning: bool,
}

/// The outside world, shared by all parts of a simulation.
#[derive(Clone)]
pub struct Shared(Arc<Inner>);

struct Inner {
    outside: Mutex<Outside>,
    clock: VirtualClock,
    changed: Notify,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

impl Shared {
    /// Frees the lease while a dispatcher still holds it, and kicks another process.
    pub(super) fn lose_lease(&self) {
        let outside = &mut *self.lock();
        outside.tables.free_lease();
        outside.arrivals.push_back(Arrival::first(Input::Kick));
        self.0.changed.notify_one();
    }

    /// Makes a world that starts now.
    pub(super) fn new(setup: &Setup) -> Self {
        let clock = VirtualClock::start();
        let outside = Outside {
            tables: Tables::default(),
            ecs: Ecs::new(setup.ecs(), clock.now()),
            hub: Hub::default(),
            fault_plan: setup.fault_plan.clone(),
            clock_ahead: SignedDuration::ZERO,
            ledger: Ledger::default(),
            yard: Yard::default(),
            agents: Agents::default(),
            agenda: Agenda::default(),
            random: Random::seeded(setup.seed),
            rules: setup.rules(),
            start_times: setup.start_times,
            arrivals: VecDeque::new(),
            assigning: false,
        };
        Self(Arc::new(Inner { outside: Mutex::new(outside), clock, changed: Notify::new() }))
    }

    /// Locks the world. The lock must not be held across an await.
    pub fn lock(&self) -> MutexGuard<'_, Outside> {
        self.0.outside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[must_use]
    pub fn clock(&self) -> VirtualClock {
        self.0.clock
    }

    /// Signals that the next step may be earlier than before.
    pub(super) fn touch(&self) {
        self.0.changed.notify_one();
    }

    /// Waits until [`Self::touch`] is called.
    pub(super) async fn touched(&self) {
        self.0.changed.notified().await;
    }
}

impl Outside {
    /// Pauses or resumes launches, as an operator does.
    pub fn pause(&mut self, paused: bool) {
        Arc::make_mut(&mut self.rules).settings.paused = paused;
    }

    /// Replaces the deployment's budget, as an operator does.
    ///
    /// # Panics
    ///
    /// The value is not a budget.
    #[expect(clippy::expect_used, reason = "a scenario whose budget is wrong has nothing to show")]
    pub fn set_budget(&mut self, budget: serde_json::Value) {
        let entry = serde_json::from_value(budget).expect("a budget");
        let budget = Budget::read(&entry).expect("a valid budget");
        Arc::make_mut(&mut self.rules).settings.budgets.deployment = Some(budget);
    }

    /// Replaces the catalogue, as an operator does. Classes with mistakes are left out.
    ///
    /// # Panics
    ///
    /// The value is not a catalogue.
    #[expect(clippy::expect_used, reason = "a scenario whose catalogue is wrong has nothing to show")]
    pub fn set_classes(&mut self, classes: serde_json::Value) {
        let entries = serde_json::from_value(classes).expect("a catalogue");
        Arc::make_mut(&mut self.rules).catalogue = Catalogue::read(&entries).0;
    }

    /// Returns the time of the next step.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.ecs.next_at().into_iter().chain(self.agenda.next_at()).min()
    }

    /// Runs due steps in the order of time.
    pub(super) fn catch_up(&mut self, now: Timestamp) {
        loop {
            self.post(now);
            let Some(at) = self.next_at().filter(|at| *at <= now) else { return };
            for event in self.ecs.advance(at) {
                match tasks::news(&event) {
                    Some(TaskNews::Began(task)) => self.agent_begins(&task, at),
                    Some(TaskNews::Terminated(task)) => self.agent_terminated(&task, at),
                    Some(TaskNews::Stopped(task)) => self.agent_gone(&task, at),
                    None => {}
                }
                if let Some(event) = tasks::event(&event) {
                    let transit = self.fault_plan.task_events;
                    self.send(Input::Task(event), transit, at);
                }
            }
            for happening in self.agenda.take_until(at) {
                match happening {
                    Happening::Arrives(arrival) => self.arrivals.push_back(arrival),
                    Happening::Agent(task) => self.agent_due(&task, at),
                    Happening::Assign => self.assign(at),
                    Happening::Act(act) => act(self, at),
                }
            }
        }
    }

    /// Schedules an assignment of jobs by GitHub.
    pub(super) fn assign_soon(&mut self, now: Timestamp) {
        if !self.assigning {
            self.assigning = true;
            let after = self.start_times.assignment.draw(&mut self.random);
            self.agenda.add(now + after, Happening::Assign);
        }
    }

    fn assign(&mut self, now: Timestamp) {
        self.assigning = false;
        for assigned in self.hub.assign(&mut self.random, now) {
            match assigned {
                Assigned::Started(registration, job) => self.agent_takes(registration, job, now),
                Assigned::Unstarted(registration, job) => {
                    self.after(now + UNSTARTED_LIMIT, move |outside, at| {
                        outside.hub.queue_unstarted(registration, job);
                        outside.assign_soon(at);
                    })
                }
            }
        }
    }

    /// Sends the webhooks that GitHub has created.
    fn post(&mut self, now: Timestamp) {
        while let Some(delivery) = self.hub.next_delivery() {
            let transit = self.fault_plan.webhooks;
            if delivery.action == "queued" {
                self.assign_soon(now);
            }
            self.send(Input::Webhook(delivery), transit, now);
        }
    }

    /// Schedules the arrival of an event: once, twice or not at all.
    fn send(&mut self, input: Input, transit: Transit, now: Timestamp) {
        if self.random.happens(transit.lose) {
            return;
        }
        let copies = if self.random.happens(transit.duplicate) { 2 } else { 1 };
        for _ in 0..copies {
            let (least, more) = TRANSIT_MS;
            let late = if self.random.happens(transit.late) { self.random.below(transit.late_ms) } else { 0 };
            let after = least + self.random.below(more) + late;
            self.agenda.add(now + millis(after), Happening::Arrives(Arrival::first(input.clone())));
        }
    }

    /// Notes a violation if a runner is registered before AWS has accepted its task.
    pub(super) fn check_task_of(&mut self, runner: &RunnerName) {
        let Some(record) = self.tables.open.runners.get(runner) else { return };
        let task = match &record.facts.warm {
            Some(warm) => warm.as_str(),
            None => runner.as_str(),
        };
        if !self.ecs.has_accepted(environment::RUNNER, task) {
            self.ledger.violations.push(format!("{runner} was registered before its task was accepted"));
        }
    }

    /// Schedules an agent's next step.
    pub(super) fn wake_agent(&mut self, task: &TaskId, at: Timestamp) {
        self.agenda.add(at, Happening::Agent(task.clone()));
    }
}

pub(super) fn millis(count: usize) -> std::time::Duration {
    std::time::Duration::from_millis(u64::try_from(count).unwrap_or(u64::MAX))
}
