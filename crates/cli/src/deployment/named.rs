//! Which deployment a command acts on: flags and environment variables.

use anyhow::anyhow;

use crate::arguments::TargetArguments;
use crate::environment;
use crate::exit::Failure;

/// The deployment that flags or variables name.
pub(crate) enum Named {
    Aws(String),
    /// A server, by URL or state directory.
    Local(String),
}

impl Named {
    /// Returns the deployment. A flag stands above variables.
    pub(crate) fn of(target: &TargetArguments) -> Result<Self, Failure> {
        let table = environment::text(environment::STATE_TABLE);
        if let Some(server) = &target.local {
            return Ok(Self::Local(server.clone()));
        }
        if let Some(name) = &target.deployment {
            return on_aws(name, "--deployment", table.as_deref());
        }
        if let Some(server) = environment::text(environment::LOCAL) {
            return Ok(Self::Local(server));
        }
        if let Some(name) = environment::text(environment::DEPLOYMENT) {
            return on_aws(&name, environment::DEPLOYMENT, table.as_deref());
        }
        if let Some(table) = table {
            return match deployment_of(&table) {
                Some(name) => Ok(Self::Aws(name.to_owned())),
                None => Err(Failure::usage(anyhow!(
                    "{} is `{table}`, which names no deployment: `ecsrunner-<deployment>-state` is expected",
                    environment::STATE_TABLE
                ))
                .hint("use `--deployment NAME` for a table of another name")),
            };
        }
        Err(Failure::usage(anyhow!("no deployment given")).hint(format!(
            "use `--deployment NAME` or {} for a deployment on AWS, `--local URL|DIR` or {} for a local server",
            environment::DEPLOYMENT,
            environment::LOCAL
        )))
    }
}

/// Returns the deployment of this name, unless the table of its state belongs to another one.
fn on_aws(name: &str, named_by: &str, table: Option<&str>) -> Result<Named, Failure> {
    match table.and_then(|table| Some((table, deployment_of(table)?))) {
        Some((table, other)) if other != name => Err(Failure::usage(anyhow!(
            "{named_by} is `{name}`, but {} is `{table}`, the table of the deployment `{other}`",
            environment::STATE_TABLE
        ))
        .hint("name the same deployment in both, or leave one out")),
        _ => Ok(Named::Aws(name.to_owned())),
    }
}

/// Returns the deployment whose state Terraform keeps in this table.
fn deployment_of(table: &str) -> Option<&str> {
    table.strip_prefix("ecsrunner-")?.strip_suffix("-state").filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_terraforms_names_its_deployment() {
        assert_eq!(deployment_of("ecsrunner-ci-state"), Some("ci"));
        assert_eq!(deployment_of("ecsrunner-my-team-state"), Some("my-team"));
        for other in ["ecsrunner--state", "ecsrunner-ci-boot", "ci-state", "ecsrunner-state", ""] {
            assert_eq!(deployment_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_deployment_and_the_table_of_another_one_are_a_conflict() {
        let named =
            |table| on_aws("ci", "--deployment", table).map(|_| ()).map_err(|error| error.to_string());
        for table in [None, Some("ecsrunner-ci-state"), Some("a-table-of-another-name")] {
            assert_eq!(named(table), Ok(()), "{table:?}");
        }
        let told = named(Some("ecsrunner-prod-state")).unwrap_err();
        let expected = "--deployment is `ci`, but RUNNER_STATE_TABLE is `ecsrunner-prod-state`, the table of the deployment `prod`";
        assert_eq!(told, expected);
    }
}
