//! The shell around the pure core: ports, and the loop that records, plans and performs.
//!
//! Decisions belong in `ecsrunner-core`, and the details of an outside system
//! belong in its adapter.

pub mod ports;

pub mod commit;
pub mod intake;
pub mod record;
pub mod dispatcher;
pub mod sweep;
pub mod discover;
pub mod counts;
pub mod seldom;
pub mod metrics;
pub mod traces;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ecsrunner_core::id::{JobId, SubnetId};
use ecsrunner_core::reason::Reason;
use ecsrunner_core::records::change::Change;
use ecsrunner_core::rules::Rules;
use ecsrunner_core::rules::class::Catalogue;
use ecsrunner_core::rules::image::ImageRules;
use ecsrunner_core::rules::settings::Settings;
pub use ecsrunner_core::text::chain;
use tokio::sync::{Notify, broadcast};

use counts::Counts;
use dispatcher::budgets::ClosedDays;
use dispatcher::cache::Cache;
use metrics::Metrics;
use ports::compute::Compute;
use ports::github::GitHub;
use ports::images::Images;
use ports::queue::Queue;
use ports::rulebook::Rulebook;
use ports::store::{Leases, Levels, Progress, Spend, Store};
use ports::{Clock, Randomness};
use seldom::Seldom;

/// How many changes a watcher can lag behind before it has to read the lists again.
const CHANGES_KEPT: usize = 1024;

/// One set of adapters: AWS, one machine, or a simulation.
pub trait World: Send + Sync + 'static {
    /// Records and the lease.
    type Store: Store + Leases + Levels + Progress + Spend + std::fmt::Debug;
    type Compute: Compute + std::fmt::Debug;
    type GitHub: GitHub + std::fmt::Debug;
    /// Builds of the deployment's own image.
    type Images: Images + std::fmt::Debug;
    /// Delayed kicks.
    type Queue: Queue + std::fmt::Debug;
    /// Settings that an operator can change while the engine runs.
    type Rulebook: Rulebook + std::fmt::Debug;
    type Clock: Clock + std::fmt::Debug;
    /// The source of unique names.
    type Randomness: Randomness + std::fmt::Debug;
}

/// The adapters of a world.
#[derive(Debug)]
pub struct Ports<W: World> {
    /// Records and the lease.
    pub store: W::Store,
    pub compute: W::Compute,
    pub github: W::GitHub,
    /// Builds of the deployment's own image.
    pub images: W::Images,
    /// Delayed kicks.
    pub queue: W::Queue,
    /// Settings that an operator can change while the engine runs.
    pub rulebook: W::Rulebook,
    pub clock: W::Clock,
    /// The source of unique names.
    pub randomness: W::Randomness,
}

/// The rules of a deployment, as they were read.
#[derive(Clone, Debug)]
pub struct Ruleset {
    pub settings: Settings,
    pub catalogue: Catalogue,
    /// Empty if there is no network to choose.
    pub subnets: Vec<SubnetId>,
    /// What the deployment's own image is made of; `None` where there are no images.
    pub images: Option<ImageRules>,
}

impl Ruleset {
    /// Borrows the rules in the form that the core takes.
    #[must_use]
    pub fn rules(&self) -> Rules<'_> {
        Rules { settings: &self.settings, catalogue: &self.catalogue }
    }
}

/// The control plane of one deployment.
#[derive(Debug)]
pub struct Engine<W: World> {
    ports: Ports<W>,
    /// The rules that were read last.
    rules: Mutex<Arc<Ruleset>>,
    counts: Counts,
    /// Which refused webhooks are logged; `None` for all.
    refusals: Option<Seldom>,
    metrics: Metrics,
    /// What may be exported as traces.
    pending: traces::Pending,
    closed_days: Arc<ClosedDays>,
    /// The kick count that the store returned for this process's last kick; 0 if there was none.
    kicks: AtomicU64,
    /// Wakes a dispatcher of this process early. Only the kicks in the store are authoritative.
    kicked: Notify,
    cache: Cache,
    /// Made for the first watcher: it takes space for all the changes that it keeps.
    changes: OnceLock<broadcast::Sender<Arc<Change>>>,
    /// The reasons to wait that watchers were told.
    told: Mutex<HashMap<JobId, Reason>>,
    /// The jobs that cannot be served or failed, as far as that was logged.
    left: Mutex<HashSet<JobId>>,
}

impl<W: World> Engine<W> {
    #[must_use]
    pub fn new(ports: Ports<W>, rules: Arc<Ruleset>) -> Self {
        Self {
            ports,
            rules: Mutex::new(rules),
            counts: Counts::default(),
            refusals: None,
            metrics: Metrics::default(),
            pending: traces::Pending::default(),
            closed_days: Arc::default(),
            kicks: AtomicU64::new(0),
            kicked: Notify::new(),
            cache: Cache::default(),
            changes: OnceLock::new(),
            told: Mutex::default(),
            left: Mutex::default(),
        }
    }

    /// Shares the sums of closed days with other engines of this process, for the same deployment.
    #[must_use]
    pub fn with_closed_days(self, closed_days: Arc<ClosedDays>) -> Self {
        Self { closed_days, ..self }
    }

    /// Logs few of the webhooks that are refused, for a server that others can reach as often as they like.
    #[must_use]
    pub fn with_few_refusals(self) -> Self {
        Self { refusals: Some(Seldom::default()), ..self }
    }

    #[must_use]
    pub fn ports(&self) -> &Ports<W> {
        &self.ports
    }

    /// Returns the rules that were read last.
    #[must_use]
    pub fn rules(&self) -> Arc<Ruleset> {
        Arc::clone(&self.rules.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over changes that an operator has made since the last read.
    pub(crate) async fn refresh_rules(&self) {
        if let Some(rules) = self.ports.rulebook.read().await {
            *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules;
        }
    }

    /// Counts the webhooks received so far, by reason.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Returns the changes that this process commits from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Arc<Change>> {
        self.changes.get_or_init(|| broadcast::Sender::new(CHANGES_KEPT)).subscribe()
    }

    /// Returns whether this process has kicked since it last planned.
    #[must_use]
    pub fn is_kicked(&self) -> bool {
        self.kicks.load(Ordering::Relaxed) > 0
    }

    /// Waits until this process records a fact that can alter the plan.
    pub async fn kicked(&self) {
        self.kicked.notified().await;
    }
}
