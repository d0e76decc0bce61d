//! All kinds of faults at once, chosen by seed.

mod warm;

use std::env;
use std::time::Duration;

use ecsrunner_core::id::JobId;
use ecsrunner_engine::ports::Randomness;
use ecsrunner_world::clock::SeededRandomness;
use ecsrunner_world::ecs::{Provider, Shortage, StartFault, Status};
use ecsrunner_world::faults::{FaultPlan, Transit};
use ecsrunner_world::github::{HubFaults, HubState, Order, Trouble};
use ecsrunner_world::{Outside, Simulation};

use crate::harness::{SUBNETS, repository, run, settle, setup};

const JOBS: u64 = 20;
/// The time in seconds within which jobs are queued and most faults begin.
const DISTURBANCE_SECS: u64 = 900;
const LIMIT: Duration = Duration::from_secs(6 * 3600);
/// How many histories `everything_may_go_wrong_at_once` tries, and the first one's seed: several processes can share a
/// range.
const SEEDS_VARIABLE: &str = "ECSRUNNER_SEEDS";
const FIRST_SEED_VARIABLE: &str = "ECSRUNNER_FIRST_SEED";

#[test]
fn events_may_be_lost_doubled_and_out_of_order() {
    for seed in 0..100 {
        run(run_disturbed(seed, &[]));
    }
}

#[test]
fn capacity_may_be_short_and_taken_back() {
    for seed in 1000..1060 {
        run(run_disturbed(
            seed,
            &[Disturbance::Shortages, Disturbance::Interruptions, Disturbance::Failures],
        ));
    }
}

#[test]
fn github_may_be_down_or_refuse_its_runners() {
    for seed in 2000..2040 {
        run(run_disturbed(seed, &[Disturbance::Outages, Disturbance::Refusals]));
    }
}

#[test]
fn everything_may_go_wrong_at_once() {
    let number = |name, default| env::var(name).map_or(default, |number| number.parse().unwrap());
    let first: u64 = number(FIRST_SEED_VARIABLE, 3000);
    for seed in first..first + number(SEEDS_VARIABLE, 40) {
        run(run_disturbed(seed, &Disturbance::ALL));
    }
}

#[test]
fn warm_tasks_lose_and_double_nothing_whatever_goes_wrong() {
    for seed in 4000..4040 {
        run(run_disturbed_with(seed, &Disturbance::ALL, true));
    }
}

/// A kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Disturbance {
    Shortages,
    Interruptions,
    Failures,
    Outages,
    Refusals,
    Cancels,
    Thefts,
    Crashes,
    /// Many registrations fail, and other clients use most of the account's rate.
    Registrations,
    /// GitHub's API calls runners busy late.
    LateBusy,
    /// GitHub gives some idle runners no job.
    Starvation,
    /// Some runners do not start the job that they took.
    Unstarted,
}

impl Disturbance {
    const ALL: [Self; 12] = [
        Self::Shortages,
        Self::Interruptions,
        Self::Failures,
        Self::Outages,
        Self::Refusals,
        Self::Cancels,
        Self::Thefts,
        Self::Crashes,
        Self::Registrations,
        Self::LateBusy,
        Self::Starvation,
        Self::Unstarted,
    ];
}

struct Dice(SeededRandomness);

impl Dice {
    fn below(&self, sides: u64) -> u64 {
        u64::try_from(self.0.bits() % u128::from(sides.max(1))).unwrap()
    }

    fn secs(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from * 1000 + self.below((to - from) * 1000))
    }
}

async fn run_disturbed(seed: u64, disturbances: &[Disturbance]) {
    run_disturbed_with(seed, disturbances, false).await;
}

/// `warm` if both classes keep tasks warm while the faults last.
async fn run_disturbed_with(seed: u64, disturbances: &[Disturbance], warm: bool) {
    let dice = Dice(SeededRandomness::seeded(seed));
    let transit = Transit { lose: 0.1, duplicate: 0.2, late: 0.3, late_ms: 90_000 };
    let fault_plan = FaultPlan {
        webhooks: transit,
        task_events: transit,
        conflict: 0.02,
        lost: 0.01,
        slow: 0.02,
        slow_ms: 5000,
        crash: if disturbances.contains(&Disturbance::Crashes) { 0.003 } else { 0.0 },
        ..FaultPlan::default()
    };
    let mut simulation =
        Simulation::new(if warm { warm::setup(seed, fault_plan) } else { setup(seed, fault_plan) });
    if warm {
        warm::change_and_end(&mut simulation, dice.secs(60, DISTURBANCE_SECS));
    }
    for _ in 0..JOBS {
        let classes: [&[&str]; 3] =
            [&["self-hosted"], &["self-hosted", "class:spot"], &["self-hosted", "linux"]];
        let name = ["app", "web"][usize::try_from(dice.below(2)).unwrap()];
        let labels = classes[usize::try_from(dice.below(3)).unwrap()];
        let order = Order::new(&repository(name), labels, 5 + dice.below(240));
        simulation.after(dice.secs(0, DISTURBANCE_SECS), move |outside, at| {
            outside.hub.queue(order, at);
        });
    }
    for disturbance in disturbances {
        cause(&mut simulation, *disturbance, &dice);
    }
    let words = format!("seed {seed}, {disturbances:?}");
    settle(&mut simulation, LIMIT, &words).await;
    let outside = simulation.shared().lock();
    warm::assert_no_task_had_two_runners(&outside, &words);
    for job in outside.hub.jobs.values() {
        let HubState::Completed { conclusion, .. } = &job.state else { panic!("{words}: {job:?}") };
        assert!(job.begun <= 1, "{words}: {job:?}");
        let may_fail = disturbances.contains(&Disturbance::Interruptions)
            || disturbances.contains(&Disturbance::Cancels);
        assert!(*conclusion == "success" || may_fail, "{words}: {job:?}");
    }
    assert_eq!(u64::try_from(outside.hub.jobs.len()).unwrap(), JOBS);
}

/// Schedules faults of one kind, each with its end.
fn cause(simulation: &mut Simulation, disturbance: Disturbance, dice: &Dice) {
    match disturbance {
        Disturbance::Shortages => cause_shortages(simulation, dice),
        Disturbance::Interruptions => {
            for _ in 0..4 {
                simulation.after(dice.secs(60, DISTURBANCE_SECS * 2), interrupt_spot);
            }
        }
        Disturbance::Failures => {
            for _ in 0..3 {
                simulation.after(dice.secs(0, DISTURBANCE_SECS), |outside, _| {
                    let reason = "CannotPullContainerError: pull timed out".to_owned();
                    let fault = StartFault { times: Some(1), subnet: None, reason, status: Status::Pending };
                    outside.ecs.faults_mut().start.push(fault);
                });
            }
        }
        Disturbance::Outages => {
            trouble(simulation, Trouble::Outage, dice.secs(0, DISTURBANCE_SECS), dice.secs(20, 400))
        }
        Disturbance::Refusals => {
            trouble(simulation, Trouble::Refused, dice.secs(0, DISTURBANCE_SECS), dice.secs(20, 900))
        }
        Disturbance::Cancels => {
            for _ in 0..4 {
                let pick = dice.below(JOBS);
                simulation.after(dice.secs(10, DISTURBANCE_SECS + 300), move |outside, at| {
                    if let Some(job) = nth_job(outside, pick) {
                        outside.cancel(job, at);
                    }
                });
            }
        }
        Disturbance::Thefts => {
            for _ in 0..3 {
                let (pick, lasts) = (dice.below(JOBS), dice.secs(10, 200));
                simulation.after(dice.secs(10, DISTURBANCE_SECS), move |outside, at| {
                    if let Some(job) = nth_job(outside, pick)
                        && outside.hub.steal(job, at)
                    {
                        outside
                            .after(at + lasts, move |outside, at| outside.hub.complete(job, "success", at));
                    }
                });
            }
        }
        Disturbance::Crashes => {}
        Disturbance::Registrations => {
            let few = 2 + usize::try_from(dice.below(10)).unwrap();
            afflict(simulation, dice, move |faults| {
                (faults.registration_fails, faults.registrations_per_minute) = (0.3, Some(few));
            });
        }
        Disturbance::LateBusy => {
            let lag = dice.secs(1, 180);
            afflict(simulation, dice, move |faults| faults.busy_lags = lag);
        }
        Disturbance::Starvation => afflict(simulation, dice, |faults| faults.starves_idle = 0.3),
        Disturbance::Unstarted => {
            afflict(simulation, dice, |faults| (faults.unstarted, faults.unstarted_reported) = (0.3, 0.5));
        }
    }
}

/// Sets faults of GitHub from some time on, and ends all of that kind when the last jobs were queued.
fn afflict(simulation: &mut Simulation, dice: &Dice, set: impl FnOnce(&mut HubFaults) + Send + 'static) {
    simulation.after(dice.secs(0, DISTURBANCE_SECS / 2), move |outside, _| set(&mut outside.hub.faults));
    simulation
        .after(Duration::from_secs(DISTURBANCE_SECS), |outside, _| outside.hub.faults = HubFaults::default());
}

/// Schedules shortages: of Spot in one subnet and in all, of On-Demand, and some that show only after RunTask.
fn cause_shortages(simulation: &mut Simulation, dice: &Dice) {
    let spot = Some(Provider::FargateSpot);
    let shortages = [
        Shortage { subnet: Some(SUBNETS[0].to_owned()), provider: spot, ..Shortage::default() },
        Shortage { provider: spot, ..Shortage::default() },
        Shortage { provider: spot, late: true, ..Shortage::default() },
        Shortage { subnet: Some(SUBNETS[1].to_owned()), late: true, ..Shortage::default() },
        Shortage { provider: Some(Provider::Fargate), ..Shortage::default() },
    ];
    for shortage in shortages {
        let (begins, lasts) = (dice.secs(0, DISTURBANCE_SECS), dice.secs(30, 400));
        let over = shortage.clone();
        simulation.after(begins, move |outside, _| outside.ecs.faults_mut().short.push(shortage));
        simulation.after(begins + lasts, move |outside, _| {
            outside.ecs.faults_mut().short.retain(|other| *other != over);
        });
    }
}

fn trouble(simulation: &mut Simulation, trouble: Trouble, begins: Duration, lasts: Duration) {
    simulation.after(begins, move |outside, _| outside.hub.trouble = trouble);
    simulation.after(begins + lasts, |outside, _| outside.hub.trouble = Trouble::None);
}

/// Interrupts the oldest running Spot task, with or without a job.
fn interrupt_spot(outside: &mut Outside, at: jiff::Timestamp) {
    let spot = outside.ecs.tasks().find(|task| {
        task.provider == Provider::FargateSpot
            && task.last_status == Status::Running
            && task.stop_code.is_none()
    });
    if let Some(task) = spot {
        outside.ecs.interrupt(&task.id, at).unwrap();
    }
}

fn nth_job(outside: &Outside, n: u64) -> Option<JobId> {
    outside.hub.jobs.keys().nth(usize::try_from(n).ok()?).copied()
}
