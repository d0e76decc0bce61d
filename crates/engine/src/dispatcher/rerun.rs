//! Asks GitHub to run jobs again whose runner was lost. The intent is recorded before
//! the call, and the run's attempt at GitHub shows afterwards whether the call took
//! effect. `ecsrunner_core::decide::rerun` decides which jobs.

use ecsrunner_core::decide::rerun::{SeenRun, Verdict, due, judge, learn, note, noted, others_of_run};
use ecsrunner_core::id::{Epoch, JobId};
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::job::JobRecord;
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::rerun::{Rerun, RerunKey, RerunRecord, RerunState};
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::rules::pool::{Pool, Scope};
use ecsrunner_core::wire::event::Keys;
use ecsrunner_core::wire::job::JobFacts;
use futures::future::{self, Either};
use jiff::SignedDuration;
use tracing::{info, warn};

use super::advance::StepError;
use super::cache::EffectKey;
use super::{Effected, LeaseHolder, News, STEP_LIMIT, chain};
use crate::ports::github::{GitHub, RemoteJob};
use crate::ports::store::{Store, StoreError, Transaction};
use crate::ports::{Clock, Disposition};
use crate::{Engine, World};

/// How often a note on the lost job is written again after a conflict.
const NOTE_TRIES: u32 = 3;

impl<W: World> Engine<W> {
    /// Derives intents from the facts about lost jobs, and writes them.
    pub(crate) async fn learn_reruns(
        &self,
        epoch: Epoch,
        open: &mut Open,
        now: jiff::Timestamp,
    ) -> Result<(), StoreError> {
        if open.reruns.is_empty() {
            return Ok(());
        }
        let changes = learn(open, self.rules().rules(), now);
        self.commit_batches(epoch, &changes, open).await?;
        for change in &changes {
            if let Change::Rerun(record) = change
                && let RerunRecord::Rerun(rerun) = record.as_ref()
            {
                let reason = rerun.cause.code().as_str();
                info!(job_id = rerun.job.get(), run_id = rerun.id.run.get(), reason, "lost a job's runner");
                if rerun.state == RerunState::Wanted {
                    self.write_with_note(&[], rerun, note::WANTED, epoch).await?;
                }
            }
        }
        Ok(())
    }

    /// Starts the due steps of reruns, one for each run.
    pub(crate) fn begin_reruns<'a>(
        &'a self,
        holder: &mut LeaseHolder<'a>,
        open: &Open,
        now: jiff::Timestamp,
    ) {
        if open.reruns.is_empty() || self.rules().settings.paused {
            return;
        }
        let (reruns, next_at) = due(open, now);
        if let Some(at) = next_at {
            holder.wake_at(at);
        }
        for rerun in reruns {
            let scope = Scope::Repository(rerun.id.repository.clone());
            let pool = Pool { scope, labels: Labels::new::<_, &str>([]) }.id();
            let key = EffectKey::Rerun(rerun.id.repository.clone(), rerun.id.run);
            if self.resting(&rerun.id.repository, open).is_none() && holder.may_begin(&key, &pool, now) {
                let others = others_of_run(open, &rerun);
                holder.effects.push(Box::pin(self.rerun(rerun, others, holder.epoch)));
            }
        }
    }

    async fn rerun(&self, rerun: Rerun, others: Vec<Rerun>, epoch: Epoch) -> Effected {
        let key = EffectKey::Rerun(rerun.id.repository.clone(), rerun.id.run);
        let tried = Box::pin(self.try_rerun(&rerun, &others, epoch));
        let limit = Box::pin(self.ports.clock.sleep(STEP_LIMIT));
        let error = match future::select(tried, limit).await {
            Either::Left((Ok(()), _)) => return Effected::with(key, News::Round),
            Either::Left((Err(StepError::Store(StoreError::Fenced)), _)) => {
                return Effected::with(key, News::LeaseLost);
            }
            Either::Left((Err(error), _)) => error,
            Either::Right(((), _)) => StepError::NotYet(self.ports.clock.now() + STEP_LIMIT),
        };
        warn!(job_id = rerun.job.get(), run_id = rerun.id.run.get(), error = %chain(&error), "could not run a job again");
        let rest_until = Some(self.ports.clock.now() + STEP_LIMIT);
        Effected { rest_until, ..Effected::with(key, News::Nothing) }
    }

    async fn try_rerun(&self, rerun: &Rerun, others: &[Rerun], epoch: Epoch) -> Result<(), StepError> {
        if rerun.state == RerunState::Spent {
            let note = format!("{} it was run again {} times", note::OVER, rerun.times);
            return Ok(self.end_rerun(rerun, &[], epoch, &note).await?);
        }
        let scope = Scope::Repository(rerun.id.repository.clone());
        let asked = self.ports.github.run(&rerun.id.repository, rerun.id.run);
        let run = match self.call_github(&scope, asked).await {
            Ok(Some(run)) => SeenRun { attempt: run.attempt, is_completed: run.is_completed },
            Ok(None) => {
                return Ok(self
                    .end_rerun(rerun, others, epoch, "not run again: its run was deleted")
                    .await?);
            }
            Err(error) => return self.put_off(rerun, error, epoch).await,
        };
        match judge(rerun, run) {
            Verdict::NotYet => {
                let waits = rerun.waits(self.ports.clock.now());
                Ok(self.write_rerun(waits, epoch).await?)
            }
            Verdict::Newer(attempt) => {
                let note = format!("{} attempt {attempt} was made by someone else", note::OVER);
                Ok(self.end_rerun(rerun, others, epoch, &note).await?)
            }
            Verdict::Made(attempt) => Ok(self.rerun_made(rerun, attempt, epoch).await?),
            Verdict::Call => self.call_again(rerun, epoch).await,
        }
    }

    async fn call_again(&self, rerun: &Rerun, epoch: Epoch) -> Result<(), StepError> {
        let scope = Scope::Repository(rerun.id.repository.clone());
        let asked = self.ports.github.latest_jobs(&rerun.id.repository, rerun.id.run);
        let jobs = match self.call_github(&scope, asked).await {
            Ok(jobs) => jobs,
            Err(error) => return self.put_off(rerun, error, epoch).await,
        };
        let Some(job) = lost_job(rerun, &jobs) else {
            let note = format!("{} its run has no failed job of this name", note::OVER);
            return Ok(self.end_rerun(rerun, &[], epoch, &note).await?);
        };
        let calling = rerun.calling(self.ports.clock.now());
        self.write_rerun(calling.clone(), epoch).await?;
        info!(
            job_id = job.get(),
            run_id = rerun.id.run.get(),
            attempt = calling.latest + 1,
            reason = rerun.cause.code().as_str(),
            "running job again"
        );
        let asked = self.ports.github.run_again(&rerun.id.repository, job);
        match self.call_github(&scope, asked).await {
            Ok(()) => Ok(self.rerun_made(&calling, calling.latest + 1, epoch).await?),
            Err(error) => self.put_off(&calling, error, epoch).await,
        }
    }

    /// Leaves the next step for later, or gives it up if GitHub keeps refusing.
    async fn put_off(&self, rerun: &Rerun, error: StepError, epoch: Epoch) -> Result<(), StepError> {
        let StepError::GitHub(error) = &error else { return Err(error) };
        warn!(job_id = rerun.job.get(), run_id = rerun.id.run.get(), error = %chain(error), "could not run a job again");
        let now = self.ports.clock.now();
        let next = match error.disposition() {
            Disposition::Retry { after } => {
                let after = after.and_then(|after| SignedDuration::try_from(after).ok());
                Some(rerun.later(after, now))
            }
            Disposition::Permanent | Disposition::AlreadyDone => rerun.refused(now),
        };
        match next {
            Some(next) => Ok(self.write_rerun(next, epoch).await?),
            None => Ok(self.end_rerun(rerun, &[], epoch, &format!("{} {error}", note::OVER)).await?),
        }
    }

    async fn write_rerun(&self, rerun: Rerun, epoch: Epoch) -> Result<(), StoreError> {
        self.commit(Transaction::fenced(&[put(rerun)], epoch)).await
    }

    /// The attempt was made. Other lost jobs of the run wait for its end.
    async fn rerun_made(&self, rerun: &Rerun, attempt: u32, epoch: Epoch) -> Result<(), StoreError> {
        let made = put(rerun.made(attempt, self.ports.clock.now()));
        self.write_with_note(&[made], rerun, &format!("{} {attempt}", note::MADE), epoch).await
    }

    /// Ends a rerun, and those of other jobs of the run. Their jobs' records say why.
    async fn end_rerun(
        &self,
        rerun: &Rerun,
        others: &[Rerun],
        epoch: Epoch,
        note: &str,
    ) -> Result<(), StoreError> {
        for ended in std::iter::once(rerun).chain(others) {
            info!(job_id = ended.job.get(), run_id = ended.id.run.get(), note, "a job is not run again");
            let over = match ended.made {
                0 => Change::RerunOver(RerunKey::Rerun(ended.id.clone())),
                // Other jobs of the run may have to know the attempts that were made for this one.
                _ => put(ended.over(self.ports.clock.now())),
            };
            self.write_with_note(&[over], ended, note, epoch).await?;
        }
        Ok(())
    }

    /// Writes changes together with a note in the lost job's record, if that record exists.
    async fn write_with_note(
        &self,
        changes: &[Change],
        rerun: &Rerun,
        note: &str,
        epoch: Epoch,
    ) -> Result<(), StoreError> {
        for _ in 0..NOTE_TRIES {
            let keys = Keys::of_job(rerun.job);
            let noted = match self.ports.store.load(&keys).await?.job {
                Some(JobRecord::Ended(ended)) => noted(&ended, rerun, note).map(Change::JobAmended),
                _ => None,
            };
            let all: Vec<Change> = changes.iter().cloned().chain(noted).collect();
            if all.is_empty() {
                return Ok(());
            }
            match self.commit(Transaction::fenced(&all, epoch)).await {
                Err(StoreError::Conflict) => {}
                other => return other,
            }
        }
        // Others keep changing the job's record: its note is left out.
        if changes.is_empty() { Ok(()) } else { self.commit(Transaction::fenced(changes, epoch)).await }
    }
}

fn put(rerun: Rerun) -> Change {
    Change::Rerun(Box::new(RerunRecord::Rerun(rerun)))
}

/// Returns the failed job to run again: the lost one itself or, after an attempt for
/// another job of the run, the one of its name.
fn lost_job(rerun: &Rerun, jobs: &[RemoteJob]) -> Option<JobId> {
    let failed = |job: &&RemoteJob| job.conclusion.as_deref() == Some("failure");
    let of_name = |job: &&RemoteJob| JobFacts::cut(&job.name) == rerun.id.name;
    let itself = jobs.iter().find(|job| job.id == rerun.job).filter(failed);
    itself.or_else(|| jobs.iter().filter(failed).find(of_name)).map(|job| job.id)
}
