//! One reading of the records, and what changed since the reading before.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use ecsrunner_api::event::EventView;
use ecsrunner_api::job::JobView;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_core::id::{JobId, TaskName};
use ecsrunner_core::records::job::JobRecord;
use ecsrunner_engine::ports::store::{History, Page, Store, StoreError};
use jiff::{SignedDuration, Timestamp};

use crate::backend::{Refusal, Source};

/// An index of history shows a record some time after it was written, mostly within a second. What was open before is
/// looked up by its id, whatever the index shows.
const OVERLAP: SignedDuration = SignedDuration::from_secs(15);
/// If more ended since, listeners read the lists again.
const MAX_ENDED: u32 = 200;
/// Records that are looked up by id in one reading.
const MAX_LOOKED_UP: usize = 50;

/// The records of one reading.
#[derive(Debug)]
pub(super) struct Known {
    jobs: HashMap<u64, JobView>,
    runners: HashMap<String, RunnerView>,
    ended_jobs: Ended<u64>,
    ended_runners: Ended<String>,
    read_at: Instant,
}

/// What ended lately and was told.
#[derive(Debug)]
struct Ended<K> {
    latest: Timestamp,
    told: HashMap<K, Timestamp>,
}

impl Known {
    pub(super) fn is_younger(&self, age: Duration) -> bool {
        self.read_at.elapsed() < age
    }

    /// Whether nothing is open.
    pub(super) fn is_quiet(&self) -> bool {
        self.jobs.is_empty() && self.runners.is_empty()
    }

    /// Reads the records, and returns what changed since the reading before. Without one nothing has changed.
    pub(super) async fn read<B: Source>(
        before: Option<Self>,
        backend: &B,
    ) -> Result<(Self, Vec<EventView>), Refusal> {
        let rules = backend.rules().await?;
        let refusal = |fault| backend.refusal(fault);
        let now = Timestamp::now();
        let open = backend.store().open().await.map_err(refusal)?;
        let reasons = backend.reasons_to_wait(&open, &rules);
        let jobs = open.jobs.values().map(|job| JobView::planned(job, &open, &reasons, &rules.catalogue));
        let jobs: HashMap<u64, JobView> = jobs.map(|job| (job.id, job)).collect();
        let runners = RunnerView::all(&open, now).map(|runner| (runner.name.clone(), runner)).collect();
        let fresh = Self {
            jobs,
            runners,
            ended_jobs: Ended { latest: now, told: HashMap::new() },
            ended_runners: Ended { latest: now, told: HashMap::new() },
            read_at: Instant::now(),
        };
        match before {
            None => Ok((fresh, Vec::new())),
            Some(before) => before.followed_by(fresh, backend).await.map_err(refusal),
        }
    }

    async fn followed_by<B: Source>(
        mut self,
        fresh: Self,
        backend: &B,
    ) -> Result<(Self, Vec<EventView>), StoreError> {
        let store = backend.store();
        let jobs = store.jobs(&self.ended_jobs.page()).await?;
        let runners = store.runners(&self.ended_runners.page()).await?;
        let gone_jobs = missing(&self.jobs, &fresh.jobs);
        let gone_runners = missing(&self.runners, &fresh.runners);
        let is_too_much = jobs.next.is_some()
            || runners.next.is_some()
            || gone_jobs.len() + gone_runners.len() > MAX_LOOKED_UP + 2 * MAX_ENDED as usize;
        if is_too_much {
            return Ok((fresh, vec![EventView::Lagged]));
        }
        let mut past_jobs: HashMap<u64, JobView> =
            jobs.items.iter().map(|job| (job.facts.id.get(), JobView::ended(job))).collect();
        let mut past_runners: HashMap<String, RunnerView> =
            runners.items.iter().map(RunnerView::past).map(|runner| (runner.name.clone(), runner)).collect();
        let unknown_jobs: Vec<u64> = gone_jobs.into_iter().filter(|id| !past_jobs.contains_key(id)).collect();
        let unknown_runners: Vec<String> =
            gone_runners.into_iter().filter(|name| !past_runners.contains_key(name)).collect();
        if unknown_jobs.len() + unknown_runners.len() > MAX_LOOKED_UP {
            return Ok((fresh, vec![EventView::Lagged]));
        }
        for id in unknown_jobs {
            // A record that is open again is among the open ones of the next reading.
            if let Some(JobRecord::Ended(job)) = store.job(JobId::new(id)).await? {
                past_jobs.insert(id, JobView::ended(&job));
            }
        }
        for name in unknown_runners {
            let Ok(task) = TaskName::parse(&name) else { continue };
            if let Some(gone) = store.gone(&task).await? {
                past_runners.insert(name, RunnerView::past(&gone));
            }
        }
        // A job that is open again can still be in the index.
        past_jobs.retain(|id, job| {
            fresh.jobs.get(id).is_none_or(|open| open.timeline.len() <= job.timeline.len())
        });
        let mut changes = Vec::new();
        for runner in fresh.runners.values() {
            let is_same = |known: &RunnerView| without_clock(known) == without_clock(runner);
            if !self.runners.get(&runner.name).is_some_and(is_same) {
                changes.push(EventView::Runner { runner: Box::new(runner.clone()) });
            }
        }
        for job in fresh.jobs.values() {
            if self.jobs.get(&job.id) != Some(job) && !past_jobs.contains_key(&job.id) {
                changes.push(EventView::Job { job: Box::new(job.clone()) });
            }
        }
        for (name, runner) in past_runners {
            if self.ended_runners.is_news(name, runner.last()) {
                changes.push(EventView::Runner { runner: Box::new(runner) });
            }
        }
        for (id, job) in past_jobs {
            if self.ended_jobs.is_news(id, job.last()) {
                changes.push(EventView::Job { job: Box::new(job) });
            }
        }
        self.ended_jobs.forget();
        self.ended_runners.forget();
        Ok((Self { ended_jobs: self.ended_jobs, ended_runners: self.ended_runners, ..fresh }, changes))
    }
}

impl<K: Eq + Hash> Ended<K> {
    /// Returns the page of history that may hold news.
    fn page(&self) -> Page {
        Page { since: Some(self.latest - OVERLAP), limit: MAX_ENDED, ..Page::default() }
    }

    /// Notes that a record ended, and returns whether that was not told yet.
    fn is_news(&mut self, key: K, ended: Option<Timestamp>) -> bool {
        let ended = ended.unwrap_or(self.latest);
        self.latest = self.latest.max(ended);
        self.told.insert(key, ended) != Some(ended)
    }

    /// Forgets what no further page lists.
    fn forget(&mut self) {
        let since = self.latest - OVERLAP;
        self.told.retain(|_, ended| *ended >= since);
    }
}

fn missing<K: Eq + Hash + Clone, V>(before: &HashMap<K, V>, now: &HashMap<K, V>) -> Vec<K> {
    before.keys().filter(|key| !now.contains_key(*key)).cloned().collect()
}

/// An open runner costs more at each reading, which is no change.
fn without_clock(runner: &RunnerView) -> RunnerView {
    RunnerView { cost_usd: None, task_seconds: None, job_minutes: None, hosted_usd: None, ..runner.clone() }
}
