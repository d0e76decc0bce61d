//! `ecsrunner cluster status`: the open runners, and their limits.

#[cfg(feature = "aws")]
mod aws;

use std::collections::BTreeMap;

use anyhow::anyhow;
use ecsrunner_api::class::ClassView;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_aws::task::TaskInfo;
use ecsrunner_core::records::runner::RunnerStage;
use serde::Serialize;

use crate::arguments::ClusterStatus;
use crate::deployment::{Deployment, Query};
use crate::exit::Failure;
use crate::output::{self, NONE, Rows, or_none, print, wrapped};

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

/// Runners with the same class, state, task status and capacity provider.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct Group {
    class: String,
    state: RunnerStage,
    task_status: Option<String>,
    capacity_provider: String,
    runners: u32,
    vcpus: f64,
}

/// A limit and its use.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct Limit {
    name: String,
    unit: &'static str,
    in_use: f64,
    /// `null` if unknown, or if there is none.
    limit: Option<f64>,
    set_by: String,
}

pub(super) async fn status(arguments: &ClusterStatus) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    if let (Deployment::Local(_), Some(cluster)) = (&deployment, &arguments.cluster) {
        return Err(Failure::usage(anyhow!("a local server has no cluster: CLUSTER is `{cluster}`"))
            .hint("omit CLUSTER"));
    }
    let status = deployment.status().await?;
    let mut runners = deployment.runners(&Query::default().open()).await?;
    // A warm task that a runner took over is listed until that is gone.
    runners.retain(|runner| !runner.is_gone());
    let classes = deployment.classes().await?;
    let OnAws { cluster, tasks, quotas } = match &deployment {
        #[cfg(feature = "aws")]
        Deployment::Aws(aws) => aws::look(aws, arguments.cluster.as_deref()).await?,
        Deployment::Local(_) => OnAws::default(),
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
    limits.extend(quotas);
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
        print(&document.text(output::width_for_people()))?;
    }
    Ok(())
}

/// What only AWS knows.
#[derive(Default)]
struct OnAws {
    cluster: Option<Cluster>,
    tasks: Vec<TaskInfo>,
    quotas: Vec<Limit>,
}

/// Counts the runners that take a place in the limits: those whose task has not stopped.
fn count<'a>(runners: impl Iterator<Item = &'a RunnerView>) -> f64 {
    let places = runners.filter(|runner| takes_place(runner)).count();
    f64::from(u32::try_from(places).unwrap_or(u32::MAX))
}

fn takes_place(runner: &RunnerView) -> bool {
    runner.stopped_at.is_none()
}

fn of_repositories(runners: &[RunnerView], most: u32) -> Vec<Limit> {
    let mut by_repository: BTreeMap<&str, f64> = BTreeMap::new();
    let in_place = runners.iter().filter(|runner| takes_place(runner));
    for repository in in_place.filter_map(|runner| runner.repository.as_deref()) {
        *by_repository.entry(repository).or_default() += 1.0;
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
    /// `width` is that of a terminal in columns, or `None` for programs.
    fn text(&self, width: Option<usize>) -> String {
        // On one machine there are no states of ECS and no capacity providers. Lines for programs have all columns.
        let has_ecs = width.is_none() || self.cluster.is_some();
        let of_ecs = ["TASK STATE", "CAPACITY"].into_iter().filter(|_| has_ecs);
        let header = ["CLASS", "RUNNER STATE"].into_iter().chain(of_ecs).chain(["RUNNERS>", "VCPU>"]);
        let mut runners = Rows::new(header.collect::<Vec<_>>());
        for group in &self.runners {
            let of_ecs = [or_none(group.task_status.as_deref()), group.capacity_provider.clone()];
            let row = [group.class.clone(), group.state.to_string()];
            let row = row.into_iter().chain(of_ecs.into_iter().filter(|_| has_ecs));
            runners.add(row.chain([group.runners.to_string(), group.vcpus.to_string()]).collect::<Vec<_>>());
        }
        let mut limits = Rows::new(["LIMIT OF", "IN USE>", "LIMIT>", "UNIT", "SET BY"]);
        for limit in &self.limits {
            limits.add([
                limit.name.clone(),
                limit.in_use.to_string(),
                limit.limit.map_or_else(|| NONE.to_owned(), |limit| limit.to_string()),
                limit.unit.to_owned(),
                limit.set_by.clone(),
            ]);
        }
        let (runners, limits) = (runners.text(width.is_some()), limits.text(width.is_some()));
        let Some(width) = width else { return format!("{runners}{limits}") };
        let launches = if self.paused { "launches are paused" } else { "launches are enabled" };
        let cluster = self.cluster.as_ref().map(|cluster| {
            let told = format!(
                "cluster {}: {}, {}; {} tasks running and {} pending, including those of others",
                cluster.name,
                cluster.status,
                cluster.capacity_providers.join(" and "),
                cluster.running_tasks,
                cluster.pending_tasks
            );
            wrapped(&told, width)
        });
        let runners = if self.runners.is_empty() { "no runners\n".to_owned() } else { runners };
        format!(
            "deployment {}: {launches}\n{}\n{runners}\n{limits}",
            self.deployment,
            cluster.unwrap_or_default()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(cluster: Option<Cluster>) -> Document {
        let group = Group {
            class: "small".to_owned(),
            state: RunnerStage::Busy,
            task_status: cluster.is_some().then(|| "RUNNING".to_owned()),
            capacity_provider: "FARGATE".to_owned(),
            runners: 2,
            vcpus: 1.0,
        };
        let limit = Limit {
            name: "runners".to_owned(),
            unit: "runners",
            in_use: 2.0,
            limit: Some(8.0),
            set_by: "max_runners".to_owned(),
        };
        Document {
            deployment: "ci".to_owned(),
            paused: false,
            cluster,
            runners: vec![group],
            limits: vec![limit],
        }
    }

    #[test]
    fn one_machine_has_nothing_of_ecs() {
        insta::assert_snapshot!(document(None).text(Some(80)), @"
        deployment ci: launches are enabled

        CLASS  RUNNER STATE  RUNNERS  VCPU
        small  busy                2     1

        LIMIT OF  IN USE  LIMIT  UNIT     SET BY
        runners        2      8  runners  max_runners
        ");
        // Columns for programs are always the same.
        assert!(document(None).text(None).starts_with("small\tbusy\t—\tFARGATE\t2\t1\n"));
    }

    #[test]
    fn a_runner_whose_task_has_stopped_takes_no_place_in_a_limit() {
        let runner = |stopped_at: Option<&str>| -> RunnerView {
            serde_json::from_value(serde_json::json!({
                "name": "r", "repository": "acme/app", "class": "small", "pool": "p", "state": "ending",
                "ending": null, "reason": null, "job": null, "launched_for": 7, "task": null,
                "capacity_provider": "FARGATE", "task_seconds": null, "stopped_at": stopped_at, "cost_usd": null,
                "timeline": [],
            }))
            .unwrap()
        };
        let runners = [runner(None), runner(Some("2026-11-30T12:00:00Z"))];
        assert_eq!(count(runners.iter()), 1.0);
        let of_repositories = of_repositories(&runners, 4);
        assert_eq!(of_repositories.iter().map(|limit| limit.in_use).collect::<Vec<_>>(), [1.0]);
        assert_eq!(groups(&runners, &[], &[])[0].runners, 2, "both are listed");
    }

    #[test]
    fn a_cluster_has_states_of_tasks_and_capacity() {
        let cluster = Cluster {
            name: "ci".to_owned(),
            status: "ACTIVE".to_owned(),
            capacity_providers: vec!["FARGATE".to_owned()],
            running_tasks: 2,
            pending_tasks: 0,
        };
        let text = document(Some(cluster)).text(Some(80));
        assert!(text.contains("CLASS  RUNNER STATE  TASK STATE  CAPACITY  RUNNERS  VCPU\n"), "{text}");
        assert!(text.contains("small  busy          RUNNING     FARGATE         2     1\n"), "{text}");
    }
}
