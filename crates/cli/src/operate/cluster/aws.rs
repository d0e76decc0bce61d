//! The state of a deployment's cluster, tasks and quotas on AWS.

use ecsrunner_aws::operate::{OperateError, Quota};
use ecsrunner_aws::task::TaskInfo;
use ecsrunner_core::rules::cost::Market;

use super::{Cluster, Limit, OnAws, VCPU};
use crate::deployment::AwsDeployment;
use crate::exit::Failure;
use crate::output::say;

pub(super) async fn look(aws: &AwsDeployment, named: Option<&str>) -> Result<OnAws, Failure> {
    let (operator, own) = (aws.operator(), aws.facts().cluster.as_str());
    let name = named.unwrap_or(own);
    let found = operator.cluster(name).await.map_err(|error| match error {
        OperateError::Missing(_) => Failure::not_found(error)
            .hint(format!("omit CLUSTER to use the deployment's own cluster, `{own}`")),
        error => Failure::of_aws(error),
    })?;
    let tasks = operator.tasks(name, aws.name()).await.map_err(Failure::of_aws)?;
    let mut quotas = Vec::new();
    for market in [Market::OnDemand, Market::Spot] {
        let quota = match operator.quota(market).await {
            Ok(quota) => Some(quota),
            // The use is shown even without the quota.
            Err(error) => {
                say(&format!(
                    "note: the quota of {} is unknown: {:#}",
                    market.capacity_provider(),
                    anyhow::Error::new(error)
                ));
                None
            }
        };
        quotas.push(of_quota(market, quota.as_ref(), &tasks));
    }
    let cluster = Cluster {
        name: found.name,
        status: found.status,
        capacity_providers: found.capacity_providers,
        running_tasks: found.running_tasks,
        pending_tasks: found.pending_tasks,
    };
    Ok(OnAws { cluster: Some(cluster), tasks, quotas })
}

/// Returns the account's quota, with the use by this deployment. Others may use it too.
fn of_quota(market: Market, quota: Option<&Quota>, tasks: &[TaskInfo]) -> Limit {
    let provider = market.capacity_provider();
    let of_it = tasks.iter().filter(|task| task.capacity_provider.as_deref() == Some(provider));
    Limit {
        name: format!("{provider} of this deployment"),
        unit: "vCPU",
        in_use: of_it.filter_map(|task| task.cpu).map(|cpu| f64::from(cpu) / VCPU).sum(),
        limit: quota.map(|quota| quota.vcpus),
        set_by: quota
            .map_or_else(|| "a Fargate quota".to_owned(), |quota| format!("Fargate quota {}", quota.code)),
    }
}
