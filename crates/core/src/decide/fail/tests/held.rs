//! Jobs that are held back, and for how long.

use super::*;
use crate::records::job::Assignment;
use crate::rules::class::Catalogue;
use crate::rules::class::size::Arch;

/// A job of class `large` in a repository, queued and confirmed for a failure at these times.
pub(super) fn of_large(id: u64, repository: &str, queued: i64, confirmed: i64) -> Job {
    let facts = job_facts(id, repository, &["self-hosted", "class:large"]);
    let scope = settings().registration.scope(&facts.repository);
    let pool = Pool { scope, labels: facts.labels.clone() }.id();
    let assignment = Assignment { class: ClassName::parse("large").unwrap(), pool };
    Job {
        held: None,
        recorded_late_at: None,
        facts,
        version: Version::FIRST,
        created_at: at(queued),
        timeline: Timeline::begin(JobStage::Queued, at(queued)),
        asked_at: Some(at(confirmed)),
        failing: Some(Failing::Confirmed(at(confirmed))),
        state: JobState::Queued { assignment, wait: Code::ToPlan.into() },
    }
}

fn large() -> ClassName {
    ClassName::parse("large").unwrap()
}

pub(super) fn pool_of(job: &Job) -> Held {
    Held::Pool(job.assignment().unwrap().pool.clone())
}

/// A hold since that time, which lasts for days.
pub(super) fn since(minutes: i64, held: Held, fault: Fault) -> Hold {
    let pools = ["aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc"].map(|pool| PoolId::parse(pool).unwrap());
    let placements = ["subnet-aaaa1111", "subnet-bbbb2222"]
        .map(|subnet| Placement::fargate(Market::OnDemand, Some(SubnetId::parse(subnet).unwrap())));
    let seen = Seen { pools: pools.into(), placements: placements.into() };
    let failure = Failure::of(fault, "words", at(minutes), at(minutes));
    Hold { not_before: at(60 * 96), seen, ..Hold::after(None, held, &failure) }
}

fn no_network() -> Placement {
    Placement::fargate(Market::OnDemand, None)
}

fn no_capacity(minutes: i64) -> Hold {
    since(minutes, Held::placement(no_network(), Arch::Arm64), Fault::NoCapacity)
}

/// How many of these jobs are failed at that time while this is held, and how many are left.
fn failed(jobs: impl IntoIterator<Item = Job>, holds: &[Hold], minutes: i64) -> (usize, usize) {
    let mut open = Open::of(jobs, []);
    holds.iter().for_each(|hold| open.add_hold(hold.clone()));
    let plan = planned(&open, &settings(), minutes);
    (plan.launches.iter().filter(|launch| launch.order.fails()).count(), plan.left.len())
}

fn failed_while(hold: &Hold, repositories: &[&str], minutes: i64) -> (usize, usize) {
    let jobs = repositories.iter().zip(1..).map(|(repository, id)| of_large(id, repository, 0, minutes));
    failed(jobs, std::slice::from_ref(hold), minutes)
}

#[test]
fn a_held_job_is_failed_six_hours_after_the_hold_began_or_after_it_was_queued() {
    let pool = pool_of(&of_large(1, "acme/app", 0, 0));
    for (queued, begun) in [(0, 0), (0, 2000), (2000, 0), (1000, 1500)] {
        let due = queued.max(begun) + 360;
        for hold in [
            since(begun, Held::Class(large()), Fault::ImagePull),
            since(begun, Held::class_in(large(), no_network()), Fault::ImagePull),
            since(begun, pool.clone(), Fault::NotConnected),
            since(begun, pool.clone(), Fault::NoJob),
        ] {
            let failed =
                |now| failed([of_large(1, "acme/app", queued, now)], std::slice::from_ref(&hold), now);
            assert_eq!((failed(due - 1), failed(due)), ((0, 0), (1, 0)), "queued {queued}: {hold:?}");
        }
    }
}

#[test]
fn a_job_without_capacity_is_failed_twenty_three_hours_after_the_last_placement_ran_short() {
    for (queued, begun) in [(0, 0), (0, 600), (600, 0)] {
        let due = queued.max(begun) + 23 * 60;
        let failed = |now| failed([of_large(1, "acme/app", queued, now)], &[no_capacity(begun)], now);
        assert_eq!((failed(due - 1), failed(due)), ((0, 0), (1, 0)), "a class of x64 has room");
    }
    let subnets = ["subnet-aaaa1111", "subnet-bbbb2222"].map(|subnet| SubnetId::parse(subnet).unwrap());
    let failed = |now| {
        let mut open = Open::of([of_large(1, "acme/app", 0, now)], []);
        for (subnet, begun) in subnets.iter().zip([0, 600]) {
            let placement = Placement::fargate(Market::OnDemand, Some(subnet.clone()));
            open.add_hold(since(begun, Held::placement(placement, Arch::Arm64), Fault::NoCapacity));
        }
        let means = Means { subnets: &subnets, ..Means::default() };
        with(&settings(), |rules| plan(&open, rules, means, at(now))).launches.len()
    };
    assert_eq!((failed(600 + 23 * 60 - 1), failed(600 + 23 * 60)), (0, 1));
}

#[test]
fn one_failed_runner_of_its_pool_fails_no_job_that_is_old_for_other_reasons() {
    let overnight = |id| of_large(id, "acme/app", 0, 720);
    let hold = since(719, pool_of(&overnight(1)), Fault::NotConnected);
    assert_eq!(failed((1..=12).map(overnight), &[hold], 720), (0, 0));
}

#[test]
fn a_held_job_that_may_be_meant_for_others_runners_is_left() {
    let small = Job { facts: job_facts(1, "acme/app", &["self-hosted"]), ..of_large(1, "acme/app", 0, 360) };
    let hold = since(0, pool_of(&small), Fault::NotConnected);
    assert_eq!(failed([small], &[hold], 360), (0, 1));
}

#[test]
fn jobs_of_more_than_three_repositories_that_one_hold_holds_back_are_left() {
    let class = since(0, Held::Class(large()), Fault::ImagePull);
    assert_eq!(failed_while(&class, &["acme/a", "acme/b", "acme/c"], 360), (3, 0));
    assert_eq!(failed_while(&class, &["acme/a", "acme/b", "acme/c", "acme/d"], 360), (0, 4));
    let many = ["acme/a", "acme/a", "acme/a", "acme/a", "acme/a"];
    assert_eq!(failed_while(&class, &many, 360), (5, 0), "many jobs of one repository are no incident");
    let short = no_capacity(0);
    assert_eq!(failed_while(&short, &["acme/a", "acme/b", "acme/c", "acme/d"], 23 * 60), (0, 4));
}

#[test]
fn jobs_that_wait_for_instances_and_for_fargate_do_not_count_together() {
    let classes = r#"{"small": {"cpu": 512, "memory": 1024}, "large": {"cpu": 4096, "memory": 8192, "arch": "arm64"},
        "cuda": {"cpu": 4096, "memory": 8192, "arch": "arm64", "compute": "managed-instances", "gpu": {"count": 1}}}"#;
    let (catalogue, errors) = Catalogue::read(&serde_json::from_str(classes).unwrap());
    assert_eq!(errors, []);
    let cuda = ClassName::parse("cuda").unwrap();
    let instances = Placement { managed: Some(cuda.clone()), ..no_network() };
    let no_instances = since(0, Held::placement(instances, Arch::Arm64), Fault::NoCapacity);
    let failed = |on_fargate: usize, on_instances: usize| {
        let repositories = ["acme/a", "acme/b", "acme/c", "acme/d", "acme/e", "acme/f"].iter().zip(1..);
        let jobs = repositories.take(on_fargate + on_instances).map(|(repository, id)| {
            let job = of_large(id, repository, 0, 23 * 60);
            let JobState::Queued { assignment, wait } = job.state.clone() else { panic!("it is queued") };
            let class = if id as usize > on_fargate { cuda.clone() } else { assignment.class.clone() };
            job.with_state(JobState::Queued { assignment: Assignment { class, ..assignment }, wait })
        });
        let mut open = Open::of(jobs, []);
        open.add_hold(no_capacity(0));
        open.add_hold(no_instances.clone());
        let rules = Rules { settings: &settings(), catalogue: &catalogue };
        let plan = plan(&open, rules, Means::default(), at(23 * 60));
        (plan.launches.iter().filter(|launch| launch.order.fails()).count(), plan.left.len())
    };
    assert_eq!(failed(3, 3), (6, 0));
    assert_eq!(failed(4, 1), (1, 4));
    assert_eq!(failed(1, 4), (1, 4));
}

#[test]
fn pools_that_are_held_do_not_count_together() {
    let jobs = ["acme/a", "acme/b", "acme/c", "acme/d"].iter().zip(1..);
    let jobs: Vec<Job> = jobs.map(|(repository, id)| of_large(id, repository, 0, 360)).collect();
    let holds: Vec<Hold> = jobs.iter().map(|job| since(0, pool_of(job), Fault::NotConnected)).collect();
    assert_eq!(failed(jobs, &holds, 360), (4, 0));
}

#[test]
fn jobs_that_hardly_wait_or_had_their_runner_make_no_incident() {
    let class = since(0, Held::Class(large()), Fault::ImagePull);
    let others = |fourth: Job| {
        let due = ["acme/a", "acme/b", "acme/c"].iter().zip(1..);
        let due = due.map(|(repository, id)| of_large(id, repository, 0, 360));
        failed(due.chain([fourth]), std::slice::from_ref(&class), 360)
    };
    assert_eq!(others(of_large(4, "acme/d", 359, 360)), (3, 0), "it came a minute ago");
    assert_eq!(others(of_large(4, "acme/d", 345, 360)), (0, 3), "what is held was tried since");
    assert_eq!(others(launched(&of_large(4, "acme/d", 0, 360))), (3, 0), "it had its runner");
}

#[test]
fn what_github_refuses_or_does_not_answer_is_left() {
    let scope = Scope::Repository(Repository::parse("acme/app").unwrap());
    let refused_there = since(0, Held::Scope(scope.clone()), Fault::RegistrationRefused);
    assert_eq!(failed_while(&refused_there, &["acme/app"], 359), (0, 0));
    assert_eq!(failed_while(&refused_there, &["acme/app"], 360), (0, 1), "it cannot be done, and is told");
    let away = since(0, Held::Scope(scope), Fault::NoAnswer);
    assert_eq!(failed_while(&away, &["acme/app"], 23 * 60 + 30), (0, 0));
    let mut open = Open::of([confirmed(&refused(), 15)], []);
    open.add_hold(away);
    let plan = planned(&open, &settings(), 16);
    assert_eq!((plan.launches.len(), plan.left.len()), (0, 1));
}
