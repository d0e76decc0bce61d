//! The client of a local server's API.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use ecsrunner_api::budget::BudgetsView;
use ecsrunner_api::class::ClassView;
use ecsrunner_api::job::JobView;
use ecsrunner_api::list::{ClassList, JobList, RunnerList};
use ecsrunner_api::reason::OutcomeView;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_api::status::{Fault, Health, Paused, StatusView};
use ecsrunner_core::id::{JobId, RunnerName, TaskName};
use ecsrunner_engine::Ruleset;
use ecsrunner_github::{ApiUrl, Client};
use reqwest::{RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Query, gather, github};
use crate::environment;
use crate::exit::Failure;
use crate::machine::{AttachError, Attachment, Config};

const LIMIT: Duration = Duration::from_secs(10);

/// A server that `ecsrunner local up` started.
pub(crate) struct LocalServer {
    url: String,
    attachment: Option<Attachment>,
    /// The token of the state directory, or of the environment.
    token: Option<SecretString>,
    http: reqwest::Client,
}

impl LocalServer {
    /// Finds a server by its URL or its state directory. The directory holds the token that requests need.
    pub(super) fn at(named: &str) -> Result<Self, Failure> {
        let is_url = named.starts_with("http://") || named.starts_with("https://");
        let attachment = if is_url {
            None
        } else {
            Some(Attachment::read(Path::new(named)).map_err(|error| match error {
                AttachError::NoState(_) => Failure::usage(error).hint(
                    "name the URL that `ecsrunner local up` prints, or the directory of its `--state`",
                ),
                AttachError::Unreadable { .. } => Failure::permission(error)
                    .hint("run the command as the user who started the server: only that user may read the state directory"),
            })?)
        };
        let url = attachment.as_ref().map_or(named, |attachment| &attachment.url);
        let token = attachment.as_ref().map_or_else(environment::local_token, |it| Some(it.token.clone()));
        let http = reqwest::Client::builder().no_proxy().timeout(LIMIT).build()?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), attachment, token, http })
    }

    /// Returns the contents of the state directory that only the server's user may read.
    pub(crate) fn attachment(&self, what: &str) -> Result<&Attachment, Failure> {
        self.attachment.as_ref().ok_or_else(|| {
            Failure::permission(anyhow!("{what} needs the state directory of {self}"))
                .hint("give the directory instead of the URL in `--local DIR` or ECSRUNNER_LOCAL")
        })
    }

    /// Returns the address of the server's page, with its token if that is known.
    pub(crate) fn page(&self, query: &str) -> String {
        let token = self.token.as_ref().map(|token| format!("#token={}", token.expose_secret()));
        format!("{}/{query}{}", self.url, token.unwrap_or_default())
    }

    pub(super) async fn stop(&self, name: &RunnerName, force: bool) -> Result<OutcomeView, Failure> {
        self.post(&format!("runners/{name}/stop"), &json!({"force": force}), "stopping a runner").await
    }

    pub(super) async fn retry(&self, job: JobId) -> Result<OutcomeView, Failure> {
        self.post(&format!("jobs/{job}/retry"), &json!({}), "retrying a job").await
    }

    pub(super) async fn pause(&self, paused: bool) -> Result<bool, Failure> {
        let what = if paused { "pausing" } else { "resuming" };
        let told: Paused = self.post("pause", &json!({"paused": paused}), what).await?;
        Ok(told.paused)
    }

    pub(super) async fn status(&self) -> Result<StatusView, Failure> {
        self.get("status", &Query::default(), None).await
    }

    pub(super) async fn budgets(&self) -> Result<BudgetsView, Failure> {
        self.get("budgets", &Query::default(), None).await
    }

    pub(crate) async fn version(&self) -> Result<String, Failure> {
        let url = format!("{}/healthz", self.url);
        let told: Health = self.answer(&url, self.http.get(&url)).await?;
        Ok(told.version)
    }

    /// Returns the rules from the server's configuration file.
    pub(super) fn rules(&self) -> Result<Ruleset, Failure> {
        let file = &self.attachment("reading its configuration")?.config;
        let (settings, catalogue) = Config::rules(file).map_err(Failure::usage)?;
        Ok(Ruleset { settings, catalogue, subnets: Vec::new(), images: None })
    }

    /// Returns the address of GitHub's API: from the server's configuration if its state directory is known.
    pub(super) fn github_api(&self) -> Result<ApiUrl, Failure> {
        match &self.attachment {
            Some(attachment) => {
                let config = Config::read(&attachment.config, &environment::overrides());
                Ok(config.map_err(Failure::usage)?.github_api)
            }
            None => github::api(),
        }
    }

    /// Returns the files with secrets of the server's configuration that every user of this machine can read.
    pub(crate) fn exposed_secrets(&self) -> Result<Vec<PathBuf>, Failure> {
        let file = &self.attachment("reading its configuration")?.config;
        Ok(Config::read(file, &environment::overrides()).map_err(Failure::usage)?.exposed)
    }

    /// Returns a GitHub client with the credentials of the server's configuration.
    pub(super) fn github(&self) -> Result<Client, Failure> {
        let file = &self.attachment("asking GitHub")?.config;
        Ok(Config::read(file, &environment::overrides()).map_err(Failure::usage)?.github)
    }

    /// Returns a job, open or ended.
    pub(super) async fn job(&self, id: u64) -> Result<Option<JobView>, Failure> {
        self.find(&format!("jobs/{id}")).await
    }

    /// Returns a runner, open or gone.
    pub(super) async fn runner(&self, name: &str) -> Result<Option<RunnerView>, Failure> {
        if TaskName::parse(name).is_err() {
            return Ok(None);
        }
        self.find(&format!("runners/{name}")).await
    }

    pub(super) async fn jobs(&self, query: &Query) -> Result<Vec<JobView>, Failure> {
        gather(query, async |cursor| {
            let page: JobList = self.get("jobs", query, cursor.as_deref()).await?;
            Ok((page.jobs, page.next))
        })
        .await
    }

    pub(super) async fn runners(&self, query: &Query) -> Result<Vec<RunnerView>, Failure> {
        gather(query, async |cursor| {
            let page: RunnerList = self.get("runners", query, cursor.as_deref()).await?;
            Ok((page.runners, page.next))
        })
        .await
    }

    pub(super) async fn classes(&self) -> Result<Vec<ClassView>, Failure> {
        let told: ClassList = self.get("classes", &Query::default(), None).await?;
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
        let parameters = if matches!(what, "jobs" | "runners") { parameters } else { Vec::new() };
        let url = format!("{}/api/v1/{what}", self.url);
        self.answer(&url, self.http.get(&url).query(&parameters)).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value, what: &str) -> Result<T, Failure> {
        if self.token.is_none() {
            self.attachment(what)?;
        }
        let url = format!("{}/api/v1/{path}", self.url);
        self.answer(&url, self.http.post(&url).json(body)).await
    }

    /// Returns a record, or `None` if there is none.
    async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Failure> {
        let url = format!("{}/api/v1/{path}", self.url);
        let (status, text) = self.send(self.http.get(&url)).await?;
        // A server of another kind or release knows no such path, and says nothing of the record.
        if status == StatusCode::NOT_FOUND && serde_json::from_str::<Fault>(&text).is_ok() {
            return Ok(None);
        }
        if status == StatusCode::NOT_FOUND {
            return Err(anyhow!("{url} is not an API of this release")
                .context(format!("{self} has another release, or is not ecsrunner"))
                .into());
        }
        read(&url, status, &text).map(Some)
    }

    async fn answer<T: DeserializeOwned>(&self, url: &str, request: RequestBuilder) -> Result<T, Failure> {
        let (status, text) = self.send(request).await?;
        read(url, status, &text)
    }

    async fn send(&self, request: RequestBuilder) -> Result<(StatusCode, String), Failure> {
        let token = self.token.iter().map(ExposeSecret::expose_secret);
        let request = token.fold(request, RequestBuilder::bearer_auth);
        let asked = request.send().await;
        let answer = asked.with_context(|| format!("the local server at {} does not answer", self.url));
        let answer = answer.map_err(|error| {
            Failure::from(error)
                .hint("check that the server is running: `ecsrunner local up` starts it and prints its URL")
        })?;
        Ok((answer.status(), answer.text().await?))
    }
}

fn read<T: DeserializeOwned>(url: &str, status: StatusCode, text: &str) -> Result<T, Failure> {
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Err(Failure::permission(anyhow!("{url} answered {status}")).hint(
            "give the state directory of the running server in `--local DIR`, or its token in ECSRUNNER_LOCAL_TOKEN \
             beside its URL; the server makes a new token at each start",
        ));
    }
    if !status.is_success() {
        return Err(anyhow!("{url} answered {status}: {}", text.trim()).into());
    }
    Ok(serde_json::from_str(text).with_context(|| format!("{url} is not the API of this release"))?)
}

impl fmt::Display for LocalServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the local server at {}", self.url)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// A server whose every answer is this one.
    fn answering(answer: &'static str) -> LocalServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _read = stream.read(&mut [0; 4096]).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        LocalServer::at(&url).unwrap()
    }

    #[tokio::test]
    async fn only_a_server_of_this_api_can_say_that_there_is_no_record() {
        let ours = answering(
            "HTTP/1.1 404 Not Found\r\ncontent-length: 38\r\nconnection: close\r\n\r\n{\"message\":\"there is no record of it\"}",
        );
        assert!(ours.job(7).await.unwrap().is_none());
        let other = answering("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let error = other.job(7).await.unwrap_err().to_string();
        assert!(error.contains("has another release, or is not ecsrunner"), "{error}");
    }
}
