//! Faults between the engine and the world: lost answers, conflicts, delays, and
//! the death of the process between two effects.

mod ports;

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use ecsrunner_core::id::JobId;
use ecsrunner_engine::ports::compute::ComputeError;
use ecsrunner_engine::ports::github::GitHubError;
use ecsrunner_engine::ports::images::ImageError;
use ecsrunner_engine::ports::queue::QueueError;
use ecsrunner_engine::ports::store::StoreError;
use tokio::sync::Notify;
use tokio::time::Sleep;

use super::outside::{Outside, Shared, millis};

/// A method of a port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Method {
    Load,
    Commit,
    Open,
    Revoke,
    SetAside,
    Kick,
    Kicks,
    Take,
    Renew,
    Release,
    SetLevel,
    Spent,
    Progress,
    KeepProgress,
    RecordedDeliveries,
    RunTask,
    StopTask,
    HostOf,
    Drain,
    Tasks,
    GenerateJitconfig,
    Runner,
    DeleteRunner,
    Job,
    Run,
    LatestJobs,
    RunAgain,
    QueuedJobs,
    Repositories,
    Registrations,
    Deliveries,
    Delivery,
    PostKick,
    StartBuild,
    Build,
    Promote,
    NewestRunner,
}

impl Method {
    /// Returns how long a call takes in milliseconds: the minimum, and the most in addition.
    pub(super) fn latency_ms(self) -> (usize, usize) {
        match self {
            Self::RunTask => (150, 200),
            Self::StopTask | Self::Tasks | Self::HostOf | Self::Drain => (60, 80),
            Self::GenerateJitconfig => (200, 300),
            Self::Runner | Self::DeleteRunner | Self::Job | Self::Run | Self::LatestJobs | Self::RunAgain => {
                (80, 120)
            }
            Self::QueuedJobs
            | Self::Repositories
            | Self::Registrations
            | Self::Deliveries
            | Self::Delivery
            | Self::StartBuild
            | Self::Build
            | Self::Promote
            | Self::NewestRunner => (100, 200),
            Self::Commit | Self::Release => (8, 12),
            _ => (4, 6),
        }
    }

    /// Whether this is a call to GitHub, and not to AWS.
    #[must_use]
    pub fn is_githubs(self) -> bool {
        matches!(
            self,
            Self::GenerateJitconfig
                | Self::Runner
                | Self::DeleteRunner
                | Self::Job
                | Self::Run
                | Self::LatestJobs
                | Self::RunAgain
                | Self::QueuedJobs
                | Self::Repositories
                | Self::Registrations
                | Self::Deliveries
                | Self::Delivery
        )
    }

    /// Whether it writes, and can conflict with another write.
    fn can_collide(self) -> bool {
        matches!(self, Self::Commit | Self::Kick | Self::Take | Self::Renew | Self::SetLevel)
    }
}

/// The delivery of events. Probabilities are between 0 and 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Transit {
    /// Probability that an event never arrives.
    pub lose: f64,
    pub duplicate: f64,
    pub late: f64,
    /// The longest delay, in milliseconds.
    pub late_ms: usize,
}

/// How often an agent's exit record comes to the function.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum ExitRecords {
    Lost,
    #[default]
    Once,
    Repeated,
}

/// A fault of one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mishap {
    /// The number of the call, counted from 0 over all invocations.
    pub call: u64,
    /// Whether it happens after the call has taken effect, or before.
    pub after: bool,
    pub kind: MishapKind,
}

/// The kind of a [`Mishap`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MishapKind {
    Kill,
    /// The call takes this much longer. What the process does beside it goes on, its timeouts too.
    Stall(Duration),
    /// The whole process stands still and then continues, as a Lambda function does that is frozen.
    Freeze(Duration),
    /// The lease is free for others although its holder believes that it has it, as if clocks differed, and another process is
    /// kicked.
    LoseLease,
    /// The process gets no answer.
    Lose,
    /// The write conflicts with another one, and has no effect. Calls that do not
    /// write are not affected.
    Collide,
}

/// The faults of a simulation. Probabilities are for each call.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    pub webhooks: Transit,
    /// The delivery of task events.
    pub task_events: Transit,
    /// The delivery of agents' exit records.
    pub exit_records: ExitRecords,
    /// Probability that a write conflicts with another one, and has no effect.
    pub conflict: f64,
    /// Probability that a call is not answered. In half of these cases it takes effect.
    pub lost: f64,
    /// Probability that a call takes longer.
    pub slow: f64,
    /// The most that it takes longer, in milliseconds.
    pub slow_ms: usize,
    /// Probability that the process dies, before or after the call.
    pub crash: f64,
    /// The fault of one call.
    pub mishap: Option<Mishap>,
    /// Whether failed invocations are not retried.
    pub no_retries: bool,
    /// How much longer a read of all open records takes for each job and runner in the answer.
    pub open_takes_per_record: Duration,
    /// How long each page of a read of all open records takes; a millisecond at least.
    pub page_takes: Duration,
    /// Write units a second of the table, in addition to a burst of one second's units; 0 for no limit.
    /// DynamoDB takes 1,000 a second in one partition.
    pub write_units_per_sec: u64,
    /// Probability that a write of only waiting jobs is throttled, and has no effect.
    pub wait_writes_throttled: f64,
    /// Probability that a reservation of runners is throttled, and has no effect.
    pub reservations_throttled: f64,
    /// Whether reads of all open records get no answer.
    pub opens_fail: bool,
    /// Whether reads of what was spent get no answer.
    pub sums_fail: bool,
    /// How many releases of the lease come to nothing, since another transaction writes at that moment.
    pub release_races: u32,
    /// Jobs whose records cannot be read, since a newer release has written them.
    pub unreadable_jobs: BTreeSet<JobId>,
}

/// The outcome of one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Answered,
    Conflict,
    Lost { effect: bool },
    Stall { effect: bool, time: Duration },
    Freeze { effect: bool, time: Duration },
    LoseLease { effect: bool },
    Kill { effect: bool },
}

impl Mishap {
    fn fate(self, method: Method) -> Fate {
        let effect = self.after;
        match self.kind {
            MishapKind::Kill => Fate::Kill { effect },
            MishapKind::Stall(time) => Fate::Stall { effect, time },
            MishapKind::Freeze(time) => Fate::Freeze { effect, time },
            MishapKind::LoseLease => Fate::LoseLease { effect },
            MishapKind::Collide if method.can_collide() => Fate::Conflict,
            MishapKind::Collide => Fate::Answered,
            MishapKind::Lose => Fate::Lost { effect },
        }
    }
}

/// One process of the function. It can die or stand still between two effects.
#[derive(Clone, Default)]
pub struct Process(Arc<Life>);

#[derive(Default)]
struct Life {
    is_dead: AtomicBool,
    died: Notify,
    /// What the process waits for before it does anything else.
    frozen: Mutex<Option<Pin<Box<Sleep>>>>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Process")
    }
}

impl Process {
    /// Waits until the process has died.
    pub async fn died(&self) {
        while !self.0.is_dead.load(Ordering::Relaxed) {
            self.0.died.notified().await;
        }
    }

    /// Runs what the process does, except while it stands still.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(
            |context| {
                if self.stands_still(context) { Poll::Pending } else { work.as_mut().poll(context) }
            },
        )
        .await
    }

    fn stands_still(&self, context: &mut Context<'_>) -> bool {
        let mut frozen = self.0.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = frozen.as_mut().is_some_and(|until| until.as_mut().poll(context).is_pending());
        if !waits {
            *frozen = None;
        }
        waits
    }

    /// Stands still. The caller goes on only when the whole process does.
    async fn freeze(&self, time: Duration) {
        *self.0.frozen.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Box::pin(tokio::time::sleep(time)));
        tokio::task::yield_now().await;
    }

    async fn die(&self) {
        self.0.is_dead.store(true, Ordering::Relaxed);
        self.0.died.notify_one();
        std::future::pending().await
    }
}

/// A port whose calls can fail.
#[derive(Clone, Debug)]
pub struct Faulty<T> {
    port: T,
    process: Process,
    shared: Shared,
}

impl<T> Faulty<T> {
    pub(super) fn new(port: T, process: &Process, shared: &Shared) -> Self {
        Self { port, process: process.clone(), shared: shared.clone() }
    }

    async fn through<R, E: Fault>(
        &self,
        method: Method,
        call: impl Future<Output = Result<R, E>> + Send,
    ) -> Result<R, E> {
        let (fate, takes) = self.shared.lock().draw_fate(method);
        tokio::time::sleep(takes / 2).await;
        match fate {
            Fate::Kill { effect: false } => self.process.die().await,
            Fate::Stall { effect: false, time } => tokio::time::sleep(time).await,
            Fate::Freeze { effect: false, time } => self.process.freeze(time).await,
            Fate::LoseLease { effect: false } => self.shared.lose_lease(),
            Fate::Conflict => return Err(E::conflict(method)),
            Fate::Lost { effect: false } => return Err(E::lost(method)),
            Fate::Answered | Fate::Lost { .. } | Fate::Kill { .. } => {}
            Fate::Stall { .. } | Fate::Freeze { .. } | Fate::LoseLease { .. } => {}
        }
        let answer = call.await;
        match fate {
            Fate::Kill { effect: true } => self.process.die().await,
            Fate::Stall { effect: true, time } => tokio::time::sleep(time).await,
            Fate::Freeze { effect: true, time } => self.process.freeze(time).await,
            Fate::LoseLease { effect: true } => self.shared.lose_lease(),
            _ => {}
        }
        tokio::time::sleep(takes / 2).await;
        if fate == (Fate::Lost { effect: true }) { Err(E::lost(method)) } else { answer }
    }
}

impl Outside {
    fn draw_fate(&mut self, method: Method) -> (Fate, Duration) {
        let count = self.ledger.all_calls();
        *self.ledger.calls.entry(method).or_default() += 1;
        let (least, more) = method.latency_ms();
        let slow = self.random.happens(self.fault_plan.slow);
        let slower = if slow { self.random.below(self.fault_plan.slow_ms) } else { 0 };
        let takes = millis(least + self.random.below(more) + slower) + self.takes_longer(method);
        let effect = self.random.happens(0.5);
        let mishap = self.fault_plan.mishap.filter(|mishap| mishap.call == count);
        let fate = if let Some(mishap) = mishap {
            mishap.fate(method)
        } else if self.random.happens(self.fault_plan.crash) {
            Fate::Kill { effect }
        } else if self.random.happens(self.fault_plan.lost) {
            Fate::Lost { effect }
        } else if method.can_collide() && self.random.happens(self.fault_plan.conflict) {
            Fate::Conflict
        } else {
            Fate::Answered
        };
        (fate, takes)
    }

    /// Returns how much longer a read takes: reads of open records depend on their number.
    fn takes_longer(&self, method: Method) -> Duration {
        if method != Method::Open {
            return Duration::ZERO;
        }
        let records = self.tables.open.jobs.len() + self.tables.open.runners.len();
        self.fault_plan.open_takes_per_record * u32::try_from(records).unwrap_or(u32::MAX)
    }
}

/// The errors of a port for a call without an answer.
trait Fault: Sized {
    fn lost(method: Method) -> Self;

    fn conflict(method: Method) -> Self {
        Self::lost(method)
    }
}

fn lost_words(method: Method) -> Box<dyn Error + Send + Sync> {
    format!("the answer to {method:?} was lost").into()
}

impl Fault for StoreError {
    fn lost(method: Method) -> Self {
        Self::Unavailable { operation: "answer", source: lost_words(method) }
    }

    fn conflict(_method: Method) -> Self {
        Self::Conflict
    }
}

impl Fault for ImageError {
    fn lost(method: Method) -> Self {
        Self::Unanswered { operation: "a call", source: lost_words(method) }
    }
}

impl Fault for ComputeError {
    fn lost(method: Method) -> Self {
        Self::Unanswered { operation: "a call", source: lost_words(method) }
    }
}

impl Fault for GitHubError {
    fn lost(method: Method) -> Self {
        Self::Unreachable { operation: format!("{method:?}"), source: lost_words(method) }
    }
}

impl Fault for QueueError {
    fn lost(method: Method) -> Self {
        Self(lost_words(method))
    }
}
