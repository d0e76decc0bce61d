//! Which calls to GitHub may be made: where it does not answer, a single one at a time.

use std::time::Duration;

use ecsrunner_core::id::Account;
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::hold::{Held, Hold};
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::wire::fault::Fault;
use jiff::Timestamp;

use super::{Cache, Known, LANDS_WITHIN, Recent};

/// After this time another call asks whether the one that tries GitHub has ended.
const TRY_LENGTH: Duration = Duration::from_secs(1);

/// A kind of call to GitHub. Registrations may fail where everything else works.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Call {
    Registration,
    Other,
}

impl Call {
    /// Whether a hold for this fault stops such calls.
    fn is_stopped_by(self, fault: Fault) -> bool {
        match self {
            Self::Registration => fault.rests_registrations(),
            Self::Other => fault.rests_github(),
        }
    }
}

impl Cache {
    /// Returns the scopes in which GitHub has not answered since it last answered such a call of this account.
    pub(crate) fn unanswered_scopes(&self, call: Call, account: &Account) -> Vec<Scope> {
        let known = self.lock();
        let answered_at = known.answered_at.get(&(account.clone(), call));
        let silent = known.holds.values().filter(|hold| {
            hold.fault.rests_registrations() && answered_at.is_none_or(|answered| hold.latest > *answered)
        });
        silent
            .filter_map(|hold| match &hold.held {
                Held::Scope(scope) => Some(scope.clone()),
                _ => None,
            })
            .collect()
    }

    /// Returns the hold for which no runner is registered in this scope, because GitHub does not answer.
    pub(crate) fn resting_hold(&self, scope: &Scope, account: &Account) -> Option<Hold> {
        let known = self.lock();
        known.resting(Call::Registration, scope, account).max_by_key(|hold| hold.not_before).cloned()
    }

    /// Reserves the right to call GitHub in this scope. While it does not answer there, one call is made at a time, and
    /// none before the hold's `not_before`. Otherwise returns when to ask again.
    pub(crate) fn enter_github(
        &self,
        call: Call,
        scope: &Scope,
        account: &Account,
        now: Timestamp,
    ) -> Result<Trying<'_>, Timestamp> {
        let mut known = self.lock();
        let resting = || known.resting(call, scope, account);
        if let Some(until) = resting().map(|hold| hold.not_before).filter(|until| now < *until).max() {
            return Err(until);
        }
        let held: Vec<Held> = resting().map(|hold| hold.held.clone()).collect();
        if held.iter().any(|held| known.trying.contains(held)) {
            return Err(now + TRY_LENGTH);
        }
        known.trying.extend(held.iter().cloned());
        Ok(Trying { cache: self, held })
    }

    /// Counts a call that GitHub did not answer, and returns how many there were in a row.
    pub(crate) fn count_unanswered(&self, call: Call, scope: &Scope) -> u32 {
        let mut known = self.lock();
        let count = known.unanswered.entry((scope.clone(), call)).or_default();
        *count = count.saturating_add(1);
        *count
    }

    /// Notes that GitHub answered such a call in this scope. Removes the holds that this disproves, and returns the
    /// changes: an answer to a call that was made before a failure says nothing about it.
    pub(crate) fn answered(
        &self,
        call: Call,
        scope: &Scope,
        account: &Account,
        began_at: Timestamp,
        now: Timestamp,
    ) -> Vec<Change> {
        let mut known = self.lock();
        known.unanswered.remove(&(scope.clone(), call));
        known.answered_at.insert((account.clone(), call), now);
        let disproved = known.resting(call, scope, account).filter(|hold| hold.latest < began_at);
        let disproved: Vec<Hold> = disproved.cloned().collect();
        let change = |hold: Hold| {
            // What it refused before, it has not accepted yet.
            let refused = (call == Call::Other && hold.fault == Fault::RefusedUnanswered).then(|| Hold {
                fault: Fault::RegistrationRefused,
                not_before: now,
                ..hold.clone()
            });
            known.holds.remove(&hold.held);
            known.holds.extend(refused.clone().map(|refused| (refused.held.clone(), refused)));
            let recent = Recent { hold: refused.clone(), until: now + LANDS_WITHIN, is_written: true };
            known.recent.insert(hold.held.clone(), recent);
            refused.map_or(Change::Released(hold.held), Change::Hold)
        };
        disproved.into_iter().map(change).collect()
    }
}

impl Known {
    /// Returns the holds that stop such calls in this scope.
    fn resting(&self, call: Call, scope: &Scope, account: &Account) -> impl Iterator<Item = &Hold> {
        let held = [Held::Scope(scope.clone()), Held::Account(account.clone())];
        let holds = held.into_iter().filter_map(|held| self.holds.get(&held));
        holds.filter(move |hold| call.is_stopped_by(hold.fault))
    }
}

/// A call to GitHub; the only one, if it tries a scope or an account that rests. Dropping it ends the try.
#[derive(Debug)]
pub(crate) struct Trying<'a> {
    cache: &'a Cache,
    held: Vec<Held>,
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        let mut known = self.cache.lock();
        for held in &self.held {
            known.trying.remove(held);
        }
    }
}
