//! A server on this machine.

use super::Check;
use crate::deployment::{Deployment, LocalServer};
use crate::machine::check_program;

pub(super) async fn look(server: &LocalServer, deployment: &Deployment) -> Vec<Check> {
    let mut checks = vec![
        answers(server).await,
        configuration(deployment).await,
        state_directory(server),
        executable(),
        secrets(server),
    ];
    checks.extend(services(server, deployment));
    checks
}

async fn answers(server: &LocalServer) -> Check {
    const NAME: &str = "server";
    match server.version().await {
        Ok(version) if version == env!("CARGO_PKG_VERSION") => {
            Check::ok(NAME, format_args!("{server} is up, release {version}"))
        }
        Ok(version) => Check::warning(
            NAME,
            format_args!(
                "{server} runs release {version}, and this command is release {}",
                env!("CARGO_PKG_VERSION")
            ),
            "restart the server with this release: its runners keep running",
        ),
        Err(failure) => Check::failed(
            NAME,
            super::one_line(&failure.to_string()),
            "start it with `ecsrunner local up`: it adopts its runners",
        ),
    }
}

fn state_directory(server: &LocalServer) -> Check {
    const NAME: &str = "state directory";
    let attachment = match server.attachment("looking at its state directory") {
        Ok(attachment) => attachment,
        Err(failure) => return Check::unknown(NAME, &failure),
    };
    match attachment.check_custody() {
        Ok(()) => Check::ok(NAME, "others can neither change nor replace it"),
        Err(error) => Check::failed(
            NAME,
            super::one_line(&format!("{error:#}")),
            "stop the server, and start it with a directory of its own",
        ),
    }
}

/// Whether others can replace this executable, which a server starts for each task.
fn executable() -> Check {
    const NAME: &str = "executable";
    let path = match std::env::current_exe() {
        Ok(path) => path,
        Err(error) => return Check::warning(NAME, error, "start this command by its path"),
    };
    match check_program(&path) {
        Ok(()) => Check::ok(NAME, "others can neither change nor replace it"),
        Err(error) => Check::failed(
            NAME,
            super::one_line(&format!("{error:#}")),
            "put it where only root can change it, such as /usr/local/bin, and restart the server",
        ),
    }
}

fn secrets(server: &LocalServer) -> Check {
    const NAME: &str = "secrets";
    let exposed = match server.exposed_secrets() {
        Ok(exposed) => exposed,
        Err(failure) => return Check::broken(NAME, &failure, "correct it, and restart the server"),
    };
    let files: Vec<String> = exposed.iter().map(|file| file.display().to_string()).collect();
    if files.is_empty() {
        return Check::ok(NAME, "no other user of this machine can read, change or replace them");
    }
    let files = files.join(" ");
    Check::warning(
        NAME,
        format_args!("every user of this machine, and so every job, can read {files}"),
        format_args!("run `chmod o= {files}`"),
    )
}

/// Whether services have their declared ports. Nothing is said where no class declares any.
fn services(server: &LocalServer, deployment: &Deployment) -> Option<Check> {
    const NAME: &str = "services";
    let rules = deployment.rules().ok()?;
    if rules.catalogue.iter().all(|class| class.services.is_empty()) {
        return None;
    }
    let attachment = match server.attachment("looking at its services") {
        Ok(attachment) => attachment,
        Err(failure) => return Some(Check::unknown(NAME, &failure)),
    };
    Some(match &attachment.own_ports {
        None => {
            Check::ok(NAME, "each task has a network namespace, where services have their declared ports")
        }
        Some(reason) => Check::warning(
            NAME,
            format_args!(
                "no task has a network namespace, so services listen on any free port, where other jobs reach them: {reason}"
            ),
            "see \"Network namespaces\" in docs/services.md, and restart the server",
        ),
    })
}

async fn configuration(deployment: &Deployment) -> Check {
    const NAME: &str = "configuration";
    let rules = match deployment.rules() {
        Ok(rules) => rules,
        Err(failure) => return Check::broken(NAME, &failure, "correct it, and restart the server"),
    };
    match deployment.status().await {
        Ok(status) if status.paused => {
            Check::warning(NAME, "launches are paused", "run `ecsrunner resume` to resume them")
        }
        _ => Check::ok(
            NAME,
            format_args!(
                "deployment {}, {} classes",
                rules.settings.deployment,
                rules.catalogue.iter().count()
            ),
        ),
    }
}
