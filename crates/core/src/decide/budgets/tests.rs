use std::collections::BTreeMap;

use super::*;
use crate::decide::plan::tests::{at, job, job_in, runner};
use crate::decide::plan::{Means, plan};
use crate::records::runner::{EndedRunner, Runner, RunnerStage, RunnerState, Task, TaskLeft};
use crate::rules::class::{Catalogue, ClassEntry};
use crate::rules::policy::RepositoryPattern;
use crate::rules::settings::{Settings, SettingsEntry};

/// Seconds from midnight UTC to the epoch of [`at`], which is 2025-11-24T16:00:00Z.
const MIDNIGHT: i64 = -16 * 3600;

struct Case {
    settings: Settings,
    catalogue: Catalogue,
    recorded: Spending,
    open: Open,
}

impl Case {
    fn new(settings: &str, budget_of_small: &str) -> Self {
        let json = format!(r#"{{"version": 1, "deployment": "test", "repositories": ["acme/*"]{settings}}}"#);
        let entry: SettingsEntry = serde_json::from_str(&json).unwrap();
        let json = format!(
            r#"{{"small": {{"cpu": 512, "memory": 1024, "default": true{budget_of_small}}},
                 "large": {{"cpu": 4096, "memory": 8192}}}}"#
        );
        let entries: BTreeMap<String, ClassEntry> = serde_json::from_str(&json).unwrap();
        let (catalogue, mistakes) = Catalogue::read(&entries);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let settings = Settings::read(&entry).unwrap();
        Self { settings, catalogue, recorded: Spending::default(), open: Open::default() }
    }

    fn rules(&self) -> Rules<'_> {
        Rules { settings: &self.settings, catalogue: &self.catalogue }
    }

    fn spent(mut self, day: &str, class: &str, usd: f64) -> Self {
        let by = SpentBy::Class(ClassName::parse(class).unwrap());
        let spent = Spent { usd: Usd::of(usd), tasks: 1, unpriced: 0 };
        self.recorded.add(SpendKey { day: day.parse().unwrap(), by }, spent);
        self
    }

    fn states(&self, now: i64) -> Vec<BudgetState> {
        states(self.rules(), &self.recorded, &self.open, at(now))
    }

    /// Learns at that time, and returns how many records were written.
    fn learn(&mut self, now: i64) -> usize {
        let changes = learn(&self.open, &self.states(now));
        changes.iter().for_each(|change| self.open.apply(change));
        changes.len()
    }

    /// Returns which jobs are launched, and why the others wait.
    fn plan(&self, now: i64) -> String {
        let plan = plan(&self.open, self.rules(), Means::default(), at(now));
        let launched = plan.launches.iter().map(|launch| format!("launch for {}", launch.job));
        let waits = plan.waits.iter().map(|wait| format!("{} waits: {}", wait.job, wait.reason));
        launched.chain(waits).collect::<Vec<_>>().join("; ")
    }
}

fn gone(runner: Runner, stopped: i64, usd: Option<f64>) -> EndedRunner {
    EndedRunner {
        stopped_at: Some(at(stopped)),
        cost_usd: usd,
        ..EndedRunner {
            version: runner.version.next(),
            timeline: runner.timeline.clone(),
            kind: crate::records::runner::EndingKind::Completed,
            note: None,
            served: crate::records::runner::Served::Job(runner.facts.launched_for),
            placement: runner.placement.clone(),
            task: None,
            stopped_at: None,
            cost_usd: None,
            times: crate::records::times::Times::default(),
            facts: runner.facts,
        }
    }
}

#[test]
fn a_tasks_cost_is_divided_between_its_days_by_time() {
    let case = Case::new(
        r#", "repository_budgets": {"Acme/App": {"daily_usd": 1}, "other/*": {"daily_usd": 1}}"#,
        "",
    );
    // From an hour before midnight until three hours after it.
    let (from, to) = (MIDNIGHT + 23 * 3600, MIDNIGHT + 27 * 3600);
    let ended = gone(runner(&job(7, from), 1, RunnerStage::Starting, from), to, Some(4.0));
    let told = |ended: EndedRunner| {
        let spending = Spending::of_changes(&[Change::RunnerGone(Box::new(ended))], &case.settings.budgets);
        let told = spending.0.into_iter().map(|(key, Spent { usd, tasks, unpriced })| {
            let by = match key.by {
                SpentBy::Class(class) => class.to_string(),
                SpentBy::Repositories(pattern) => pattern.to_string(),
            };
            format!("{} {by} {usd} {tasks} {unpriced}", key.day)
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(
        told(ended.clone()),
        [
            "2025-11-24 small $1.00 0 0",
            "2025-11-24 acme/app $1.00 0 0",
            "2025-11-25 small $3.00 1 0",
            "2025-11-25 acme/app $3.00 1 0",
        ]
    );
    // A task of unknown cost is counted, not added as zero.
    assert!(told(EndedRunner { cost_usd: None, ..ended.clone() })[2].ends_with("small $0.00 1 1"));
    let never_launched = gone(runner(&job(7, from), 1, RunnerStage::Reserved, from), to, None);
    assert!(told(never_launched).is_empty());
}

#[test]
fn the_running_cost_and_the_sums_of_the_period_count() {
    let mut case = Case::new(r#", "budget": {"daily_usd": 5, "monthly_usd": 50}"#, "")
        .spent("2025-11-24", "small", 1.0)
        .spent("2025-11-24", "gone-class", 0.5)
        .spent("2025-11-23", "small", 2.0)
        .spent("2025-10-31", "small", 40.0);
    case.open.add_runner(runner(&job(7, 0), 1, RunnerStage::Busy, 0));
    let [day, month] = case.states(3600).try_into().unwrap();
    let an_hour = 0.5 * 0.040_48 + 0.004_445 + 0.005;
    assert!((day.running.dollars() - an_hour).abs() < 1e-6, "{day:?}");
    assert!((day.spent.dollars() - (1.5 + an_hour)).abs() < 1e-6, "{day:?}");
    assert!((month.spent.dollars() - (3.5 + an_hour)).abs() < 1e-6, "{month:?}");
    assert_eq!((day.until, month.until.to_string().as_str()), (at(8 * 3600), "2025-12-01T00:00:00Z"));
}

#[test]
fn a_forecast_adds_the_mean_of_the_last_whole_days_for_the_time_that_is_left() {
    let budget = r#", "budget": {"daily_usd": 5, "monthly_usd": 50}"#;
    // Two whole days, one of them without any cost: 3 dollars a day. At 18:00 a quarter of the day is left.
    let case = Case::new(budget, "").spent("2025-11-22", "small", 6.0).spent("2025-11-24", "small", 1.0);
    let forecasts = |case: &Case, now| {
        let running = Spending::of_open(&case.open, &case.settings.budgets, at(now));
        let told = |state: &BudgetState| forecast(state, &running, &case.recorded, at(now)).to_string();
        case.states(now).iter().map(told).collect::<Vec<_>>()
    };
    let (evening, left) = (2 * 3600, 6.25);
    assert_eq!(forecasts(&case, evening), ["$1.75".to_owned(), Usd::of(7.0 + 3.0 * left).to_string()]);
    // Days before the last seven count in the month, and not in the mean.
    let case = case.spent("2025-11-16", "small", 700.0);
    assert_eq!(forecasts(&case, evening)[0], "$1.75");
    // Without a whole day, the rate of today counts: a dollar in 18 hours.
    let case = Case::new(budget, "").spent("2025-11-24", "small", 1.0);
    assert_eq!(forecasts(&case, evening)[0], Usd::of(1.0 + 0.25 * 24.0 / 18.0).to_string());
    // The first minutes of a day are no rate.
    let case = Case::new(budget, "").spent("2025-11-24", "small", 0.01);
    assert_eq!(
        forecasts(&case, MIDNIGHT + 60)[0],
        Usd::of(0.01 + 0.24 * (1.0 - 60.0 / 86_400.0)).to_string()
    );
}

#[test]
fn a_spent_budget_with_hold_holds_back_launches_until_its_period_ends() {
    let mut case =
        Case::new("", r#", "budget": {"daily_usd": 1, "action": "hold"}"#).spent("2025-11-24", "small", 1.5);
    let midnight = 8 * 3600;
    let evening = midnight - 100;
    for job in [job(7, evening), job_in("acme/app", "large", 8, evening + 1)] {
        case.open.add_job(job);
    }
    assert_eq!(case.learn(evening + 5), 1);
    assert_eq!(
        case.plan(evening + 6),
        "launch for 8; 7 waits: a budget is spent: $1.50 of $1.00 a day for class `small`; launches begin again at \
         2025-11-25T00:00:00Z"
    );
    assert_eq!(case.learn(evening + 7), 0, "nothing is new");
    let plan = plan(&case.open, case.rules(), Means::default(), at(evening + 6));
    assert_eq!(plan.next_at, Some(at(midnight)));
    // The record is of yesterday, even before anything learns that.
    assert_eq!(case.plan(midnight), "launch for 7; launch for 8");
    assert_eq!(case.learn(midnight), 1);
    assert!(case.open.overspends.is_empty());
}

#[test]
fn a_spent_budget_with_alarm_holds_nothing_back() {
    let mut case = Case::new("", r#", "budget": {"daily_usd": 1}"#).spent("2025-11-24", "small", 1.5);
    case.open.add_job(job(7, 0));
    assert_eq!(case.learn(5), 1);
    assert_eq!(case.plan(6), "launch for 7");
    assert_eq!(spent(&case.open, case.rules(), at(6)).count(), 1);
}

#[test]
fn a_budget_that_is_raised_opens_at_once() {
    let hold = |daily| format!(r#", "budget": {{"daily_usd": {daily}, "action": "hold"}}"#);
    let mut case = Case::new(&hold(1), "").spent("2025-11-24", "small", 1.5);
    case.open.add_job(job(7, 0));
    case.learn(5);
    assert!(case.plan(6).contains("for the deployment"), "{}", case.plan(6));
    case.settings = Case::new(&hold(2), "").settings;
    assert_eq!(case.plan(6), "launch for 7");
    assert_eq!(case.learn(7), 1, "and its record goes");
    case.settings = Case::new("", "").settings;
    assert_eq!((case.plan(8).as_str(), has_any(case.rules())), ("launch for 7", false));
}

#[test]
fn repositories_are_held_back_alone_and_warm_tasks_are_of_none() {
    let settings = r#", "repository_budgets": {"acme/app": {"daily_usd": 1, "action": "hold"}}"#;
    let mut case = Case::new(settings, "");
    let by = SpentBy::Repositories(RepositoryPattern::parse("acme/app").unwrap());
    let spent = Spent { usd: Usd::of(1.0), tasks: 1, unpriced: 0 };
    case.recorded.add(SpendKey { day: "2025-11-24".parse().unwrap(), by }, spent);
    for job in [job(7, 0), job_in("acme/web", "small", 8, 1)] {
        case.open.add_job(job);
    }
    case.learn(5);
    assert!(case.plan(6).starts_with("launch for 8; 7 waits: a budget is spent"), "{}", case.plan(6));
    let small = ClassName::parse("small").unwrap();
    assert_eq!(holding(&case.open, case.rules(), &small, None, at(6)), None);
}

#[test]
fn more_spending_is_written_down_by_the_hundredth_of_the_limit() {
    let mut case = Case::new(r#", "budget": {"daily_usd": 10}"#, "").spent("2025-11-24", "small", 10.0);
    assert_eq!(case.learn(5), 1);
    case = case.spent("2025-11-24", "small", 0.05);
    assert_eq!(case.learn(6), 0);
    case = case.spent("2025-11-24", "small", 0.05);
    assert_eq!(case.learn(7), 1);
    let over = case.open.overspends.values().next().unwrap();
    assert_eq!(over.spent.to_string(), "$10.10");
}

#[test]
fn seconds_of_cost_do_not_open_a_budget_that_is_spent() {
    let mut case = Case::new(r#", "budget": {"daily_usd": 10}"#, "").spent("2025-11-24", "small", 10.0);
    assert_eq!(case.learn(5), 1);
    let recorded = |case: &mut Case, usd: f64| {
        case.recorded = Spending::default();
        *case = std::mem::replace(case, Case::new("", "")).spent("2025-11-24", "small", usd);
    };
    recorded(&mut case, 9.95);
    assert_eq!((case.learn(6), case.open.overspends.len()), (0, 1), "half a hundredth of the limit");
    recorded(&mut case, 9.89);
    assert_eq!((case.learn(7), case.open.overspends.len()), (1, 0), "more than a hundredth");
}

#[test]
fn a_stop_that_is_noticed_days_later_costs_no_more_than_the_limits_of_the_task_allow() {
    let case = Case::new("", "");
    // 15 minutes to start, 22 of waiting, six hours and five minutes of work: 6.7 hours. It was noticed after 60.
    let longest = 6.7;
    let begun = runner(&job(7, 0), 1, RunnerStage::Busy, 0);
    let hour = begun.cost_usd(at(3600)).unwrap();
    let late = at(60 * 3600);
    let open = begun.cost_usd(late).unwrap() / hour;
    assert!((open - longest).abs() < 0.1, "{open} hours");
    let mut open_records = Open::default();
    open_records.add_runner(begun.clone());
    let running = Spending::of_open(&open_records, &case.settings.budgets, late);
    assert_eq!(running.0.keys().map(|key| key.day.to_string()).collect::<Vec<_>>(), ["2025-11-24"]);
    let ended = gone(begun, 60 * 3600, Some(1.0));
    let spending = Spending::of_changes(&[Change::RunnerGone(Box::new(ended))], &case.settings.budgets);
    assert_eq!(spending.0.keys().map(|key| key.day.to_string()).collect::<Vec<_>>(), ["2025-11-24"]);
}

#[test]
fn a_runner_that_ended_before_its_launch_was_answered_is_billed_from_its_tasks_creation() {
    let mut begun = runner(&job(7, 0), 1, RunnerStage::Reserved, 0);
    assert_eq!(begun.cost_usd(at(3600)), None, "no task is known");
    begun = begun.end(crate::records::runner::EndingKind::Surplus, None, at(10));
    begun.times.task.created = Some(at(5));
    let RunnerState::Ending(ending) = &mut begun.state else { panic!("{begun:?}") };
    let task =
        crate::id::TaskId::parse("arn:aws:ecs:eu-west-1:123456789012:task/ci/0123456789abcdef").unwrap();
    ending.task = TaskLeft::Running(Task { id: task, heard: 1 });
    assert_eq!(begun.launched_at(), Some(at(5)));
    assert!(begun.cost_usd(at(3605)).is_some_and(|usd| usd > 0.02));
}

#[test]
fn a_task_is_billed_from_the_start_of_its_image_pull() {
    let mut begun = runner(&job(7, 0), 1, RunnerStage::Busy, 0);
    let whole = begun.cost_usd(at(3600)).unwrap();
    begun.times.task.pull_started = Some(at(1800));
    assert_eq!(begun.billed_from(at(3600)), Some(at(1800)));
    assert!((begun.cost_usd(at(3600)).unwrap() - whole / 2.0).abs() < 1e-9);
    let minute = begun.cost_usd(at(600)).unwrap();
    assert!((minute - whole / 60.0).abs() < 1e-9, "before the pull only AWS's minimum of a minute counts");
    begun.times.task.pull_started = Some(at(-60));
    assert_eq!(
        begun.cost_usd(at(3600)),
        Some(whole),
        "a warm task was pulled before the runner took it over"
    );
}

#[test]
fn a_cost_is_written_on_few_days_however_long_the_span_is() {
    let patterns = r#", "repository_budgets": {"acme/app": {"daily_usd": 1}, "acme/*": {"daily_usd": 1}, "*": {"daily_usd": 1}}"#;
    let case = Case::new(patterns, "");
    let mut begun = runner(&job(7, 0), 1, RunnerStage::Busy, 0);
    begun.facts.max_job_minutes = 400 * 24 * 60;
    let ended = gone(begun, 400 * 24 * 3600, Some(400.0));
    let spending = Spending::of_changes(&[Change::RunnerGone(Box::new(ended))], &case.settings.budgets);
    assert!(spending.0.len() <= 7 * 4, "{} items", spending.0.len());
    let by_class = |key: &&SpendKey| matches!(key.by, SpentBy::Class(_));
    let sum = spending.0.iter().filter(|(key, _)| by_class(key)).map(|(_, spent)| spent.usd);
    assert_eq!(sum.fold(Usd::ZERO, Usd::plus), Usd::of(400.0));
    let first = spending.0.iter().next().unwrap().1;
    assert!(first.usd > Usd::of(393.0), "what was before is on the first of them: {first:?}");
}

#[test]
fn a_day_is_closed_when_no_open_task_can_be_charged_to_it() {
    let mut open = Open::default();
    let now = 10 * 24 * 3600;
    assert_eq!(closed_before(&open, at(now)).to_string(), "2025-12-03", "yesterday stays open");
    open.add_runner(runner(&job(7, 0), 1, RunnerStage::Busy, now - 4 * 24 * 3600));
    assert_eq!(closed_before(&open, at(now)).to_string(), "2025-11-30");
}

#[test]
fn only_the_sums_of_periods_with_a_budget_decide() {
    let first = |settings: &str| {
        let case = Case::new(settings, "");
        first_day(case.rules(), at(0)).map(|day| day.to_string())
    };
    assert_eq!(first(""), None);
    assert_eq!(first(r#", "budget": {"daily_usd": 5}"#).as_deref(), Some("2025-11-24"));
    assert_eq!(first(r#", "budget": {"daily_usd": 5, "monthly_usd": 9}"#).as_deref(), Some("2025-11-01"));
}

#[test]
fn a_forecast_needs_the_sums_of_the_month_and_of_seven_days() {
    let day = |text: &str| text.parse::<Date>().unwrap();
    let of = |text: &str| first_day_of_forecast(text.parse().unwrap());
    assert_eq!(of("2026-11-20T12:00:00Z"), day("2026-11-01"));
    assert_eq!(of("2026-11-03T12:00:00Z"), day("2026-10-27"));
}
