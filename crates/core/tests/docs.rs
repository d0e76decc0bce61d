//! Tests that `docs/semantics.md` lists every code that is stored, counted and shown, and no other.

use std::collections::BTreeSet;

use ecsrunner_core::reason::Code;
use ecsrunner_core::records::job::JobStage;
use ecsrunner_core::records::runner::{EndingKind, RunnerStage};
use ecsrunner_core::records::warm::WarmEnd;
use ecsrunner_core::wire::exit::AgentExit;

const SEMANTICS: &str = include_str!("../../../docs/semantics.md");

/// Returns the words in backticks in the first column of the tables below a heading.
fn documented(heading: &str) -> BTreeSet<String> {
    let heading = format!("## {heading}");
    let section = SEMANTICS.lines().skip_while(|line| *line != heading).skip(1);
    let words: BTreeSet<String> = section
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(str::to_owned)
        .collect();
    assert!(!words.is_empty(), "docs/semantics.md has no table below `{heading}`");
    words
}

fn words<T: Copy>(all: &[T], word: impl Fn(T) -> String) -> BTreeSet<String> {
    all.iter().copied().map(word).collect()
}

#[test]
fn every_reason_code_is_documented_and_no_other() {
    assert_eq!(documented("Reason codes"), words(Code::ALL, |code| code.as_str().to_owned()));
}

#[test]
fn every_ending_is_documented_and_no_other() {
    assert_eq!(documented("Endings"), words(&EndingKind::ALL, |kind| kind.as_str().to_owned()));
}

#[test]
fn every_ending_of_a_warm_task_is_documented_and_no_other() {
    let documented = documented("Endings of warm tasks");
    assert_eq!(documented, words(&WarmEnd::ALL, |kind| format!("warm_{kind}")));
}

#[test]
fn every_state_is_documented_and_no_other() {
    assert_eq!(documented("Job states"), words(&JobStage::ALL, |stage| stage.as_str().to_owned()));
    assert_eq!(documented("Runner states"), words(&RunnerStage::ALL, |stage| stage.as_str().to_owned()));
}

#[test]
fn every_exit_code_of_the_agent_is_documented_and_no_other() {
    assert_eq!(documented("Exit codes of the agent"), words(&AgentExit::ALL, |exit| exit.code().to_string()));
}
