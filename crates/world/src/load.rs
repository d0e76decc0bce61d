//! A whole day's load in virtual time: the engine on a world without faults that
//! keeps figures instead of records.
//!
//! The engine is the real one, with one engine for each invocation, and its calls
//! take as long as in the other simulations. The world is smaller than the other
//! one: it has neither JSON nor signatures, it finds jobs, runners and tasks by
//! index, and it forgets what has ended. Faults belong in [`crate::Simulation`].

mod fleet;
mod hub;
mod github;
mod happening;
mod invocations;
mod queue;
mod spread;
mod state;
mod steps;
mod tables;
mod tally;
mod time;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ecsrunner_core::id::Repository;
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_engine::ports::images::NoImages;
use ecsrunner_engine::ports::rulebook::Fixed;
use ecsrunner_engine::{Ruleset, World};
use jiff::Timestamp;

use crate::clock::SeededRandomness;
use crate::random::Random;
use fleet::{Fleet, LoadCompute};
use github::LoadGitHub;
use happening::{Happening, Input};
use hub::Hub;
use invocations::Invocations;
use queue::LoadQueue;
use state::{Shared, State};
use tables::{LoadStore, RecentTables};
use time::{Agenda, Due, LoadClock, Millis};

pub use spread::Spread;
pub use tally::{KindFigures, ReasonFigures, RunnerFigures, Sample, Tally, WaitFigures};

const SWEEP_EACH: Millis = 60_000;

/// The adapters of a load.
#[derive(Debug)]
pub struct LoadWorld;

impl World for LoadWorld {
    type Store = LoadStore;
    type Compute = LoadCompute;
    type GitHub = LoadGitHub;
    type Images = NoImages;
    type Queue = LoadQueue;
    type Rulebook = Fixed;
    type Clock = LoadClock;
    type Randomness = SeededRandomness;
}

/// What the deployment runs in: AWS's and GitHub's times and quotas.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// From RunTask's acceptance to the container's start, with the pull of the image.
    pub task_start: Spread,
    /// The part of it in which the image is pulled, if the start takes that long.
    pub pull: Spread,
    /// From the container's end to the task's.
    pub task_stop: Spread,
    /// From the boot item to a listener that is connected.
    pub connect: Spread,
    /// How long GitHub takes to find a runner for a job, or a job for a runner.
    pub assign: Spread,
    /// The account's vCPU quotas; `None` for no limit.
    pub on_demand_vcpus: Option<u32>,
    pub spot_vcpus: Option<u32>,
    /// The share of jobs on Spot whose task AWS takes back.
    pub spot_interrupted_share: f64,
    /// How much longer a read of everything that is open takes for each record, in microseconds.
    pub open_record_micros: u32,
    /// How many registrations a minute GitHub allows for each account.
    pub registrations_per_minute: usize,
}

/// Jobs of one repository with the same labels.
#[derive(Clone, Debug)]
pub struct JobKind {
    pub name: String,
    pub repository: Repository,
    /// The labels of `runs-on`.
    pub labels: Labels,
}

/// A job to be queued.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub at: Timestamp,
    /// The index of its kind.
    pub kind: usize,
    /// How long it runs.
    pub lasts: Duration,
}

/// A load, and the deployment that serves it.
pub struct Load {
    /// Makes the simulation reproducible.
    pub seed: u64,
    pub rules: Ruleset,
    pub surroundings: Surroundings,
    pub kinds: Vec<JobKind>,
    /// When the simulation begins.
    pub from: Timestamp,
    /// When it ends even if jobs are left.
    pub until: Timestamp,
    /// The jobs in the order of time.
    pub arrivals: Box<dyn Iterator<Item = Arrival> + Send>,
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load").field("seed", &self.seed).field("kinds", &self.kinds).finish_non_exhaustive()
    }
}

/// Runs a load until all its jobs have ended and all runners are gone, or until its end.
/// Returns the figures, and when the simulation ended.
#[must_use]
pub fn run(load: Load) -> (Tally, Timestamp) {
    let (from, until) = (load.from.as_millisecond(), load.until.as_millisecond());
    let seed = load.seed;
    let mut state = State {
        agenda: Agenda::default(),
        tables: RecentTables::default(),
        fleet: Fleet::default(),
        hub: Hub::new(&load.kinds, load.surroundings.registrations_per_minute),
        tally: Tally::new(load.kinds.len()),
        random: Random::seeded(seed),
        rules: Arc::new(load.rules),
        surroundings: load.surroundings,
        arrivals: load.arrivals,
        next: None,
        waiting: VecDeque::new(),
        explained_at: from,
    };
    state.queue_next(from);
    state.agenda.add(from + SWEEP_EACH, Happening::Invoke(Input::Sweep));
    let shared = Shared::new(from, state);
    let mut invocations = Invocations::new(shared.clone(), seed);
    while let Some((at, due)) = next(&shared, until) {
        shared.set_now(at.max(shared.now()));
        let now = shared.now();
        let waker = match due {
            Due::Timer(timer) => shared.lock().agenda.expire(timer),
            Due::Happening(happening) => {
                shared.lock().happen(happening, now);
                None
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        invocations.run();
        shared.lock().explain(now);
        shared.lock().end_warm_tasks();
        if invocations.is_idle() && shared.lock().is_over() {
            break;
        }
    }
    drop(invocations);
    let state = &mut *shared.lock();
    state.tally.finish(shared.now());
    (std::mem::take(&mut state.tally), time::timestamp(shared.now()))
}

fn next(shared: &Shared, until: Millis) -> Option<(Millis, Due)> {
    shared.lock().agenda.next().filter(|(at, _)| *at <= until)
}

impl State {
    fn happen(&mut self, happening: Happening, now: Millis) {
        match happening {
            Happening::Queue => self.queue_next(now),
            Happening::Assign(job) => self.assign(job, now),
            Happening::Task { task, turn, step } if self.fleet.is_current(task, turn) => {
                self.step(task, step, now);
            }
            Happening::Task { .. } => {}
            Happening::Invoke(input) => {
                if matches!(input, Input::Sweep) {
                    self.agenda.add(now + SWEEP_EACH, Happening::Invoke(Input::Sweep));
                }
                self.waiting.push_back(input);
            }
        }
    }

    /// Pauses launches once all jobs have ended: no further one comes that a warm task could serve.
    fn end_warm_tasks(&mut self) {
        if self.next.is_none() && self.hub.unfinished() == 0 && !self.rules.settings.paused {
            Arc::make_mut(&mut self.rules).settings.paused = true;
        }
    }

    /// Whether every job has ended and nothing is left.
    fn is_over(&self) -> bool {
        self.next.is_none()
            && self.hub.unfinished() == 0
            && self.fleet.is_empty()
            && self.tables.open().is_at_rest()
            && self.waiting.is_empty()
    }
}
