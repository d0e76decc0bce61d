//! Calls to GitHub. A scope in which GitHub does not answer rests with doubling pauses, and its account rests if several
//! scopes do, or if GitHub asks for it. While one rests, a single call at a time shows whether GitHub is back.

use std::future::Future;
use std::time::Duration;

use ecsrunner_core::id::{Account, RunnerId, RunnerName};
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::hold::{Failure, Held, Hold};
use ecsrunner_core::rules::pace::Bucket;
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::wire::fault::Fault;
use futures::future::{self, Either};
use jiff::Timestamp;
use tracing::{error, info, warn};

use super::advance::StepError;
use super::cache::{Call, Trying};
use super::chain;
use crate::ports::Clock;
use crate::ports::github::{CALL_LIMIT, Deletion, GitHub, GitHubError, JitConfig, Registration};
use crate::ports::store::Transaction;
use crate::{Engine, World};

/// Calls in a row without an answer after which a scope rests. Fewer happen on any day.
const FAILURES: u32 = 3;
/// Scopes without an answer after which their account rests.
const SCOPES: usize = 3;

/// Whether a registration has its slot of GitHub's rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Slot {
    Taken,
    ToTake,
}

/// GitHub did not answer within [`CALL_LIMIT`].
#[derive(Debug, thiserror::Error)]
#[error("it took longer than {} s", CALL_LIMIT.as_secs())]
struct TooLate;

impl<W: World> Engine<W> {
    /// Registers a runner. If it has no slot yet, the call waits for one.
    pub(crate) async fn register(
        &self,
        scope: &Scope,
        name: &RunnerName,
        labels: &[String],
        slot: Slot,
    ) -> Result<JitConfig, StepError> {
        let account = self.ports.github.account(scope);
        let trying = self.enter(Call::Registration, scope, &account)?;
        let bucket = Bucket::GitHub(account);
        // A call that may not be made takes no slot.
        if slot == Slot::ToTake {
            self.await_slot(&bucket, self.slots_by()).await?;
            self.cache.take_slot(name, &bucket);
        }
        let call = self.ports.github.generate_jitconfig(scope, name, labels);
        let made = self.make(Call::Registration, trying, scope, call).await;
        self.cache.use_slot(name, &bucket);
        made
    }

    /// Looks a runner's registration up by its name.
    pub(crate) async fn look_up(
        &self,
        scope: &Scope,
        name: &RunnerName,
    ) -> Result<Option<Registration>, StepError> {
        self.call_github(scope, self.ports.github.runner(scope, name)).await
    }

    /// Deletes a registration.
    pub(crate) async fn deregister(&self, scope: &Scope, id: RunnerId) -> Result<Deletion, StepError> {
        self.call_github(scope, self.ports.github.delete_runner(scope, id)).await
    }

    /// Makes a call in a scope that registers nothing.
    ///
    /// # Errors
    ///
    /// [`StepError::NotYet`] while the scope or its account rests; otherwise the call's error.
    pub(crate) async fn call_github<T>(
        &self,
        scope: &Scope,
        call: impl Future<Output = Result<T, GitHubError>> + Send,
    ) -> Result<T, StepError> {
        let trying = self.enter(Call::Other, scope, &self.ports.github.account(scope))?;
        self.make(Call::Other, trying, scope, call).await
    }

    fn enter(&self, call: Call, scope: &Scope, account: &Account) -> Result<Trying<'_>, StepError> {
        let now = self.ports.clock.now();
        self.cache.enter_github(call, scope, account, now).map_err(StepError::NotYet)
    }

    /// Makes a call, and learns from its result whether GitHub answers.
    async fn make<T>(
        &self,
        kind: Call,
        trying: Trying<'_>,
        scope: &Scope,
        call: impl Future<Output = Result<T, GitHubError>> + Send,
    ) -> Result<T, StepError> {
        let account = self.ports.github.account(scope);
        let began_at = self.ports.clock.now();
        let limit = Box::pin(self.ports.clock.sleep(CALL_LIMIT));
        let answer = match future::select(Box::pin(call), limit).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), _)) => {
                let operation = format!("a call in {scope}");
                Err(GitHubError::Unreachable { operation, source: Box::new(TooLate) })
            }
        };
        match &answer {
            Ok(_)
            | Err(GitHubError::NameTaken | GitHubError::Refused { .. } | GitHubError::Credentials(_)) => {
                self.answered(kind, scope, &account, began_at).await;
            }
            Err(error @ GitHubError::Throttled { after, .. }) => {
                self.rest_account(account, &error.to_string(), *after).await?;
            }
            Err(error @ (GitHubError::Unreachable { .. } | GitHubError::Server { .. })) => {
                self.unanswered(kind, scope, &account, error, began_at).await;
            }
        }
        drop(trying);
        Ok(answer?)
    }

    /// Ends the rest of a scope and its account.
    async fn answered(&self, kind: Call, scope: &Scope, account: &Account, began_at: Timestamp) {
        let changes = self.cache.answered(kind, scope, account, began_at, self.ports.clock.now());
        if changes.is_empty() {
            return;
        }
        info!(%scope, "GitHub answers again");
        self.note(&changes).await;
        self.kicked.notify_one();
    }

    /// Makes a scope rest after several calls without an answer, and its account if several scopes rest.
    async fn unanswered(
        &self,
        kind: Call,
        scope: &Scope,
        account: &Account,
        error: &GitHubError,
        began_at: Timestamp,
    ) {
        let count = self.cache.count_unanswered(kind, scope);
        let held = Held::Scope(scope.clone());
        let is_sure = match self.cache.hold(&held) {
            None => count >= FAILURES,
            // GitHub refuses registrations there. Only a registration has tried that hold.
            Some(hold) if !hold.fault.rests_registrations() => {
                kind == Call::Registration || count >= FAILURES
            }
            Some(_) => true,
        };
        if !is_sure {
            return;
        }
        let words = chain(error);
        let mut changes = vec![self.hold_unanswered(kind, held, &words, began_at)];
        let scopes = self.cache.unanswered_scopes(kind, account);
        let of_account = scopes.iter().filter(|scope| self.ports.github.account(scope) == *account);
        if of_account.count() >= SCOPES {
            changes.push(self.hold_unanswered(kind, Held::Account(account.clone()), &words, began_at));
        }
        self.note(&changes).await;
    }

    fn hold_unanswered(&self, kind: Call, held: Held, words: &str, began_at: Timestamp) -> Change {
        let now = self.ports.clock.now();
        let before = self.cache.hold(&held);
        let fault = match (kind, before.as_ref().map(|hold| hold.fault)) {
            // Nothing at all was answered before.
            (Call::Registration, Some(fault)) if fault.rests_github() => fault.unanswered(),
            (Call::Other, before) => before.map_or(Fault::NoAnswer, Fault::unanswered),
            // What it refused before, it has not accepted yet.
            (Call::Registration, Some(fault))
                if matches!(held, Held::Scope(_)) && !fault.rests_registrations() =>
            {
                fault
            }
            (Call::Registration, _) => Fault::RegistrationUnanswered,
        };
        let hold = Hold::after(before.as_ref(), held, &Failure::of(fault, words, began_at, now));
        if hold.is_alarming() {
            error!(held = ?hold.held, words, not_before = %hold.not_before, "GitHub does not answer");
        } else {
            warn!(held = ?hold.held, words, not_before = %hold.not_before, "GitHub does not answer");
        }
        self.cache.add_hold(hold.clone(), now);
        Change::Hold(hold)
    }

    /// Asks nothing more of a throttled account until GitHub allows it, whichever process plans next. Its registrations
    /// begin again without a burst.
    async fn rest_account(&self, account: Account, words: &str, after: Duration) -> Result<(), StepError> {
        let now = self.ports.clock.now();
        let until = now + after;
        warn!(%account, words, %until, "GitHub throttles the account");
        let before = self.cache.hold(&Held::Account(account.clone()));
        let hold = Hold::throttled(before.as_ref(), account.clone(), words, now, until);
        self.cache.add_hold(hold.clone(), now);
        self.note(&[Change::Hold(hold)]).await;
        self.rest(&Bucket::GitHub(account), until).await
    }

    /// Writes holds. If that fails, this process still keeps to them, and the next failure writes them again.
    async fn note(&self, changes: &[Change]) {
        let written = self.commit(Transaction::of(changes)).await;
        for change in changes {
            let held = match change {
                Change::Hold(hold) => &hold.held,
                Change::Released(held) => held,
                _ => continue,
            };
            self.cache.written(held, written.is_ok(), self.ports.clock.now());
        }
        if let Err(error) = written {
            warn!(error = %chain(&error), "could not record whether GitHub answers");
        }
    }
}
