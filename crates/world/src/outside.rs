//! Everything that is not ecsrunner: the tables, ECS, GitHub, what runs in the
//! tasks, and what happens next, under one lock.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ecsrunner_core::id::TaskId;
use ecsrunner_engine::Ruleset;
use jiff::Timestamp;
use tokio::sync::Notify;

use super::agenda::{Agenda, Happening};
use super::agent::Agents;
use super::clock::VirtualClock;
use super::driver::{Arrival, Input};
use super::faults::{FaultPlan, Transit};
use super::github::Hub;
use super::ledger::Ledger;
use super::store::Tables;
use super::tasks::{self, TaskNews};
use crate::ecs::{Ecs, Options};
use crate::random::Random;
use ecsrunner_engine::ports::Clock;

/// How long GitHub takes to find a runner for a job, in milliseconds.
const ASSIGNMENT_MS: usize = 1500;
/// How long an event takes to the function, in milliseconds: at least, and how much more.
const TRANSIT_MS: (usize, usize) = (150, 250);

#[derive(Debug)]
pub struct Outside {
    pub tables: Tables,
    pub ecs: Ecs,
    pub hub: Hub,
    pub fault_plan: FaultPlan,
    pub ledger: Ledger,
    pub(super) agents: Agents,
    pub(super) agenda: Agenda,
    pub(super) random: Random,
    pub(super) rules: Arc<Ruleset>,
    pub(super) arrivals: VecDeque<Arrival>,
    assigning: bool,
}

/// The outside world, shared by all who live in it.
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
    /// A world that begins now.
    pub(super) fn new(seed: u64, fault_plan: FaultPlan, rules: Arc<Ruleset>, ecs: Options) -> Self {
        let clock = VirtualClock::start();
        let outside = Outside {
            tables: Tables::default(),
            ecs: Ecs::new(ecs, clock.now()),
            hub: Hub::default(),
            fault_plan,
            ledger: Ledger::default(),
            agents: Agents::default(),
            agenda: Agenda::default(),
            random: Random::seeded(seed),
            rules,
            arrivals: VecDeque::new(),
            assigning: false,
        };
        Self(Arc::new(Inner { outside: Mutex::new(outside), clock, changed: Notify::new() }))
    }

    /// The world as it is; never across an await.
    pub fn lock(&self) -> MutexGuard<'_, Outside> {
        self.0.outside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[must_use]
    pub fn clock(&self) -> VirtualClock {
        self.0.clock
    }

    /// Says that something may happen sooner than was known.
    pub(super) fn touch(&self) {
        self.0.changed.notify_one();
    }

    /// Returns when [`Self::touch`] was called.
    pub(super) async fn touched(&self) {
        self.0.changed.notified().await;
    }
}

impl Outside {
    /// An operator pauses launches, or lets them go on.
    pub fn pause(&mut self, paused: bool) {
        Arc::make_mut(&mut self.rules).settings.paused = paused;
    }

    /// When something happens next by itself.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.ecs.next_at().into_iter().chain(self.agenda.next_at()).min()
    }

    /// Lets happen what is due, in the order of time.
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

    /// Gives GitHub reason to look for runners soon.
    pub(super) fn assign_soon(&mut self, now: Timestamp) {
        if !self.assigning {
            self.assigning = true;
            let after = 50 + self.random.below(ASSIGNMENT_MS);
            self.agenda.add(now + millis(after), Happening::Assign);
        }
    }

    fn assign(&mut self, now: Timestamp) {
        self.assigning = false;
        for (registration, job) in self.hub.assign(&mut self.random, now) {
            self.agent_takes(registration, job, now);
        }
    }

    /// Sends the webhooks that GitHub has made.
    fn post(&mut self, now: Timestamp) {
        while let Some(delivery) = self.hub.next_delivery() {
            let transit = self.fault_plan.webhooks;
            if delivery.action == "queued" {
                self.assign_soon(now);
            }
            self.send(Input::Webhook(delivery), transit, now);
        }
    }

    /// Has an event arrive once, twice or not at all, after a while.
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

    /// Has an agent looked at again.
    pub(super) fn wake_agent(&mut self, task: &TaskId, at: Timestamp) {
        self.agenda.add(at, Happening::Agent(task.clone()));
    }
}

pub(super) fn millis(count: usize) -> std::time::Duration {
    std::time::Duration::from_millis(u64::try_from(count).unwrap_or(u64::MAX))
}
