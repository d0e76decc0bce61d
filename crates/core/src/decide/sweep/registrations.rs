//! Compares GitHub's registrations with records: a runner that vanished after its
//! registration would otherwise stay listed for a day.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::KnownScope;
use crate::id::{Deployment, RunnerId, RunnerName};
use crate::records::open::Open;
use crate::rules::pool::Scope;

/// The most scopes that are remembered.
pub const MAX_SCOPES: usize = 500;
/// The most pages of registrations read in one pass.
pub const MAX_PAGES: u32 = 10;
/// The most registrations deleted in one pass.
pub const MAX_DELETED: usize = 30;

/// How often a scope's registrations are read.
const PERIOD: SignedDuration = SignedDuration::from_hours(1);
/// How long a scope is remembered after its last open runner; GitHub removes an
/// ephemeral runner that vanished after a day.
const MEMORY: SignedDuration = SignedDuration::from_hours(72);
/// A runner's record and registration are created within minutes after its name.
const YOUNG: SignedDuration = SignedDuration::from_mins(15);

/// A registration as GitHub lists it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listed<'a> {
    /// The name, which need not be one of ours.
    pub name: &'a str,
    pub id: RunnerId,
    /// Whether it runs a job.
    pub busy: bool,
}

/// Returns the scopes to remember: those of open runners, and recent ones.
#[must_use]
pub fn remember(known: &[KnownScope], open: &Open, now: Timestamp) -> Vec<KnownScope> {
    let mut scopes: Vec<KnownScope> =
        known.iter().filter(|known| now < known.seen_at + MEMORY).cloned().collect();
    let mut indices: HashMap<Scope, usize> =
        scopes.iter().enumerate().map(|(index, known)| (known.scope.clone(), index)).collect();
    for runner in open.runners.values() {
        let scope = &runner.facts.scope;
        let index = *indices.entry(scope.clone()).or_insert_with(|| {
            let new = KnownScope { scope: scope.clone(), seen_at: now, looked_at: None, next_page: 1 };
            scopes.push(new);
            scopes.len() - 1
        });
        scopes[index].seen_at = now;
    }
    // The first to drop are the oldest scopes, and among them those that were read.
    scopes.sort_by_key(|known| std::cmp::Reverse((known.seen_at, known.looked_at.is_none())));
    scopes.truncate(MAX_SCOPES);
    scopes
}

/// Returns the indices of the scopes whose registrations are to be read, the longest due first.
#[must_use]
pub fn due(scopes: &[KnownScope], now: Timestamp) -> Vec<usize> {
    let is_due = |known: &KnownScope| {
        known.next_page > 1 || known.looked_at.is_none_or(|looked| looked + PERIOD <= now)
    };
    let mut due: Vec<usize> = (0..scopes.len()).filter(|index| is_due(&scopes[*index])).collect();
    due.sort_by_key(|index| scopes[*index].looked_at);
    due
}

/// Returns our registrations that no open record names, in the order of the list.
/// Busy ones, and those whose name is only minutes old, are left out.
#[must_use]
pub fn unwanted(
    listed: &[Listed<'_>],
    open: &Open,
    deployment: &Deployment,
    now: Timestamp,
) -> Vec<(RunnerName, RunnerId)> {
    let wanted: HashSet<&str> = open.runners.keys().map(RunnerName::as_str).collect();
    let old = |name: &RunnerName| name.given_at().is_some_and(|given| now.duration_since(given) >= YOUNG);
    listed
        .iter()
        .filter(|listed| !listed.busy && !wanted.contains(listed.name))
        .filter_map(|listed| Some((RunnerName::parse(listed.name).ok()?, listed.id)))
        .filter(|(name, _)| name.belongs_to(deployment) && old(name))
        .collect()
}

impl KnownScope {
    /// A page was read, and its unwanted registrations were deleted.
    pub fn page_read(&mut self, more: bool, now: Timestamp) {
        if more {
            self.next_page += 1;
        } else {
            self.put_off(now);
        }
    }

    /// It is not read again before the next period: it was read to its end, or GitHub
    /// does not answer for it.
    pub fn put_off(&mut self, now: Timestamp) {
        self.next_page = 1;
        self.looked_at = Some(now);
    }
}
