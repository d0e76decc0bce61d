//! Tests of the rotation through repositories.

use std::collections::BTreeMap;

use super::*;
use crate::decide::sweep::repositories::{
    BUDGET, LONGEST_CURSOR, Listed, MAX_PAGE, MAX_PARTIAL, Rotation, Source, Step, sources,
};
use crate::id::RunId;
use crate::rules::policy::Policy;

fn policy(patterns: &[&str]) -> Policy {
    serde_json::from_value(serde_json::json!({ "repositories": patterns })).unwrap()
}

fn repository(name: &str) -> Repository {
    Repository::parse(name).unwrap()
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("acme/app{number}")).collect()
}

/// GitHub, with repositories that all cost the same number of calls.
struct World {
    policy: Policy,
    listed: Vec<Listed>,
    /// Calls that a repository takes.
    cost: u32,
    progress: RepositoryProgress,
    /// When each repository was asked, in seconds.
    asked: BTreeMap<String, Vec<i64>>,
    calls: u32,
}

impl World {
    fn new(patterns: &[&str], listed: usize) -> Self {
        let listed = numbered(listed)
            .into_iter()
            .map(|name| Listed { name: repository(&name), private: true, active: true })
            .collect();
        let progress = RepositoryProgress::default();
        Self { policy: policy(patterns), listed, cost: 2, progress, asked: BTreeMap::new(), calls: 0 }
    }

    /// Makes one pass, as the engine does.
    fn pass(&mut self, secs: i64) {
        let mut rotation = Rotation::begin(&self.progress, &self.policy, at(secs));
        loop {
            match rotation.step() {
                Step::Done => break,
                Step::List { cursor, .. } => {
                    let from = cursor.map_or(0, |cursor| cursor.parse().unwrap());
                    let page: Vec<Listed> = self.listed.iter().skip(from).take(MAX_PAGE).cloned().collect();
                    let end = from + page.len();
                    rotation.listed(&page, (end < self.listed.len()).then(|| end.to_string()), 1);
                    self.calls += 1;
                }
                Step::Ask { repository, after } => {
                    assert_eq!(after, None);
                    rotation.asked(&repository, None, self.cost);
                    self.calls += self.cost;
                    self.asked.entry(repository.to_string()).or_default().push(secs);
                }
            }
        }
        self.progress = rotation.end();
    }

    fn pass_each_minute(&mut self, minutes: i64) {
        for minute in 0..minutes {
            self.pass(minute * MINUTE);
        }
    }

    /// Returns the longest time for which a repository was not asked, in minutes.
    fn longest_gap(&self) -> i64 {
        let gaps = self.asked.values().flat_map(|times| times.windows(2).map(|pair| pair[1] - pair[0]));
        gaps.max().unwrap() / MINUTE
    }
}

#[test]
fn patterns_say_where_the_repositories_come_from() {
    let owner = |name: &str| Source::Listed(Some(crate::id::Account::parse(name).unwrap()));
    let named = |names: &[&str]| Source::Named(names.iter().map(|name| repository(name)).collect());
    for (patterns, expected) in [
        (&["acme/app", "Acme/App", "acme/web"][..], vec![named(&["acme/app", "acme/web"])]),
        (&["acme/*", "ACME/*", "acme/app"][..], vec![owner("acme")]),
        (&["acme/*", "other/app"][..], vec![named(&["other/app"]), owner("acme")]),
        (&["acme/app", "*", "other/*"][..], vec![Source::Listed(None)]),
        (&[][..], vec![]),
    ] {
        assert_eq!(sources(&policy(patterns)), expected, "{patterns:?}");
    }
}

#[test]
fn a_few_repositories_are_asked_every_five_minutes_and_a_rotation_is_then_over() {
    let mut world = World::new(&["acme/app", "acme/web"], 0);
    world.pass_each_minute(20);
    assert_eq!(world.asked["acme/app"], [0, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE]);
    assert_eq!(world.asked.len(), 2);
    assert!(world.progress.is_complete());
    assert_eq!(world.calls, 16);
}

#[test]
fn each_of_forty_nine_repositories_is_asked_every_five_minutes_and_fewer_if_runs_are_active() {
    // A page of the list and two calls for each repository, and one more for an active run.
    for (count, cost) in [(49, 2), (33, 3), (24, 4)] {
        let mut world = World::new(&["acme/*"], count);
        world.cost = cost;
        world.pass_each_minute(600);
        assert_eq!((world.asked.len(), world.longest_gap()), (count, 5), "{count} of {cost} calls");
    }
}

#[test]
fn five_hundred_repositories_are_all_asked_within_the_budget() {
    let mut world = World::new(&["acme/*"], 500);
    world.pass_each_minute(60);
    assert!(world.calls <= 100 + 20 * 60, "{}", world.calls);
    world.pass_each_minute(0);
    for minute in 60..600 {
        world.pass(minute * MINUTE);
    }
    assert_eq!(world.asked.len(), 500);
    assert!(world.longest_gap() <= 52, "{}", world.longest_gap());
    assert!(world.calls <= 100 + 20 * 600, "{}", world.calls);
}

#[test]
fn a_turn_that_took_more_than_was_left_is_made_up_for() {
    let mut world = World::new(&["acme/app", "acme/web", "acme/api"], 0);
    world.cost = 90;
    world.pass_each_minute(60);
    assert!(world.calls <= 100 + 20 * 60 + 90, "{}", world.calls);
    let counts: Vec<usize> = world.asked.values().map(Vec::len).collect();
    assert!(counts.iter().all(|count| (4..=5).contains(count)), "{counts:?}");
}

#[test]
fn repositories_whose_jobs_cannot_run_or_are_refused_are_not_asked() {
    let mut world = World::new(&["acme/*"], 3);
    world.listed[0].active = false;
    world.listed[1].private = false;
    world.listed.push(Listed { name: repository("other/app"), private: true, active: true });
    world.pass(0);
    assert_eq!(world.asked.keys().collect::<Vec<_>>(), ["acme/app2"]);
    world.policy.public_repositories = true;
    world.pass(5 * MINUTE);
    assert_eq!(world.asked.len(), 2);
}

#[test]
fn a_page_that_was_read_is_judged_again_by_a_policy_that_changed() {
    let mut world = World::new(&["acme/*"], 60);
    world.cost = 10;
    world.pass(0);
    assert_eq!(world.asked.len(), 10);
    assert!(!world.progress.is_complete());
    world.policy = policy(&["acme/app40", "acme/app50"]);
    world.pass(MINUTE);
    assert!(world.asked.contains_key("acme/app40") && world.asked.len() == 12, "{:?}", world.asked);
    assert!(world.progress.is_complete());
}

#[test]
fn a_repository_with_many_runs_continues_in_its_next_turn() {
    let policy = policy(&["acme/app"]);
    let app = repository("acme/app");
    let mut progress = RepositoryProgress::default();
    for (secs, after, next) in
        [(0, None, Some(20)), (5, Some(20), Some(40)), (10, Some(40), None), (15, None, None)]
    {
        let mut rotation = Rotation::begin(&progress, &policy, at(secs * MINUTE));
        assert_eq!(rotation.step(), Step::Ask { repository: app.clone(), after: after.map(RunId::new) });
        rotation.asked(&app, next.map(RunId::new), 22);
        assert_eq!(rotation.step(), Step::Done);
        progress = rotation.end();
    }
}

#[test]
fn what_is_stored_is_bounded() {
    let policy = policy(&["*"]);
    let mut rotation = Rotation::begin(&RepositoryProgress::default(), &policy, at(0));
    let listed = |count: usize| -> Vec<Listed> {
        numbered(count)
            .iter()
            .map(|name| Listed { name: repository(name), private: true, active: true })
            .collect()
    };
    let mut turns = 0;
    rotation.listed(&listed(MAX_PAGE + 1), Some("x".repeat(LONGEST_CURSOR + 1)), 0);
    while let Step::Ask { repository, .. } = rotation.step() {
        rotation.asked(&repository, Some(RunId::new(1)), 0);
        turns += 1;
    }
    assert_eq!(turns, MAX_PAGE);
    let progress = rotation.end();
    assert_eq!((progress.next, progress.partial.len()), (None, MAX_PARTIAL));
}

#[test]
fn a_pause_that_github_asks_for_is_kept_and_then_the_rotation_continues() {
    let mut world = World::new(&["acme/app", "acme/web"], 0);
    let mut rotation = Rotation::begin(&world.progress, &world.policy, at(0));
    assert!(matches!(rotation.step(), Step::Ask { .. }));
    rotation.passed_over(2);
    rotation.rest_until(at(10 * MINUTE));
    assert_eq!(rotation.step(), Step::Done);
    world.progress = rotation.end();
    world.pass(9 * MINUTE);
    assert!(world.asked.is_empty());
    world.pass(11 * MINUTE);
    assert_eq!(world.asked.keys().collect::<Vec<_>>(), ["acme/web"]);
}

#[test]
fn a_list_that_is_refused_holds_up_no_other_source() {
    let policy = policy(&["acme/*", "other/*"]);
    let mut rotation = Rotation::begin(&RepositoryProgress::default(), &policy, at(0));
    let owner = |step| match step {
        Step::List { owner, .. } => owner.map(|owner| owner.to_string()),
        other => panic!("{other:?}"),
    };
    assert_eq!(owner(rotation.step()).as_deref(), Some("acme"));
    rotation.list_refused(1);
    assert_eq!(owner(rotation.step()).as_deref(), Some("other"));
    rotation.list_refused(1);
    assert_eq!(rotation.step(), Step::Done);
    assert!(rotation.end().is_complete());
}

#[test]
fn a_rotation_that_is_not_needed_any_more_stops_and_keeps_its_budget() {
    let mut world = World::new(&["acme/*"], 300);
    world.pass(0);
    assert!(!world.progress.is_complete());
    let used = world.progress.used;
    world.progress.stop();
    assert!(world.progress.is_complete());
    assert_eq!(world.progress.used, used);
    assert_eq!(BUDGET.available(used, at(0)), 1);
}
