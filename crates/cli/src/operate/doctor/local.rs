//! A server on this machine.

use super::Check;
use crate::deployment::{Deployment, LocalServer};

pub(super) async fn look(server: &LocalServer, deployment: &Deployment) -> Vec<Check> {
    vec![answers(server).await, configuration(deployment).await]
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
