//! `ecsrunner costs`.

use ecsrunner_api::costs::{CostKey, CostRow, LEFT_OUT, add_up};
use ecsrunner_core::rules::cost::PRICES_AS_OF;
use jiff::Timestamp;
use serde::Serialize;

use crate::arguments::CostsArguments;
use crate::deployment::{Deployment, Query};
use crate::exit::Failure;
use crate::output::{self, Rows, print, usd};

#[derive(Serialize)]
struct Document {
    since: Timestamp,
    by: String,
    rows: Vec<CostRow>,
    total: CostRow,
    prices_as_of: &'static str,
    left_out: &'static str,
}

pub(super) async fn costs(arguments: &CostsArguments) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    let now = Timestamp::now();
    let since = arguments.since.time(now);
    let by = arguments.by.key();
    let query = Query { since: Some(since), ..Query::default() };
    // Only the job's record names its workflow, and the repository that used an organization's runner.
    let jobs = async {
        match by {
            CostKey::Workflow | CostKey::Repository => deployment.jobs(&query).await,
            CostKey::Class | CostKey::Day => Ok(Vec::new()),
        }
    };
    let (runners, jobs) = tokio::try_join!(deployment.runners(&query), jobs)?;
    let (rows, total) = add_up(&runners, &jobs, by);
    let by = format!("{by:?}").to_lowercase();
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

/// Says what the warm tasks cost, and why they ended.
fn told_warm(total: &CostRow) -> Option<String> {
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

fn table(rows: &[CostRow], by: &str, for_people: bool) -> Rows {
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

fn add(table: &mut Rows, row: &CostRow, for_people: bool) {
    table.add([
        row.key.clone(),
        row.runners.to_string(),
        row.jobs.to_string(),
        format!("{:.2}", row.runner_seconds / 3600.0),
        if for_people { usd(row.cost_usd) } else { format!("{:.6}", row.cost_usd) },
    ]);
}
