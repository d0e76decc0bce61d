//! `ecsrunner costs`.

use std::collections::{BTreeMap, HashMap};

use ecsrunner_api::job::JobView;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_core::rules::cost::PRICES_AS_OF;
use jiff::Timestamp;
use serde::Serialize;

use crate::arguments::{CostKey, CostsArguments};
use crate::deployment::{Deployment, Query};
use crate::exit::Failure;
use crate::output::{self, Rows, print, usd};

const LEFT_OUT: &str = "the control plane, data transfer, logs, image storage, taxes, discounts\n\
                        Spot costs are estimates: Spot prices change";

/// The row of warm tasks, which are of no repository and no workflow.
const WARM: &str = "(warm tasks)";

#[derive(Clone, PartialEq, Default, Debug, Serialize)]
struct Row {
    key: String,
    runners: u64,
    jobs: u64,
    runner_seconds: f64,
    cost_usd: f64,
    /// Runners whose cost is unknown: the task never ran, or the record is of another release.
    unpriced: u64,
    /// The part of the cost that kept tasks warm before a runner took them over, or until they ended without one.
    warm_usd: f64,
    /// That part by why the warm task ended.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    warm_usd_by_reason: BTreeMap<String, f64>,
}

#[derive(Serialize)]
struct Document {
    since: Timestamp,
    by: String,
    rows: Vec<Row>,
    total: Row,
    prices_as_of: &'static str,
    left_out: &'static str,
}

pub(super) async fn costs(arguments: &CostsArguments) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    let now = Timestamp::now();
    let since = arguments.since.time(now);
    let query = Query { since: Some(since), ..Query::default() };
    // Only the job's record names its workflow, and the repository that used an organization's runner.
    let jobs = async {
        match arguments.by {
            CostKey::Workflow | CostKey::Repository => deployment.jobs(&query).await,
            CostKey::Class | CostKey::Day => Ok(Vec::new()),
        }
    };
    let (runners, jobs) = tokio::try_join!(deployment.runners(&query), jobs)?;
    let (rows, total) = add_up(&runners, &jobs, arguments.by);
    let by = format!("{:?}", arguments.by).to_lowercase();
    if arguments.format.json {
        let (prices_as_of, left_out) = (PRICES_AS_OF, LEFT_OUT);
        let document = Document { since, by, rows, total, prices_as_of, left_out };
        output::print_json(&document)?;
    } else if arguments.csv {
        print(&table(&rows, &by, false).csv())?;
    } else {
        let for_people = output::is_for_people();
        let mut table = table(&rows, &by, for_people);
        if for_people {
            add(&mut table, &total, true);
        }
        print(&table.text(for_people))?;
        if for_people {
            print(&told_warm(&total).map(|told| format!("\n{told}")).unwrap_or_default())?;
            print(&format!(
                "\nsince {since:.0}, at list prices of us-east-1 of {PRICES_AS_OF}\nnot included: {LEFT_OUT}\n"
            ))?;
        }
    }
    Ok(())
}

/// Returns the rows, most expensive first (by day: in order), and their total.
fn add_up(runners: &[RunnerView], jobs: &[JobView], by: CostKey) -> (Vec<Row>, Row) {
    let jobs: HashMap<u64, &JobView> = jobs.iter().map(|job| (job.id, job)).collect();
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut total = Row { key: "total".to_owned(), ..Row::default() };
    for runner in runners {
        // An organization's runner may execute a job of a repository other than the one it was started for.
        let executed = runner.job.and_then(|job| jobs.get(&job)).copied();
        let key = match by {
            CostKey::Repository => {
                let repository = executed.map(|job| job.repository.clone());
                repository.or_else(|| runner.repository.clone()).unwrap_or_else(|| WARM.to_owned())
            }
            CostKey::Class => runner.class.clone(),
            CostKey::Day => runner.began().map(|at| at.strftime("%Y-%m-%d").to_string()).unwrap_or_default(),
            CostKey::Workflow => {
                let launched_for = || runner.launched_for.and_then(|job| jobs.get(&job)).copied();
                match (executed.or_else(launched_for), &runner.repository) {
                    (Some(job), _) => workflow(job),
                    (None, Some(repository)) => format!("{repository}: unknown"),
                    (None, None) => WARM.to_owned(),
                }
            }
        };
        let row = rows.entry(key.clone()).or_insert_with(|| Row { key, ..Row::default() });
        for row in [row, &mut total] {
            row.add(runner);
        }
    }
    let mut rows: Vec<Row> = rows.into_values().collect();
    if by != CostKey::Day {
        rows.sort_by(|a, b| b.cost_usd.total_cmp(&a.cost_usd));
    }
    (rows, total)
}

fn workflow(job: &JobView) -> String {
    format!("{}: {}", job.repository, job.workflow.as_deref().unwrap_or("unknown"))
}

impl Row {
    fn add(&mut self, runner: &RunnerView) {
        self.runner_seconds += runner.task_seconds.unwrap_or(0.0);
        if runner.launched_for.is_none() {
            return self.add_warm(runner);
        }
        self.runners += 1;
        self.jobs += u64::from(runner.job.is_some());
        match runner.cost_usd {
            Some(cost) => self.cost_usd += cost,
            None => self.unpriced += 1,
        }
    }
}

impl Row {
    /// A warm task is no runner: its cost is that of having one at once.
    fn add_warm(&mut self, warm: &RunnerView) {
        let Some(cost) = warm.cost_usd else { return };
        let reason = warm.reason.as_ref().map_or("warm_waiting", |reason| reason.code.as_str());
        self.cost_usd += cost;
        self.warm_usd += cost;
        *self.warm_usd_by_reason.entry(reason.to_owned()).or_default() += cost;
    }
}

/// Says what the warm tasks cost, and why they ended.
fn told_warm(total: &Row) -> Option<String> {
    if total.warm_usd_by_reason.is_empty() {
        return None;
    }
    let reasons = total.warm_usd_by_reason.iter();
    let reasons: Vec<String> = reasons.map(|(reason, cost)| format!("{reason} {}", usd(*cost))).collect();
    Some(format!(
        "of it, warm tasks that waited for a job: {} ({})\n",
        usd(total.warm_usd),
        reasons.join(", ")
    ))
}

fn table(rows: &[Row], by: &str, for_people: bool) -> Rows {
    let first = match by {
        "repository" => "REPOSITORY",
        "class" => "CLASS",
        "workflow" => "WORKFLOW",
        _ => "DAY",
    };
    let mut table = Rows::new([first, "RUNNERS>", "JOBS>", "HOURS>", "COST>"]);
    for row in rows {
        add(&mut table, row, for_people);
    }
    table
}

fn add(table: &mut Rows, row: &Row, for_people: bool) {
    table.add([
        row.key.clone(),
        row.runners.to_string(),
        row.jobs.to_string(),
        format!("{:.2}", row.runner_seconds / 3600.0),
        if for_people { usd(row.cost_usd) } else { format!("{:.6}", row.cost_usd) },
    ]);
}
