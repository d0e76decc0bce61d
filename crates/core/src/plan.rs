//! What to do about what is open: levels are compared, pool by pool.
//!
//! Demand is what is queued and not taken, supply what is starting or idle. A
//! stolen runner, a cancelled job, a dead task and a lost event need no rules
//! of their own: the next plan sees the level. Nothing is remembered here
//! between two plans.

mod places;
mod pool;

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use crate::class::size::Size;
use crate::class::{Capacity, Class};
use crate::cost::Market;
use crate::id::{ClassName, Epoch, JobId, PoolId, Repository, RunnerName, Version};
use crate::job::{Job, JobState, TakenBy};
use crate::labels::Labels;
use crate::pool::Scope;
use crate::reason::{Code, Reason};
use crate::record::Rules;
use crate::runner::{EndingKind, Runner, RunnerFacts, RunnerStage, RunnerState};
use crate::timeline::Timeline;
use places::Places;
use pool::PoolLevel;

/// How long a booted runner may stand beside a queued job of its pool before
/// it is doubted, and how long a completed runner without a known job holds
/// one unit of demand.
pub const DOUBT: SignedDuration = SignedDuration::from_mins(2);

/// How long a job may be queued, or wait for an approval, without a word.
const SILENCE_OF_QUEUED: SignedDuration = SignedDuration::from_mins(5);
/// How long after its runner's end a job's `completed` may take.
const SILENCE_OF_ENDED: SignedDuration = SignedDuration::from_secs(10);
/// How long a job may run on somebody else's runner; GitHub ends it after five days.
const SILENCE_OF_OTHERS: SignedDuration = SignedDuration::from_hours(6);

/// Everything that is open.
#[derive(Clone, Default, Debug)]
pub struct Open {
    /// Jobs.
    pub jobs: Vec<Job>,
    /// Runners.
    pub runners: Vec<Runner>,
}

/// What holds launches back beside the limits.
#[derive(Clone, Default, Debug)]
pub struct Budgets {
    /// Scopes in which GitHub refuses to register runners, with its words.
    pub held: HashMap<Scope, String>,
    /// Classes whose runners do not come up.
    pub broken: HashMap<ClassName, Broken>,
}

/// A class whose runners do not come up, by our own fault or the image's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// What the last one said.
    pub words: String,
    /// Whether one runner may be launched to see whether the next one does.
    pub probe: bool,
}

/// What is to be done, each with its reason.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Plan {
    /// Runners to launch, the oldest job's first.
    pub launches: Vec<Launch>,
    /// Runners to retire.
    pub retirements: Vec<Retirement>,
    /// Runners that are surplus from now on, or no longer.
    pub marks: Vec<Mark>,
    /// Jobs that wait for another reason than the one recorded.
    pub waits: Vec<Wait>,
    /// Questions to GitHub.
    pub questions: Vec<Question>,
    /// When time alone will change this plan.
    pub next_at: Option<Timestamp>,
}

/// A runner to launch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Launch {
    /// The job it is launched for.
    pub job: JobId,
    /// That job's version when the plan was made: the launch holds only while
    /// the job has not moved on.
    pub job_version: Version,
    /// What to launch; the name is given when it is reserved.
    pub order: Order,
    /// Why.
    pub reason: Reason,
}

/// A runner to be, before it has a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    class: ClassName,
    size: Size,
    market: Market,
    pool: PoolId,
    scope: Scope,
    labels: Labels,
    repository: Repository,
    launched_for: JobId,
    max_job_minutes: u32,
}

impl Order {
    /// The pool that the runner is for.
    #[must_use]
    pub fn pool(&self) -> &PoolId {
        &self.pool
    }

    /// The record of the reserved runner.
    #[must_use]
    pub fn reserve(&self, name: RunnerName, epoch: Epoch, at: Timestamp) -> Runner {
        let Self { class, size, market, pool, scope, labels, repository, launched_for, max_job_minutes } =
            self.clone();
        Runner {
            facts: RunnerFacts {
                name,
                class,
                size,
                market,
                pool,
                scope,
                labels,
                repository,
                launched_for,
                max_job_minutes,
            },
            version: Version::FIRST,
            epoch,
            timeline: Timeline::begin(RunnerStage::Reserved, at),
            surplus_since: None,
            state: RunnerState::Reserved { attempt: 1 },
        }
    }
}

/// A runner to retire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Retirement {
    /// Which.
    pub runner: RunnerName,
    /// What its ending is called.
    pub kind: EndingKind,
    /// Why.
    pub reason: Reason,
}

/// A runner's surplus begins or ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Which.
    pub runner: RunnerName,
    /// Since when it is surplus; `None` for no longer.
    pub surplus_since: Option<Timestamp>,
}

/// A job that waits for a reason not recorded yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wait {
    /// Which.
    pub job: JobId,
    /// Why.
    pub reason: Reason,
}

/// Something that only GitHub knows.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Question {
    /// Whether a job is still queued.
    Job {
        /// Which.
        job: JobId,
        /// The runner that completed an unnamed job, where that is why.
        on_behalf_of: Option<RunnerName>,
    },
    /// Whether a runner is there, and busy.
    Runner(RunnerName),
}

/// Compares what is open with what is asked for.
#[must_use]
pub fn plan(open: &Open, rules: Rules<'_>, budgets: &Budgets, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let taken: HashSet<JobId> = open.runners.iter().filter_map(Runner::names_job).collect();
    let mut levels: HashMap<&PoolId, PoolLevel<'_>> = HashMap::new();
    for runner in &open.runners {
        levels.entry(&runner.facts.pool).or_default().add_runner(runner, now);
    }
    for job in &open.jobs {
        let JobState::Queued { place, wait } = &job.state else { continue };
        if taken.contains(&job.id()) {
            continue;
        }
        if wait.code() == Code::ToConfirm {
            plan.questions.push(Question::Job { job: job.id(), on_behalf_of: None });
            continue;
        }
        levels.entry(&place.pool).or_default().jobs.push(job);
    }
    doubt_jobs(open, now, &mut plan);
    let mut deficits = Vec::new();
    for level in levels.values_mut() {
        deficits.extend(level.compare(&mut plan, rules.settings.limits.surplus_grace(), now));
    }
    retire_overdue(open, rules, now, &mut plan);
    // The oldest job first, whichever pool it is in.
    deficits.sort_unstable_by_key(|deficit| (deficit.job.created_at, deficit.job.id()));
    let mut places = Places::count(&open.runners);
    for deficit in deficits {
        match launch(deficit.job, &deficit.reason, rules, budgets, &mut places) {
            // Its reason to wait is written with the reservation.
            Ok(launch) => plan.launches.push(launch),
            Err(reason) => wait(&mut plan, deficit.job, reason),
        }
    }
    // Maps have no order; a plan has.
    plan.retirements.sort_unstable_by(|a, b| a.runner.cmp(&b.runner));
    plan.marks.sort_unstable_by(|a, b| a.runner.cmp(&b.runner));
    plan.waits.sort_unstable_by_key(|wait| wait.job);
    plan
}

fn launch<'a>(
    job: &'a Job,
    reason: &Reason,
    rules: Rules<'a>,
    budgets: &Budgets,
    places: &mut Places<'a>,
) -> Result<Launch, Reason> {
    let JobState::Queued { place, .. } = &job.state else {
        return Err(Code::ToPlan.into());
    };
    if rules.settings.paused {
        return Err(Code::Paused.into());
    }
    let class = rules.catalogue.get(&place.class).ok_or_else(|| {
        let names = rules.catalogue.names();
        let detail = format!("`{}` is no longer in the catalogue, which has {names}", place.class);
        Reason::with(Code::ClassUnknown, detail)
    })?;
    let scope = rules.settings.registration.scope(&job.facts.repository);
    if let Some(words) = budgets.held.get(&scope) {
        return Err(Reason::with(Code::ScopeHeld, words));
    }
    if let Some(broken) = budgets.broken.get(&class.name)
        && !(broken.probe && places.is_free(class))
    {
        return Err(Reason::with(Code::ClassHeld, &broken.words));
    }
    places.take(class, &job.facts.repository, &rules.settings.limits)?;
    Ok(Launch {
        job: job.id(),
        job_version: job.version,
        order: order(job, class, place.pool.clone(), scope, rules),
        reason: reason.clone(),
    })
}

fn order(job: &Job, class: &Class, pool: PoolId, scope: Scope, rules: Rules<'_>) -> Order {
    let market = match class.capacity {
        Capacity::OnDemand => Market::OnDemand,
        Capacity::Spot | Capacity::SpotThenOnDemand => Market::Spot,
    };
    Order {
        class: class.name.clone(),
        size: class.size,
        market,
        pool,
        scope,
        labels: job.facts.labels.clone(),
        repository: job.facts.repository.clone(),
        launched_for: job.id(),
        max_job_minutes: class.max_job_minutes.unwrap_or(rules.settings.limits.max_job_minutes),
    }
}

/// Jobs whose webhooks may have been lost: their runner has ended and nothing
/// was heard of them, or they have been queued for long.
fn doubt_jobs(open: &Open, now: Timestamp, plan: &mut Plan) {
    let runners: HashMap<&RunnerName, &Runner> =
        open.runners.iter().map(|runner| (runner.name(), runner)).collect();
    for job in &open.jobs {
        let since = job.timeline.latest();
        let doubted = match &job.state {
            JobState::Waiting => since + SILENCE_OF_QUEUED,
            // Asked already, and first.
            JobState::Queued { wait, .. } if wait.code() == Code::ToConfirm => continue,
            JobState::Queued { .. } => since + SILENCE_OF_QUEUED,
            JobState::InProgress { runner: TakenBy::Other(_), .. } => since + SILENCE_OF_OTHERS,
            JobState::InProgress { runner: TakenBy::Ours(name), .. } => match runners.get(name) {
                None => since + SILENCE_OF_ENDED,
                Some(runner) => match runner.stopped_at() {
                    Some(stopped) => stopped.max(since) + SILENCE_OF_ENDED,
                    None => continue,
                },
            },
        };
        if now < doubted {
            plan.wake_at(doubted);
        } else {
            plan.questions.push(Question::Job { job: job.id(), on_behalf_of: None });
        }
    }
}

/// A runner that took its configuration lives as long as its agent, and no
/// longer than every limit of the agent's together.
fn retire_overdue(open: &Open, rules: Rules<'_>, now: Timestamp, plan: &mut Plan) {
    for runner in &open.runners {
        let overdue = match &runner.state {
            RunnerState::Reserved { .. } => continue,
            RunnerState::Ending(ending) if ending.kind.overrides_job() || !runner.holds_place() => continue,
            _ => {
                let Some(started) = runner.launched_at() else { continue };
                started + rules.settings.limits.longest_life(runner.facts.max_job_minutes)
            }
        };
        if now < overdue {
            plan.wake_at(overdue);
            continue;
        }
        // One write for each record: an end stands above every other.
        plan.retirements.retain(|retirement| retirement.runner != *runner.name());
        plan.marks.retain(|mark| mark.runner != *runner.name());
        plan.retirements.push(Retirement {
            runner: runner.name().clone(),
            kind: EndingKind::JobTimeout,
            reason: Code::JobTimeout.into(),
        });
    }
}

fn wait(plan: &mut Plan, job: &Job, reason: Reason) {
    if let JobState::Queued { wait, .. } = &job.state
        && *wait != reason
    {
        plan.waits.push(Wait { job: job.id(), reason });
    }
}

impl Plan {
    fn wake_at(&mut self, at: Timestamp) {
        self.next_at = Some(self.next_at.map_or(at, |next| next.min(at)));
    }
}

#[cfg(test)]
mod tests;
