//! Rules of the machine's firewall that belong to one task. Each has a comment that says to which.

use std::io;

use crate::tools::run;

/// The tables in which a task has rules.
const TABLES: [&str; 2] = ["filter", "nat"];
/// How long `iptables` waits for its lock in seconds, which others may hold.
const LOCK_SECS: &str = "5";

/// Puts rules before those that are there. Each with its table, in the order in which they apply.
pub(crate) fn insert(rules: &[(&str, String)], comment: &str) -> io::Result<()> {
    rules.iter().rev().try_for_each(|(table, rule)| {
        let mut words = vec!["-w", LOCK_SECS, "-t", table, "-I"];
        words.extend(rule.split(' '));
        words.extend(["-m", "comment", "--comment", comment]);
        run("iptables", &words).map(drop)
    })
}

/// Removes the rules whose comment is meant. Others may remove them at the same time.
pub(crate) fn remove(is_meant: impl Fn(&str) -> bool) -> io::Result<()> {
    for table in TABLES {
        let mut failed = Ok(());
        for words in listed(table, &is_meant)? {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let removed = run("iptables", &[&["-w", LOCK_SECS, "-t", table, "-D"][..], &words].concat());
            failed = failed.and(removed.map(drop));
        }
        if failed.is_err() && !listed(table, &is_meant)?.is_empty() {
            return failed;
        }
    }
    Ok(())
}

/// Drops every packet between networks of this machine that no rule accepts.
pub(crate) fn forward_by_rules_alone() -> io::Result<()> {
    run("iptables", &["-w", LOCK_SECS, "-P", "FORWARD", "DROP"]).map(drop)
}

fn listed(table: &str, is_meant: impl Fn(&str) -> bool) -> io::Result<Vec<Vec<String>>> {
    let rules = run("iptables", &["-w", LOCK_SECS, "-t", table, "-S"])?;
    let words = rules
        .lines()
        .filter_map(|line| line.strip_prefix("-A "))
        .map(|rule| rule.split(' ').map(|word| word.trim_matches('"').to_owned()).collect::<Vec<String>>());
    Ok(words.filter(|words| comment_of(words).is_some_and(&is_meant)).collect())
}

fn comment_of(words: &[String]) -> Option<&str> {
    words.windows(2).find(|pair| pair[0] == "--comment").map(|pair| pair[1].as_str())
}
