//! What was spent: one sum for each UTC day and class, and for each pattern of repositories that has a budget.
//!
//! The sums follow from the changes that move a task to history, and are written with them, so a task counts once
//! however often its end is told.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::id::{ClassName, Repository};
use crate::records::change::Change;
use crate::records::open::Open;
use crate::rules::budget::{Budgets, Usd, day_of, midnight};
use crate::rules::policy::RepositoryPattern;

/// A cost is divided between the day of its end and those that lie so far before it. All of its sums are written in one
/// transaction, which DynamoDB limits to 100 items. A job takes at most five days.
const MAX_DAYS_BEFORE: SignedDuration = SignedDuration::from_hours(6 * 24);

/// What a sum is of.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SpentBy {
    Class(ClassName),
    /// All repositories that match, in lower case.
    Repositories(RepositoryPattern),
}

/// The key of a sum: the day comes first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SpendKey {
    pub day: Date,
    pub by: SpentBy,
}

/// A sum.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Spent {
    pub usd: Usd,
    /// Tasks that ended on that day.
    pub tasks: u64,
    /// Tasks among them that ran and whose cost is unknown, so it is not in the sum.
    pub unpriced: u64,
}

impl Spent {
    pub fn add(&mut self, other: Self) {
        self.usd = self.usd.plus(other.usd);
        self.tasks = self.tasks.saturating_add(other.tasks);
        self.unpriced = self.unpriced.saturating_add(other.unpriced);
    }
}

/// Sums by their keys.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Spending(pub BTreeMap<SpendKey, Spent>);

/// What is known of one task.
struct Task<'a> {
    class: &'a ClassName,
    /// The repository of the job for which it was launched; `None` for a warm task.
    repository: Option<&'a Repository>,
    /// Since when it costs something; `None` if it was never launched.
    from: Option<Timestamp>,
    to: Timestamp,
    cost_usd: Option<f64>,
    /// 1 if it has ended.
    ended: u64,
}

impl Spending {
    /// Returns what these changes add: the cost of each task that they move to history.
    #[must_use]
    pub fn of_changes(changes: &[Change], budgets: &Budgets) -> Self {
        let mut spending = Self::default();
        for change in changes {
            match change {
                Change::RunnerGone(runner) => spending.charge(
                    budgets,
                    Task {
                        class: &runner.facts.class,
                        repository: Some(&runner.facts.repository),
                        from: runner.billed_from(),
                        to: runner.billed_until(),
                        cost_usd: runner.cost_usd,
                        ended: 1,
                    },
                ),
                Change::WarmGone(warm) => spending.charge(
                    budgets,
                    Task {
                        class: &warm.facts.class,
                        repository: None,
                        from: warm.launched_at(),
                        to: warm.billed_until(),
                        cost_usd: warm.cost_usd,
                        ended: 1,
                    },
                ),
                _ => {}
            }
        }
        spending
    }

    /// Returns what open tasks have cost up to now.
    #[must_use]
    pub fn of_open(open: &Open, budgets: &Budgets, now: Timestamp) -> Self {
        let mut spending = Self::default();
        for runner in open.runners.values() {
            spending.charge(
                budgets,
                Task {
                    class: &runner.facts.class,
                    repository: Some(&runner.facts.repository),
                    from: runner.billed_from(now),
                    to: runner.billed_until(now),
                    cost_usd: runner.cost_usd(now),
                    ended: 0,
                },
            );
        }
        for warm in open.warm.values() {
            spending.charge(
                budgets,
                Task {
                    class: &warm.facts.class,
                    repository: None,
                    from: warm.launched_at(),
                    to: warm.billed_until(now),
                    cost_usd: warm.cost_usd(now),
                    ended: 0,
                },
            );
        }
        spending
    }

    pub fn add(&mut self, key: SpendKey, spent: Spent) {
        self.0.entry(key).or_default().add(spent);
    }

    pub fn extend(&mut self, other: Self) {
        other.0.into_iter().for_each(|(key, spent)| self.add(key, spent));
    }

    /// Divides a task's cost between the days on which it ran, by time.
    fn charge(&mut self, budgets: &Budgets, task: Task<'_>) {
        // Without a launch there is nothing to pay.
        let Some(from) = task.from else { return };
        let to = task.to.max(from);
        let patterns = task.repository.into_iter().flat_map(|repository| budgets.patterns_of(repository));
        let mut keys = vec![SpentBy::Class(task.class.clone())];
        keys.extend(patterns.cloned().map(SpentBy::Repositories));
        for (day, share) in shares(from, to) {
            let is_last = day == day_of(to);
            let spent = Spent {
                usd: task.cost_usd.map_or(Usd::ZERO, |usd| Usd::of(usd * share)),
                tasks: if is_last { task.ended } else { 0 },
                unpriced: u64::from(is_last && task.cost_usd.is_none()),
            };
            for by in &keys {
                self.add(SpendKey { day, by: by.clone() }, spent);
            }
        }
    }
}

/// Returns the last days of a span of time, each with its share of the span. What was before the first of them is in its
/// share, so the shares add up to 1.
fn shares(from: Timestamp, to: Timestamp) -> Vec<(Date, f64)> {
    let whole = to.duration_since(from).as_secs_f64();
    let last = day_of(to);
    let mut day = day_of(from).max(day_of(to - MAX_DAYS_BEFORE));
    let mut begin = from;
    let mut shares = Vec::new();
    while day < last {
        let Ok(next) = day.tomorrow() else { break };
        let end = midnight(next);
        shares.push((day, end.duration_since(begin).as_secs_f64() / whole));
        (day, begin) = (next, end);
    }
    let rest = 1.0 - shares.iter().map(|(_, share)| share).sum::<f64>();
    shares.push((last, rest));
    shares
}
