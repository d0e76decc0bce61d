//! Rules of the machine's firewall that belong to one task.
//!
//! Each has a comment with the task's device and digits of its owner. So no file says what a task has, and rules are found
//! also once their device is gone.

pub(crate) mod forwarding;

use std::io;

use crate::tools::{self, run};

/// The tables in which a task has rules. In `filter` is what it may do, and in `mangle` what others may not do: its
/// chains come first, so no rule of `filter` lets through what is dropped there, whatever the order of rules is.
const TABLES: [&str; 3] = ["filter", "nat", "mangle"];
/// How long `iptables` waits for its lock in seconds, which others may hold.
const LOCK_SECS: &str = "5";

/// The operator's own rules for what tasks send through this machine. The chain is made if it is missing, and its rules
/// are never changed.
pub(crate) const USER_CHAIN: &str = "ECSRUNNER-USER";
/// What is no part of a connection that was let through.
pub(crate) const NEW: &str = "-m conntrack ! --ctstate RELATED,ESTABLISHED";

/// A table and a rule of it, which begins with its chain.
pub(crate) type Rule = (&'static str, String);

/// Puts a task's rules before those that are there, in the order in which they apply. `device` is the task's.
pub(crate) fn insert_of(device: &str, owner: &str, rules: &[Rule]) -> io::Result<()> {
    let made = iptables("filter", &["-N", USER_CHAIN]);
    // Another task may have made it before.
    if made.is_err() && iptables("filter", &["-S", USER_CHAIN]).is_err() {
        return made.map(drop);
    }
    insert(rules, &comment(device, owner))
}

/// Puts rules before those that are there, in the order in which they apply.
pub(crate) fn insert(rules: &[Rule], comment: &str) -> io::Result<()> {
    rules.iter().rev().try_for_each(|rule| change("-I", rule, comment))
}

/// Removes some of a task's rules.
pub(crate) fn remove_some(device: &str, owner: &str, rules: &[Rule]) -> io::Result<()> {
    let comment = comment(device, owner);
    all(rules.iter().map(|rule| change("-D", rule, &comment)))
}

/// Removes an owner's rules, whose devices have names with a prefix.
pub(crate) fn remove_of(prefix: &str, owner: &str) -> io::Result<()> {
    let digits = digits(owner);
    remove(|comment| {
        comment.split_once('-').is_some_and(|(device, of)| device.starts_with(prefix) && of == digits)
    })
}

/// Removes the rules of a device, which is to have others, and of all devices with a prefix that are gone: who was killed
/// removes no rule.
pub(crate) fn remove_left(prefix: &str, device: &str) -> io::Result<()> {
    // What is not known keeps the rules: without them, a live task would have no network.
    let is_gone = |device: &str| tools::is_device(device).is_ok_and(|is_there| !is_there);
    remove(|comment| {
        let of = comment.split_once('-').map_or(comment, |(of, _)| of);
        of.starts_with(prefix) && (of == device || is_gone(of))
    })
}

fn comment(device: &str, owner: &str) -> String {
    format!("{device}-{}", digits(owner))
}

/// Says to whom a rule or a device belongs.
pub(crate) fn digits(owner: &str) -> String {
    format!("{:016x}", tools::hash(owner))
}

/// Removes the rules whose comment is meant. Others may remove them at the same time.
fn remove(is_meant: impl Fn(&str) -> bool) -> io::Result<()> {
    all(TABLES.iter().map(|table| remove_from(table, &is_meant)))
}

/// Does everything, and returns the first error.
fn all(done: impl Iterator<Item = io::Result<()>>) -> io::Result<()> {
    let failed: Vec<io::Error> = done.filter_map(Result::err).collect();
    failed.into_iter().next().map_or(Ok(()), Err)
}

fn remove_from(table: &str, is_meant: &impl Fn(&str) -> bool) -> io::Result<()> {
    let mut failed = Vec::new();
    for rule in listed(table, is_meant)? {
        let words: Vec<&str> = rule.iter().map(String::as_str).collect();
        if let Err(error) = iptables(table, &[&["-D"][..], &words].concat()) {
            failed.push((rule, error));
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let left = listed(table, is_meant)?;
    failed.into_iter().find(|(rule, _)| left.contains(rule)).map_or(Ok(()), |(_, error)| Err(error))
}

fn listed(table: &str, is_meant: impl Fn(&str) -> bool) -> io::Result<Vec<Vec<String>>> {
    let rules = iptables(table, &["-S"])?;
    let words = rules
        .lines()
        .filter_map(|line| line.strip_prefix("-A "))
        .map(|rule| rule.split(' ').map(|word| word.trim_matches('"').to_owned()).collect::<Vec<String>>());
    Ok(words.filter(|words| comment_of(words).is_some_and(&is_meant)).collect())
}

fn comment_of(words: &[String]) -> Option<&str> {
    words.windows(2).find(|pair| pair[0] == "--comment").map(|pair| pair[1].as_str())
}

fn change(action: &str, (table, rule): &Rule, comment: &str) -> io::Result<()> {
    let mut words = vec![action];
    words.extend(rule.split(' '));
    words.extend(["-m", "comment", "--comment", comment]);
    iptables(table, &words).map(drop)
}

fn iptables(table: &str, words: &[&str]) -> io::Result<String> {
    run("iptables", &[&["-w", LOCK_SECS, "-t", table][..], words].concat())
}
