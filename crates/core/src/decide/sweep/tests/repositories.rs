//! Tests of the rotation through named repositories.

use std::collections::BTreeMap;

use crate::decide::sweep::repositories::{MAX_ASKED, to_ask};
use crate::rules::policy::Policy;

fn policy(patterns: &[String]) -> Policy {
    serde_json::from_value(serde_json::json!({ "repositories": patterns })).unwrap()
}

/// Returns how often each repository is asked in that many passes.
fn asked(patterns: &[String], passes: u32) -> BTreeMap<String, u32> {
    let mut times = BTreeMap::new();
    let mut offset = 0;
    for _ in 0..passes {
        let turn = to_ask(&policy(patterns), offset);
        assert!(turn.len() <= MAX_ASKED, "{turn:?}");
        for repository in turn {
            offset += 1;
            *times.entry(repository.to_string()).or_default() += 1;
        }
    }
    times
}

fn numbered(count: u32) -> Vec<String> {
    (0..count).map(|number| format!("acme/app{number}")).collect()
}

#[test]
fn patterns_without_an_exact_name_are_not_asked() {
    assert!(asked(&["acme/*".to_owned(), "*".to_owned()], 3).is_empty());
}

#[test]
fn each_repository_of_a_short_list_is_asked_once_in_five_passes() {
    for count in [5, 10, 25] {
        let asked = asked(&numbered(count), 5);
        assert_eq!(asked.len(), count as usize);
        assert!(asked.values().all(|times| *times == 1), "{asked:?}");
    }
}

#[test]
fn a_long_list_is_asked_five_repositories_at_a_time() {
    let asked = asked(&numbered(200), 40);
    assert_eq!(asked.len(), 200);
    assert!(asked.values().all(|times| *times == 1), "{asked:?}");
}

#[test]
fn a_repository_named_twice_is_asked_once() {
    let twice = ["acme/app".to_owned(), "Acme/App".to_owned()];
    assert_eq!(to_ask(&policy(&twice), 0).len(), 1);
}

#[test]
fn the_rotation_continues_through_a_list_that_became_shorter() {
    let turn = to_ask(&policy(&numbered(3)), 7);
    assert_eq!(turn.iter().map(|repository| repository.as_str()).collect::<Vec<_>>(), ["acme/app1"]);
}
