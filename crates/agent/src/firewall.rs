//! Rules of the machine's firewall that belong to one task.
//!
//! Each has a comment with the task's device and digits of its owner, such as `ecsr0ac90000-0123456789abcdef`. So no file
//! says what a task has, and rules are found also once their device is gone. A rule with any other comment is not ours.

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
    remove(prefix, |_, of| of == digits)
}

/// Removes the rules of a device, which is to have others, and of all devices with a prefix that are gone: who was killed
/// removes no rule.
pub(crate) fn remove_left(prefix: &str, device: &str) -> io::Result<()> {
    // What is not known keeps the rules: without them, a live task would have no network.
    let is_gone = |device: &str| tools::is_device(device).is_ok_and(|is_there| !is_there);
    remove(prefix, |of, _| of == device || is_gone(of))
}

fn comment(device: &str, owner: &str) -> String {
    format!("{device}-{}", digits(owner))
}

/// Says to whom a rule or a device belongs.
pub(crate) fn digits(owner: &str) -> String {
    format!("{:016x}", tools::hash(owner))
}

/// Returns the device and the digits of the owner from a comment that [`comment`] has made for a device with this prefix.
fn parts<'a>(prefix: &str, comment: &'a str) -> Option<(&'a str, &'a str)> {
    let (device, of) = comment.split_once('-')?;
    let are_digits = |text: &str, count: usize| {
        text.len() == count && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    (are_digits(device.strip_prefix(prefix)?, 8) && are_digits(of, 16)).then_some((device, of))
}

/// Removes the rules that are meant, by their device and the digits of their owner. Others may remove them at the same time.
fn remove(prefix: &str, is_meant: impl Fn(&str, &str) -> bool) -> io::Result<()> {
    let is_meant = |comment: &str| parts(prefix, comment).is_some_and(|(device, of)| is_meant(device, of));
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
    Ok(rules
        .lines()
        .filter_map(own_rule)
        .filter(|(_, comment)| is_meant(comment))
        .map(|(words, _)| words)
        .collect())
}

/// Returns the words of a rule that may be ours, from a line of `iptables -S`, and its comment. The operator's chain has none
/// of ours, and ours have no word in quotes, except that some versions put each comment into them.
fn own_rule(line: &str) -> Option<(Vec<String>, String)> {
    let rule = line.strip_prefix("-A ")?;
    let mut words: Vec<String> = rule.split(' ').map(str::to_owned).collect();
    let at = words.iter().position(|word| word == "--comment")? + 1;
    let comment = words.get(at)?;
    let bare = comment.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(comment).to_owned();
    words[at].clone_from(&bare);
    let is_plain = words.iter().all(|word| !word.contains(['"', '\\', '\'']));
    (words[0] != USER_CHAIN && is_plain).then_some((words, bare))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_comment_of_ours_says_that_a_rule_is_ours() {
        let own = comment("ecsr0ac90000", "owner");
        assert_eq!(parts("ecsr", &own), Some(("ecsr0ac90000", digits("owner").as_str())));
        assert_eq!(parts("ecsn", &own), None);
        for other in [
            "ecsrunner-internal",
            "ecsrunner",
            "ecsr0ac90000",
            "ecsr0ac90000-",
            "ecsr0ac90000-0123456789abcde",
            "ecsr0ac90000-0123456789ABCDEF",
            "ecsr0ac9000-0123456789abcdef",
            "ecsr0ac900000-0123456789abcdef",
            "ecsr0ac90000-0123456789abcdef-1",
            "x-ecsr0ac90000-0123456789abcdef",
        ] {
            assert_eq!(parts("ecsr", other), None, "{other}");
        }
    }

    #[test]
    fn a_rule_of_the_operators_chain_or_with_a_text_in_quotes_is_not_ours() {
        let comment = "ecsr0ac90000-0123456789abcdef";
        for own in [comment.to_owned(), format!("\"{comment}\"")] {
            let line = format!("-A FORWARD -s 10.201.0.0/22 -m comment --comment {own} -j ACCEPT");
            let (words, of) = own_rule(&line).unwrap();
            assert_eq!(of, comment);
            assert_eq!(
                words.join(" "),
                format!("FORWARD -s 10.201.0.0/22 -m comment --comment {comment} -j ACCEPT")
            );
        }
        for other in [
            format!("-A ECSRUNNER-USER -m comment --comment {comment} -j DROP"),
            format!("-A FORWARD -m string --string \"x --comment {comment} y\" --algo bm -j DROP"),
            format!("-A FORWARD -m comment --comment \"x --comment {comment}\" -j DROP"),
            format!("-A FORWARD -m comment --comment {comment} -j LOG --log-prefix \"a b\""),
            "-A FORWARD -m comment --comment".to_owned(),
            "-A FORWARD -j DROP".to_owned(),
            format!("-N {comment}"),
        ] {
            assert!(own_rule(&other).is_none_or(|(_, of)| parts("ecsr", &of).is_none()), "{other}");
        }
    }
}
