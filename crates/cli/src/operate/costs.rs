//! `ecsrunner costs`.

use ecsrunner_api::budget::BudgetView;
use ecsrunner_api::costs::{CostKey, CostRow, LEFT_OUT, add_up};
use ecsrunner_core::rules::cost::PRICES_AS_OF;
use ecsrunner_core::rules::hosted::HOSTED_PRICES_AS_OF;
use jiff::Timestamp;
use serde::Serialize;

use super::right_size::right_sizes;
use crate::arguments::CostsArguments;
use crate::deployment::{Deployment, Query};
use crate::exit::Failure;
use crate::output::{self, Rows, print, usd, width_for_people, wrapped};

#[derive(Serialize)]
struct Document {
    since: Timestamp,
    by: String,
    rows: Vec<CostRow>,
    total: CostRow,
    budgets: Vec<BudgetView>,
    self_hosted_fee_usd: f64,
    prices_as_of: &'static str,
    hosted_prices_as_of: &'static str,
    left_out: &'static str,
}

/// Where a price or a saving is not known.
const UNKNOWN: &str = "unknown";

pub(super) async fn costs(arguments: &CostsArguments) -> Result<(), Failure> {
    if arguments.right_size {
        return right_sizes(arguments).await;
    }
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
    let (runners, jobs, told) = tokio::try_join!(deployment.runners(&query), jobs, deployment.budgets())?;
    let fee = arguments.self_hosted_fee.unwrap_or(told.self_hosted_fee_usd);
    let (rows, total) = add_up(&runners, &jobs, by, fee);
    let by = format!("{by:?}").to_lowercase();
    if arguments.format.json {
        let document = Document {
            since,
            by,
            rows,
            total,
            budgets: told.budgets,
            self_hosted_fee_usd: fee,
            prices_as_of: PRICES_AS_OF,
            hosted_prices_as_of: HOSTED_PRICES_AS_OF,
            left_out: LEFT_OUT,
        };
        output::print_json(&document)?;
    } else if arguments.csv {
        print(&table(&rows, &by, false).csv())?;
    } else {
        let width = width_for_people();
        let mut table = table(&rows, &by, width.is_some());
        if width.is_some() {
            add(&mut table, &total, true);
        }
        print(&table.text(width.is_some()))?;
        if let Some(width) = width {
            print(&wrapped(&footer(since, &total, fee), width))?;
            print(&told_budgets(&told.budgets))?;
        }
    }
    Ok(())
}

/// Lists what was spent of each budget; empty if there is none.
pub(super) fn told_budgets(budgets: &[BudgetView]) -> String {
    if budgets.is_empty() {
        return String::new();
    }
    let mut table = Rows::new(["BUDGET", "PERIOD", "SPENT>", "LIMIT>", "FORECAST>", "ACTION", "STATE"]);
    for budget in budgets {
        let state = if budget.holds() {
            format!("held until {:.0}", budget.until)
        } else if budget.is_spent {
            "spent".to_owned()
        } else if budget.forecast_usd > budget.limit_usd {
            "will be spent".to_owned()
        } else {
            "ok".to_owned()
        };
        table.add([
            budget.to_string(),
            budget.period.clone(),
            usd(budget.spent_usd),
            usd(budget.limit_usd),
            usd(budget.forecast_usd),
            budget.action.as_str().to_owned(),
            state,
        ]);
    }
    let unpriced: u64 = budgets.iter().map(|budget| budget.unpriced).max().unwrap_or_default();
    let mut told = format!("\n{}", table.text(true));
    if unpriced > 0 {
        told.push_str(&format!(
            "not included: tasks whose cost is unknown, up to {unpriced} in one budget\n"
        ));
    }
    told
}

/// Says what the amounts include. Each paragraph is one line.
fn footer(since: Timestamp, total: &CostRow, fee: f64) -> String {
    let warm = told_warm(total).map(|told| format!("\n{told}")).unwrap_or_default();
    let hosted = told_hosted(total, fee);
    format!(
        "{warm}\nsince {since:.0}, at list prices of us-east-1 of {PRICES_AS_OF}\nnot included: {LEFT_OUT}\n{hosted}"
    )
}

/// Says with what the costs were compared.
fn told_hosted(total: &CostRow, fee: f64) -> String {
    let mut told = format!(
        "\nHOSTED: the same jobs on runners that GitHub hosts, at its list prices of {HOSTED_PRICES_AS_OF} for private \
         repositories: the smallest Linux machine of two CPUs or more that has as many and as much memory, each job \
         rounded up to full minutes. GitHub's runner with one CPU is left out, because it ends jobs after 15 minutes. \
         Minutes that a plan includes are not considered. SAVED is HOSTED without the cost of these jobs and of runners \
         without a job.\n"
    );
    if fee > 0.0 {
        told.push_str(&format!("SAVED is after a fee of {} for self-hosted minutes.\n", usd(total.fee_usd)));
    }
    let unpriced = total.uncompared_jobs.saturating_sub(total.untimed_jobs + total.unhosted_jobs);
    for (jobs, why) in [
        (total.untimed_jobs, "nothing says when they began"),
        (total.unhosted_jobs, "GitHub hosts no machine of their size"),
        (unpriced, "their cost is unknown"),
    ] {
        if jobs > 0 {
            told.push_str(&format!("jobs that cannot be compared, because {why}: {jobs}\n"));
        }
    }
    told
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
    let mut table = Rows::new([first, "RUNNERS>", "JOBS>", "HOURS>", "COST>", "HOSTED>", "SAVED>"]);
    for row in rows {
        add(&mut table, row, for_people);
    }
    table
}

fn add(table: &mut Rows, row: &CostRow, for_people: bool) {
    let dollars = |amount: f64| if for_people { usd(amount) } else { format!("{amount:.6}") };
    let or_unknown = |amount: Option<f64>| amount.map_or_else(|| UNKNOWN.to_owned(), dollars);
    table.add([
        row.key.clone(),
        row.runners.to_string(),
        row.jobs.to_string(),
        format!("{:.2}", row.runner_seconds / 3600.0),
        dollars(row.cost_usd),
        or_unknown((row.compared_jobs > 0).then_some(row.hosted_usd)),
        or_unknown(row.saved_usd),
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_footer_fits_into_80_columns() {
        let total = CostRow { untimed_jobs: 2, uncompared_jobs: 2, fee_usd: 0.5, ..CostRow::default() };
        let told = wrapped(&footer(Timestamp::UNIX_EPOCH, &total, 0.002), 80);
        insta::assert_snapshot!(told, @r"

        since 1970-01-01T00:00:00Z, at list prices of us-east-1 of 2026-09
        not included: the control plane, data transfer, logs, image storage, taxes,
        discounts
        Spot costs are estimates: Spot prices change

        HOSTED: the same jobs on runners that GitHub hosts, at its list prices of
        2026-11 for private repositories: the smallest Linux machine of two CPUs or more
        that has as many and as much memory, each job rounded up to full minutes.
        GitHub's runner with one CPU is left out, because it ends jobs after 15 minutes.
        Minutes that a plan includes are not considered. SAVED is HOSTED without the
        cost of these jobs and of runners without a job.
        SAVED is after a fee of $0.5000 for self-hosted minutes.
        jobs that cannot be compared, because nothing says when they began: 2
        ");
    }
}
