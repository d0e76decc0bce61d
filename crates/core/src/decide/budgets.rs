//! Compares what was spent with the budgets: what is spent, what a period will probably cost, and what is held back.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::id::{ClassName, Repository};
use crate::reason::{Code, Reason};
use crate::records::change::Change;
use crate::records::open::Open;
use crate::records::overspend::{BudgetKey, Overspend};
use crate::records::spend::{SpendKey, Spending, Spent, SpentBy};
use crate::rules::Rules;
use crate::rules::budget::{Budget, BudgetAction, BudgetScope, Period, Usd, day_of, midnight};

/// A forecast takes the mean of at most so many whole days before today.
const MEAN_DAYS: i32 = 7;
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// On the first day, less time than this says nothing about the rest of it.
const LEAST_ELAPSED: SignedDuration = SignedDuration::from_hours(1);
/// A change by less than this part of the limit is no news: costs change by seconds, up and down.
const NEWS: u64 = 100;

/// A budget's period as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BudgetState {
    pub key: BudgetKey,
    pub action: BudgetAction,
    pub limit: Usd,
    /// The cost of tasks that have ended, and of open ones up to now.
    pub spent: Usd,
    /// The part of it that is of open tasks.
    pub running: Usd,
    /// Tasks that ran and whose cost is unknown, so it is in no sum.
    pub unpriced: u64,
    pub begin: Date,
    /// When the period ends.
    pub until: Timestamp,
}

impl BudgetState {
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.spent >= self.limit
    }
}

/// Whether a deployment has any budget: otherwise no sums need to be read.
#[must_use]
pub fn has_any(rules: Rules<'_>) -> bool {
    let budgets = &rules.settings.budgets;
    budgets.deployment.is_some()
        || !budgets.repositories.is_empty()
        || rules.catalogue.iter().any(|class| class.budget.is_some())
}

/// Returns the first day whose sums [`states`] needs; `None` if there is no budget.
#[must_use]
pub fn first_day(rules: Rules<'_>, now: Timestamp) -> Option<Date> {
    let budgets = all(rules);
    let periods = Period::ALL.into_iter();
    periods
        .filter(|period| budgets.iter().any(|(_, budget)| budget.limit(*period).is_some()))
        .map(|period| period.begin(now))
        .min()
}

/// Returns the first day whose sums [`forecast`] needs, and [`states`] too.
#[must_use]
pub fn first_day_of_forecast(now: Timestamp) -> Date {
    Period::Month.begin(now).min(day_of(now - DAY * MEAN_DAYS))
}

/// Returns the day before which the sums no longer change, if all tasks that have begun before `at` and are not in `open`
/// have been added to them. Such a task is charged to days from its own beginning on. The day before `at` stays open,
/// because the clocks of two machines differ.
#[must_use]
pub fn closed_before(open: &Open, at: Timestamp) -> Date {
    let runners = open.runners.values().map(|runner| runner.timeline.began());
    let warm = open.warm.values().map(|warm| warm.timeline.began());
    let earliest = runners.chain(warm).min().unwrap_or(at).min(at - DAY);
    day_of(earliest)
}

/// Returns the state of each budget: the deployment's, then those of classes and of repositories by name. `recorded` has
/// the sums since [`first_day`].
#[must_use]
pub fn states(rules: Rules<'_>, recorded: &Spending, open: &Open, now: Timestamp) -> Vec<BudgetState> {
    let running = Spending::of_open(open, &rules.settings.budgets, now);
    let mut states = Vec::new();
    for (scope, budget) in all(rules) {
        for period in Period::ALL {
            let Some(limit) = budget.limit(period) else { continue };
            let begin = period.begin(now);
            let until = period.end(begin);
            let of_period =
                |key: &SpendKey| is_of(key, &scope) && key.day >= begin && midnight(key.day) < until;
            let (ended, open) = (sum(recorded, of_period), sum(&running, of_period));
            let spent = ended.usd.plus(open.usd);
            states.push(BudgetState {
                key: BudgetKey { scope: scope.clone(), period },
                action: budget.action,
                limit,
                spent,
                running: open.usd,
                unpriced: ended.unpriced + open.unpriced,
                begin,
                until,
            });
        }
    }
    states
}

/// Returns what the whole period will probably cost. `recorded` has the sums since [`first_day_of_forecast`].
#[must_use]
pub fn forecast(state: &BudgetState, running: &Spending, recorded: &Spending, now: Timestamp) -> Usd {
    let left = state.until.duration_since(now).as_secs_f64() / DAY.as_secs_f64();
    let a_day = mean_day(&state.key.scope, recorded, running, now);
    state.spent.plus(Usd::of(a_day * left))
}

/// Returns what a day costs, in dollars: the mean of the last whole days, or today's rate if there is none.
fn mean_day(scope: &BudgetScope, recorded: &Spending, running: &Spending, now: Timestamp) -> f64 {
    let today = day_of(now);
    let from = day_of(now - DAY * MEAN_DAYS);
    let is_whole = |key: &SpendKey| is_of(key, scope) && key.day >= from && key.day < today;
    let both = [recorded, running];
    let Some(first) =
        both.iter().flat_map(|of| of.0.keys()).filter(|key| is_whole(key)).map(|key| key.day).min()
    else {
        let is_today = |key: &SpendKey| is_of(key, scope) && key.day == today;
        let spent: f64 = both.iter().map(|of| sum(of, is_today).usd.dollars()).sum();
        let elapsed = now.duration_since(midnight(today)).max(LEAST_ELAPSED);
        return spent / elapsed.as_secs_f64() * DAY.as_secs_f64();
    };
    let spent: f64 = both.iter().map(|of| sum(of, is_whole).usd.dollars()).sum();
    spent / (midnight(today).duration_since(midnight(first)).as_secs_f64() / DAY.as_secs_f64())
}

fn all(rules: Rules<'_>) -> Vec<(BudgetScope, &Budget)> {
    let budgets = &rules.settings.budgets;
    let of_deployment = budgets.deployment.iter().map(|budget| (BudgetScope::Deployment, budget));
    let of_classes = rules.catalogue.iter().filter_map(|class| {
        class.budget.as_ref().map(|budget| (BudgetScope::Class(class.name.clone()), budget))
    });
    let of_repositories =
        budgets.repositories.iter().map(|(of, budget)| (BudgetScope::Repositories(of.clone()), budget));
    of_deployment.chain(of_classes).chain(of_repositories).collect()
}

fn find<'a>(rules: Rules<'a>, scope: &BudgetScope) -> Option<&'a Budget> {
    let budgets = &rules.settings.budgets;
    match scope {
        BudgetScope::Deployment => budgets.deployment.as_ref(),
        BudgetScope::Class(class) => rules.catalogue.get(class)?.budget.as_ref(),
        BudgetScope::Repositories(pattern) => budgets.repositories.get(pattern),
    }
}

/// Whether a sum is a part of what the scope has spent. The deployment's is that of all classes.
fn is_of(key: &SpendKey, scope: &BudgetScope) -> bool {
    match (&key.by, scope) {
        (SpentBy::Class(_), BudgetScope::Deployment) => true,
        (SpentBy::Class(class), BudgetScope::Class(of)) => class == of,
        (SpentBy::Repositories(pattern), BudgetScope::Repositories(of)) => pattern == of,
        _ => false,
    }
}

fn sum(spending: &Spending, is_part: impl Fn(&SpendKey) -> bool) -> Spent {
    let mut sum = Spent::default();
    spending.0.iter().filter(|(key, _)| is_part(key)).for_each(|(_, spent)| sum.add(*spent));
    sum
}

/// Returns the records to be written: of budgets that are spent, and of those that no longer are.
#[must_use]
pub fn learn(open: &Open, states: &[BudgetState]) -> Vec<Change> {
    let mut changes = Vec::new();
    for state in states.iter().filter(|state| state.is_spent() && !is_known(open, state)) {
        changes.push(Change::Overspent(Box::new(Overspend {
            key: state.key.clone(),
            begin: state.begin,
            limit: state.limit,
            spent: state.spent,
        })));
    }
    let holds = |state: &BudgetState| state.is_spent() || is_known(open, state);
    let is_spent = |key: &BudgetKey| states.iter().any(|state| state.key == *key && holds(state));
    let over = open.overspends.keys().filter(|key| !is_spent(key));
    changes.extend(over.cloned().map(Change::BudgetOpen));
    changes
}

/// Whether a record says it already: of the same period and limit, and with nearly the same sum.
fn is_known(open: &Open, state: &BudgetState) -> bool {
    open.overspends.get(&state.key).is_some_and(|before| {
        let news = state.spent.nanos().abs_diff(before.spent.nanos());
        before.begin == state.begin
            && before.limit == state.limit
            && news < state.limit.nanos().div_ceil(NEWS)
    })
}

/// Returns the budgets that are spent by the rules of now: a record may be of an earlier period, or of a budget that was
/// raised since.
pub fn spent<'a>(
    open: &'a Open,
    rules: Rules<'a>,
    now: Timestamp,
) -> impl Iterator<Item = (&'a Overspend, BudgetAction)> {
    open.overspends.values().filter_map(move |over| {
        let budget = find(rules, &over.key.scope)?;
        let limit = budget.limit(over.key.period)?;
        let is_now = midnight(over.begin) <= now && now < over.until();
        (is_now && over.spent >= limit).then_some((over, budget.action))
    })
}

/// Returns the budget that holds back launches for a class and a repository; of several, the one that opens last. A warm
/// task is of no repository.
#[must_use]
pub fn holding<'a>(
    open: &'a Open,
    rules: Rules<'a>,
    class: &ClassName,
    repository: Option<&Repository>,
    now: Timestamp,
) -> Option<&'a Overspend> {
    if open.overspends.is_empty() {
        return None;
    }
    let holds = spent(open, rules, now).filter(|(_, action)| *action == BudgetAction::Hold);
    let holds = holds.map(|(over, _)| over).filter(|over| match &over.key.scope {
        BudgetScope::Deployment => true,
        BudgetScope::Class(of) => of == class,
        BudgetScope::Repositories(pattern) => {
            repository.is_some_and(|repository| pattern.matches(repository))
        }
    });
    holds.max_by_key(|over| over.until())
}

/// Returns why jobs wait that a spent budget holds back.
#[must_use]
pub fn reason(over: &Overspend) -> Reason {
    let Overspend { key, limit, spent, .. } = over;
    let (scope, period, until) = (&key.scope, key.period.as_str(), over.until());
    Reason::with(
        Code::BudgetSpent,
        format_args!("{spent} of {limit} a {period} for {scope}; launches begin again at {until:.0}"),
    )
}

#[cfg(test)]
mod tests;
