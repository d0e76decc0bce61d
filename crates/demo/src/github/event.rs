//! The context `github` of a run, and the payload of the event that started it.

use serde_json::{Map, Value, json};

use super::job::Run;
use super::representation::account_id;
use super::state::State;

impl Run {
    fn is_pull_request(&self) -> bool {
        self.event.name.starts_with("pull_request")
    }

    /// Returns `sha`. A run for the target of a pull request sees the base branch, not the change.
    pub(super) fn sha(&self) -> &str {
        if self.event.name == "pull_request_target" { &self.base_sha } else { &self.head_sha }
    }

    /// Returns `ref`, `ref_name` and `ref_type`.
    pub(super) fn reference(&self) -> (String, String, &'static str) {
        if self.event.name == "pull_request" || self.event.name.starts_with("pull_request_review") {
            return ("refs/pull/1/merge".to_owned(), "1/merge".to_owned(), "branch");
        }
        match &self.event.tag {
            Some(tag) => (format!("refs/tags/{tag}"), tag.clone(), "tag"),
            // A run for the target of a pull request (`pull_request_target`) is one of the base branch.
            None => {
                let branch = if self.is_pull_request() { &self.base_branch } else { &self.head_branch };
                (format!("refs/heads/{branch}"), branch.clone(), "branch")
            }
        }
    }
}

impl State {
    /// Returns the context without what is a job's own.
    pub(super) fn github_json(&self, run: &Run) -> Value {
        let repository = self.repositories.get(&run.repository);
        let (reference, name, kind) = run.reference();
        // Events of reviews have a pull request, but not these.
        let has_branches = matches!(run.event.name.as_str(), "pull_request" | "pull_request_target");
        let (head_ref, base_ref) =
            if has_branches { (run.head_branch.as_str(), run.base_branch.as_str()) } else { ("", "") };
        json!({
            "action": "",
            "actor": "octocat",
            "actor_id": account_id("octocat").to_string(),
            "api_url": self.base,
            "base_ref": base_ref,
            "event": self.event_json(run),
            "event_name": run.event.name,
            "graphql_url": format!("{}/graphql", self.base),
            "head_ref": head_ref,
            "ref": reference,
            "ref_name": name,
            "ref_protected": false,
            "ref_type": kind,
            "repository": run.repository,
            "repositoryUrl": format!("git://github.com/{}.git", run.repository),
            "repository_id": repository.map(|record| record.id.to_string()),
            "repository_owner": run.repository.owner(),
            "repository_owner_id": account_id(run.repository.owner()).to_string(),
            "repository_visibility": if repository.is_some_and(|record| record.private) { "private" } else { "public" },
            "retention_days": "90",
            "run_attempt": run.attempt.to_string(),
            "run_id": run.id.to_string(),
            "run_number": run.number.to_string(),
            "secret_source": "Actions",
            "server_url": self.base,
            "sha": run.sha(),
            "triggering_actor": "octocat",
            "workflow": run.workflow,
            "workflow_ref": format!("{}/{}@{reference}", run.repository, run.file),
            "workflow_sha": run.sha(),
        })
    }

    fn pushed_commit(&self, run: &Run) -> Value {
        let mut commit = run.commit.json(&run.head_sha);
        commit["distinct"] = json!(true);
        commit["url"] = json!(format!("{}/{}/commit/{}", self.base, run.repository, run.head_sha));
        commit
    }

    fn event_json(&self, run: &Run) -> Value {
        let repository = |name| self.repositories.get(name).map(|record| self.repository_json(record));
        let (reference, _, kind) = run.reference();
        let mut event = json!({
            "repository": repository(&run.repository),
            "sender": self.user_json("octocat"),
        });
        if let Some(activity) = &run.event.activity {
            event["action"] = json!(activity);
        }
        if run.is_pull_request() {
            event["number"] = json!(1);
            event["pull_request"] = json!({
                "number": 1,
                "title": run.commit.subject(),
                "state": "open",
                "draft": false,
                "merged": false,
                "labels": [],
                "user": self.user_json("octocat"),
                "head": {
                    "ref": run.head_branch,
                    "sha": run.head_sha,
                    "repo": repository(&run.head_repository),
                    "user": self.user_json(run.head_repository.owner()),
                },
                "base": {"ref": run.base_branch, "sha": run.base_sha, "repo": repository(&run.repository)},
            });
        }
        match run.event.name.as_str() {
            "push" => {
                let is_tag = kind == "tag";
                let before = run.commit.parent.as_ref().filter(|_| !is_tag);
                let commit = self.pushed_commit(run);
                event["ref"] = json!(reference);
                event["created"] = json!(before.is_none());
                event["before"] = before.map_or_else(|| "0".repeat(40), Clone::clone).into();
                event["after"] = json!(run.head_sha);
                event["deleted"] = json!(false);
                event["forced"] = json!(false);
                event["base_ref"] = Value::Null;
                // The commits of a tag are on a branch, whose push has told them.
                event["commits"] = if is_tag { json!([]) } else { json!([commit]) };
                event["head_commit"] = commit;
                event["pusher"] = json!({"name": "octocat"});
            }
            "workflow_dispatch" => {
                event["ref"] = json!(reference);
                event["workflow"] = json!(run.file);
                event["inputs"] = Value::Null;
            }
            "schedule" => {
                event["schedule"] = json!(run.event.source);
                event["workflow"] = json!(run.file);
            }
            "release" => {
                if let Some(tag) = &run.event.tag {
                    event["release"] =
                        json!({"tag_name": tag, "name": tag, "draft": false, "prerelease": false});
                }
            }
            "workflow_run" => event["workflow_run"] = self.followed_run(run),
            _ => {}
        }
        merge(&mut event, &run.event.payload);
        event
    }

    /// Returns the run that a run of `workflow_run` follows. The fake has no such run: its id is made up.
    fn followed_run(&self, run: &Run) -> Value {
        let has_ended = run.event.activity.as_deref().is_none_or(|activity| activity == "completed");
        let repository = |name| self.repositories.get(name).map(|record| self.repository_json(record));
        let name = run.event.source.as_deref().unwrap_or_default();
        json!({
            "id": account_id(name),
            "name": run.event.source,
            "event": "push",
            "status": if has_ended { "completed" } else { "in_progress" },
            "conclusion": has_ended.then_some("success"),
            "run_attempt": 1,
            "run_number": 1,
            "head_branch": run.head_branch,
            "head_sha": run.head_sha,
            "head_commit": run.commit.json(&run.head_sha),
            "pull_requests": [],
            "repository": repository(&run.repository),
            "head_repository": repository(&run.head_repository),
        })
    }
}

/// Adds fields to an object. An object in both has the fields of both; of all else the added value is kept.
fn merge(object: &mut Value, more: &Map<String, Value>) {
    for (key, value) in more {
        let known = &mut object[key];
        match value {
            Value::Object(value) if known.is_object() => merge(known, value),
            value => *known = value.clone(),
        }
    }
}
