//! The events of a job for both sides: GitHub's webhooks, and ECS's events of its task.
//!
//! How a side handles them does not belong here.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ecsrunner_demo::github::REPOSITORY_LINKS;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::fakes::LaunchedTask;

pub(crate) const WEBHOOK_SECRET: &str = "It's a Secret to Everybody";
pub(crate) const OWNER: &str = "acme";
pub(crate) const REPOSITORY: &str = "app";
pub(crate) const LABELS: [&str; 2] = ["self-hosted", "class:small"];

/// A GitHub job that is new in each run of the benchmark.
#[derive(Debug)]
pub(crate) struct Job {
    id: u64,
}

/// A change of a job's state, with the runner's name if it has one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action<'a> {
    Queued,
    InProgress(&'a str),
    Completed(&'a str),
}

impl Action<'_> {
    const fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress(_) => "in_progress",
            Self::Completed(_) => "completed",
        }
    }
}

/// A change of a task's state.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TaskStatus {
    Running,
    Stopped,
}

#[derive(Debug)]
pub(crate) struct Webhook {
    action: &'static str,
    body: String,
    signature: String,
    delivery: String,
}

impl Job {
    pub(crate) fn new() -> Self {
        // Ids exceed 2^32.
        static NEXT: AtomicU64 = AtomicU64::new(40_000_000_000);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    pub(crate) fn webhook(&self, action: Action<'_>) -> Webhook {
        static DELIVERY: AtomicU64 = AtomicU64::new(1);
        let body = json!({
            "action": action.word(),
            "workflow_job": self.workflow_job(action),
            "repository": repository(),
            "organization": account(OWNER, "Organization"),
            "sender": account("octocat", "User"),
            "installation": {"id": 2, "node_id": "MDIzOkludGVncmF0aW9uSW5zdGFsbGF0aW9uMg=="},
        })
        .to_string();
        Webhook {
            action: action.word(),
            signature: sign(body.as_bytes()),
            body,
            delivery: format!("72d3162e-cc78-11e3-81ab-{:012x}", DELIVERY.fetch_add(1, Ordering::Relaxed)),
        }
    }

    fn workflow_job(&self, action: Action<'_>) -> Value {
        let (id, now) = (self.id, now());
        let api = format!("https://api.github.com/repos/{OWNER}/{REPOSITORY}");
        let web = format!("https://github.com/{OWNER}/{REPOSITORY}");
        let run_id = id + 1_000_000_000;
        let runner = match action {
            Action::Queued => None,
            Action::InProgress(runner) | Action::Completed(runner) => Some(runner),
        };
        let completed = matches!(action, Action::Completed(_));
        json!({
            "id": id, "run_id": run_id, "run_attempt": 1, "name": "build", "workflow_name": "CI",
            "head_branch": "main", "head_sha": "009b8a3a9ccbb128af87f9b1c0f4c62e8a304f6d",
            "run_url": format!("{api}/actions/runs/{run_id}"),
            "node_id": format!("CR_kwDO{id}"),
            "url": format!("{api}/actions/jobs/{id}"),
            "html_url": format!("{web}/actions/runs/{run_id}/job/{id}"),
            "check_run_url": format!("{api}/check-runs/{id}"),
            "status": action.word(),
            "conclusion": completed.then_some("success"),
            "created_at": now, "started_at": now, "completed_at": completed.then_some(&now),
            "labels": LABELS,
            "runner_id": runner.map(|_| 7), "runner_name": runner,
            "runner_group_id": runner.map(|_| 1), "runner_group_name": runner.map(|_| "Default"),
            "steps": if runner.is_some() { steps(completed, &now) } else { json!([]) },
        })
    }
}

impl Webhook {
    /// The event that API Gateway's template puts on the bus and EventBridge delivers to Lambda.
    pub(crate) fn event_bridge(&self) -> Value {
        let coded = |text: &str| BASE64_STANDARD.encode(text);
        envelope(
            "ecsrunner.webhook",
            "workflow_job",
            &json!({
                "v": 1,
                "action": self.action,
                "event": coded("workflow_job"),
                "delivery": coded(&self.delivery),
                "signature": coded(&self.signature),
                "content_type": coded("application/json"),
                "body": coded(&self.body),
            }),
        )
    }

    /// The event that a function URL delivers to Lambda (payload format 2.0).
    pub(crate) fn function_url(&self) -> Value {
        json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": "/",
            "rawQueryString": "",
            "headers": {
                "accept": "*/*",
                "content-type": "application/json",
                "user-agent": "GitHub-Hookshot/044aadd",
                "x-github-delivery": self.delivery,
                "x-github-event": "workflow_job",
                "x-github-hook-installation-target-type": "integration",
                "x-hub-signature-256": self.signature,
            },
            "requestContext": {
                "accountId": "anonymous", "apiId": "bench", "stage": "$default", "routeKey": "$default",
                "http": {"method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            },
            "body": self.body,
            "isBase64Encoded": false,
        })
    }
}

/// ECS's event of a task, as the default bus delivers it to Lambda.
pub(crate) fn task_event(task: &LaunchedTask, status: TaskStatus) -> Value {
    let of_request = |key: &str| task.request.get(key).cloned().unwrap_or(Value::Null);
    let cluster = task.arn.rsplit('/').nth(1).unwrap_or_default();
    let now = now();
    let mut container = json!({
        "name": "runner", "lastStatus": "RUNNING", "taskArn": task.arn,
        "containerArn": format!("{}/container", task.arn), "runtimeId": "bench-1", "networkInterfaces": [],
    });
    let mut detail = json!({
        "taskArn": task.arn,
        "clusterArn": format!("arn:aws:ecs:us-east-1:123456789012:cluster/{cluster}"),
        "taskDefinitionArn": of_request("taskDefinition"),
        "launchType": "FARGATE", "availabilityZone": "us-east-1a", "cpu": "512", "memory": "1024",
        "lastStatus": "RUNNING", "desiredStatus": "RUNNING", "connectivity": "CONNECTED",
        "startedBy": of_request("startedBy"), "overrides": of_request("overrides"),
        "createdAt": now, "pullStartedAt": now, "startedAt": now,
        "version": 3,
    });
    if let TaskStatus::Stopped = status {
        container["lastStatus"] = "STOPPED".into();
        container["exitCode"] = 0.into();
        detail["lastStatus"] = "STOPPED".into();
        detail["desiredStatus"] = "STOPPED".into();
        detail["stopCode"] = "EssentialContainerExited".into();
        detail["stoppedReason"] = "Essential container in task exited".into();
        detail["executionStoppedAt"] = now.as_str().into();
        detail["stoppedAt"] = now.as_str().into();
        detail["version"] = 5.into();
    }
    detail["containers"] = json!([container]);
    envelope("aws.ecs", "ECS Task State Change", &detail)
}

fn envelope(source: &str, detail_type: &str, detail: &Value) -> Value {
    static ID: AtomicU64 = AtomicU64::new(1);
    json!({
        "version": "0",
        "id": format!("17793124-05d4-b198-2fde-{:012x}", ID.fetch_add(1, Ordering::Relaxed)),
        "detail-type": detail_type,
        "source": source,
        "account": "123456789012",
        "time": now(),
        "region": "us-east-1",
        "resources": [],
        "detail": detail,
    })
}

fn sign(body: &[u8]) -> String {
    use std::fmt::Write;

    // HMAC accepts keys of any length.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()) else { return String::new() };
    let digest = mac.chain_update(body).finalize().into_bytes();
    digest.iter().fold("sha256=".to_owned(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn steps(completed: bool, now: &str) -> Value {
    let names =
        ["Set up job", "Run actions/checkout@v5", "Run cargo build", "Run cargo test", "Complete job"];
    let steps = names.iter().enumerate().map(|(at, name)| {
        json!({
            "name": name, "number": at + 1, "started_at": now,
            "status": if completed { "completed" } else { "in_progress" },
            "conclusion": completed.then_some("success"),
            "completed_at": completed.then_some(now),
        })
    });
    steps.collect()
}

/// Links, which are most of a body. With them the body has the size of GitHub's own.
fn repository() -> Value {
    let api = format!("https://api.github.com/repos/{OWNER}/{REPOSITORY}");
    let web = format!("https://github.com/{OWNER}/{REPOSITORY}");
    let mut repository = Map::new();
    for (key, path) in REPOSITORY_LINKS {
        repository.insert(key.to_owned(), format!("{api}{path}").into());
    }
    let named = json!({
        "id": 17_273_051, "node_id": "MDEwOlJlcG9zaXRvcnkxNzI3MzA1MQ==",
        "name": REPOSITORY, "full_name": format!("{OWNER}/{REPOSITORY}"), "private": true, "fork": false,
        "owner": account(OWNER, "Organization"), "html_url": web, "description": null, "url": api,
        "created_at": "2026-01-05T10:00:00Z", "updated_at": "2026-11-01T10:00:00Z", "pushed_at": "2026-11-01T10:00:00Z",
        "git_url": format!("git://github.com/{OWNER}/{REPOSITORY}.git"),
        "ssh_url": format!("git@github.com:{OWNER}/{REPOSITORY}.git"),
        "clone_url": format!("{web}.git"), "svn_url": web, "homepage": null, "default_branch": "main",
    });
    let counted = json!({
        "size": 2048, "stargazers_count": 0, "watchers_count": 0, "language": "Rust", "has_issues": true,
        "has_projects": true, "has_downloads": true, "has_wiki": false, "has_pages": false, "has_discussions": false,
        "forks_count": 0, "archived": false, "disabled": false, "open_issues_count": 3, "license": null,
        "allow_forking": true, "is_template": false, "web_commit_signoff_required": false, "topics": [],
        "visibility": "private", "forks": 0, "open_issues": 3, "watchers": 0, "custom_properties": {},
    });
    for part in [named, counted] {
        if let Value::Object(part) = part {
            repository.extend(part);
        }
    }
    repository.into()
}

fn account(login: &str, kind: &str) -> Value {
    let api = format!("https://api.github.com/users/{login}");
    json!({
        "login": login, "id": 6_811_672, "node_id": "MDEyOk9yZ2FuaXphdGlvbjY4MTE2NzI=", "type": kind, "site_admin": false,
        "avatar_url": "https://avatars.githubusercontent.com/u/6811672?v=4", "gravatar_id": "",
        "url": api, "html_url": format!("https://github.com/{login}"),
        "followers_url": format!("{api}/followers"), "following_url": format!("{api}/following{{/other_user}}"),
        "gists_url": format!("{api}/gists{{/gist_id}}"), "starred_url": format!("{api}/starred{{/owner}}{{/repo}}"),
        "subscriptions_url": format!("{api}/subscriptions"), "organizations_url": format!("{api}/orgs"),
        "repos_url": format!("{api}/repos"), "events_url": format!("{api}/events{{/privacy}}"),
        "received_events_url": format!("{api}/received_events"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_as_large_as_github_s() {
        let body = Job::new().webhook(Action::Completed("runner")).body;
        // GitHub: bodies of workflow_job are 7 to 12 KB.
        assert!((7_000..12_000).contains(&body.len()), "{} bytes", body.len());
    }

    #[test]
    fn its_signature_is_the_one_that_github_documents() {
        // docs.github.com, "Validating webhook deliveries": this secret and this body.
        let documented = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(sign(b"Hello, World!"), documented);
    }
}
