//! Tests of the comparison of registrations with records.

use super::*;
use crate::decide::sweep::registrations::{Listed, MAX_SCOPES, due, remember, unwanted};
use crate::id::{Deployment, RunnerId};

const NONE: [u64; 0] = [];

fn told(listed: &[(&str, bool)], runners: &[Runner], now: i64) -> Vec<u64> {
    let listed: Vec<Listed<'_>> = listed
        .iter()
        .zip(1..)
        .map(|((name, busy), id)| Listed { name, id: RunnerId::new(id), busy: *busy })
        .collect();
    let deployment = Deployment::parse("test").unwrap();
    unwanted(&listed, &open(runners), &deployment, at(now)).iter().map(|(_, id)| id.get()).collect()
}

#[test]
fn a_registration_of_ours_without_an_open_record_is_deleted_once_it_is_not_young() {
    let name = name_of("test", 1, 0);
    assert_eq!(told(&[(&name, false)], &[], 15 * MINUTE - 1), NONE);
    assert_eq!(told(&[(&name, false)], &[], 15 * MINUTE), [1]);
}

#[test]
fn an_open_record_keeps_its_registration() {
    assert_eq!(told(&[(&name_of("test", 1, 0), false)], &[reserved(1, 0)], HOUR), NONE);
}

#[test]
fn a_busy_registration_is_never_deleted() {
    assert_eq!(told(&[(&name_of("test", 1, 0), true)], &[], HOUR), NONE);
}

#[test]
fn what_is_not_ours_is_not_touched() {
    let other = name_of("test-2", 1, 0);
    let upper = name_of("test", 1, 0).to_uppercase();
    let longer = format!("{}-old", name_of("test", 1, 0));
    let listed = [("build-server", false), (other.as_str(), false), (&upper, false), (&longer, false)];
    assert_eq!(told(&listed, &[], HOUR), NONE);
}

#[test]
fn a_name_whose_time_has_not_come_or_cannot_be_is_left_alone() {
    let never = "ecsr-test-abcdefg234-zzzzzzzzzzzzzzzzzzzzzzzzzz";
    assert_eq!(told(&[(never, false), (&name_of("test", 1, HOUR), false)], &[], 0), NONE);
}

fn scopes(known: &[KnownScope], runners: &[Runner], now: i64) -> Vec<KnownScope> {
    remember(known, &open(runners), at(now))
}

#[test]
fn a_scope_is_remembered_for_three_days_after_its_last_runner() {
    let known = scopes(&[], &[reserved(1, 0), reserved(2, 0)], 0);
    assert_eq!(known.len(), 1);
    assert_eq!(scopes(&known, &[], 71 * HOUR), known);
    assert_eq!(scopes(&known, &[], 72 * HOUR), []);
    let seen_again = scopes(&known, &[reserved(3, 0)], 71 * HOUR);
    assert_eq!(scopes(&seen_again, &[], 72 * HOUR), seen_again);
}

#[test]
fn a_scope_is_read_each_hour() {
    let mut known = scopes(&[], &[reserved(1, 0)], 0);
    assert_eq!(due(&known, at(0)), [0]);
    known[0].page_read(false, at(0));
    assert!(due(&known, at(59 * MINUTE)).is_empty());
    assert_eq!(due(&known, at(HOUR)), [0]);
}

#[test]
fn a_scope_of_many_pages_is_continued_in_the_next_pass() {
    let mut known = scopes(&[], &[reserved(1, 0)], 0);
    known[0].page_read(true, at(0));
    let mut known = scopes(&known, &[], 60);
    assert_eq!((due(&known, at(60)), known[0].next_page), (vec![0], 2));
    known[0].page_read(false, at(60));
    assert_eq!((due(&known, at(120)), known[0].next_page), (vec![], 1));
}

#[test]
fn a_scope_that_github_does_not_answer_for_waits_for_its_next_turn() {
    let mut known = scopes(&[], &[reserved(1, 0)], 0);
    known[0].page_read(true, at(0));
    known[0].put_off(at(0));
    assert_eq!((due(&known, at(60)), known[0].next_page), (vec![], 1));
}

#[test]
fn of_too_many_scopes_those_unseen_for_longest_are_forgotten() {
    let runner = |number: u64| {
        let mut runner = reserved(number, 0);
        runner.facts.scope = scope(&format!("acme/app{number}"));
        runner
    };
    let count = MAX_SCOPES as u64;
    let early: Vec<Runner> = (0..count).map(runner).collect();
    let late: Vec<Runner> = (count..count + 10).map(runner).collect();
    let known = scopes(&scopes(&[], &early, 0), &late, HOUR);
    assert_eq!(known.len(), MAX_SCOPES);
    assert_eq!(known.iter().filter(|known| known.seen_at == at(HOUR)).count(), 10);
}

#[test]
fn the_scope_that_was_not_looked_at_for_longest_comes_first() {
    let known = |repository, looked_at: Option<i64>| KnownScope {
        scope: scope(repository),
        seen_at: at(0),
        looked_at: looked_at.map(at),
        next_page: 1,
    };
    let known = [known("acme/a", Some(50)), known("acme/b", None), known("acme/c", Some(20))];
    assert_eq!(due(&known, at(2 * HOUR)), [1, 2, 0]);
}
