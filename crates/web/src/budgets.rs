//! `GET /api/v1/budgets`: what was spent of each budget.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ecsrunner_api::budget::BudgetsView;
use ecsrunner_core::decide::budgets::{first_day_of_forecast, forecast, has_any, states};
use ecsrunner_core::records::spend::Spending;
use ecsrunner_engine::Ruleset;
use ecsrunner_engine::ports::store::{Spend, Store, StoreError};
use jiff::Timestamp;

use crate::backend::{Refusal, Source};

pub(crate) async fn budgets<B: Source>(State(backend): State<Arc<B>>) -> Result<Json<BudgetsView>, Refusal> {
    let rules = backend.rules().await?;
    let read = read_budgets(backend.store(), &rules, Timestamp::now()).await;
    Ok(Json(read.map_err(|fault| backend.refusal(fault))?))
}

/// Reads what was spent of each budget. A deployment without budgets reads nothing.
///
/// # Errors
///
/// The store cannot be read.
pub async fn read_budgets(
    store: &(impl Store + Spend),
    rules: &Ruleset,
    now: Timestamp,
) -> Result<BudgetsView, StoreError> {
    let fee = rules.settings.self_hosted_fee;
    if !has_any(rules.rules()) {
        return Ok(BudgetsView::of(&[], fee, now));
    }
    // As the dispatcher does: what ends between the two reads is missed this once, and never counts twice.
    let recorded = store.spent(first_day_of_forecast(now), now).await?;
    let open = store.open().await?;
    let running = Spending::of_open(&open, &rules.settings.budgets, now);
    let states = states(rules.rules(), &recorded, &open, now).into_iter();
    let budgets: Vec<_> = states
        .map(|state| {
            let forecast = forecast(&state, &running, &recorded, now);
            (state, forecast)
        })
        .collect();
    Ok(BudgetsView::of(&budgets, fee, now))
}
