//! Which warm tasks end for a job that waits for capacity.

use super::*;

#[test]
fn a_task_that_ends_makes_no_room_for_a_job_of_another_architecture() {
    let mut day = Day::new(r#"{"count": 1}"#);
    let entries: BTreeMap<String, ClassEntry> = serde_json::from_str(
        r#"{"arm": {"cpu": 512, "memory": 1024, "arch": "arm64", "warm": {"count": 1}},
            "small": {"cpu": 512, "memory": 1024, "warm": {"count": 1}},
            "large": {"cpu": 4096, "memory": 8192}}"#,
    )
    .unwrap();
    day.catalogue = Catalogue::read(&entries).0;
    assert_eq!(day.plan(0), "warm up 1 for arm; warm up 2 for small");
    day.boot(1, 15);
    day.boot(2, 15);
    let ended = day.warm(1).end(WarmEnd::Aged, None, at(16)).unwrap();
    day.open.add_warm(ended);
    let held = Held::placement(Placement::fargate(Market::OnDemand, None), Arch::X64);
    let failure = Failure::of(Fault::NoCapacity, "Capacity is unavailable", at(19), at(19));
    day.open.add_hold(Hold::after(None, held, &failure));
    day.queue(7, "large", 20);
    assert_eq!(day.plan(20), "warm up 3 for arm; end 2 (yielded); 7 waits: no_capacity");
    assert_eq!(day.plan(21), "7 waits: no_capacity", "one is enough");
}

#[test]
fn a_job_that_waits_for_an_instance_leaves_the_warm_tasks_on_fargate_alone() {
    let mut day = Day::new(r#"{"count": 1}"#);
    let entries: BTreeMap<String, ClassEntry> = serde_json::from_str(
        r#"{"cuda": {"cpu": 4096, "memory": 8192, "compute": "managed-instances", "gpu": {"count": 1}},
            "small": {"cpu": 512, "memory": 1024, "warm": {"count": 2}}}"#,
    )
    .unwrap();
    day.catalogue = Catalogue::read(&entries).0;
    assert_eq!(day.plan(0), "warm up 1 for small; warm up 2 for small");
    day.boot(1, 15);
    day.boot(2, 15);
    let cuda = ClassName::parse("cuda").unwrap();
    let placement = Placement { managed: Some(cuda), ..Placement::fargate(Market::OnDemand, None) };
    let failure = Failure::of(Fault::NoCapacity, "VcpuLimitExceeded", at(19), at(19));
    day.open.add_hold(Hold::after(None, Held::placement(placement, Arch::X64), &failure));
    day.queue(7, "cuda", 20);
    assert_eq!(day.plan(20), "7 waits: no_capacity");
    let ended = day.warm(1).end(WarmEnd::Aged, None, at(21)).unwrap();
    day.open.add_warm(ended);
    assert_eq!(day.plan(21), "warm up 3 for small; 7 waits: no_capacity");
}
