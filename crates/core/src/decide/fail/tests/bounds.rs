//! How many jobs are failed, and how many questions are asked for that.

use super::*;

/// A confirmed or refused job of that number, in a repository.
fn numbered(id: u64, repository: &str, job: &Job) -> Job {
    Job { facts: job_facts(id, repository, &UNKNOWN), ..job.clone() }
}

#[test]
fn a_repository_gets_ten_such_runners_within_an_hour() {
    let number = |id| {
        let job = confirmed(&refused(), 15);
        Job {
            facts: Arc::new(crate::wire::job::JobFacts { id: JobId::new(id), ..(*job.facts).clone() }),
            ..job
        }
    };
    let jobs: Vec<Job> = (1..=12).map(number).collect();
    let mut open = Open::of(jobs, []);
    assert_eq!(planned(&open, &settings(), 15).launches.len(), 10);
    for bucket in Bucket::failures(&Repository::parse("acme/app").unwrap()).take(7) {
        open.levels.insert(bucket, Level(at(75)));
    }
    assert_eq!(planned(&open, &settings(), 16).launches.len(), 3);
    for bucket in Bucket::failures(&Repository::parse("acme/web").unwrap()) {
        open.levels.insert(bucket, Level(at(75)));
    }
    assert_eq!(planned(&open, &settings(), 16).launches.len(), 3, "another repository's do not count");
}

/// Twenty jobs of two repositories that were asked about at that time, and one of another that is confirmed.
fn behind_twenty(asked: i64) -> Open {
    let stuck = Job { asked_at: Some(at(asked)), failing: Some(Failing::Allowed), ..refused() };
    let two = ["acme/app", "acme/web"].into_iter().cycle();
    let stuck = (1..=20).zip(two).map(|(id, repository)| numbered(id, repository, &stuck));
    let last = numbered(21, "acme/late", &confirmed(&refused(), 39));
    Open::of(stuck.chain([last]), [])
}

#[test]
fn jobs_that_wait_for_a_better_answer_keep_no_other_repositorys_job_from_being_failed() {
    for asked in [30, 38, 40] {
        let plan = planned(&behind_twenty(asked), &settings(), 40);
        let failed: Vec<u64> = plan.launches.iter().map(|launch| launch.job.get()).collect();
        assert_eq!(failed, [21], "asked at {asked}");
    }
}

#[test]
fn jobs_that_could_lose_their_runner_to_another_keep_no_other_repositorys_job_from_being_failed() {
    let mut open = behind_twenty(30);
    for (id, repository) in [(31, "acme/app"), (32, "acme/web")] {
        let served = queued(&["self-hosted"], &settings()).unwrap();
        open.add_job(Job { facts: job_facts(id, repository, &["self-hosted"]), ..served });
    }
    let failed = planned(&open, &settings(), 40);
    assert!(failed.launches.iter().any(|launch| launch.job == JobId::new(21)), "{:?}", failed.launches);
}

#[test]
fn questions_that_are_answered_to_no_avail_are_at_most_twenty_a_minute() {
    let questions = |asked| {
        let mut open = behind_twenty(asked);
        for id in 41..=80 {
            open.add_job(numbered(id, &format!("acme/r{id}"), &refused()));
        }
        planned(&open, &settings(), 40).questions.len()
    };
    assert_eq!((questions(40), questions(38)), (0, 20));
}

#[test]
fn a_runner_that_fails_jobs_is_of_the_smallest_class_whose_runners_start() {
    let sure = confirmed(&refused(), 15);
    let class_while = |hold: Option<Hold>| {
        let mut open = Open::of([sure.clone()], []);
        hold.into_iter().for_each(|hold| open.add_hold(hold));
        failing_runner(&sure, &planned(&open, &settings(), 16)).facts.class.as_str().to_owned()
    };
    let small = Held::Class(ClassName::parse("small").unwrap());
    assert_eq!(class_while(None), "small");
    assert_eq!(class_while(Some(held::since(0, small, Fault::ImagePull))), "large");
}

#[test]
fn after_the_clock_was_set_back_no_slot_is_taken_and_no_confirmation_counts() {
    let sure = confirmed(&refused(), 15);
    let mut open = Open::of([sure.clone()], []);
    for bucket in Bucket::failures(&Repository::parse("acme/app").unwrap()) {
        open.levels.insert(bucket, Level(at(76)));
    }
    assert_eq!(planned(&open, &settings(), 16).launches.len(), 0);
    for bucket in Bucket::failures(&Repository::parse("acme/app").unwrap()) {
        open.levels.insert(bucket, Level(at(16 + 120)));
    }
    assert_eq!(planned(&open, &settings(), 16).launches.len(), 1);
    let ahead = Open::of([confirmed(&refused(), 75)], []);
    let plan = planned(&ahead, &settings(), 16);
    assert_eq!((plan.launches.len(), plan.questions.len()), (0, 1));
}
