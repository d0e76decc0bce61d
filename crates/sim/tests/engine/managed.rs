//! Runners on ECS Managed Instances: AWS packs tasks and keeps instances, and no two runners ever get a configuration on one
//! EC2 instance. The world checks that with each hand-over, by the EC2 instance on which the task really is.

use std::time::Duration;

use ecsrunner_core::id::JobId;
use ecsrunner_world::ecs::{CallFault, FaultAnswer, InstanceFaults};
use ecsrunner_world::faults::{FaultPlan, Mishap, MishapKind};
use ecsrunner_world::{Setup, Simulation};
use serde_json::json;

use crate::harness::{assert_executed_once, job, run, settle, setup};

/// The time by which everything is done.
const LIMIT: Duration = Duration::from_secs(3600);

fn managed(seed: u64, fault_plan: FaultPlan) -> Setup {
    let classes = json!({
        "images": {"cpu": 2048, "memory": 4096, "compute": "managed-instances", "default": true},
    });
    Setup { classes, ..setup(seed, fault_plan) }
}

/// Queues one job after another, so that AWS could use an instance again for each of them.
async fn run_in_turn(simulation: &mut Simulation, jobs: u64) -> Vec<JobId> {
    let mut queued = Vec::new();
    for i in 0..jobs {
        queued.push(simulation.queue(job(20 + i)));
        simulation.pass(Duration::from_secs(75)).await;
    }
    queued
}

#[test]
fn each_job_gets_an_instance_of_its_own_that_takes_no_more_tasks_afterwards() {
    run(async {
        let mut simulation = Simulation::new(managed(1, FaultPlan::default()));
        let jobs = run_in_turn(&mut simulation, 6).await;
        settle(&mut simulation, LIMIT, "in turn").await;
        let now = ecsrunner_engine::ports::Clock::now(&simulation.shared().clock());
        let outside = simulation.shared().lock();
        for job in jobs {
            assert_executed_once(&outside, job);
        }
        // Drained in time: AWS never placed a second task on one, so no launch was in vain.
        assert_eq!(outside.ledger.hosts.len(), 6, "{:?}", outside.ledger.hosts);
        assert_eq!(outside.ledger.launches, 6, "{:?}", outside.ledger.endings);
        assert_eq!(outside.ecs.open_instances(now), 0, "every instance is drained or gone");
        assert_eq!(outside.ecs.calls().get("UpdateContainerInstancesState"), Some(&6));
    });
}

#[test]
fn an_instance_that_aws_crowds_or_a_job_registers_again_serves_one_runner_only() {
    for seed in 0..6 {
        run(async {
            let mut simulation = Simulation::new(managed(seed, FaultPlan::default()));
            simulation.shared().lock().ecs.faults_mut().instances =
                InstanceFaults { crowd: 0.5, reregister: 0.5 };
            let jobs = run_in_turn(&mut simulation, 6).await;
            settle(&mut simulation, LIMIT, "crowded").await;
            let outside = simulation.shared().lock();
            for job in jobs {
                assert_executed_once(&outside, job);
            }
            let in_vain =
                outside.ledger.endings.keys().filter(|(_, note)| note.contains("belongs to runner"));
            assert!(
                in_vain.count() > 0,
                "seed {seed}: no task met a used instance: {:?}",
                outside.ledger.endings
            );
        });
    }
}

#[test]
fn many_jobs_at_once_share_no_instance_though_their_events_are_lost_late_and_repeated() {
    run(async {
        let mut simulation = Simulation::new(managed(3, FaultPlan::default()));
        {
            let faults = &mut *simulation.shared().lock();
            let faults = faults.ecs.faults_mut();
            faults.instances = InstanceFaults { crowd: 0.3, reregister: 0.3 };
            (faults.events.lose, faults.events.duplicate, faults.events.delay_ms) = (0.3, 0.3, 20_000);
        }
        let jobs: Vec<JobId> = (0..12).map(|i| simulation.queue(job(20 + i))).collect();
        settle(&mut simulation, LIMIT, "at once").await;
        let outside = simulation.shared().lock();
        for job in jobs {
            assert_executed_once(&outside, job);
        }
    });
}

/// ECS refuses to drain instances, this many times.
fn deny_draining(simulation: &Simulation, times: Option<u32>) {
    let message = "User is not authorized".to_owned();
    let denied = FaultAnswer::Error { code: "AccessDeniedException".to_owned(), message };
    let fault = CallFault { times, ..CallFault::once("UpdateContainerInstancesState", denied) };
    simulation.shared().lock().ecs.faults_mut().calls.push(fault);
}

#[test]
fn an_instance_that_ecs_does_not_drain_keeps_no_runner_from_ending() {
    run(async {
        let mut simulation = Simulation::new(managed(4, FaultPlan::default()));
        deny_draining(&simulation, None);
        let jobs = run_in_turn(&mut simulation, 4).await;
        settle(&mut simulation, LIMIT, "not drained").await;
        let outside = simulation.shared().lock();
        for job in jobs {
            assert_executed_once(&outside, job);
        }
        let runners = outside.ledger.endings.values().sum::<u64>();
        let asked = outside.ecs.calls().get("UpdateContainerInstancesState").copied().unwrap_or(0);
        assert!(
            asked >= 4 * 5 && asked <= runners * 5,
            "each is asked for five times: {asked} for {runners}"
        );
    });
}

#[test]
fn a_refusal_to_drain_an_instance_is_asked_again_until_rights_have_arrived() {
    run(async {
        let mut simulation = Simulation::new(managed(5, FaultPlan::default()));
        deny_draining(&simulation, Some(2));
        let job = simulation.queue(job(20));
        settle(&mut simulation, LIMIT, "rights arrive late").await;
        let outside = simulation.shared().lock();
        assert_executed_once(&outside, job);
        assert_eq!(outside.ecs.calls().get("UpdateContainerInstancesState"), Some(&3));
    });
}

#[test]
fn a_runner_that_meets_a_used_instance_leaves_the_job_there_alone() {
    run(async {
        let mut simulation = Simulation::new(managed(6, FaultPlan::default()));
        let first = simulation.queue(job(600));
        simulation.pass(Duration::from_secs(120)).await;
        simulation.shared().lock().ecs.faults_mut().instances.crowd = 1.0;
        let second = simulation.queue(job(20));
        simulation.pass(Duration::from_secs(120)).await;
        {
            let outside = &mut *simulation.shared().lock();
            let meets = outside.ledger.endings.keys().any(|(_, note)| note.contains("belongs to runner"));
            assert!(meets, "no task met the used instance: {:?}", outside.ledger.endings);
            assert_eq!(outside.ecs.calls().get("UpdateContainerInstancesState"), None);
            outside.ecs.faults_mut().instances.crowd = 0.0;
        }
        settle(&mut simulation, LIMIT, "used").await;
        let outside = simulation.shared().lock();
        assert_executed_once(&outside, first);
        assert_executed_once(&outside, second);
    });
}

#[test]
fn the_process_may_die_at_any_call_and_no_instance_serves_two() {
    fail_at_every_call(MishapKind::Kill);
}

#[test]
fn any_answer_may_be_lost_and_no_instance_serves_two() {
    fail_at_every_call(MishapKind::Lose);
}

#[test]
fn any_write_may_collide_and_no_instance_serves_two() {
    fail_at_every_call(MishapKind::Collide);
}

fn fail_at_every_call(kind: MishapKind) {
    for call in 0.. {
        for after in [false, true] {
            let mishap = Some(Mishap { call, after, kind });
            let calls = run(async {
                let plan = FaultPlan { mishap, no_retries: true, ..FaultPlan::default() };
                let mut simulation = Simulation::new(managed(7, plan));
                simulation.shared().lock().ecs.faults_mut().instances.crowd = 0.5;
                let jobs: Vec<JobId> = (0..2).map(|i| simulation.queue(job(20 + i))).collect();
                settle(&mut simulation, LIMIT, &format!("{mishap:?}")).await;
                let outside = simulation.shared().lock();
                for job in jobs {
                    assert_executed_once(&outside, job);
                }
                outside.ledger.all_calls()
            });
            if call >= calls {
                return;
            }
        }
    }
}
