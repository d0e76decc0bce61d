use super::*;
use crate::id::SubnetId;
use crate::rules::cost::Market;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_764_000_000 + secs).unwrap()
}

fn pool() -> Held {
    Held::Pool(PoolId::parse("abcdefg234").unwrap())
}

/// Returns the pauses in seconds if each try is made as soon as the hold allows it and fails at once.
fn pauses(held: &Held, fault: Fault) -> Vec<i64> {
    let (mut hold, mut now, mut pauses) = (None::<Hold>, at(0), Vec::new());
    for _ in 0..8 {
        let next = Hold::after(
            hold.as_ref(),
            held.clone(),
            &Failure::of(fault, "no", now, now + SignedDuration::from_millis(1)),
        );
        pauses.push(next.not_before.duration_since(now).as_secs());
        now = next.not_before;
        hold = Some(next);
    }
    pauses
}

#[test]
fn each_further_failure_makes_the_pause_longer_up_to_a_bound() {
    assert_eq!(pauses(&pool(), Fault::NotConnected), [10, 40, 160, 640, 900, 900, 900, 900]);
    assert_eq!(pauses(&pool(), Fault::RegistrationLost), [10, 40, 160, 640, 2560, 3600, 3600, 3600]);
    assert_eq!(pauses(&pool(), Fault::GithubUnavailable), [10, 40, 160, 300, 300, 300, 300, 300]);
    let account = Held::Account(Account::parse("acme").unwrap());
    assert_eq!(pauses(&account, Fault::NoAnswer), [1, 2, 4, 8, 16, 32, 45, 45]);
    assert_eq!(pauses(&account, Fault::RegistrationRefused), [2, 4, 8, 16, 32, 64, 128, 256]);
}

#[test]
fn runners_that_fail_together_are_one_failure() {
    let first = Hold::after(None, pool(), &Failure::of(Fault::NotConnected, "no", at(0), at(120)));
    let second = Hold::after(Some(&first), pool(), &Failure::of(Fault::NotConnected, "no", at(1), at(121)));
    assert_eq!((second.failures, second.latest), (1, at(121)));
    let probe = Hold::after(Some(&second), pool(), &Failure::of(Fault::NotConnected, "no", at(130), at(250)));
    assert_eq!(probe.failures, 2);
}

#[test]
fn refused_runners_and_other_faults_make_no_common_row() {
    let refused = |before: Option<&Hold>, secs| {
        Hold::after(before, pool(), &Failure::of(Fault::JobRefused, "no", at(secs), at(secs)))
    };
    let flood = (1..6).fold(refused(None, 0), |hold, secs| refused(Some(&hold), secs));
    assert_eq!(flood.failures, 6);
    let other = Hold::after(Some(&flood), pool(), &Failure::of(Fault::NoJob, "no", at(7), at(8)));
    assert_eq!((other.failures, other.since), (1, at(8)), "its pause and its time begin");
    assert_eq!(refused(Some(&other), 9).failures, 1);
}

#[test]
fn an_hour_without_a_failure_ends_a_row() {
    let first = Hold::after(None, pool(), &Failure::of(Fault::NotConnected, "no", at(0), at(0)));
    let late = Hold::after(Some(&first), pool(), &Failure::of(Fault::NotConnected, "no", at(3700), at(3700)));
    assert_eq!(late.failures, 1);
}

#[test]
fn a_class_is_held_for_faults_of_several_pools_in_several_placements_alone() {
    let class = Held::Class(ClassName::parse("small").unwrap());
    let pools = ["aaaaaaa234", "bbbbbbb234", "ccccccc234"].map(|pool| PoolId::parse(pool).unwrap());
    let placements = ["subnet-aaaa1111", "subnet-bbbb2222"]
        .map(|subnet| Placement::fargate(Market::OnDemand, Some(SubnetId::parse(subnet).unwrap())));
    let held = |faults: &[(usize, usize)]| {
        let mut hold = None;
        for &(pool, placement) in faults {
            let failure = Failure {
                pool: Some(&pools[pool]),
                placement: Some(&placements[placement]),
                ..Failure::of(Fault::NotConnected, "no", at(0), at(1))
            };
            hold = Some(Hold::after(hold.as_ref(), class.clone(), &failure));
        }
        hold.unwrap().is_effective()
    };
    assert!(!held(&[(0, 0), (0, 1), (0, 0), (0, 1), (0, 0), (0, 1)]), "one pool");
    assert!(!held(&[(0, 0), (1, 0), (2, 0), (0, 0), (1, 0)]), "one placement");
    assert!(held(&[(0, 0), (1, 1), (2, 0)]));
}

#[test]
fn failures_that_follow_each_other_leave_the_begin_of_a_hold_as_it_is() {
    let fail = |before: Option<&Hold>, secs| {
        Hold::after(before, pool(), &Failure::of(Fault::NotConnected, "no", at(secs), at(secs)))
    };
    let first = fail(None, 10);
    let second = fail(Some(&first), 200);
    let third = fail(Some(&second), 3000);
    assert_eq!([first.since, second.since, third.since], [at(10); 3]);
    assert_eq!(fail(Some(&third), 90_000).since, at(90_000), "a row has ended between");
}

#[test]
fn a_hold_begins_when_it_holds_launches_back_and_not_when_it_is_suspected() {
    let class_in =
        Held::class_in(ClassName::parse("small").unwrap(), Placement::fargate(Market::OnDemand, None));
    let fail = |before: Option<&Hold>, secs| {
        Hold::after(before, class_in.clone(), &Failure::of(Fault::NotConnected, "no", at(secs), at(secs)))
    };
    let suspected = fail(None, 10);
    let held = fail(Some(&suspected), 200);
    assert_eq!((suspected.is_effective(), held.is_effective()), (false, true));
    assert_eq!((held.since, fail(Some(&held), 400).since), (at(200), at(200)));
}

#[test]
fn after_the_clock_was_set_back_a_hold_begins_again_and_is_not_shortened() {
    let account = Account::parse("acme").unwrap();
    let hold = Hold::throttled(None, account.clone(), "retry-after", at(0), at(3600));
    assert_eq!(hold.moved_back(at(0)), None);
    assert_eq!(hold.moved_back(at(7200)), None);
    let moved = hold.moved_back(at(-3600)).unwrap();
    assert_eq!((moved.since, moved.latest, moved.not_before), (at(-3600), at(-3600), at(0)));
    assert_eq!(moved.moved_back(at(-3600)), None);
    // Its account's bucket is empty for as long.
    let holds = BTreeMap::from([(hold.held.clone(), hold)]);
    let rests = |bucket: &Bucket, now| rests_until(&holds, bucket, now);
    assert_eq!(rests(&Bucket::GitHub(account.clone()), at(60)), Some(at(3600)));
    assert_eq!(rests(&Bucket::GitHub(account), at(-3600)), Some(at(0)));
    assert_eq!(rests(&Bucket::Fargate(Market::Spot), at(60)), None);
}
