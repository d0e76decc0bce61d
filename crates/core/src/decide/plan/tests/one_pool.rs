//! Jobs of one pool that need different things: one that gets no runner holds back only those that are like it.

use super::*;
use crate::id::{Organization, RunnerGroupId};
use crate::records::rerun::{Rerun, RerunId, RerunRecord, RerunState};
use crate::rules::class::Catalogue;
use crate::rules::cost::Market;
use crate::rules::settings::Registration;
use crate::wire::fault::Fault;

/// A job of a class and a repository, in the pool of all of them.
fn in_pool(repository: &str, class: &str, id: u64) -> Job {
    let mut job = job_in(repository, class, id, i64::try_from(id).unwrap());
    let JobState::Queued { assignment, .. } = &mut job.state else { panic!("{job:?}") };
    assignment.pool = PoolId::parse("abcdefg234").unwrap();
    job
}

fn launched(open: &Open, settings: &Settings, catalogue: &Catalogue) -> (Vec<u64>, Vec<&'static str>) {
    let plan = plan(open, Rules { settings, catalogue }, Means::default(), at(1000));
    let launches = plan.launches.iter().map(|launch| launch.job.get()).collect();
    (launches, plan.waits.iter().map(|wait| wait.reason.code().as_str()).collect())
}

#[test]
fn a_full_repository_holds_back_its_own_jobs_alone() {
    let organization = Organization::parse("acme").unwrap();
    let registration = Registration::Organization { organization, group: RunnerGroupId::new(1) };
    let mut settings = Settings { registration, ..settings() };
    settings.limits.max_runners_per_repository = Some(2);
    let repositories =
        ["acme/app", "acme/app", "acme/app", "acme/app", "acme/web", "acme/web", "acme/app", "acme/web"];
    let jobs = repositories.iter().zip(1..).map(|(repository, id)| in_pool(repository, "small", id));
    let (launches, waits) = launched(&Open::of(jobs, []), &settings, &catalogue());
    assert_eq!(launches, [1, 2, 5, 6]);
    assert_eq!(waits, ["limit_repository"; 4]);
}

#[test]
fn a_full_class_holds_back_no_job_of_another_class() {
    let classes = ["large", "large", "large", "small", "large", "small"];
    let jobs = classes.iter().zip(1..).map(|(class, id)| in_pool("acme/app", class, id));
    let (launches, waits) = launched(&Open::of(jobs, []), &settings(), &catalogue());
    assert_eq!(launches, [1, 2, 4, 6]);
    assert_eq!(waits, ["limit_class"; 2]);
}

#[test]
fn a_job_that_needs_on_demand_capacity_holds_back_none_that_does_not() {
    let classes = serde_json::json!({"spot": {"cpu": 512, "memory": 1024, "capacity": "spot"}});
    let catalogue = Catalogue::read(&serde_json::from_value(classes).unwrap()).0;
    let spot = || ClassName::parse("spot").unwrap();
    let on_demand = Placement::fargate(Market::OnDemand, None);
    let again = Job {
        facts: Arc::new(JobFacts { name: "again".into(), ..(*in_pool("acme/app", "spot", 1).facts).clone() }),
        ..in_pool("acme/app", "spot", 1)
    };
    let rerun = Rerun {
        id: RerunId {
            repository: again.facts.repository.clone(),
            run: again.facts.run,
            name: "again".into(),
        },
        job: JobId::new(100),
        class: Some(spot()),
        latest: 2,
        made: 2,
        times: 2,
        cause: Code::SpotInterrupted.into(),
        state: RerunState::Made,
        checks: 0,
        refusals: 0,
        not_before: at(0),
        since: at(0),
    };
    for held in [
        Held::class_in(spot(), on_demand.clone()),
        Held::placement(on_demand, crate::rules::class::size::Arch::X64),
    ] {
        let mut open =
            Open::of([again.clone(), in_pool("acme/app", "spot", 2), in_pool("acme/app", "spot", 3)], []);
        open.add_rerun(RerunRecord::Rerun(rerun.clone()));
        let failure = Failure::of(Fault::ImagePull, "words", at(0), at(0));
        open.add_hold(Hold { not_before: at(5000), ..Hold::after(None, held.clone(), &failure) });
        assert_eq!(launched(&open, &settings(), &catalogue).0, [2, 3], "{held:?}");
    }
}
