//! Asks repositories for their queued jobs, in rotation, where no list of
//! deliveries shows lost webhooks: with a plain token, and with an App whose own
//! webhook reports no jobs, since the organization or the repositories have one.
//!
//! A rotation begins every five minutes at most. It reads the repositories page by
//! page, so that any number of them can be asked. Its calls are bounded by
//! [`BUDGET`], which leaves most of GitHub's limit to the engine's other calls.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{EARLY, NextPage, PERIOD_AT_REST, RepositoryProgress};
use crate::id::{Account, Repository, RunId};
use crate::rules::pace::Rate;
use crate::rules::policy::{Policy, RepositoryPattern, Subject};

/// The calls of GitHub's API that the rotation may make: 1,200 an hour, and 100 at
/// once. GitHub allows an App's installation or a person's token at least 5,000 an hour.
pub const BUDGET: Rate = Rate { burst: 100, per_minute: 20 };
/// The most repositories of a page.
pub const MAX_PAGE: usize = 100;
/// The most runs of a repository whose jobs are read in one turn. The next turn
/// continues with later runs.
pub const MAX_RUNS: usize = 20;
/// The most repositories whose next turn continues with later runs. Further ones
/// begin with their oldest active run again.
pub const MAX_PARTIAL: usize = 50;
/// The longest cursor that is kept for the next pass, in bytes.
pub const LONGEST_CURSOR: usize = 200;

/// How often a rotation begins. A caller that comes each minute is sometimes a little early.
const ROTATION: SignedDuration = SignedDuration::from_secs(PERIOD_AT_REST.as_secs() - EARLY.as_secs());
/// The fewest calls that a turn takes: two lists of runs, and the jobs of a run.
const CALLS_OF_A_TURN: u32 = 3;

/// Where the names of repositories come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// The policy names them.
    Named(Vec<Repository>),
    /// GitHub lists those that the credentials reach: of this owner, or all.
    Listed(Option<Account>),
}

/// A repository as GitHub lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    pub name: Repository,
    /// Whether it is private or internal.
    pub private: bool,
    /// Whether jobs can run there: it is neither archived nor disabled.
    pub active: bool,
}

/// The next step of a rotation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Read a page of the repositories that the credentials reach.
    List { owner: Option<Account>, cursor: Option<String> },
    /// Read the queued jobs of at most [`MAX_RUNS`] runs, which come after that run.
    Ask { repository: Repository, after: Option<RunId> },
    /// This pass has no more to do: the rotation or the budget has ended.
    Done,
}

/// One pass of a rotation.
#[derive(Debug)]
pub struct Rotation<'a> {
    policy: &'a Policy,
    sources: Vec<Source>,
    now: Timestamp,
    progress: RepositoryProgress,
}

/// Returns where the repositories of a policy come from. A repository that one of
/// the policy's patterns covers is not named once more.
#[must_use]
pub fn sources(policy: &Policy) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    for pattern in &policy.repositories {
        let listed = pattern.exact().is_none().then(|| Source::Listed(pattern.owner()));
        if let Some(listed) = listed.filter(|listed| !sources.contains(listed)) {
            sources.push(listed);
        }
    }
    if sources.contains(&Source::Listed(None)) {
        return vec![Source::Listed(None)];
    }
    let mut named: Vec<Repository> = Vec::new();
    for repository in policy.repositories.iter().filter_map(RepositoryPattern::exact) {
        if !sources.contains(&Source::Listed(Some(repository.account()))) && !named.contains(&repository) {
            named.push(repository);
        }
    }
    if !named.is_empty() {
        sources.insert(0, Source::Named(named));
    }
    sources
}

impl RepositoryProgress {
    /// Whether a rotation is over, so that nothing is left for the next minute.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.next.is_none() && self.unasked().is_empty()
    }

    /// Ends the rotation, since the App's webhook shows every job.
    pub fn stop(&mut self) {
        *self = Self { began_at: self.began_at, used: self.used, ..Self::default() };
    }

    fn unasked(&self) -> &[Repository] {
        let asked = usize::try_from(self.asked).unwrap_or(usize::MAX);
        self.page.get(asked..).unwrap_or_default()
    }
}

impl<'a> Rotation<'a> {
    /// Continues the rotation of the pass before, or begins another one if it is time.
    #[must_use]
    pub fn begin(before: &RepositoryProgress, policy: &'a Policy, now: Timestamp) -> Self {
        let mut progress = before.clone();
        let is_due = before.began_at.is_none_or(|began| now >= began + ROTATION);
        if before.is_complete() && is_due {
            progress.began_at = Some(now);
            progress.next = Some(NextPage { source: 0, cursor: None });
        }
        Self { policy, sources: sources(policy), now, progress }
    }

    /// Returns what to do next.
    pub fn step(&mut self) -> Step {
        loop {
            if let Some(repository) = self.progress.unasked().first().cloned() {
                // The policy may have changed since the page was read.
                if !self.allows(&repository, None) {
                    self.progress.asked += 1;
                    continue;
                }
                if self.calls_left() < CALLS_OF_A_TURN {
                    return Step::Done;
                }
                let after = self.progress.partial.get(&repository).copied();
                return Step::Ask { repository, after };
            }
            let Some(NextPage { source, cursor }) = self.progress.next.clone() else { return Step::Done };
            match usize::try_from(source).ok().and_then(|source| self.sources.get(source)) {
                None => self.progress.next = None,
                Some(Source::Named(named)) => {
                    let from = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
                    let page: Vec<Repository> = named.iter().skip(from).take(MAX_PAGE).cloned().collect();
                    let end = from + page.len();
                    let next = (end < named.len()).then(|| end.to_string());
                    self.turn_to(page, next);
                }
                Some(Source::Listed(owner)) if self.calls_left() > 0 => {
                    return Step::List { owner: owner.clone(), cursor };
                }
                Some(Source::Listed(_)) => return Step::Done,
            }
        }
    }

    /// A page of the list was read; `next` is the cursor of the following page.
    pub fn listed(&mut self, page: &[Listed], next: Option<String>, calls: u32) {
        self.spend(calls);
        let allowed =
            page.iter().filter(|listed| listed.active && self.allows(&listed.name, Some(listed.private)));
        let allowed = allowed.map(|listed| listed.name.clone()).take(MAX_PAGE).collect();
        self.turn_to(allowed, next.filter(|next| next.len() <= LONGEST_CURSOR));
    }

    /// The list cannot be read with these credentials: the rotation goes on without it.
    pub fn list_refused(&mut self, calls: u32) {
        self.spend(calls);
        self.turn_to(Vec::new(), None);
    }

    /// A repository was asked; `next` is the run after which its next turn continues.
    pub fn asked(&mut self, repository: &Repository, next: Option<RunId>, calls: u32) {
        self.spend(calls);
        self.progress.asked += 1;
        match next {
            Some(run)
                if self.progress.partial.len() < MAX_PARTIAL
                    || self.progress.partial.contains_key(repository) =>
            {
                self.progress.partial.insert(repository.clone(), run);
            }
            _ => {
                self.progress.partial.remove(repository);
            }
        }
    }

    /// GitHub did not answer for a repository: its next turn asks again.
    pub fn passed_over(&mut self, calls: u32) {
        self.spend(calls);
        self.progress.asked += 1;
    }

    /// GitHub asks for a pause: no call is made before that time.
    pub fn rest_until(&mut self, until: Timestamp) {
        self.progress.used = Some(BUDGET.empty_until(self.progress.used, until));
    }

    /// Counts calls. The last turn may take more than the budget has left: the
    /// following ones wait for it.
    pub fn spend(&mut self, calls: u32) {
        self.progress.used = Some(BUDGET.take(self.progress.used, calls, self.now));
    }

    /// Returns the progress with which the next pass begins.
    #[must_use]
    pub fn end(mut self) -> RepositoryProgress {
        if self.progress.is_complete() {
            (self.progress.page, self.progress.asked) = (Vec::new(), 0);
            self.forget_others();
        }
        self.progress
    }

    fn turn_to(&mut self, page: Vec<Repository>, next: Option<String>) {
        let source = self.progress.next.as_ref().map_or(0, |next| next.source);
        let next = match next {
            Some(cursor) => NextPage { source, cursor: Some(cursor) },
            None => NextPage { source: source + 1, cursor: None },
        };
        let is_last = usize::try_from(next.source).map_or(true, |source| source >= self.sources.len());
        self.progress.next = (!is_last).then_some(next);
        (self.progress.page, self.progress.asked) = (page, 0);
    }

    /// Forgets positions in repositories that the policy no longer allows.
    fn forget_others(&mut self) {
        let partial = std::mem::take(&mut self.progress.partial);
        let kept: BTreeMap<Repository, RunId> =
            partial.into_iter().filter(|(repository, _)| self.allows(repository, None)).collect();
        self.progress.partial = kept;
    }

    fn calls_left(&self) -> u32 {
        BUDGET.available(self.progress.used, self.now)
    }

    fn allows(&self, repository: &Repository, private: Option<bool>) -> bool {
        let subject = Subject { repository, private, event: None, head_repository: None };
        self.policy.judge(&subject).is_ok()
    }
}
