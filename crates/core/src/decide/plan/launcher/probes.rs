//! Which pool's job tries a class that is held, while none of its runners may start without a try.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Launcher;
use crate::decide::plan::choose::Wanted;
use crate::id::{ClassName, JobId, PoolId};
use crate::records::hold::{Held, Hold};
use crate::records::job::Job;
use crate::rules::class::Class;

/// When a job was created, and its id: the oldest job is served first.
type Age = (Timestamp, JobId);

impl Launcher<'_> {
    /// Returns the place of each pool in the order of launches, given its oldest job.
    ///
    /// Pools whose class is held exchange their places: a try is made for those that have shown no fault yet, another one
    /// of them each time, and only then for those that have. So neither a sick pool nor any other one gets all tries. All
    /// of them together keep their places among the pools of other classes.
    pub(super) fn with_probes_in_turn(&self, heads: Vec<(&Job, usize)>) -> Vec<(Age, usize)> {
        if self.open.holds.is_empty() {
            return heads.into_iter().map(|(job, number)| (age(job), number)).collect();
        }
        let mut tried: BTreeMap<&ClassName, Vec<(&Job, usize)>> = BTreeMap::new();
        let mut ages = Vec::with_capacity(heads.len());
        let mut is_tried = BTreeMap::new();
        for (job, number) in heads {
            let class = job.assignment().map(|assignment| &assignment.class);
            match class.filter(|class| *is_tried.entry(*class).or_insert_with(|| self.is_only_tried(class))) {
                Some(class) => tried.entry(class).or_default().push((job, number)),
                None => ages.push((age(job), number)),
            }
        }
        for (class, mut pools) in tried {
            let holds: Vec<&Hold> = self.holds_of(class).collect();
            let suspects: BTreeSet<&PoolId> = holds.iter().flat_map(|hold| &hold.seen.pools).collect();
            let is_suspect = |job: &Job| {
                job.assignment().is_some_and(|assignment| {
                    suspects.contains(&assignment.pool)
                        || self.open.holds.contains_key(&Held::Pool(assignment.pool.clone()))
                })
            };
            pools.sort_unstable_by_key(|(job, _)| age(job));
            let places: Vec<Age> = pools.iter().map(|(job, _)| age(job)).collect();
            let (mut later, mut first): (Vec<_>, Vec<_>) =
                pools.into_iter().partition(|(job, _)| is_suspect(job));
            let turn = holds.iter().map(|hold| hold.failures as usize).max().unwrap_or(0);
            for of_kind in [&mut first, &mut later] {
                let turn = turn.checked_rem(of_kind.len()).unwrap_or(0);
                of_kind.rotate_left(turn);
            }
            ages.extend(places.into_iter().zip(first.into_iter().chain(later).map(|(_, number)| number)));
        }
        ages
    }

    /// Whether each runner of the class that is launched now is a try.
    fn is_only_tried(&self, class: &ClassName) -> bool {
        if self.holds_of(class).next().is_none() {
            return false;
        }
        let is_held = |class: &Class| {
            let hold = self.open.holds.get(&Held::Class(class.name.clone()));
            hold.is_some_and(Hold::is_effective)
                || !self.choices().is_any_free(Wanted::of(class, class.capacity), self.now)
        };
        self.rules.catalogue.get(class).is_some_and(is_held)
    }

    /// Returns the holds of the class itself, anywhere or in one placement.
    fn holds_of(&self, class: &ClassName) -> impl Iterator<Item = &Hold> {
        let is_of_class = move |hold: &&Hold| matches!(&hold.held, Held::Class(held) | Held::ClassIn { class: held, .. } if held == class);
        self.open.holds.values().filter(is_of_class).filter(|hold| hold.is_effective())
    }
}

fn age(job: &Job) -> Age {
    (job.created_at, job.id())
}
