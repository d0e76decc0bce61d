//! `GET /api/v1/budgets`: what was spent of each budget.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ecsrunner_api::budget::BudgetsView;
use ecsrunner_core::decide::budgets::{first_day, has_any, states};
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
    // As the dispatcher does: what ends between the two reads counts twice, and never not at all.
    let open = store.open().await?;
    let recorded = store.spent(first_day(now), now).await?;
    Ok(BudgetsView::of(&states(rules.rules(), &recorded, &open, now), fee, now))
}
