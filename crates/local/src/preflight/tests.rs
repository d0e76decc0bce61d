use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use ecsrunner_core::id::{TaskId, TaskName};
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::getuid;

use super::*;
use crate::task::Description;

/// Returns the mistakes of a runner's directory and a state directory.
fn mistakes(configured: &Path, state: &Path) -> Vec<String> {
    let mut mistakes = Vec::new();
    check_ownership(configured, state, &RunnerUsers::From(1_900_000_000), &mut mistakes).unwrap();
    mistakes
}

#[test]
fn a_link_on_the_way_to_the_runner_that_a_job_could_replace_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().canonicalize().unwrap();
    for sub in ["runner/bin", "open", "closed", "elsewhere/externals", "state"] {
        fs::create_dir_all(real.join(sub)).unwrap();
    }
    symlink(real.join("runner"), real.join("open/runner")).unwrap();
    symlink(real.join("open/runner"), real.join("closed/runner")).unwrap();
    symlink(real.join("elsewhere/externals"), real.join("runner/externals")).unwrap();
    let configured = real.join("closed/runner");
    assert_eq!(mistakes(&configured, &real.join("state")), Vec::<String>::new());
    for open in ["closed", "open", "elsewhere"] {
        fs::set_permissions(real.join(open), Permissions::from_mode(0o777)).unwrap();
        let told = mistakes(&configured, &real.join("state"));
        let expected = format!("runner.dir: a runner's user can write to {} and", real.join(open).display());
        assert!(told.len() == 1 && told[0].starts_with(&expected), "{told:?}");
        fs::set_permissions(real.join(open), Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn an_account_with_processes_of_its_own_is_told_and_one_of_a_runner_at_work_is_not() {
    let account =
        |name: &str, uid| Account { name: Some(name.to_owned()), uid, gid: uid, groups: Vec::new() };
    let users = RunnerUsers::Named(vec![account("me", getuid().as_raw()), account("idle", 1_900_000_201)]);
    let tasks = tempfile::tempdir().unwrap();
    assert_eq!(busy_accounts(&users, tasks.path()), ["me"]);
    let task = TaskDir::at(tasks.path().join("task"));
    fs::create_dir(task.path()).unwrap();
    let description = Description {
        task: TaskId::parse("0123456789abcdef0123456789abcdef").unwrap(),
        name: TaskName::parse("ecsr-test-abcdefg234-01arz3ndektsv4rrffq69g5fav").unwrap(),
        uid: Some(getuid().as_raw()),
        gid: None,
    };
    task.describe(&description).unwrap();
    assert!(task.claim().unwrap());
    let alive = File::create(task.path().join("alive")).unwrap();
    let _alive = Flock::lock(alive, FlockArg::LockExclusiveNonblock).unwrap();
    assert_eq!(busy_accounts(&users, tasks.path()), Vec::<&str>::new());
}

#[test]
fn a_variable_that_no_runner_could_be_given_is_refused_at_start() {
    let mut mistakes = Vec::new();
    check_variables(&["HTTPS_PROXY", "BASH_ENV", "HOME"].map(str::to_owned), &mut mistakes);
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    assert!(mistakes[0].starts_with("runner.env: `BASH_ENV` is a variable that the agent"), "{mistakes:?}");
}

#[test]
fn a_docker_class_is_refused_where_no_engine_can_be_started() {
    let read = |json: &str| Catalogue::read(&serde_json::from_str(json).unwrap()).0;
    let plain = read(r#"{"small": {"cpu": 512, "memory": 1024}}"#);
    let images = read(r#"{"images": {"cpu": 512, "memory": 1024, "docker": true}}"#);
    let (programs, docker) = (tempfile::tempdir().unwrap(), DockerEntry::default());
    let path = programs.path().to_str().unwrap();
    let check = |catalogue: &Catalogue, docker: &DockerEntry, is_root: bool| {
        check_docker(catalogue, docker, path, is_root)
    };
    assert_eq!(check(&plain, &docker, false), None);
    let told = check(&images, &docker, false).unwrap();
    assert!(told.starts_with("classes.images.docker: only root can start a Docker engine"), "{told}");
    let told = check(&images, &docker, true).unwrap();
    let names = "`dockerd` and `docker` and `ip` and `iptables` cannot be found";
    assert!(told.starts_with(&format!("classes.images.docker: {names} in {path}: ")), "{told}");
    for name in ["dockerd", "docker"] {
        fs::write(programs.path().join(name), "").unwrap();
    }
    // The defaults of `dockerd` need no other program of ours.
    let defaults = DockerEntry { addresses: String::new(), ..DockerEntry::default() };
    assert_eq!(check(&images, &defaults, true), None);
    assert!(check(&images, &docker, true).unwrap().contains("docker: `ip` and `iptables` cannot"));
}
