//! Checks of this machine before `local up` starts anything.
//!
//! Checks of the configuration alone belong in `config`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;
use ecsrunner_core::id::ClassName;
use ecsrunner_core::rules::class::Catalogue;
use tracing::warn;

use crate::accounts::{self, Account, RunnerUsers};
use crate::attach;
use crate::compute::SYSTEM_PATH;
use crate::compute::install::{self, EXTERNALS};
use crate::compute::uids::is_at_work;
use crate::config::{Config, ConfigError, DockerEntry, LISTENER};
use crate::probe::{Refused, Request};
use crate::task::{TaskDir, TaskStatus};
use crate::up::Options;
use crate::{custody, paths};

/// Checks users, paths and permissions. Returns the users that runners run as.
///
/// # Errors
///
/// Returns a [`ConfigError`] with every mistake, or another error if a check
/// cannot run.
pub(crate) fn check(config: &Config, options: &Options) -> anyhow::Result<RunnerUsers> {
    let state = paths::resolve(&options.state);
    let mut mistakes = Vec::new();
    check_characters("state directory", &state, &mut mistakes);
    check_characters("executable", &options.executable, &mut mistakes);
    attach::check_config(&options.config, &mut mistakes);
    let users = users(config, &mut mistakes);
    let is_root = nix::unistd::geteuid().is_root();
    check_executable(&options.executable, is_root, &mut mistakes);
    mistakes.extend(check_docker(&config.catalogue, &config.docker, SYSTEM_PATH, is_root));
    if let Some(users) = users.filter(|_| mistakes.is_empty()) {
        check_access(config, options, &state, &users, &mut mistakes)?;
        if mistakes.is_empty() {
            check_ownership(&config.runner_dir, &state, &users, &mut mistakes)?;
        }
        if mistakes.is_empty() {
            return Ok(users);
        }
    }
    Err(ConfigError::new(&options.config, mistakes).into())
}

/// Checks that others cannot replace the executable, which the server starts for each task. Root's is refused if they
/// can: they would become root.
fn check_executable(executable: &Path, is_root: bool, mistakes: &mut Vec<String>) {
    match custody::check_program(executable) {
        Err(error) if is_root => {
            mistakes.push(format!("executable: the server starts it as root, and {error:#}"))
        }
        Err(error) => {
            warn!(
                error = format!("{error:#}"),
                "others can replace the executable, which the server starts for each task as its own user"
            );
        }
        Ok(()) => {}
    }
}

/// Returns why no Docker engine can be started here, if a class has any. `path` is where the agent looks for programs.
fn check_docker(catalogue: &Catalogue, docker: &DockerEntry, path: &str, is_root: bool) -> Option<String> {
    let class = engines(catalogue).into_iter().next()?;
    if !is_root {
        return Some(format!(
            "classes.{class}.docker: only root can start a Docker engine for each job: start the server as root, or \
             remove the key"
        ));
    }
    let needs_network = docker.addresses().is_ok_and(|addresses| addresses.is_some());
    let tools = ["ip", "iptables"].into_iter().filter(|_| needs_network);
    let is_there = |name: &&str| std::env::split_paths(path).any(|dir| dir.join(name).is_file());
    let missing: Vec<String> = ["dockerd", "docker"]
        .into_iter()
        .chain(tools)
        .filter(|name| !is_there(name))
        .map(|name| format!("`{name}`"))
        .collect();
    (!missing.is_empty()).then(|| {
        format!(
            "classes.{class}.docker: {} cannot be found in {path}: install Docker with its engine (the package \
             `docker.io` or `docker-ce`) and `iproute2`, or remove the key",
            missing.join(" and ")
        )
    })
}

/// Returns the classes whose tasks have a Docker engine of their own.
pub(crate) fn engines(catalogue: &Catalogue) -> BTreeSet<ClassName> {
    catalogue.iter().filter(|class| class.docker).map(|class| class.name.clone()).collect()
}

/// Refuses a path that would break the job-started hook.
pub(crate) fn check_characters(key: &str, path: &Path, mistakes: &mut Vec<String>) {
    if let Err(error) = ecsrunner_agent::paths::check(path) {
        mistakes.push(format!(
            "{key}: {error}, because the official runner puts hook paths unquoted into a command line"
        ));
    }
}

/// Refuses variables that the agent refuses: with one, each runner would end at once.
pub(crate) fn check_variables(names: &[String], mistakes: &mut Vec<String>) {
    for name in names.iter().filter(|name| !ecsrunner_agent::config::may_pass(name)) {
        mistakes.push(format!(
            "runner.env: `{name}` is a variable that the agent sets or hides from jobs: another name is expected"
        ));
    }
}

fn users(config: &Config, mistakes: &mut Vec<String>) -> Option<RunnerUsers> {
    if !nix::unistd::geteuid().is_root() {
        if config.users.is_some() {
            mistakes.push(
                "runner.users: only root can start runners as other users: start the server as root, or \
                 remove the key so that all jobs share this user"
                    .to_owned(),
            );
            return None;
        }
        return Some(RunnerUsers::Shared);
    }
    match &config.users {
        None => {
            let first = config.first_uid.unwrap_or_else(accounts::default_first_uid);
            if let Some(others) = accounts::others_with(&accounts::ids_from(first)) {
                warn!(
                    first_uid = first,
                    others,
                    "runners' user ids are given to others too: a job can read and kill a process with its id; set \
                     runner.first_uid to ids that nobody has, or runner.users to names of accounts"
                );
            }
            Some(RunnerUsers::From(first))
        }
        Some(names) => accounts::look_up(names)
            .map_err(|found| mistakes.extend(found.into_iter().map(|it| format!("runner.users: {it}"))))
            .map(RunnerUsers::Named)
            .ok(),
    }
}

/// Checks access to directories and programs. The official runner lists its own
/// directory and each one above it, and ends with exit code 1 if it may not
/// (seen with version 2.336).
fn check_access(
    config: &Config,
    options: &Options,
    state: &Path,
    users: &RunnerUsers,
    mistakes: &mut Vec<String>,
) -> anyhow::Result<()> {
    // The server sets the mode of the state directory itself.
    let above_state = state.parent().map(paths::existing).unwrap_or_default();
    // Runners find its `externals` by the configured path.
    let mut runner_dirs = paths::existing(&config.runner_dir);
    runner_dirs.extend(paths::existing(&paths::resolve(&config.runner_dir)));
    let mut directories = [above_state.clone(), runner_dirs].concat();
    directories.sort();
    directories.dedup();
    let listener = config.runner_dir.join(LISTENER);
    let request = Request {
        users: match users {
            RunnerUsers::Shared => Vec::new(),
            RunnerUsers::From(first) => vec![Account::of(*first)],
            RunnerUsers::Named(accounts) => accounts.clone(),
        },
        directories,
        programs: vec![options.executable.clone(), listener.clone()],
    };
    let refused =
        request.run(&options.executable).context("cannot test what the runners' users can access")?;
    // Directories come first. A closed one explains the refusals below it.
    let is_explained =
        |earlier: &[Refused], it: &Refused| earlier.iter().any(|dir| it.path.starts_with(&dir.path));
    for (index, it) in refused.iter().enumerate() {
        // A path that is refused to one user is usually refused to the others too.
        let is_told = refused[..index].iter().any(|earlier| earlier.path == it.path);
        let is_program = request.programs.contains(&it.path);
        if is_told || (is_program && is_explained(&refused[..index], it)) {
            continue;
        }
        mistakes.push(if it.path == options.executable {
            no_executable(it)
        } else if it.path == listener {
            no_listener(it)
        } else {
            let key = if above_state.contains(&it.path) { "state directory" } else { "runner.dir" };
            let who = if matches!(users, RunnerUsers::Shared) { "a" } else { "o" };
            no_listing(key, who, it)
        });
    }
    Ok(())
}

fn no_listing(key: &str, who: &str, Refused { user, path, error }: &Refused) -> String {
    let path = path.display();
    format!(
        "{key}: the directory {path} cannot be listed by {user} ({error}), but the official runner lists \
         its own directory and each one above it: run `chmod {who}+rx {path}`, or choose another place"
    )
}

fn no_listener(Refused { user, path, error }: &Refused) -> String {
    let path = path.display();
    format!("runner.dir: {path} cannot be executed by {user} ({error}): run `chmod a+rx {path}`")
}

fn no_executable(Refused { user, path, error }: &Refused) -> String {
    let path = path.display();
    format!(
        "executable: {path} cannot be executed by {user} ({error}), but runners execute it as their \
         job-started hook: put it where every user can execute it, such as /usr/local/bin"
    )
}

/// Checks that no runner's user can write to the files of `runner.dir`, or to a
/// directory above it or above the state directory. All runners share those
/// files, so a job that could write there could change other jobs.
fn check_ownership(
    configured: &Path,
    state: &Path,
    users: &RunnerUsers,
    mistakes: &mut Vec<String>,
) -> anyhow::Result<()> {
    let runner_dir = paths::resolve(configured);
    // Runners find their programs by this path, so its links are checked too.
    let mut above_runner = paths::passed(configured);
    let externals = configured.join(EXTERNALS);
    if externals.is_symlink() {
        above_runner.extend(paths::passed(&externals));
        above_runner.remove(&runner_dir);
    }
    for (key, path, above) in
        [("state directory", state, paths::passed(state)), ("runner.dir", configured, above_runner)]
    {
        for dir in above {
            let metadata = dir.metadata().with_context(|| format!("{} cannot be read", dir.display()))?;
            if users.may_write(&metadata) {
                let (path, dir) = (path.display(), dir.display());
                mistakes.push(format!(
                    "{key}: a runner's user can write to {dir} and could replace {path}: run \
                     `chown root:root {dir} && chmod go-w {dir}`, or choose another place"
                ));
            }
        }
    }
    let writable = install::find_shared(&runner_dir, &|metadata| users.may_write(metadata))
        .with_context(|| format!("{} cannot be read", runner_dir.display()))?;
    if let Some(path) = writable {
        let (path, dir) = (path.display(), runner_dir.display());
        mistakes.push(format!(
            "runner.dir: a runner's user can write to {path}, which all runners share: run \
             `chown -R root:root {dir} && chmod -R go-w {dir}`"
        ));
    }
    Ok(())
}

/// Returns the accounts of `runner.users` that have processes of no runner.
/// `tasks` is the directory of tasks.
pub(crate) fn busy_accounts<'a>(users: &'a RunnerUsers, tasks: &Path) -> Vec<&'a str> {
    let RunnerUsers::Named(accounts) = users else { return Vec::new() };
    let runners: Vec<u32> = std::fs::read_dir(tasks)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| TaskDir::at(entry.path()))
        .filter(|task| matches!(task.status(), Ok(TaskStatus::Alive)))
        .filter_map(|task| task.description().ok()?.uid)
        .collect();
    let busy = accounts.iter().filter(|it| !runners.contains(&it.uid) && is_at_work(it.uid));
    busy.filter_map(|account| account.name.as_deref()).collect()
}

#[cfg(test)]
mod tests;
