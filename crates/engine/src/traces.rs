//! Which jobs are over, for the exporters of traces.
//!
//! A job is over when its record and its runner's are history. Whichever of the two is written later finds the other one,
//! so each job is told at least once while every process lives. What the trace looks like, and where it goes, does not
//! belong here.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use ecsrunner_core::id::JobId;
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::job::{EndedJob, JobEnding, JobRecord};
use ecsrunner_core::records::runner::{EndedRunner, Served};
use ecsrunner_core::wire::event::Keys;
use futures::stream::{self, StreamExt};
use tracing::warn;

use crate::metrics::Metric;
use crate::ports::store::{Store, StoreError};
use crate::{Engine, World, chain};

/// Jobs that wait to be exported. Further ones are dropped.
const MAX_PENDING: usize = 1000;
/// How many records are read at the same time.
const MAX_READS: usize = 16;

/// A job that is over.
#[derive(Clone, PartialEq, Debug)]
pub struct Finished {
    pub job: EndedJob,
    pub runner: EndedRunner,
    pub part: TracePart,
}

/// What is new about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TracePart {
    /// Everything: both records are history now.
    Whole,
    /// What its agent said at its end, which came later.
    Agent,
}

/// A record that became history, or was added to.
#[derive(Debug)]
enum Ended {
    Job(Box<EndedJob>),
    Runner(Box<EndedRunner>),
    Report(Box<EndedRunner>),
}

/// The records of this process that may end a job. Empty unless traces are wanted.
#[derive(Default, Debug)]
pub(crate) struct Pending(Mutex<Option<VecDeque<Ended>>>);

impl Pending {
    /// Returns how many changes found no room.
    pub(crate) fn committed(&self, changes: &[Change]) -> usize {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(pending) = pending.as_mut() else { return 0 };
        let mut dropped = 0;
        for ended in changes.iter().filter_map(Ended::of) {
            if pending.len() < MAX_PENDING {
                pending.push_back(ended);
            } else {
                dropped += 1;
            }
        }
        dropped
    }
}

impl Ended {
    fn job(&self) -> Option<JobId> {
        match self {
            Self::Job(job) => Some(job.facts.id),
            Self::Runner(runner) | Self::Report(runner) => served(runner),
        }
    }

    fn of(change: &Change) -> Option<Self> {
        match change {
            Change::JobEnded(job) => our_runner(job).map(|_| Self::Job(Box::new(job.clone()))),
            Change::RunnerGone(runner) => served(runner).map(|_| Self::Runner(runner.clone())),
            Change::RunnerAmended(runner) => served(runner).map(|_| Self::Report(runner.clone())),
            _ => None,
        }
    }
}

fn served(runner: &EndedRunner) -> Option<JobId> {
    match runner.served {
        Served::Job(job) => Some(job),
        Served::Unnamed | Served::Nothing => None,
    }
}

fn our_runner(job: &EndedJob) -> Option<&ecsrunner_core::id::RunnerName> {
    match &job.ending {
        JobEnding::Completed { runner, .. } | JobEnding::Refused { after: Some((_, runner)), .. } => {
            runner.ours()
        }
        JobEnding::Refused { after: None, .. } => None,
    }
}

impl<W: World> Engine<W> {
    /// Keeps from now on which jobs are over, until [`Self::take_finished`].
    pub fn follow_traces(&self) {
        self.pending.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
    }

    /// Returns how many jobs wait for [`Self::take_finished`].
    pub fn pending_traces(&self) -> usize {
        let pending = self.pending.0.lock().unwrap_or_else(PoisonError::into_inner);
        pending.iter().flatten().filter_map(Ended::job).collect::<HashSet<_>>().len()
    }

    /// Returns the jobs that are over since the last call. Counts as dropped those whose other record cannot be read.
    pub async fn take_finished(&self) -> Vec<Finished> {
        let taken = {
            let mut pending = self.pending.0.lock().unwrap_or_else(PoisonError::into_inner);
            pending.as_mut().map(std::mem::take).unwrap_or_default()
        };
        let (mut finished, mut whole) = (Vec::new(), HashSet::new());
        let mut found = stream::iter(taken).map(|ended| self.finished(ended)).buffered(MAX_READS);
        while let Some(found) = found.next().await {
            match found {
                // One process can write both records.
                Ok(Some(job)) if job.part == TracePart::Whole && !whole.insert(job.job.facts.id) => {}
                Ok(Some(job)) => finished.push(job),
                Ok(None) => {}
                Err(error) => {
                    warn!(error = %chain(&error), "could not read a record of a job that is over: its trace is dropped");
                    self.metrics.count(Metric::TracesDropped);
                }
            }
        }
        finished
    }

    async fn finished(&self, ended: Ended) -> Result<Option<Finished>, StoreError> {
        let (runner, part) = match ended {
            Ended::Job(job) => {
                let Some(name) = our_runner(&job) else { return Ok(None) };
                let keys = Keys { gone: true, ..Keys::of_runner(name) };
                let gone = self.ports.store.load(&keys).await?.gone;
                let gone = gone.filter(|runner| served(runner) == Some(job.facts.id));
                return Ok(gone.map(|runner| Finished { job: *job, runner, part: TracePart::Whole }));
            }
            Ended::Runner(runner) => (runner, TracePart::Whole),
            Ended::Report(runner) => (runner, TracePart::Agent),
        };
        let Some(job) = served(&runner) else { return Ok(None) };
        match self.ports.store.load(&Keys::of_job(job)).await?.job {
            Some(JobRecord::Ended(job)) => Ok(Some(Finished { job, runner: *runner, part })),
            // The end of the job finds its runner.
            Some(JobRecord::Open(_)) | None => Ok(None),
        }
    }
}
