//! Warnings at the start: what is weaker than on Fargate, or can go wrong in jobs.

use std::net::SocketAddr;
use std::path::PathBuf;

use tracing::warn;

use crate::accounts::RunnerUsers;
use crate::config::Config;
use crate::preflight;
use crate::state_dir::StateDir;

/// Warns of weaker isolation than on Fargate, and refuses public repositories
/// without root.
pub(super) fn of_isolation(config: &Config, listen: SocketAddr) -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        anyhow::ensure!(
            !config.settings.policy.public_repositories,
            "public_repositories is true, and without root all jobs share one user: \
             a pull request of anyone could read every other job's files"
        );
        warn!("all jobs share one user of this machine: start as root to give each runner its own user");
    }
    if !listen.ip().is_loopback() {
        warn!(%listen, "the API's token crosses the network in the clear to this address: put a proxy with TLS in front of it");
    }
    Ok(())
}

/// Warns of user ids without accounts: jobs run, but some commands in them fail.
pub(super) fn of_missing_accounts(users: &RunnerUsers) {
    if let RunnerUsers::From(first_uid) = users {
        warn!(
            first_uid,
            "runners' user ids have no account: whoami, id -un, ssh, git's default identity and \
             node's os.userInfo() fail in jobs; set runner.users to the names of accounts"
        );
    }
}

/// Warns of accounts with other processes: these could read a runner's files, and
/// would be killed with the runner.
pub(super) fn of_busy_accounts(users: &RunnerUsers, state: &StateDir) {
    let accounts = preflight::busy_accounts(users, &state.tasks()).join(", ");
    if !accounts.is_empty() {
        warn!(
            accounts,
            "accounts of runner.users have processes of no runner: such an account gets no runner until they \
             end; name accounts that only runners use"
        );
    }
}

/// Warns of secrets that jobs could read.
pub(super) fn of_exposed_secrets(files: &[PathBuf]) {
    for file in files {
        warn!(file = %file.display(), "every user of this machine, and so every job, can read this secret: run `chmod o= FILE`");
    }
}
