//! `GET /api/v1/jobs` and `/api/v1/runners`: pages of open records, then of history, the latest first.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use ecsrunner_api::job::JobView;
use ecsrunner_api::list::{JobList, OPEN_CURSOR, RunnerList};
use ecsrunner_api::runner::RunnerView;
use ecsrunner_core::id::Repository;
use ecsrunner_engine::ports::store::{History, Listed, Page, Store};
use jiff::Timestamp;
use serde::Deserialize;

use crate::backend::{Refusal, Source};

const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    limit: Option<u32>,
    cursor: Option<String>,
    repository: Option<Repository>,
    class: Option<String>,
    state: Option<String>,
}

impl Filter {
    /// Returns how many records a page may hold.
    fn limit(&self) -> usize {
        self.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT) as usize
    }

    /// Returns the key after which the page begins among the open records, or `None` if it lists history alone.
    fn after(&self) -> Option<&str> {
        self.cursor.as_deref().map_or(Some(""), |cursor| cursor.strip_prefix(OPEN_CURSOR))
    }

    /// Returns the page of history that follows `listed` open records.
    fn history(&self, listed: usize) -> Page {
        let left = self.limit().saturating_sub(listed);
        Page {
            repository: self.repository.clone(),
            limit: u32::try_from(left).unwrap_or(MAX_LIMIT),
            after: self.cursor.clone().filter(|cursor| !cursor.starts_with(OPEN_CURSOR)),
            ..Page::default()
        }
    }

    fn admits(&self, repository: &str, class: Option<&str>, state: &str) -> bool {
        let admits = |wanted: &Option<String>, have: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| have.is_some_and(|have| have.eq_ignore_ascii_case(wanted)))
        };
        self.repository.as_ref().is_none_or(|wanted| wanted.as_str().eq_ignore_ascii_case(repository))
            && admits(&self.class, class)
            && admits(&self.state, Some(state))
    }

    fn admits_job(&self, job: &JobView) -> bool {
        self.admits(&job.repository, job.class.as_deref(), job.state.as_str())
    }

    fn admits_runner(&self, runner: &RunnerView) -> bool {
        let repository = runner.repository.as_deref().unwrap_or_default();
        self.admits(repository, Some(&runner.class), runner.state.as_str())
    }
}

pub(crate) async fn jobs<B: Source>(
    State(backend): State<Arc<B>>,
    Query(filter): Query<Filter>,
) -> Result<Json<JobList>, Refusal> {
    list_jobs(&*backend, &filter).await.map(Json)
}

async fn list_jobs<B: Source>(backend: &B, filter: &Filter) -> Result<JobList, Refusal> {
    let (mut open, mut next) = (Vec::new(), None);
    if let Some(after) = filter.after() {
        let records = backend.store().open().await.map_err(|fault| backend.refusal(fault))?;
        let rules = backend.rules().await?;
        let reasons = backend.reasons_to_wait(&records, &rules);
        let views =
            records.jobs.values().map(|job| JobView::planned(job, &records, &reasons, &rules.catalogue));
        let views = views.filter(|job| filter.admits_job(job)).map(|job| (key_of(&job), job));
        (open, next) = cut(views.collect(), after, filter.limit());
    }
    if next.is_some() {
        return Ok(JobList { jobs: open, next });
    }
    let past = backend.store().jobs(&filter.history(open.len())).await;
    let Listed { items, next } = past.map_err(|fault| backend.refusal(fault))?;
    // A job that ended between the two reads is listed once, as ended.
    let ended: HashSet<u64> = items.iter().map(|job| job.facts.id.get()).collect();
    open.retain(|job| !ended.contains(&job.id));
    let (refused, mut jobs): (Vec<_>, Vec<_>) = open.into_iter().partition(JobView::is_past);
    let past = items.iter().map(JobView::ended).filter(|job| filter.admits_job(job)).collect();
    jobs.extend(among(past, refused));
    Ok(JobList { jobs, next })
}

/// Jobs that are refused come after the others that are open.
fn key_of(job: &JobView) -> String {
    format!("{}{:020}", u8::from(job.is_past()), job.id)
}

/// Puts refused jobs that are still open among those of history, the latest first.
fn among(mut past: Vec<JobView>, refused: Vec<JobView>) -> Vec<JobView> {
    let key = |job: &JobView| (job.timeline.last().map(|stage| stage.at), job.id);
    for job in refused {
        let place = past.iter().position(|other| key(other) < key(&job)).unwrap_or(past.len());
        past.insert(place, job);
    }
    past
}

pub(crate) async fn runners<B: Source>(
    State(backend): State<Arc<B>>,
    Query(filter): Query<Filter>,
) -> Result<Json<RunnerList>, Refusal> {
    list_runners(&*backend, &filter).await.map(Json)
}

async fn list_runners<B: Source>(backend: &B, filter: &Filter) -> Result<RunnerList, Refusal> {
    let (mut runners, mut next) = (Vec::new(), None);
    if let Some(after) = filter.after() {
        let records = backend.store().open().await.map_err(|fault| backend.refusal(fault))?;
        let views = RunnerView::all(&records, Timestamp::now());
        let views =
            views.filter(|runner| filter.admits_runner(runner)).map(|runner| (runner.name.clone(), runner));
        (runners, next) = cut(views.collect(), after, filter.limit());
    }
    if next.is_some() {
        return Ok(RunnerList { runners, next });
    }
    let gone = backend.store().runners(&filter.history(runners.len())).await;
    let Listed { items, next } = gone.map_err(|fault| backend.refusal(fault))?;
    let past: Vec<RunnerView> = items.iter().map(RunnerView::past).collect();
    let gone: HashSet<&str> = past.iter().map(|runner| runner.name.as_str()).collect();
    runners.retain(|runner| !gone.contains(runner.name.as_str()));
    runners.extend(past.iter().filter(|runner| filter.admits_runner(runner)).cloned());
    Ok(RunnerList { runners, next })
}

/// Cuts open records to a page of those after a key, in the order of their keys. Returns the cursor of the next page if
/// more are left.
fn cut<T>(mut open: Vec<(String, T)>, after: &str, limit: usize) -> (Vec<T>, Option<String>) {
    open.retain(|(key, _)| key.as_str() > after);
    open.sort_by(|(one, _), (other, _)| one.cmp(other));
    // A full page leads to history by the cursor after its last record.
    let more = open.len() >= limit;
    open.truncate(limit);
    let next = open.last().filter(|_| more).map(|(last, _)| format!("{OPEN_CURSOR}{last}"));
    (open.into_iter().map(|(_, record)| record).collect(), next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_open_records_follow_each_other_and_have_no_more_than_the_limit() {
        let records = || ["b", "e", "a", "d", "c"].map(|key| (key.to_owned(), key)).to_vec();
        let (mut after, mut pages) = (String::new(), Vec::new());
        loop {
            let (page, next) = cut(records(), &after, 2);
            pages.push(page.concat());
            let Some(next) = next else { break };
            after = next.strip_prefix(OPEN_CURSOR).unwrap().to_owned();
        }
        assert_eq!(pages, ["ab", "cd", "e"]);
        assert!(cut(records(), "", 5).1.is_some(), "a full page has no room for history");
        // Records that end in between leave no gap, and those that begin later are listed.
        assert_eq!(cut(vec![("f".to_owned(), "f")], "b", 2), (vec!["f"], None));
    }
}
