//! Plans of long queues: each job is launched for, or waits for its own reason.

use super::*;

const POOLS: [(&str, &str); 4] =
    [("acme/app", "small"), ("acme/web", "small"), ("acme/app", "large"), ("other/web", "small")];

/// Returns the job of that number, in one of the pools. The even one of two neighbours is the younger one.
fn numbered(number: u64) -> Job {
    let (repository, class) = POOLS[usize::try_from(number).unwrap() % POOLS.len()];
    job_in(repository, class, number, i64::try_from(number ^ 1).unwrap())
}

/// Plans for 400 jobs, and returns the jobs that get a runner and the codes that the others wait for.
fn planned(settings: &Settings) -> (Vec<u64>, Vec<(&'static str, usize)>) {
    let open = Open::of((0..400).map(numbered), []);
    let rules = Rules { settings, catalogue: &catalogue() };
    let plan = plan(&open, rules, Means::default(), at(1000));
    let launches: Vec<u64> = plan.launches.iter().map(|launch| launch.job.get()).collect();
    assert_eq!(launches.len() + plan.waits.len(), 400, "each job once");
    assert!(plan.waits.is_sorted_by_key(|wait| wait.job));
    let mut codes: Vec<(&str, usize)> = Vec::new();
    for wait in &plan.waits {
        let code = wait.reason.code().as_str();
        match codes.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count += 1,
            None => codes.push((code, 1)),
        }
    }
    codes.sort_unstable();
    (launches, codes)
}

#[test]
fn the_oldest_of_all_pools_come_first_and_a_full_class_holds_no_other_pool_back() {
    let mut settings = settings();
    settings.limits.max_runners = 6;
    // The class `large` has two slots: its jobs 2 and 6 get them.
    let (launches, codes) = planned(&settings);
    assert_eq!(launches, [1, 0, 3, 2, 5, 4]);
    assert_eq!(codes, [("limit_deployment", 394)]);
    settings.limits.max_runners = 12;
    let (launches, codes) = planned(&settings);
    assert_eq!(launches, [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 13]);
    // The class was full before the deployment was.
    assert_eq!(codes, [("limit_class", 98), ("limit_deployment", 290)]);
}

#[test]
fn a_pace_holds_back_the_pools_of_its_account_alone() {
    let mut settings = settings();
    settings.limits.max_runners = 1000;
    settings.paces.github = Rate { burst: 3, per_minute: 60 };
    let (launches, codes) = planned(&settings);
    assert_eq!(launches, [1, 0, 3, 2, 7, 11], "three of each owner");
    assert_eq!(codes, [("pace", 394)]);
}

#[test]
fn every_job_waits_while_launches_are_paused() {
    let settings = Settings { paused: true, ..settings() };
    assert_eq!(planned(&settings), (Vec::new(), vec![("paused", 400)]));
}
