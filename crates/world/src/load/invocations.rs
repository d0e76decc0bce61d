//! Invocations of the function, each with one event and an engine of its own.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use ecsrunner_core::decide::sweep::Lag;
use ecsrunner_core::wire::event::Event;
use ecsrunner_engine::dispatcher::DispatchOptions;
use ecsrunner_engine::ports::images::NoImages;
use ecsrunner_engine::ports::rulebook::Fixed;
use ecsrunner_engine::{Engine, Ports};
use futures::Stream;
use futures::stream::FuturesUnordered;
use tracing::debug;

use super::LoadWorld;
use super::fleet::LoadCompute;
use super::github::LoadGitHub;
use super::happening::Input;
use super::queue::LoadQueue;
use super::state::Shared;
use super::tables::LoadStore;
use super::time::{LoadClock, timestamp};
use crate::clock::SeededRandomness;

/// The function's default timeout, and how long before it a dispatcher stops.
const TIMEOUT: Duration = Duration::from_secs(60);
const MARGIN: Duration = Duration::from_secs(5);
/// A dispatcher waits for work that is due within this time.
const PATIENCE: Duration = Duration::from_secs(2);
/// The function's reserved concurrency.
const MAX_AT_ONCE: usize = 100;

type Invocation = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The invocations that are running.
pub(super) struct Invocations {
    shared: Shared,
    seed: u64,
    begun: u64,
    running: FuturesUnordered<Invocation>,
    woken: Arc<Woken>,
    waker: Waker,
}

/// Whether an invocation was woken since the last poll.
#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Invocations {
    pub(super) fn new(shared: Shared, seed: u64) -> Self {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        Self { shared, seed, begun: 0, running: FuturesUnordered::new(), woken, waker }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Runs what can run at this moment. Returns when everything waits.
    pub(super) fn run(&mut self) {
        loop {
            self.begin_waiting();
            if self.running.is_empty() {
                return;
            }
            self.woken.0.store(false, Ordering::Relaxed);
            let polled = Pin::new(&mut self.running).poll_next(&mut Context::from_waker(&self.waker));
            if matches!(polled, Poll::Pending) && !self.woken.0.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    fn begin_waiting(&mut self) {
        while self.running.len() < MAX_AT_ONCE {
            let Some(input) = self.shared.lock().waiting.pop_front() else { return };
            self.begun += 1;
            let seed = self.seed.wrapping_mul(0x9e37_79b9).wrapping_add(self.begun);
            let engine = engine(&self.shared, seed);
            let until = timestamp(self.shared.now()) + (TIMEOUT - MARGIN);
            let options = DispatchOptions { force: false, until: Some(until), patience: PATIENCE };
            self.running.push(Box::pin(invoke(engine, self.shared.clone(), input, options)));
        }
    }
}

fn engine(shared: &Shared, seed: u64) -> Engine<LoadWorld> {
    let rules = Arc::clone(&shared.lock().rules);
    let ports = Ports {
        store: LoadStore(shared.clone()),
        compute: LoadCompute(shared.clone()),
        github: LoadGitHub(shared.clone()),
        images: NoImages,
        queue: LoadQueue(shared.clone()),
        rulebook: Fixed,
        clock: LoadClock(shared.clone()),
        randomness: SeededRandomness::seeded(seed),
    };
    Engine::new(ports, rules)
}

/// Handles an event as the function does. Webhooks come as they are after their signature and form were checked, which
/// takes time and decides nothing.
async fn invoke(engine: Engine<LoadWorld>, shared: Shared, input: Input, options: DispatchOptions) {
    let recorded = match input {
        Input::Webhook { job, action } => {
            let now = timestamp(shared.now());
            let event = shared.lock().hub.job(job).map(|job| job.event(action, now));
            match event {
                Some(event) => engine.record(&Event::Job(event)).await.map(drop),
                None => Ok(()),
            }
        }
        Input::Task(event) => engine.record(&Event::Task(*event)).await.map(drop),
        Input::Kick => engine.kick().await,
        Input::Sweep => engine.dispatch_with_sweep(options, Lag::DISTRIBUTED).await.map(drop),
    };
    if let Err(error) = recorded {
        debug!(%error, "an event was not recorded");
    }
    if engine.is_kicked()
        && let Err(error) = engine.dispatch(options).await
    {
        debug!(%error, "the dispatcher was interrupted");
    }
}
