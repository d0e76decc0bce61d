//! A local server, by its API.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, anyhow};
use ecsrunner_engine::view::{ClassView, JobView, RunnerView};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Query, gather};
use crate::exit::Failure;

const LIMIT: Duration = Duration::from_secs(10);

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
        gather(query, async |cursor| {
            let page: Jobs = self.get("jobs", query, cursor.as_deref()).await?;
            Ok((page.jobs, page.next))
        })
        .await
    }

    pub(super) async fn runners(&self, query: &Query) -> Result<Vec<RunnerView>, Failure> {
        gather(query, async |cursor| {
            let page: Runners = self.get("runners", query, cursor.as_deref()).await?;
            Ok((page.runners, page.next))
        })
        .await
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
