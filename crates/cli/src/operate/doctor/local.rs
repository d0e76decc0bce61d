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
                "{server} is of release {version}, and this command of {}",
                env!("CARGO_PKG_VERSION")
            ),
            "start the server anew with this release: its runners go on",
        ),
        Err(failure) => Check::failed(
            NAME,
            super::one_line(&failure.to_string()),
            "`ecsrunner local up` starts it; its runners are adopted",
        ),
    }
}

async fn configuration(deployment: &Deployment) -> Check {
    const NAME: &str = "configuration";
    let rules = match deployment.rules() {
        Ok(rules) => rules,
        Err(failure) => return Check::broken(NAME, &failure, "correct it, and start the server anew"),
    };
    match deployment.status().await {
        Ok(status) if status.paused => {
            Check::warning(NAME, "launches are paused", "`ecsrunner resume` lets them go on")
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
