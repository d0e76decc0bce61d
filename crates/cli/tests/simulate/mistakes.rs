//! Every mistake in a file names its key and its value.

use std::fs;

use super::{CLASS, mistakes, run};

const ARRIVALS: &str = "[[arrivals]]\nrepository = 'acme/app'\njobs_per_day = 1\njob_secs = 1\n";

/// Returns the only mistake in a file.
fn mistake(text: &str) -> String {
    let mistakes = mistakes(text);
    assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
    mistakes[0].clone()
}

#[test]
fn a_value_of_the_load_that_is_wrong_is_named_with_its_key() {
    for (line, expected) in [
        ("seed = -1", "seed is -1: a whole number from 0 to 9223372036854775807 is expected"),
        ("days = 32", "days is 32: a whole number from 1 to 31 is expected"),
        ("start = 'monday'", "start is \"monday\": a time such as `2026-01-05T00:00:00Z` is expected"),
        (
            "start = '1969-12-31T00:00:00Z'",
            "start is \"1969-12-31T00:00:00Z\": a time from 1970 to 9000 is expected",
        ),
        (
            "start = '9999-12-30T00:00:00Z'",
            "start is \"9999-12-30T00:00:00Z\": a time from 1970 to 9000 is expected",
        ),
        (
            "start = '-009999-01-03T00:00:00Z'",
            "start is \"-009999-01-03T00:00:00Z\": a time from 1970 to 9000 is expected",
        ),
        (
            "world = { task_start = 5, pull = 50 }",
            "world.pull is 50: at most the 5 s of task_start are expected, since the pull is a part of it",
        ),
        ("world = 3", "world is 3: a table is expected"),
        (
            "world = { connect = 'soon' }",
            "world.connect is \"soon\": seconds from 0 to 86400 are expected, or `{ median_secs = …, p90_secs = … }`",
        ),
        (
            "world = { assign = { median_secs = 2, p90_secs = 1 } }",
            "world.assign.p90_secs is 1: a number from median_secs to 86400 is expected",
        ),
        (
            "world = { spot_interrupted_share = 1.5 }",
            "world.spot_interrupted_share is 1.5: a number from 0 to 1 is expected",
        ),
        (
            "world = { on_demand_vcpus = 0 }",
            "world.on_demand_vcpus is 0: a whole number from 1 to 1000000 is expected",
        ),
    ] {
        assert_eq!(mistake(&format!("{line}\n{CLASS}{ARRIVALS}")), expected);
    }
    let unknown = mistake(&format!("world = {{ spot = 1 }}\n{CLASS}{ARRIVALS}"));
    assert!(unknown.starts_with("world.spot is 1: unknown key, expected one of `task_start`, "), "{unknown}");
}

#[test]
fn a_value_of_the_deployment_that_is_wrong_is_named_with_its_key() {
    for (text, expected) in [
        (
            "limits = { max_runners = 'many' }",
            "limits.max_runners: invalid type: string \"many\", expected a whole number from 0 to 4294967295",
        ),
        ("limits = { max_runners = 0 }", "limits.max_runners is 0: at least 1 is expected"),
        (
            "paces = { github = { burst = 0 } }",
            "paces.github.burst is 0: a whole number from 1 to 60000 is expected",
        ),
        ("paused = 'no'", "paused: invalid type: string \"no\", expected true or false"),
        ("limits = 7", "limits: invalid type: integer, a table is expected"),
    ] {
        assert_eq!(mistake(&format!("{text}\n{CLASS}{ARRIVALS}")), expected);
    }
    let unknown = mistake(&format!("limit = 3\n{CLASS}{ARRIVALS}"));
    assert!(unknown.starts_with("limit: unknown field `limit`, expected one of `version`, "), "{unknown}");
    assert!(unknown.ends_with(", `seed`, `days`, `start`, `world`, `arrivals`"), "{unknown}");
    let size = mistake(&format!("[classes.odd]\ncpu = 1000\nmemory = 2048\n{ARRIVALS}"));
    assert!(size.starts_with("classes.odd: cpu ") && size.contains("1000"), "{size}");
    let class = mistake(&format!("[classes.odd]\ncpu = 'x'\nmemory = 2048\n{ARRIVALS}"));
    assert_eq!(
        class,
        "classes.odd.cpu: invalid type: string \"x\", expected a whole number from 0 to 4294967295"
    );
}

#[test]
fn a_value_of_arrivals_that_is_wrong_is_named_with_its_entry() {
    let entry = |lines: &str| mistake(&format!("{CLASS}{ARRIVALS}[[arrivals]]\n{lines}\n"));
    for (lines, expected) in [
        (
            "repository = 'acme'\njobs_per_day = 1\njob_secs = 1",
            "arrivals[1].repository is \"acme\": `owner/name` is expected",
        ),
        (
            "repository = 'acme/app'\njobs_per_day = 1.5\njob_secs = 1",
            "arrivals[1].jobs_per_day is 1.5: a whole number from 1 to 1000000 is expected",
        ),
        (
            "repository = 'acme/app'\njobs_per_day = 1\njob_secs = 1\nshape = [1, 2]",
            "arrivals[1].shape is [1, 2]: `even`, `working-day` or a list of 24 weights is expected",
        ),
        (
            "repository = 'acme/app'\njobs_per_day = 1",
            "arrivals[1].job_secs is missing: how long a job runs is expected, in seconds",
        ),
        (
            "repository = 'acme/app'\njob_secs = 1",
            "arrivals[1].jobs_per_day is missing: one of `jobs_per_day`, `jobs_per_minute`, `burst_jobs` and `events` is expected",
        ),
        (
            "repository = 'acme/app'\njob_secs = 1\nburst_jobs = 2\njobs_per_day = 3",
            "arrivals[1].burst_jobs is 2: one of `jobs_per_day`, `jobs_per_minute`, `burst_jobs` and `events` is expected",
        ),
        (
            "repository = 'acme/app'\njob_secs = 1\nburst_jobs = 2\nat = '24:01'",
            "arrivals[1].at is \"24:01\": a time from `00:00` to `24:00` is expected, or a list of them",
        ),
        (
            "repository = 'acme/app'\njob_secs = 1\nburst_jobs = 2\nat = []",
            "arrivals[1].at is []: a time from `00:00` to `24:00` is expected, or a list of them",
        ),
        (
            "repository = 'acme/app'\njob_secs = 1\njobs_per_minute = 2\nfrom = '18:00'\nuntil = '08:00'",
            "arrivals[1].until is \"08:00\": a time after `from` is expected; a span over midnight takes two entries",
        ),
        (
            "repository = 'acme/app'\njob_secs = 1\njobs_per_minute = 2\nfrom = '24:00'",
            "arrivals[1].from is \"24:00\": a time before `until` is expected",
        ),
        (
            "repository = 'acme/app'\njob_secs = 1\njobs_per_minute = 2\nuntil = '9:00'",
            "arrivals[1].until is \"9:00\": a time from `00:00` to `24:00` is expected",
        ),
        (
            "repository = 'acme/app'\njob_secs = 1\njobs_per_day = 2\nclass = 'big'",
            "arrivals[1].class is \"big\": one of the classes small is expected",
        ),
        (
            "events = 'none.json'",
            "arrivals[1].events is \"none.json\": the file cannot be read: No such file or directory (os error 2)",
        ),
    ] {
        assert_eq!(entry(lines), expected);
    }
    let unknown = entry("repository = 'acme/app'\njob_secs = 1\njobs_per_day = 2\nat = '09:00'");
    assert!(unknown.starts_with("arrivals[1].at is \"09:00\": unknown key, expected one of "), "{unknown}");
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let told = mistakes("days = 0\n[limits]\nmax_runners = 'x'\n[world]\nconnect = 'y'\n");
    assert_eq!(told.len(), 5, "{told:#?}");
    assert!(told.contains(&"arrivals is missing: at least one `[[arrivals]]` is expected".to_owned()));
    assert!(told.contains(&"classes is missing: at least one `[classes.NAME]` is expected".to_owned()));
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_a_usage_error() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(directory.path(), &["none.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("error: none.toml cannot be read\n"), "{told}");
    fs::write(directory.path().join("load.toml"), "seed = ").unwrap();
    let output = run(directory.path(), &["load.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("error: load.toml is not TOML\n"), "{told}");
}
