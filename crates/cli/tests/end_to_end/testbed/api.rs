//! A client of the server's API.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::Value;

use super::{Events, LIMIT};

#[derive(Clone, Debug)]
pub(crate) struct Api {
    url: String,
    client: reqwest::Client,
}

/// Everything that the API lists, at one moment.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) jobs: Vec<Value>,
    pub(crate) runners: Vec<Value>,
}

/// How often the lists are read again because something changed in between.
const MAX_LOOKS: u32 = 5;

impl Listed {
    /// Returns the jobs in this state.
    pub(crate) fn jobs_in(&self, state: &str) -> Vec<&Value> {
        self.jobs.iter().filter(|job| job["state"] == state).collect()
    }

    /// Returns the runners in this state.
    pub(crate) fn runners_in(&self, state: &str) -> Vec<&Value> {
        self.runners.iter().filter(|runner| runner["state"] == state).collect()
    }

    pub(crate) fn job(&self, id: u64) -> Option<&Value> {
        self.jobs.iter().find(|job| job["id"] == id)
    }

    /// Returns the code of a job's present reason.
    pub(crate) fn reason(&self, id: u64) -> Option<&str> {
        self.job(id)?["reason"]["code"].as_str()
    }

    /// Returns whether this many jobs succeeded and no runner is left.
    pub(crate) fn is_done(&self, jobs: usize) -> bool {
        let completed = self.jobs_in("completed");
        completed.len() == jobs
            && completed.iter().all(|job| job["conclusion"] == "success")
            && self.runners.iter().all(|runner| runner["state"] == "gone")
    }
}

impl Api {
    pub(super) fn at(url: &str, token: &str) -> Self {
        let token = format!("Bearer {token}").parse().unwrap();
        let headers = [(reqwest::header::AUTHORIZATION, token)].into_iter().collect();
        let client = reqwest::Client::builder().no_proxy().default_headers(headers).build().unwrap();
        Self { url: url.to_owned(), client }
    }

    /// Requests a path. Returns status and body.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.client.get(format!("{}{path}", self.url)).timeout(LIMIT).send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn list(&self, what: &str) -> Vec<Value> {
        let (status, body) = self.get(&format!("/api/v1/{what}?limit=500")).await;
        assert_eq!(status, 200, "{body}");
        let listed = body[what].as_array().unwrap().clone();
        let key = if what == "jobs" { "id" } else { "name" };
        let keys: HashSet<String> = listed.iter().map(|item| item[key].to_string()).collect();
        assert_eq!(keys.len(), listed.len(), "listed twice: {listed:#?}");
        listed
    }

    /// Lists jobs and runners, if possible of one moment: a job and its runner may
    /// end in one write, between the two requests.
    pub(crate) async fn listed(&self) -> Listed {
        let mut jobs = self.list("jobs").await;
        for _ in 0..MAX_LOOKS {
            let runners = self.list("runners").await;
            let jobs_after = self.list("jobs").await;
            if jobs == jobs_after {
                return Listed { jobs, runners };
            }
            jobs = jobs_after;
        }
        Listed { jobs, runners: self.list("runners").await }
    }

    pub(crate) async fn events(&self) -> Events {
        let answer = self.client.get(format!("{}/api/v1/events", self.url)).send().await.unwrap();
        Events::of(answer).await
    }

    /// Waits until the lists match, and returns them. Reads them again after each event.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Listed) -> bool) -> Listed {
        // Subscribes before the first read, so that no change is missed.
        let mut events = self.events().await;
        let mut last = None;
        let come = tokio::time::timeout(LIMIT, async {
            loop {
                let listed = self.listed().await;
                if wanted(&listed) {
                    return listed;
                }
                last = Some(listed);
                events.next().await;
                events.drain();
            }
        });
        match come.await {
            Ok(listed) => listed,
            Err(_) => panic!("waited in vain for {what}; at last: {last:#?}"),
        }
    }
}

/// Returns the stages of a timeline.
pub(crate) fn states(record: &Value) -> Vec<&str> {
    record["timeline"].as_array().unwrap().iter().map(|stage| stage["state"].as_str().unwrap()).collect()
}

/// Returns when a stage of a timeline began.
pub(crate) fn at(record: &Value, state: &str) -> Option<Timestamp> {
    let timeline = record["timeline"].as_array()?;
    timeline.iter().find(|stage| stage["state"] == state)?["at"].as_str()?.parse().ok()
}

/// Returns one field of each record, sorted.
pub(crate) fn names<'a>(records: impl IntoIterator<Item = &'a Value>, field: &str) -> Vec<String> {
    let mut names: Vec<String> =
        records.into_iter().map(|r| r[field].as_str().unwrap_or("-").to_owned()).collect();
    names.sort();
    names
}
