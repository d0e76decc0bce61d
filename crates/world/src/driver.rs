//! Invocations as Lambda makes them: each with one event, its own engine and a
//! deadline. Their number at once is limited. A failed one is retried twice.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ecsrunner_core::decide::sweep::Lag;
use ecsrunner_core::wire::event::{Event, ExitReport, TaskEvent};
use ecsrunner_engine::Engine;
use ecsrunner_engine::dispatcher::DispatchOptions;
use ecsrunner_engine::intake::Delivery;
use ecsrunner_engine::ports::Clock;
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use secrecy::SecretString;
use tracing::debug;

use super::agenda::Happening;
use super::faults::Process;
use super::github::{HubDelivery, SECRET, sign};
use super::outside::{Outside, Shared};
use super::{Virtual, ports};

/// How long before the function's timeout a dispatcher stops.
const MARGIN: Duration = Duration::from_secs(5);
/// A dispatcher waits for work that is due within this time.
const PATIENCE: Duration = Duration::from_secs(2);
/// The function's reserved concurrency.
const MAX_AT_ONCE: usize = 100;
/// How long Lambda waits before the first and the second retry of a failed event.
const AGAIN_AFTER: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];
const SWEEP_EACH: Duration = Duration::from_secs(60);

/// The event of an invocation.
#[derive(Clone, Debug)]
pub enum Input {
    Webhook(HubDelivery),
    /// A task's state change.
    Task(TaskEvent),
    /// An agent's exit record.
    Exit(Box<ExitReport>),
    /// A kick that was posted.
    Kick,
    /// The sweep of each minute.
    Sweep,
}

/// An event that has arrived at the function.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    input: Input,
    /// How often it was attempted.
    tries: usize,
}

impl Arrival {
    pub(super) fn first(input: Input) -> Self {
        Self { input, tries: 0 }
    }
}

type Invocation = Pin<Box<dyn Future<Output = (Arrival, Result<(), String>)>>>;

pub(super) struct Lambda {
    shared: Shared,
    timeout: Duration,
    seed: u64,
    begun: u64,
    running: FuturesUnordered<Invocation>,
    waiting: VecDeque<Arrival>,
    next_sweep_at: Timestamp,
}

impl Lambda {
    pub(super) fn new(shared: Shared, timeout: Duration, seed: u64) -> Self {
        let next_sweep_at = shared.clock().now() + SWEEP_EACH;
        Self {
            shared,
            timeout,
            seed,
            begun: 0,
            running: FuturesUnordered::new(),
            waiting: VecDeque::new(),
            next_sweep_at,
        }
    }

    /// Returns an engine in its own process.
    pub(super) fn engine(&mut self, process: &Process) -> Engine<Virtual> {
        self.begun += 1;
        let seed = self.seed.wrapping_mul(0x9e37_79b9).wrapping_add(self.begun);
        let rules = Arc::clone(&self.shared.lock().rules);
        Engine::new(ports(&self.shared, process, seed), rules)
    }

    /// Runs the world until no invocation is in progress and `is_done` returns true.
    /// Returns false if that takes longer than `limit`.
    pub(super) async fn run(&mut self, limit: Duration, is_done: impl Fn(&Outside) -> bool) -> bool {
        let clock = self.shared.clock();
        let until = clock.now() + limit;
        loop {
            let now = clock.now();
            let (next_at, done) = self.turn(now, &is_done);
            if done {
                return true;
            }
            if now >= until {
                return false;
            }
            let wake_at = next_at.map_or(self.next_sweep_at, |at| at.min(self.next_sweep_at)).min(until);
            let shared = self.shared.clone();
            tokio::select! {
                biased;
                Some((arrival, outcome)) = self.running.next(), if !self.running.is_empty() => {
                    self.ended(arrival, outcome);
                }
                () = clock.sleep_until(wake_at) => {}
                () = shared.touched() => {}
            }
        }
    }

    /// Runs due steps and starts invocations. Returns the next due time, and whether
    /// all is done.
    fn turn(&mut self, now: Timestamp, is_done: impl Fn(&Outside) -> bool) -> (Option<Timestamp>, bool) {
        if now >= self.next_sweep_at {
            self.next_sweep_at = now + SWEEP_EACH;
            self.waiting.push_back(Arrival::first(Input::Sweep));
        }
        let (next_at, done) = {
            let outside = &mut *self.shared.lock();
            outside.catch_up(now);
            self.waiting.append(&mut outside.arrivals);
            let idle = self.waiting.is_empty() && self.running.is_empty();
            (outside.next_at(), idle && is_done(outside))
        };
        while self.running.len() < MAX_AT_ONCE
            && let Some(arrival) = self.waiting.pop_front()
        {
            self.begin(arrival);
        }
        (next_at, done)
    }

    fn begin(&mut self, arrival: Arrival) {
        let process = Process::default();
        let engine = self.engine(&process);
        let timeout = self.timeout;
        let begun_at = engine.ports().clock.now();
        let options =
            DispatchOptions { force: false, until: Some(begun_at + timeout - MARGIN), patience: PATIENCE };
        self.running.push(Box::pin(async move {
            let outcome = tokio::select! {
                biased;
                outcome = process.run(invoke(&engine, &arrival.input, options)) => outcome,
                () = process.died() => Err("killed".to_owned()),
                () = tokio::time::sleep(timeout) => Err("timed out".to_owned()),
            };
            (arrival, outcome)
        }));
    }

    fn ended(&mut self, arrival: Arrival, outcome: Result<(), String>) {
        let Err(words) = outcome else { return };
        let outside = &mut *self.shared.lock();
        *outside.ledger.failures.entry(words).or_default() += 1;
        if outside.fault_plan.no_retries {
            return;
        }
        if let Some(after) = AGAIN_AFTER.get(arrival.tries) {
            let again = Arrival { tries: arrival.tries + 1, ..arrival };
            outside.agenda.add(self.shared.clock().now() + *after, Happening::Arrives(again));
        }
    }
}

/// Handles an event like `crates/lambda`: an event that cannot be recorded fails
/// the invocation, and after a fault of the dispatcher another one follows.
async fn invoke(engine: &Engine<Virtual>, input: &Input, options: DispatchOptions) -> Result<(), String> {
    match input {
        Input::Webhook(delivery) => {
            let signature = sign(&delivery.body);
            let delivery = Delivery {
                event: "workflow_job",
                id: delivery.id.as_str(),
                signature: Some(&signature),
                content_type: Some("application/json"),
                body: delivery.body.as_bytes(),
            };
            engine.receive(delivery, &[SecretString::from(SECRET)]).await.map_err(told)?;
        }
        Input::Task(event) => {
            engine.record(&Event::Task(event.clone())).await.map_err(told)?;
        }
        Input::Exit(report) => {
            engine.record(&Event::Exit((**report).clone())).await.map_err(told)?;
        }
        Input::Kick => engine.kick().await.map_err(told)?,
        Input::Sweep => {
            // The next minute's sweep repeats it.
            if let Err(error) = engine.dispatch_with_sweep(options, Lag::DISTRIBUTED).await {
                debug!(%error, "the sweep was interrupted");
            }
        }
    }
    if engine.is_kicked()
        && let Err(error) = engine.dispatch(options).await
    {
        debug!(%error, "the dispatcher was interrupted");
    }
    Ok(())
}

fn told(error: impl std::error::Error) -> String {
    error.to_string()
}
