//! Where the waits of jobs went, whatever becomes of the events that say so.

use ecsrunner_core::records::wait::{Part, Wait};
use ecsrunner_world::faults::ExitRecords;

use crate::harness::jobs::job;
use crate::harness::{Deployment, Jobs, hours, in_virtual_time, minutes};

const JOB_SECS: u64 = 60;
/// What only an agent knows.
const OF_AGENTS: [Part; 5] = [Part::HandOver, Part::Agent, Part::Listener, Part::Session, Part::Assignment];

/// The waits of ten jobs, one every three minutes.
fn waits(warm: u32, records: ExitRecords, omits_pull_times: bool) -> Vec<Wait> {
    in_virtual_time(async {
        let mut world = match warm {
            0 => Deployment::seeded(4).start(),
            count => Deployment::seeded(4).warm(count).start(),
        };
        world.bring_exit_records(records);
        world.omit_pull_times(omits_pull_times);
        world.pass(minutes(6)).await;
        let mut jobs = Jobs::default();
        for _ in 0..10 {
            jobs.add(&mut world, job(JOB_SECS));
            world.pass(minutes(3)).await;
        }
        world.keep_none_warm();
        world.settle(hours(1)).await;
        assert_eq!(jobs.done(&world), 10);
        world.assert_nothing_lost_or_doubled();
        let waits = world.waits_of_runners();
        assert_eq!(waits.len(), 10);
        waits
    })
}

fn has(wait: &Wait, parts: &[Part]) -> bool {
    parts.iter().all(|part| wait.part(*part).is_some())
}

/// AU: every part is known if every event comes, and repeated exit records change nothing.
#[test]
fn au_the_parts_of_a_cold_wait_are_known_and_add_up() {
    for records in [ExitRecords::Once, ExitRecords::Repeated] {
        for wait in waits(0, records, false) {
            let cold =
                [Part::Webhook, Part::Decision, Part::Launch, Part::Provision, Part::Pull, Part::Container];
            assert!(has(&wait, &cold) && has(&wait, &OF_AGENTS) && wait.unknown().is_zero(), "{wait:?}");
            // As the fake ECS is set up: 8 s to PENDING, 15 s of pulling, 1 s of activating.
            let secs =
                [Part::Provision, Part::Pull, Part::Container].map(|part| wait.part(part).unwrap().as_secs());
            assert_eq!(secs, [8, 15, 1], "{wait:?}");
            assert!(wait.part(Part::Listener).unwrap().as_millis() >= 1000, "{wait:?}");
        }
    }
}

/// AV: lost exit records leave their parts empty, and so do events without the times of the pull.
#[test]
fn av_what_no_event_said_is_unknown_and_never_wrong() {
    for wait in waits(0, ExitRecords::Lost, false) {
        assert!(OF_AGENTS.iter().all(|part| wait.part(*part).is_none()), "{wait:?}");
        // ECS's own time stands in for the agent's.
        let secs =
            [Part::Provision, Part::Pull, Part::Container].map(|part| wait.part(part).unwrap().as_secs());
        assert_eq!(secs, [8, 15, 1], "{wait:?}");
        assert!((1..=5).contains(&wait.unknown().as_secs()), "{wait:?}");
    }
    for wait in waits(0, ExitRecords::Once, true) {
        assert!([Part::Provision, Part::Pull, Part::Container].iter().all(|part| wait.part(*part).is_none()));
        assert!(has(&wait, &OF_AGENTS) && wait.unknown().as_secs() == 24, "{wait:?}");
    }
}

/// AW: a job that takes a warm task over waits from its hand-over on, and shows so.
#[test]
fn aw_a_warm_wait_has_no_parts_of_a_launch() {
    for wait in waits(2, ExitRecords::Once, false) {
        let cold = [Part::Launch, Part::Provision, Part::Pull, Part::Container];
        assert!(wait.warm && cold.iter().all(|part| wait.part(*part).is_none()), "{wait:?}");
        assert!(has(&wait, &OF_AGENTS) && wait.unknown().is_zero(), "{wait:?}");
    }
}
