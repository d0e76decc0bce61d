//! Concurrency groups of a repository: one member is at work. One waits, or with `queue: max` up to 100.

use std::collections::{BTreeMap, VecDeque};

use ecsrunner_core::id::{Repository, RunId};
use ecsrunner_workflow::run::{Concurrency, JobIndex};

use super::state::State;

/// A run, or a job of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Member {
    Run(RunId),
    Job(RunId, JobIndex),
}

impl Member {
    const fn run(&self) -> RunId {
        match self {
            Self::Run(run) | Self::Job(run, _) => *run,
        }
    }
}

/// GitHub's limit of members that wait for one group.
const MAX_WAITING: usize = 100;

#[derive(Debug)]
struct Group {
    at_work: Member,
    /// In the order in which they came.
    waiting: VecDeque<Member>,
}

/// All groups with members. GitHub ignores case in their names.
#[derive(Default, Debug)]
pub(super) struct Groups(BTreeMap<(Repository, String), Group>);

impl State {
    /// Gives a group to a member, or lets it wait. Unless it queues, members that waited already are cancelled.
    pub(super) fn acquire(&mut self, member: Member, wanted: &Concurrency) {
        let Some(repository) = self.runs.get(&member.run()).map(|run| run.repository.clone()) else { return };
        let key = (repository, wanted.group.to_lowercase());
        let Some(at_work) = self.groups.0.get(&key).map(|group| group.at_work) else {
            self.groups.0.insert(key, Group { at_work: member, waiting: VecDeque::new() });
            return self.hand_group_to(member);
        };
        if self.waits_for(at_work, member) {
            return self.dismiss(member);
        }
        let Some(group) = self.groups.0.get_mut(&key) else { return };
        if wanted.queues && group.waiting.len() >= MAX_WAITING {
            return self.dismiss(member);
        }
        let replaced = if wanted.queues { VecDeque::new() } else { std::mem::take(&mut group.waiting) };
        group.waiting.push_back(member);
        replaced.into_iter().for_each(|replaced| self.dismiss(replaced));
        if wanted.cancel_in_progress {
            self.dismiss(at_work);
        }
    }

    /// Whether a member waits for another to end: a run waits for its jobs, and a job for those of the workflow that it calls.
    fn waits_for(&mut self, member: Member, other: Member) -> bool {
        match (member, other) {
            (Member::Run(run), other) => run == other.run(),
            (Member::Job(run, caller), Member::Job(own, job)) if run == own => {
                self.plan_of(run).is_some_and(|plan| plan.is_within(job, caller))
            }
            (Member::Job(..), _) => false,
        }
    }

    /// Takes a group from a member, and gives it to the one that has waited longest.
    pub(super) fn release(&mut self, member: &Member) {
        let mut next = Vec::new();
        self.groups.0.retain(|_, group| {
            group.waiting.retain(|waiting| waiting != member);
            if group.at_work != *member {
                return true;
            }
            match group.waiting.pop_front() {
                Some(waiting) => {
                    group.at_work = waiting;
                    next.push(waiting);
                    true
                }
                None => false,
            }
        });
        next.into_iter().for_each(|member| self.hand_group_to(member));
    }

    fn hand_group_to(&mut self, member: Member) {
        match member {
            Member::Run(run) => self.begin_run(run),
            Member::Job(run, job) => {
                if let Some(plan) = self.plan_of(run) {
                    plan.granted(job);
                    self.follow(run);
                }
            }
        }
    }

    fn dismiss(&mut self, member: Member) {
        match member {
            Member::Run(run) => {
                self.cancel_run(run);
            }
            Member::Job(run, job) => self.cancel_planned(run, job),
        }
    }
}
