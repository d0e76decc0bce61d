//! `ecsrunner cluster status`: what runs, and what it is bounded by.

use std::collections::BTreeMap;

use ecsrunner_api::class::ClassView;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_aws::operate::{OperateError, Quota, TaskInfo};
use ecsrunner_core::records::runner::RunnerStage;
use ecsrunner_core::rules::cost::Market;
use serde::Serialize;

use crate::arguments::ClusterStatus;
use crate::deployment::{AwsDeployment, Deployment, Query};
use crate::exit::Failure;
use crate::output::{self, NONE, Rows, or_none, print, say};

/// CPU units of a vCPU.
const VCPU: f64 = 1024.0;

#[derive(Serialize)]
struct Document {
    deployment: String,
    paused: bool,
    cluster: Option<Cluster>,
    runners: Vec<Group>,
    limits: Vec<Limit>,
}

#[derive(Serialize)]
struct Cluster {
    name: String,
    status: String,
    capacity_providers: Vec<String>,
    running_tasks: i32,
    pending_tasks: i32,
}

/// Runners of one class in one state, whose tasks ECS has in one status.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct Group {
    class: String,
    state: RunnerStage,
    task_status: Option<String>,
    capacity_provider: String,
    runners: u32,
    vcpus: f64,
}

/// Something that there can be so much of.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct Limit {
    name: String,
    unit: &'static str,
    in_use: f64,
    /// `null` where it is not known, or there is none.
    limit: Option<f64>,
    set_by: String,
}

pub(super) async fn status(arguments: &ClusterStatus) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    let status = deployment.status().await?;
    let runners = deployment.runners(&Query::default().open()).await?;
    let classes = deployment.classes().await?;
    let (cluster, tasks, quotas) = match &deployment {
        Deployment::Aws(aws) => on_aws(aws, arguments.cluster.as_deref()).await?,
        Deployment::Local(_) => (None, Vec::new(), Vec::new()),
    };
    let mut limits = vec![Limit {
        name: "runners".to_owned(),
        unit: "runners",
        in_use: count(runners.iter()),
        limit: Some(f64::from(status.max_runners)),
        set_by: "max_runners".to_owned(),
    }];
    if let Some(most) = status.max_runners_per_repository {
        limits.extend(of_repositories(&runners, most));
    }
    limits.extend(classes.iter().filter_map(|class| of_class(class, &runners)));
    limits.extend(quotas.iter().map(|(market, quota)| of_quota(*market, quota.as_ref(), &tasks)));
    let document = Document {
        deployment: status.deployment,
        paused: status.paused,
        cluster,
        runners: groups(&runners, &tasks, &classes),
        limits,
    };
    if arguments.format.json {
        output::print_json(&document)?;
    } else {
        print(&document.text(output::is_for_people()))?;
    }
    Ok(())
}

type OnAws = (Option<Cluster>, Vec<TaskInfo>, Vec<(Market, Option<Quota>)>);

async fn on_aws(aws: &AwsDeployment, named: Option<&str>) -> Result<OnAws, Failure> {
    let (operator, own) = (aws.operator(), aws.facts().cluster.as_str());
    let name = named.unwrap_or(own);
    let found = operator.cluster(name).await.map_err(|error| match error {
        OperateError::Missing(_) => Failure::not_found(error)
            .hint(format!("the deployment's own cluster is `{own}`; it is meant if none is named")),
        error => Failure::of_aws(error),
    })?;
    let tasks = operator.tasks(name, aws.name()).await.map_err(Failure::of_aws)?;
    let mut quotas = Vec::new();
    for market in [Market::OnDemand, Market::Spot] {
        let quota = match operator.quota(market).await {
            Ok(quota) => Some(quota),
            // What is in use is worth telling without it.
            Err(error) => {
                say(&format!(
                    "note: the quota of {} is not known: {:#}",
                    market.capacity_provider(),
                    anyhow::Error::new(error)
                ));
                None
            }
        };
        quotas.push((market, quota));
    }
    let cluster = Cluster {
        name: found.name,
        status: found.status,
        capacity_providers: found.capacity_providers,
        running_tasks: found.running_tasks,
        pending_tasks: found.pending_tasks,
    };
    Ok((Some(cluster), tasks, quotas))
}

fn count<'a>(runners: impl Iterator<Item = &'a RunnerView>) -> f64 {
    f64::from(u32::try_from(runners.count()).unwrap_or(u32::MAX))
}

fn of_repositories(runners: &[RunnerView], most: u32) -> Vec<Limit> {
    let mut by_repository: BTreeMap<&str, f64> = BTreeMap::new();
    for runner in runners {
        *by_repository.entry(&runner.repository).or_default() += 1.0;
    }
    let limits = by_repository.into_iter().map(|(repository, in_use)| Limit {
        name: format!("runners of {repository}"),
        unit: "runners",
        in_use,
        limit: Some(f64::from(most)),
        set_by: "max_runners_per_repository".to_owned(),
    });
    limits.collect()
}

fn of_class(class: &ClassView, runners: &[RunnerView]) -> Option<Limit> {
    let most = class.max_runners?;
    Some(Limit {
        name: format!("runners of class {}", class.name),
        unit: "runners",
        in_use: count(runners.iter().filter(|runner| runner.class == class.name)),
        limit: Some(f64::from(most)),
        set_by: format!("max_runners of {}", class.name),
    })
}

/// The account's quota, of which others may use some, too: what this deployment does is told.
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

fn groups(runners: &[RunnerView], tasks: &[TaskInfo], classes: &[ClassView]) -> Vec<Group> {
    let by_task: BTreeMap<&str, &TaskInfo> = tasks.iter().map(|task| (task.task.as_str(), task)).collect();
    let mut groups: Vec<Group> = Vec::new();
    for runner in runners {
        let task = runner.task.as_deref().and_then(|task| by_task.get(task));
        let class = classes.iter().find(|class| class.name == runner.class);
        let cpu = task.and_then(|task| task.cpu).or(class.map(|class| class.cpu)).unwrap_or(0);
        let one = Group {
            class: runner.class.clone(),
            state: runner.state,
            task_status: task.map(|task| task.last_status.clone()),
            capacity_provider: runner.capacity_provider.clone(),
            runners: 1,
            vcpus: f64::from(cpu) / VCPU,
        };
        match groups.iter_mut().find(|group| group.is_like(&one)) {
            Some(group) => {
                group.runners += 1;
                group.vcpus += one.vcpus;
            }
            None => groups.push(one),
        }
    }
    groups.sort_by(|a, b| (&a.class, a.state.as_str()).cmp(&(&b.class, b.state.as_str())));
    groups
}

impl Group {
    fn is_like(&self, other: &Self) -> bool {
        (&self.class, self.state, &self.task_status, &self.capacity_provider)
            == (&other.class, other.state, &other.task_status, &other.capacity_provider)
    }
}

impl Document {
    fn text(&self, for_people: bool) -> String {
        let mut runners = Rows::new(["CLASS", "RUNNER IS", "TASK IS", "CAPACITY", "RUNNERS>", "VCPU>"]);
        for group in &self.runners {
            runners.add([
                group.class.clone(),
                group.state.to_string(),
                or_none(group.task_status.as_deref()),
                group.capacity_provider.clone(),
                group.runners.to_string(),
                group.vcpus.to_string(),
            ]);
        }
        let mut limits = Rows::new(["LIMIT", "IN USE>", "OF>", "UNIT", "SET BY"]);
        for limit in &self.limits {
            limits.add([
                limit.name.clone(),
                limit.in_use.to_string(),
                limit.limit.map_or_else(|| NONE.to_owned(), |limit| limit.to_string()),
                limit.unit.to_owned(),
                limit.set_by.clone(),
            ]);
        }
        let (runners, limits) = (runners.text(for_people), limits.text(for_people));
        if !for_people {
            return format!("{runners}{limits}");
        }
        let launches = if self.paused { "launches are paused" } else { "it launches runners" };
        let cluster = self.cluster.as_ref().map(|cluster| {
            format!(
                "cluster {}: {}, {}; {} tasks running and {} pending, others' among them\n",
                cluster.name,
                cluster.status,
                cluster.capacity_providers.join(" and "),
                cluster.running_tasks,
                cluster.pending_tasks
            )
        });
        let runners = if self.runners.is_empty() { "no runners\n".to_owned() } else { runners };
        format!(
            "deployment {}: {launches}\n{}\n{runners}\n{limits}",
            self.deployment,
            cluster.unwrap_or_default()
        )
    }
}
