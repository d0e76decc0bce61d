//! Budgets.

use ecsrunner_api::budget::BudgetView;

use super::Check;
use crate::deployment::Deployment;
use crate::output::usd_in_text;

const NAME: &str = "budgets";

/// Returns a check for each budget that is spent or probably will be, or one for all of them.
pub(super) async fn look(deployment: &Deployment) -> Vec<Check> {
    match deployment.budgets().await {
        Ok(read) => check(&read.budgets),
        Err(failure) => vec![Check::unknown(NAME, &failure)],
    }
}

fn check(budgets: &[BudgetView]) -> Vec<Check> {
    let warnings: Vec<Check> = budgets.iter().filter_map(warning).collect();
    match (warnings.is_empty(), budgets.len()) {
        (false, _) => warnings,
        (true, 0) => Vec::new(),
        (true, _) => vec![Check::ok(NAME, "none is spent, or will be by the forecast")],
    }
}

fn warning(budget: &BudgetView) -> Option<Check> {
    let BudgetView { limit_usd, spent_usd, forecast_usd, period, .. } = budget;
    let of_limit =
        format!("{budget}: {} of {} for this {period}", usd_in_text(*spent_usd), usd_in_text(*limit_usd));
    let remedy = "raise the budget, or see with `ecsrunner costs --by repository` what costs most";
    if budget.holds() {
        let found = format_args!("{of_limit} is spent: nothing is launched until {:.0}", budget.until);
        return Some(Check::warning(NAME, found, remedy));
    }
    if budget.is_spent {
        return Some(Check::warning(NAME, format_args!("{of_limit} is spent"), remedy));
    }
    (forecast_usd > limit_usd).then(|| {
        let found =
            format_args!("{of_limit} is spent, and {} will be by the forecast", usd_in_text(*forecast_usd));
        Check::warning(NAME, found, remedy)
    })
}

#[cfg(test)]
mod tests {
    use ecsrunner_api::budget::BudgetOf;
    use ecsrunner_core::rules::budget::BudgetAction;

    use super::*;

    fn budget(spent_usd: f64, forecast_usd: f64, action: BudgetAction) -> BudgetView {
        BudgetView {
            of: BudgetOf::Class,
            name: Some("small".to_owned()),
            period: "day".to_owned(),
            action,
            limit_usd: 10.0,
            spent_usd,
            running_usd: 0.0,
            forecast_usd,
            unpriced: 0,
            is_spent: spent_usd >= 10.0,
            begin: "2026-11-30".parse().unwrap(),
            until: "2026-12-01T00:00:00Z".parse().unwrap(),
        }
    }

    fn told(budgets: &[BudgetView]) -> Vec<String> {
        check(budgets).into_iter().map(|check| format!("{:?} {}", check.state, check.found)).collect()
    }

    #[test]
    fn a_budget_that_is_spent_or_will_be_is_a_warning() {
        assert_eq!(
            told(&[
                budget(12.0, 12.0, BudgetAction::Hold),
                budget(12.0, 12.0, BudgetAction::Alarm),
                budget(3.0, 11.0, BudgetAction::Hold),
                budget(3.0, 9.0, BudgetAction::Hold),
            ]),
            [
                "Warning class small: $12.00 of $10.00 for this day is spent: nothing is launched until 2026-12-01T00:00:00Z",
                "Warning class small: $12.00 of $10.00 for this day is spent",
                "Warning class small: $3.0000 of $10.00 for this day is spent, and $11.00 will be by the forecast",
            ]
        );
        assert_eq!(
            told(&[budget(3.0, 9.0, BudgetAction::Hold)]),
            ["Ok none is spent, or will be by the forecast"]
        );
        assert!(told(&[]).is_empty());
    }
}
