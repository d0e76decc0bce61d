//! A launch that fails before there is a process, with one account for all runners.

use std::time::{Duration, Instant, SystemTime};

use ecsrunner_aws::store::Tables;
use ecsrunner_core::id::{ClassName, Deployment, TaskName};
use ecsrunner_core::records::task::TaskFacts;
use ecsrunner_core::rules::class::size::{Arch, Size};
use ecsrunner_core::rules::limits::Limits;
use ecsrunner_engine::ports::compute::{ClientToken, Compute};
use ecsrunner_skip::skip;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::super::{HALF, TaskDefinition};
use super::*;
use crate::accounts::{Account, RunnerUsers};
use crate::boot_front::AccessKeys;
use crate::task::confinement::{Confinement, TaskLimits};

/// How long something may take that is sure to come.
const LIMIT: Duration = Duration::from_secs(20);

/// A server whose `runner.dir` is being replaced.
struct Machine {
    state: TempDir,
    processes: Processes,
    uid: u32,
}

impl Machine {
    fn new(uid: u32) -> Self {
        let state = tempfile::tempdir().unwrap();
        let limits = TaskLimits { processes: 100, files: 100, memory: None };
        let definition = TaskDefinition {
            // Removes nothing, and is no task that claims its directory.
            executable: "/bin/true".into(),
            runner_dir: state.path().join("actions-runner"),
            listener_env: Vec::new(),
            users: RunnerUsers::Named(vec![Account { name: None, uid, gid: uid, groups: vec![uid] }]),
            tables: Tables::of(&Deployment::parse("test").unwrap(), "local"),
            endpoint: "http://127.0.0.1:1".to_owned(),
            keys: AccessKeys::new([0; 32]),
            limits: Limits::default(),
            confinement: Confinement {
                private_files: true,
                no_new_privileges: true,
                writable: Vec::new(),
                read: [].into(),
                limits,
            },
            cgroups: None,
            docker: None,
            namespaces: None,
        };
        let processes = Processes::new(state.path().join("tasks"), definition, mpsc::unbounded_channel().0);
        Self { state, processes: processes.unwrap(), uid }
    }

    /// Launches the runner with this number.
    fn launch(&self, number: u8) -> io::Result<TaskId> {
        let name = format!("ecsr-test-abcdefghij-01arz3ndektsv4rrffq69g5fa{number}");
        let facts = TaskFacts {
            name: TaskName::parse(&name).unwrap(),
            class: ClassName::parse("small").unwrap(),
            size: Size::new(256, 512, None, Arch::X64).unwrap(),
            image: None,
            exec: false,
            max_job_minutes: 60,
            wait_limits: None,
            warm_for: None,
            pool: None,
            repository: None,
        };
        self.processes.start(&facts, &ClientToken::new(&facts.name, 1))
    }

    /// Launches a runner, which fails, and returns the directory of its task.
    fn fail_to_launch(&self, number: u8) -> TaskDir {
        let error = self.launch(number).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        let (dir, description) = self.processes.list().unwrap().remove(0);
        assert!(dir.path().join(HALF).exists());
        assert!(self.processes.lock_uids().has(self.uid, &description.task));
        assert!(
            self.launch(number + 1).unwrap_err().to_string().starts_with("every user of runners is in use")
        );
        dir
    }

    /// Waits for the user, and launches the next runner.
    async fn launches_again(&self, number: u8) {
        fs::create_dir(self.state.path().join("actions-runner")).unwrap();
        let deadline = Instant::now() + LIMIT;
        while let Err(error) = self.launch(number) {
            assert!(Instant::now() < deadline, "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        skip("without root all jobs share one user");
    }
    is_root
}

#[tokio::test]
async fn a_task_that_never_started_gives_its_user_back_once_the_sweep_has_claimed_it() {
    if !is_root() {
        return;
    }
    let machine = Machine::new(1_900_000_501);
    let dir = machine.fail_to_launch(0);
    // As on a full disk.
    fs::remove_dir_all(dir.path().join(HALF)).unwrap();
    let past = SystemTime::now() - Duration::from_secs(60);
    fs::File::open(dir.path()).unwrap().set_modified(past).unwrap();
    machine.processes.see().unwrap();
    machine.launches_again(2).await;
}

#[tokio::test]
async fn a_task_that_is_stopped_before_it_started_gives_its_user_back() {
    if !is_root() {
        return;
    }
    let machine = Machine::new(1_900_000_502);
    machine.fail_to_launch(0);
    let (_, description) = machine.processes.list().unwrap().remove(0);
    machine.processes.stop_task(&description.task, "test").await.unwrap();
    machine.launches_again(2).await;
}

#[tokio::test]
async fn an_unfinished_copy_of_the_runner_is_removed_with_its_task() {
    if !is_root() {
        return;
    }
    let machine = Machine::new(1_900_000_503);
    let dir = machine.fail_to_launch(0);
    assert!(is_littered(&dir));
    let gone = Gone { engine: true, engine_network: true, network: true };
    let removal = machine.processes.removal(&dir, Some(machine.uid), &gone);
    assert!(removal.directories.contains(&dir.path().join(HALF)), "{removal:?}");
}
