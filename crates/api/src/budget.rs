//! Budgets.

use std::fmt;

use ecsrunner_core::decide::budgets::BudgetState;
use ecsrunner_core::rules::budget::{BudgetAction, BudgetScope, Usd};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A budget's period as it stands.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BudgetView {
    pub of: BudgetOf,
    /// The class, or the pattern of repositories in lower case; `None` for the deployment.
    pub name: Option<String>,
    /// `day` or `month`, of UTC.
    pub period: String,
    pub action: BudgetAction,
    pub limit_usd: f64,
    /// The cost of tasks that have ended, and of open ones up to now.
    pub spent_usd: f64,
    /// The part of it that is of open tasks.
    pub running_usd: f64,
    /// What the whole period will probably cost.
    pub forecast_usd: f64,
    /// Tasks that ran and whose cost is unknown, so it is in no sum.
    pub unpriced: u64,
    pub is_spent: bool,
    /// The first day of the period.
    pub begin: Date,
    /// When the period ends.
    pub until: Timestamp,
}

/// What a budget is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetOf {
    Deployment,
    Class,
    Repositories,
}

/// The answer of `GET /api/v1/budgets`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BudgetsView {
    pub read_at: Timestamp,
    pub budgets: Vec<BudgetView>,
    /// GitHub's fee for a minute on a self-hosted runner, as the settings have it.
    pub self_hosted_fee_usd: f64,
}

impl BudgetsView {
    /// Takes each budget's state with its forecast.
    #[must_use]
    pub fn of(states: &[(BudgetState, Usd)], self_hosted_fee: Usd, now: Timestamp) -> Self {
        Self {
            read_at: now,
            budgets: states.iter().map(|(state, forecast)| BudgetView::of(state, *forecast)).collect(),
            self_hosted_fee_usd: self_hosted_fee.dollars(),
        }
    }
}

impl BudgetView {
    fn of(state: &BudgetState, forecast: Usd) -> Self {
        let (of, name) = match &state.key.scope {
            BudgetScope::Deployment => (BudgetOf::Deployment, None),
            BudgetScope::Class(class) => (BudgetOf::Class, Some(class.to_string())),
            BudgetScope::Repositories(pattern) => (BudgetOf::Repositories, Some(pattern.to_string())),
        };
        Self {
            of,
            name,
            period: state.key.period.as_str().to_owned(),
            action: state.action,
            limit_usd: state.limit.dollars(),
            spent_usd: state.spent.dollars(),
            running_usd: state.running.dollars(),
            forecast_usd: forecast.dollars(),
            unpriced: state.unpriced,
            is_spent: state.is_spent(),
            begin: state.begin,
            until: state.until,
        }
    }

    /// Whether launches are held back.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.is_spent && self.action == BudgetAction::Hold
    }
}

/// Names what the budget is for.
impl fmt::Display for BudgetView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or_default();
        match self.of {
            BudgetOf::Deployment => f.write_str("deployment"),
            BudgetOf::Class => write!(f, "class {name}"),
            BudgetOf::Repositories => f.write_str(name),
        }
    }
}
