//! `GET /api/v1/costs`: what runners cost, and how long jobs waited, over some days.
//!
//! It reads all records of these days, so an answer is kept for a minute.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use ecsrunner_api::costs::{CostKey, CostsView, LEFT_OUT, add_up, waits};
use ecsrunner_api::job::JobView;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_core::records::open::Open;
use ecsrunner_core::rules::cost::PRICES_AS_OF;
use ecsrunner_core::rules::hosted::HOSTED_PRICES_AS_OF;
use ecsrunner_engine::ports::store::{History, Listed, Page, Store, StoreError};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::backend::{Refusal, Source};

/// How long an answer is kept.
const AGE: SignedDuration = SignedDuration::from_mins(1);
const DEFAULT_DAYS: u32 = 30;
/// How long history is kept at most.
const MAX_DAYS: u32 = 366;
/// The most records of a kind that are read. Each page of 1,000 takes about 0.1 s on AWS.
const MAX_RECORDS: usize = 50_000;
const PAGE: u32 = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    days: Option<u32>,
}

/// The last answer for each number of days. Requests wait for each other, so that records are read once.
#[derive(Default, Debug)]
pub(crate) struct Kept(Mutex<HashMap<u32, Arc<CostsView>>>);

pub(crate) async fn costs<B: Source>(
    State(backend): State<Arc<B>>,
    Extension(kept): Extension<Arc<Kept>>,
    Query(form): Query<Form>,
) -> Result<Json<Arc<CostsView>>, Refusal> {
    let days = form.days.unwrap_or(DEFAULT_DAYS);
    if !(1..=MAX_DAYS).contains(&days) {
        let message = format!("days is {days}: a number from 1 to {MAX_DAYS} is expected");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, message));
    }
    let mut kept = kept.0.lock().await;
    let now = Timestamp::now();
    kept.retain(|_, view| now.duration_since(view.read_at).abs() < AGE);
    if let Some(view) = kept.get(&days) {
        return Ok(Json(Arc::clone(view)));
    }
    let fee = backend.rules().await?.settings.self_hosted_fee.dollars();
    let view = read(&*backend, days, fee, now).await.map_err(|fault| backend.refusal(fault))?;
    let view = Arc::new(view);
    kept.insert(days, Arc::clone(&view));
    Ok(Json(view))
}

async fn read<B: Source>(backend: &B, days: u32, fee: f64, now: Timestamp) -> Result<CostsView, StoreError> {
    let since = now - SignedDuration::from_hours(24 * i64::from(days));
    let store = backend.store();
    // What ends while history is read is then listed twice, as open and as ended: the ended one counts.
    let open = store.open().await?;
    let runners = |page: Page| {
        async move {
            let Listed { items, next } = store.runners(&page).await?;
            Ok((items.iter().map(RunnerView::past).collect(), next))
        }
        .boxed()
    };
    let jobs = |page: Page| {
        async move {
            let Listed { items, next } = store.jobs(&page).await?;
            Ok((items.iter().map(JobView::ended).collect(), next))
        }
        .boxed()
    };
    let (runners, jobs) =
        tokio::try_join!(past(since, runners, RunnerView::last), past(since, jobs, JobView::last))?;
    Ok(add_together(&open, runners, jobs, since, fee, now))
}

/// Records of history, and since when they are complete.
struct Past<V> {
    views: Vec<V>,
    complete_since: Timestamp,
}

/// One page of views, and the cursor of the next one.
type Read<V> = Result<(Vec<V>, Option<String>), StoreError>;

async fn past<'a, V>(
    since: Timestamp,
    read: impl Fn(Page) -> BoxFuture<'a, Read<V>>,
    last: fn(&V) -> Option<Timestamp>,
) -> Result<Past<V>, StoreError> {
    let (mut views, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = read(Page { since: Some(since), limit: PAGE, after, ..Page::default() }).await?;
        views.extend(page);
        if next.is_none() {
            return Ok(Past { views, complete_since: since });
        }
        if views.len() >= MAX_RECORDS {
            let complete_since = views.last().and_then(last).unwrap_or(since);
            return Ok(Past { views, complete_since });
        }
        after = next;
    }
}

fn add_together(
    open: &Open,
    mut runners: Past<RunnerView>,
    mut jobs: Past<JobView>,
    asked: Timestamp,
    fee: f64,
    now: Timestamp,
) -> CostsView {
    // Both kinds are shown for the same time.
    let since = runners.complete_since.max(jobs.complete_since);
    runners.views.retain(|runner| runner.last().is_none_or(|last| last >= since));
    let gone: HashSet<String> = runners.views.iter().map(|runner| runner.name.clone()).collect();
    runners.views.extend(RunnerView::all(open, now).filter(|runner| !gone.contains(&runner.name)));
    let ended: HashSet<u64> = jobs.views.iter().map(|job| job.id).collect();
    jobs.views.extend(open.jobs.values().map(JobView::open).filter(|job| !ended.contains(&job.id)));
    let by = |key| add_up(&runners.views, &jobs.views, key, fee);
    let (by_repository, total) = by(CostKey::Repository);
    CostsView {
        since,
        read_at: now,
        cut: since > asked,
        total,
        by_repository,
        by_class: by(CostKey::Class).0,
        by_workflow: by(CostKey::Workflow).0,
        by_day: by(CostKey::Day).0,
        waits: waits(&jobs.views),
        prices_as_of: PRICES_AS_OF.to_owned(),
        hosted_prices_as_of: HOSTED_PRICES_AS_OF.to_owned(),
        left_out: LEFT_OUT.to_owned(),
    }
}
