//! Sums of what was spent, and budgets that are spent.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use ecsrunner_core::records::overspend::{BudgetKey, Overspend};
use ecsrunner_core::records::runner::{EndedRunner, EndingKind, Served};
use ecsrunner_core::records::spend::{Spending, SpentBy};
use ecsrunner_core::records::times::Times;
use ecsrunner_core::rules::budget::{Budget, BudgetAction, BudgetScope, Budgets, Period, Usd, day_of};
use ecsrunner_core::rules::policy::RepositoryPattern;
use ecsrunner_engine::ports::store::Spend;
use jiff::SignedDuration;

use super::faults::faulty;
use super::*;

fn pattern() -> RepositoryPattern {
    RepositoryPattern::parse("acme/*").unwrap()
}

fn budgets() -> Budgets {
    let budget = Budget { daily: Some(Usd::of(1.0)), monthly: None, action: BudgetAction::Hold };
    Budgets { deployment: None, repositories: [(pattern(), budget)].into() }
}

/// The runner with this number, which cost a quarter of a dollar.
fn gone(number: u64) -> (Runner, EndedRunner) {
    let mut runner = runner();
    runner.facts.name =
        RunnerName::parse(&format!("ecsr-test-abcdefghij-01arz3ndektsv4rrffq69g{number:04}")).unwrap();
    let gone = EndedRunner {
        times: Times::default(),
        facts: runner.facts.clone(),
        version: runner.version.next(),
        timeline: runner.timeline.clone(),
        kind: EndingKind::Completed,
        note: None,
        served: Served::Job(JobId::new(7)),
        placement: spot(),
        task: runner.task().cloned(),
        stopped_at: Some(at(8)),
        cost_usd: Some(0.25),
    };
    (runner, gone)
}

async fn spent(store: &DynamoStore) -> Spending {
    store.spent(day_of(at(0)), at(0)).await.unwrap()
}

/// Returns each sum: of what, its amount and its tasks.
fn told(spending: &Spending) -> Vec<String> {
    let sums = spending.0.iter().map(|(key, spent)| match &key.by {
        SpentBy::Class(class) => format!("{class} {} {}", spent.usd, spent.tasks),
        SpentBy::Repositories(pattern) => format!("{pattern} {} {}", spent.usd, spent.tasks),
    });
    sums.collect()
}

async fn end(store: &DynamoStore, gone: &EndedRunner) -> Result<(), StoreError> {
    let changes = [Change::RunnerGone(Box::new(gone.clone()))];
    store.commit(Transaction { budgets: &budgets(), ..Transaction::of(&changes) }).await
}

#[tokio::test]
async fn a_runner_that_moves_to_history_counts_once_however_often_that_is_tried() {
    let fixture = Fixture::new().await;
    let (store, faults) = faulty(&fixture);
    let (runner, gone) = gone(1);
    fixture.write(Change::Runner(runner)).await.unwrap();
    // The answer is lost, and the SDK asks again.
    faults.lose_answer.store(true, Ordering::Relaxed);
    end(&store, &gone).await.unwrap();
    assert!(matches!(end(&store, &gone).await, Err(StoreError::Conflict)), "another process");
    assert_eq!(told(&spent(&store).await), ["large $0.2500 1", "acme/* $0.2500 1"]);
}

#[tokio::test]
async fn a_transaction_that_only_lost_a_race_for_a_sum_is_repeated() {
    let fixture = Fixture::new().await;
    let (store, faults) = faulty(&fixture);
    let (runner, gone) = gone(1);
    fixture.write(Change::Runner(runner)).await.unwrap();
    faults.conflict.store(true, Ordering::Relaxed);
    end(&store, &gone).await.unwrap();
    assert_eq!(told(&spent(&store).await), ["large $0.2500 1", "acme/* $0.2500 1"]);
}

#[tokio::test]
async fn runners_that_end_together_are_spread_over_shards_and_add_up() {
    let fixture = Fixture::new().await;
    for number in 0..40 {
        let (runner, gone) = gone(number);
        fixture.write(Change::Runner(runner)).await.unwrap();
        end(&fixture.store, &gone).await.unwrap();
    }
    assert_eq!(told(&spent(&fixture.store).await), ["large $10.00 40", "acme/* $10.00 40"]);
    let partition = format!("spend#{}", day_of(at(0)).strftime("%Y-%m"));
    let shards: BTreeSet<String> = fixture.sort_keys(&partition).into_iter().collect();
    assert_eq!(shards.len(), 16, "eight of each: {shards:?}");
}

#[tokio::test]
async fn sums_are_read_from_a_day_on_over_the_end_of_a_month() {
    let fixture = Fixture::new().await;
    let (first, mut earlier) = gone(1);
    fixture.write(Change::Runner(first)).await.unwrap();
    // Ten days before, perhaps in the month before.
    let ago = SignedDuration::from_hours(240);
    earlier.timeline = earlier.timeline.iter().map(|(stage, time)| (stage, time - ago)).collect();
    earlier.stopped_at = Some(at(8) - ago);
    end(&fixture.store, &earlier).await.unwrap();
    let (second, later) = gone(2);
    fixture.write(Change::Runner(second)).await.unwrap();
    end(&fixture.store, &later).await.unwrap();
    let read = |since| fixture.store.spent(day_of(since), at(0));
    assert_eq!(read(at(0) - ago).await.unwrap().0.len(), 4);
    assert_eq!(read(at(0)).await.unwrap().0.len(), 2);
}

#[tokio::test]
async fn a_sum_that_cannot_be_read_hides_no_other() {
    let fixture = Fixture::new().await;
    let (runner, gone) = gone(1);
    fixture.write(Change::Runner(runner)).await.unwrap();
    end(&fixture.store, &gone).await.unwrap();
    let partition = format!("spend#{}", day_of(at(0)).strftime("%Y-%m"));
    let sort = format!("{:02}#team#core#0", day_of(at(0)).day());
    fixture.put(&json!({"pk": {"S": partition}, "sk": {"S": sort}}));
    assert_eq!(spent(&fixture.store).await.0.len(), 2);
}

#[tokio::test]
async fn a_spent_budget_reads_back_and_goes_with_its_key() {
    let fixture = Fixture::new().await;
    let scopes = [
        BudgetScope::Deployment,
        BudgetScope::Class(ClassName::parse("large").unwrap()),
        BudgetScope::Repositories(pattern()),
    ];
    let mut expected = Open::default();
    for scope in scopes {
        for period in Period::ALL {
            let key = BudgetKey { scope: scope.clone(), period };
            let begin = period.begin(at(0));
            let over = Overspend { key, begin, limit: Usd::of(1.0), spent: Usd::of(1.25) };
            fixture.write(Change::Overspent(Box::new(over.clone()))).await.unwrap();
            expected.add_overspend(over);
        }
    }
    assert_eq!(fixture.store.open().await.unwrap(), expected);
    for key in expected.overspends.into_keys() {
        fixture.write(Change::BudgetOpen(key)).await.unwrap();
    }
    assert_eq!(fixture.store.open().await.unwrap(), Open::default());
}
