//! A local server, by its API.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, anyhow};
use ecsrunner_engine::view::{ClassView, JobView, RunnerView};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Query, tell_incomplete};
use crate::exit::Failure;

const LIMIT: Duration = Duration::from_secs(10);
/// The most records that are read: more than one machine makes in the days that are kept.
const MOST_RECORDS: usize = 200_000;

/// A server that `ecsrunner local up` started.
pub(crate) struct LocalServer {
    url: String,
    http: reqwest::Client,
}

#[derive(Deserialize)]
struct Jobs {
    jobs: Vec<JobView>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Runners {
    runners: Vec<RunnerView>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Classes {
    classes: Vec<ClassView>,
}

impl LocalServer {
    pub(super) fn at(url: &str) -> Result<Self, Failure> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(Failure::usage(anyhow!(
                "`{url}` is no local server: an http or https URL is expected"
            ))
            .hint("`ecsrunner local up` prints its URL when it is ready"));
        }
        let http = reqwest::Client::builder().no_proxy().timeout(LIMIT).build()?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), http })
    }

    pub(super) async fn jobs(&self, query: &Query) -> Result<Vec<JobView>, Failure> {
        let (mut jobs, mut read, mut cursor) = (Vec::new(), 0, None);
        loop {
            let page: Jobs = self.get("jobs", query, cursor.as_deref()).await?;
            let last = page.jobs.last().and_then(|job| job.timeline.last()).map(|stage| stage.at);
            read += page.jobs.len();
            jobs.extend(page.jobs.into_iter().filter(|job| query.admits_job(job)));
            cursor = page.next;
            if cursor.is_none() || query.is_enough(jobs.len(), last) {
                return Ok(jobs);
            }
            if read >= MOST_RECORDS {
                tell_incomplete(read);
                return Ok(jobs);
            }
        }
    }

    pub(super) async fn runners(&self, query: &Query) -> Result<Vec<RunnerView>, Failure> {
        let (mut runners, mut read, mut cursor) = (Vec::new(), 0, None);
        loop {
            let page: Runners = self.get("runners", query, cursor.as_deref()).await?;
            let last = page.runners.last().and_then(|runner| runner.timeline.last()).map(|stage| stage.at);
            read += page.runners.len();
            runners.extend(page.runners.into_iter().filter(|runner| query.admits_runner(runner)));
            cursor = page.next;
            if cursor.is_none() || query.is_enough(runners.len(), last) {
                return Ok(runners);
            }
            if read >= MOST_RECORDS {
                tell_incomplete(read);
                return Ok(runners);
            }
        }
    }

    pub(super) async fn classes(&self) -> Result<Vec<ClassView>, Failure> {
        let told: Classes = self.get("classes", &Query::default(), None).await?;
        Ok(told.classes)
    }

    async fn get<T: DeserializeOwned>(
        &self,
        what: &str,
        query: &Query,
        cursor: Option<&str>,
    ) -> Result<T, Failure> {
        let mut parameters = vec![("limit", "500")];
        parameters.extend(query.repository.as_deref().map(|repository| ("repository", repository)));
        parameters.extend(cursor.map(|cursor| ("cursor", cursor)));
        let parameters = if what == "classes" { Vec::new() } else { parameters };
        let url = format!("{}/api/v1/{what}", self.url);
        let asked = self.http.get(&url).query(&parameters).send().await;
        let answer = asked.with_context(|| format!("the local server at {} does not answer", self.url));
        let answer = answer.map_err(|error| {
            Failure::from(error).hint("is it running? `ecsrunner local up` starts one, and prints its URL")
        })?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            return Err(anyhow!("{url} answers with {status}: {text}").into());
        }
        Ok(serde_json::from_str(&text).with_context(|| format!("{url} is not an API of this release"))?)
    }
}

impl fmt::Display for LocalServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the local server at {}", self.url)
    }
}
