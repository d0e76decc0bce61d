//! The shell around the pure core: ports, and the loop that records, plans and performs.
//!
//! What is decided does not belong here but in `ecsrunner-core`; what an
//! outside system is like belongs in its adapter.

pub mod ports;

pub mod commit;
pub mod intake;
pub mod record;
pub mod dispatcher;
pub mod sweep;
pub mod discover;
pub mod counts;
pub mod metrics;
pub mod view;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ecsrunner_core::id::SubnetId;
use ecsrunner_core::rules::Rules;
use ecsrunner_core::rules::class::Catalogue;
use ecsrunner_core::rules::settings::Settings;
use tokio::sync::Notify;

use counts::Counts;
use dispatcher::cache::Cache;
use metrics::Metrics;
use ports::compute::Compute;
use ports::github::GitHub;
use ports::queue::Queue;
use ports::rulebook::Rulebook;
use ports::store::{Leases, Levels, Progress, Store};
use ports::{Clock, Randomness};

/// One set of adapters: AWS, one machine, or a simulation.
pub trait World: Send + Sync + 'static {
    /// Records and the lease.
    type Store: Store + Leases + Levels + Progress + std::fmt::Debug;
    type Compute: Compute + std::fmt::Debug;
    type GitHub: GitHub + std::fmt::Debug;
    /// Waking a dispatcher later.
    type Queue: Queue + std::fmt::Debug;
    /// What an operator may change meanwhile.
    type Rulebook: Rulebook + std::fmt::Debug;
    type Clock: Clock + std::fmt::Debug;
    /// What must differ each time.
    type Randomness: Randomness + std::fmt::Debug;
}

/// The adapters of a world.
#[derive(Debug)]
pub struct Ports<W: World> {
    /// Records and the lease.
    pub store: W::Store,
    pub compute: W::Compute,
    pub github: W::GitHub,
    /// Waking a dispatcher later.
    pub queue: W::Queue,
    /// What an operator may change meanwhile.
    pub rulebook: W::Rulebook,
    pub clock: W::Clock,
    /// What must differ each time.
    pub randomness: W::Randomness,
}

/// The rules of a deployment, as read.
#[derive(Clone, Debug)]
pub struct Ruleset {
    pub settings: Settings,
    pub catalogue: Catalogue,
    /// Its subnets; none where there is no network to choose.
    pub subnets: Vec<SubnetId>,
}

impl Ruleset {
    /// The form in which the core takes them.
    #[must_use]
    pub fn rules(&self) -> Rules<'_> {
        Rules { settings: &self.settings, catalogue: &self.catalogue }
    }
}

/// The control plane of one deployment.
#[derive(Debug)]
pub struct Engine<W: World> {
    ports: Ports<W>,
    /// As they were read last.
    rules: Mutex<Arc<Ruleset>>,
    counts: Counts,
    metrics: Metrics,
    /// The kicks that were counted when this process kicked last; 0 for none.
    kicks: AtomicU64,
    /// Wakes a dispatcher of this process early; the kicks in the store are what counts.
    kicked: Notify,
    cache: Cache,
}

impl<W: World> Engine<W> {
    /// A control plane with these adapters and rules.
    #[must_use]
    pub fn new(ports: Ports<W>, rules: Arc<Ruleset>) -> Self {
        Self {
            ports,
            rules: Mutex::new(rules),
            counts: Counts::default(),
            metrics: Metrics::default(),
            kicks: AtomicU64::new(0),
            kicked: Notify::new(),
            cache: Cache::default(),
        }
    }

    #[must_use]
    pub fn ports(&self) -> &Ports<W> {
        &self.ports
    }

    /// The rules, as they were read last.
    #[must_use]
    pub fn rules(&self) -> Arc<Ruleset> {
        Arc::clone(&self.rules.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over what an operator has changed since.
    pub(crate) async fn refresh_rules(&self) {
        if let Some(rules) = self.ports.rulebook.read().await {
            *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules;
        }
    }

    /// What became of events so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether this process has recorded a fact that can alter the plan since
    /// it last planned.
    #[must_use]
    pub fn is_kicked(&self) -> bool {
        self.kicks.load(Ordering::Relaxed) > 0
    }

    /// Returns when a fact was recorded in this process that can alter the plan.
    pub async fn kicked(&self) {
        self.kicked.notified().await;
    }
}

/// An error with all that caused it, on one line.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
