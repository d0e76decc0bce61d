//! Which job tries a class that is held.

use super::*;
use crate::records::hold::{Failure, Seen};

/// Returns the jobs that are launched while the class `small` is held after this many tries, in each placement that is known.
/// `sick` repositories have shown the fault.
fn launched(jobs: &[Job], sick: &[&str], failures: u32) -> Vec<u64> {
    let pool_of = |repository: &str| job_in(repository, "small", 99, 0).assignment().unwrap().pool.clone();
    let class = ClassName::parse("small").unwrap();
    let placement = Placement::fargate(crate::rules::cost::Market::OnDemand, None);
    let failure = Failure::of(Fault::ImagePull, "words", at(0), at(0));
    let seen = Seen {
        pools: sick.iter().map(|name| pool_of(name)).collect(),
        placements: [placement.clone()].into(),
    };
    let hold = Hold { failures, seen, ..Hold::after(None, Held::class_in(class, placement), &failure) };
    let due = hold.not_before;
    let mut open = Open::of(jobs.to_vec(), []);
    open.add_hold(hold);
    let (settings, catalogue) = (settings(), catalogue());
    let plan = plan(&open, Rules { settings: &settings, catalogue: &catalogue }, Means::default(), due);
    plan.launches.iter().map(|launch| launch.job.get()).collect()
}

#[test]
fn a_pool_that_has_shown_no_fault_tries_a_held_class_before_an_older_job_of_one_that_has() {
    let jobs = [job_in("acme/sick", "small", 1, 0), job_in("acme/app", "small", 2, 5)];
    assert_eq!(launched(&jobs, &["acme/sick"], 1), [2]);
    assert_eq!(launched(&jobs[..1], &["acme/sick"], 1), [1], "nobody else is there to try it");
}

#[test]
fn pools_take_turns_with_the_tries_of_a_held_class() {
    let jobs: Vec<Job> = (0..4)
        .map(|number| job_in(&format!("acme/r{number}"), "small", number, i64::try_from(number).unwrap()))
        .collect();
    let tries =
        |sick: &[&str]| (1..=4).flat_map(|failures| launched(&jobs, sick, failures)).collect::<Vec<_>>();
    assert_eq!(tries(&[]), [1, 2, 3, 0]);
    assert_eq!(tries(&["acme/r1", "acme/r3"]), [2, 0, 2, 0]);
    assert_eq!(tries(&["acme/r0", "acme/r1", "acme/r2", "acme/r3"]), [1, 2, 3, 0]);
}

#[test]
fn jobs_of_other_classes_keep_their_places() {
    let jobs = [
        job_in("acme/sick", "small", 1, 0),
        job_in("acme/web", "large", 2, 3),
        job_in("acme/app", "small", 3, 5),
    ];
    assert_eq!(
        launched(&jobs, &["acme/sick"], 1),
        [3, 2],
        "the try has the place of the oldest job of its class"
    );
}
