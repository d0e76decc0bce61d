//! Compares `docs/simulate.md` with the code.

use std::collections::BTreeSet;
use std::fs;

use super::{CLASS, document, mistakes, run};

const DOCUMENT: &str = include_str!("../../../../docs/simulate.md");
const BENCH: &str = include_str!("../../../../bench/day-200000.toml");

fn example() -> &'static str {
    DOCUMENT.split("```toml\n").nth(1).unwrap().split("```").next().unwrap()
}

/// Returns the keys of the table of a load's keys.
fn documented() -> BTreeSet<String> {
    let section = DOCUMENT.lines().skip_while(|line| *line != "## Keys of a load").skip(1);
    let rows = section.take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| `"));
    rows.map(|row| row.split('`').nth(1).unwrap().to_owned()).collect()
}

/// Returns the keys that are expected in place of an unknown one.
fn expected(path: &str, text: &str) -> BTreeSet<String> {
    let told = mistakes(text);
    let unknown =
        told.iter().find(|mistake| mistake.contains("unknown")).unwrap_or_else(|| panic!("{told:?}"));
    let keys = unknown.split("expected one of ").nth(1).unwrap().split('`').skip(1).step_by(2);
    keys.map(|key| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }).collect()
}

#[test]
fn every_key_of_a_load_is_documented_and_no_other() {
    let mut keys = expected("", &format!("unknown = 1\n{CLASS}"));
    keys.retain(|key| key != "classes" && !is_setting(key));
    keys.extend(expected("world", &format!("[world]\nunknown = 1\n{CLASS}")));
    for pattern in
        ["jobs_per_day = 1", "jobs_per_minute = 1", "burst_jobs = 1\nat = '01:00'", "events = 'none'"]
    {
        let entry = format!("[[arrivals]]\n{pattern}\nunknown = 1\n");
        keys.extend(expected("arrivals", &format!("{CLASS}{entry}")));
    }
    assert_eq!(documented(), keys);
}

/// Whether the key is documented with the configuration.
fn is_setting(key: &str) -> bool {
    include_str!("../../../../docs/configuration.md").contains(&format!("\n| `{key}` |"))
}

#[test]
fn the_documented_example_has_every_key_and_runs() {
    for key in documented() {
        let last = key.rsplit('.').next().unwrap();
        let written = example().lines().any(|line| line.starts_with(&format!("{last} =")))
            || example().contains(&format!("[{key}]"));
        assert!(written || key == "arrivals.events", "`{key}` is not in the example");
    }
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("load.toml"), example()).unwrap();
    let result = document(&run(directory.path(), &["load.toml", "--json"]));
    assert_eq!(result["jobs"]["refused"], 0);
    assert_eq!(result["jobs"]["still_queued"], 0);
    assert_eq!(result["limited_first"]["code"], "limit_class");
}

#[test]
fn the_documented_defaults_are_those_of_the_code() {
    let directory = tempfile::tempdir().unwrap();
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `world."));
    let mut world = String::new();
    for row in rows {
        let cells: Vec<&str> = row.split(" | ").collect();
        let key = cells[0].trim_start_matches("| `world.").trim_end_matches('`');
        if cells[2] != "no limit" {
            world.push_str(&format!("{key} = {}\n", cells[2].trim_matches('`')));
        }
    }
    let load = format!(
        "{CLASS}[[arrivals]]\nrepository = 'acme/app'\nburst_jobs = 30\nat = '01:00'\njob_secs = 60\n"
    );
    fs::write(directory.path().join("without.toml"), &load).unwrap();
    fs::write(directory.path().join("with.toml"), format!("{load}[world]\n{world}")).unwrap();
    let without = document(&run(directory.path(), &["without.toml", "--json"]));
    assert_eq!(without, document(&run(directory.path(), &["with.toml", "--json"])));
}

#[test]
fn the_load_of_the_benchmark_is_read_without_a_mistake() {
    // A hundredth of it, so that it takes a hundredth of the time.
    let small = BENCH.replace("150_000", "1_500").replace("46_000", "460").replace("= 500\n", "= 5\n");
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("load.toml"), small).unwrap();
    let result = document(&run(directory.path(), &["load.toml", "--json"]));
    assert_eq!(result["jobs"]["queued"], 2_000);
    assert_eq!(result["jobs"]["refused"], 0);
}
