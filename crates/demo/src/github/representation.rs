//! JSON of GitHub's objects, with every field that GitHub's schemas require.

use ecsrunner_core::rules::pool::Scope;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::auth::digest;
use super::course::Course;
use super::job::{Job, Run};
use super::state::{Registration, RepositoryRecord, State};

/// Repository links below `/repos/{owner}/{repo}`, as GitHub writes their templates.
pub const REPOSITORY_LINKS: [(&str, &str); 37] = [
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
    ("url", ""),
];

/// User links below `/users/{login}`.
const USER_LINKS: [(&str, &str); 10] = [
    ("url", ""),
    ("followers_url", "/followers"),
    ("following_url", "/following{/other_user}"),
    ("gists_url", "/gists{/gist_id}"),
    ("starred_url", "/starred{/owner}{/repo}"),
    ("subscriptions_url", "/subscriptions"),
    ("organizations_url", "/orgs"),
    ("repos_url", "/repos"),
    ("events_url", "/events{/privacy}"),
    ("received_events_url", "/received_events"),
];

/// Formats a time as GitHub does: whole seconds, UTC.
pub(super) fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Derives an account's id from its login.
pub(super) fn account_id(login: &str) -> u64 {
    let hash = digest(&login.to_ascii_lowercase());
    10_000_000 + u64::from(u32::from_be_bytes([0, hash[0], hash[1], hash[2]]))
}

impl State {
    pub(super) fn user_json(&self, login: &str) -> Value {
        let id = account_id(login);
        let organization =
            !self.is_user(login) && self.repositories.keys().any(|known| known.owner() == login);
        let mut user = Map::new();
        user.insert("login".into(), json!(login));
        user.insert("id".into(), json!(id));
        user.insert("node_id".into(), json!(format!("U_{id}")));
        user.insert("avatar_url".into(), json!(format!("{}/avatars/u/{id}", self.base)));
        user.insert("gravatar_id".into(), json!(""));
        user.insert("html_url".into(), json!(format!("{}/{login}", self.base)));
        user.insert("type".into(), json!(if organization { "Organization" } else { "User" }));
        user.insert("site_admin".into(), json!(false));
        for (name, suffix) in USER_LINKS {
            user.insert(name.into(), json!(format!("{}/users/{login}{suffix}", self.base)));
        }
        Value::Object(user)
    }

    pub(super) fn organization_json(&self, login: &str) -> Value {
        let id = account_id(login);
        let url = format!("{}/orgs/{login}", self.base);
        json!({
            "login": login,
            "id": id,
            "node_id": format!("O_{id}"),
            "url": url,
            "repos_url": format!("{url}/repos"),
            "events_url": format!("{url}/events"),
            "hooks_url": format!("{url}/hooks"),
            "issues_url": format!("{url}/issues"),
            "members_url": format!("{url}/members{{/member}}"),
            "public_members_url": format!("{url}/public_members{{/member}}"),
            "avatar_url": format!("{}/avatars/u/{id}", self.base),
            "description": "",
        })
    }

    pub(super) fn repository_json(&self, record: &RepositoryRecord) -> Value {
        let full = record.name.as_str();
        let api = format!("{}/repos/{full}", self.base);
        let html = format!("{}/{full}", self.base);
        let at = seconds(record.created_at);
        let mut repository = json!({
            "id": record.id,
            "node_id": format!("R_{}", record.id),
            "name": record.name.name(),
            "full_name": full,
            "owner": self.user_json(record.name.owner()),
            "private": record.private,
            "visibility": if record.private { "private" } else { "public" },
            "html_url": html,
            "description": null,
            "fork": record.fork,
            "git_url": format!("{}.git", html.replacen("http:", "git:", 1)),
            "ssh_url": format!("git@localhost:{full}.git"),
            "clone_url": format!("{html}.git"),
            "svn_url": html,
            "mirror_url": null,
            "homepage": null,
            "language": null,
            "license": null,
            "default_branch": record.default_branch,
            "archived": false,
            "disabled": false,
            "allow_forking": true,
            "is_template": false,
            "web_commit_signoff_required": false,
            "topics": [],
            "created_at": at,
            "updated_at": at,
            "pushed_at": at,
        });
        for count in [
            "forks",
            "forks_count",
            "stargazers_count",
            "watchers_count",
            "watchers",
            "size",
            "open_issues_count",
            "open_issues",
        ] {
            repository[count] = json!(0);
        }
        for feature in
            ["has_issues", "has_projects", "has_wiki", "has_pages", "has_downloads", "has_discussions"]
        {
            repository[feature] = json!(feature == "has_issues");
        }
        for (name, suffix) in REPOSITORY_LINKS {
            repository[name] = json!(format!("{api}{suffix}"));
        }
        repository
    }

    /// Returns a workflow job as in webhooks and in the REST API.
    pub(super) fn job_json(&self, job: &Job, run: &Run) -> Value {
        let api = format!("{}/repos/{}", self.base, run.repository);
        let taker = job.state.shown_taker();
        let steps: Vec<Value> = job
            .steps
            .iter()
            .map(|step| {
                let status = match (step.conclusion, step.started_at) {
                    (Some(_), _) => "completed",
                    (None, Some(_)) => "in_progress",
                    (None, None) => "queued",
                };
                json!({
                    "name": step.name,
                    "status": status,
                    "conclusion": step.conclusion,
                    "number": step.number,
                    "started_at": step.started_at.map(seconds),
                    "completed_at": step.completed_at.map(seconds),
                })
            })
            .collect();
        json!({
            "id": job.id,
            "run_id": run.id,
            "run_url": format!("{api}/actions/runs/{}", run.id),
            "run_attempt": job.attempt,
            "node_id": format!("CR_{}", job.id),
            "head_sha": run.head_sha,
            "head_branch": run.head_branch,
            "url": format!("{api}/actions/jobs/{}", job.id),
            "html_url": format!("{}/{}/actions/runs/{}/job/{}", self.base, run.repository, run.id, job.id),
            "check_run_url": format!("{api}/check-runs/{}", job.id),
            "status": job.state.status().unwrap_or("queued"),
            "conclusion": job.state.conclusion(),
            "created_at": seconds(job.created_at),
            // For a job that never started, this is the time at which it was queued.
            "started_at": seconds(job.state.started_at().unwrap_or(job.created_at)),
            "completed_at": job.state.completed_at().map(seconds),
            "name": job.name,
            "workflow_name": run.workflow,
            "steps": steps,
            "labels": job.runs_on.labels,
            "runner_id": taker.map(|taker| taker.id),
            "runner_name": taker.map(|taker| &taker.name),
            "runner_group_id": taker.map(|taker| taker.group),
            "runner_group_name": taker.and_then(|taker| self.runner_groups.get(&taker.group)).map(|group| &group.name),
        })
    }

    pub(super) fn run_json(&self, run: &Run) -> Value {
        let api = format!("{}/repos/{}/actions", self.base, run.repository);
        let url = format!("{api}/runs/{}", run.id);
        let (status, conclusion) = self.run_status(run);
        let repository = |name| self.repositories.get(name).map(|record| self.repository_json(record));
        json!({
            "id": run.id,
            "name": run.workflow,
            "node_id": format!("WFR_{}", run.id),
            "check_suite_id": run.id,
            "check_suite_node_id": format!("CS_{}", run.id),
            "head_branch": run.head_branch,
            "head_sha": run.head_sha,
            "path": run.file,
            "display_title": run.title,
            "run_number": run.number,
            "run_attempt": run.attempt,
            "referenced_workflows": [],
            "event": run.event.name,
            "status": status,
            "conclusion": conclusion,
            "workflow_id": run.workflow_id,
            "url": url,
            "html_url": format!("{}/{}/actions/runs/{}", self.base, run.repository, run.id),
            "pull_requests": [],
            "created_at": seconds(run.created_at),
            "updated_at": seconds(run.updated_at),
            "run_started_at": seconds(run.created_at),
            "actor": self.user_json("octocat"),
            "triggering_actor": self.user_json("octocat"),
            "jobs_url": format!("{url}/jobs"),
            "logs_url": format!("{url}/logs"),
            "check_suite_url": format!("{}/repos/{}/check-suites/{}", self.base, run.repository, run.id),
            "artifacts_url": format!("{url}/artifacts"),
            "cancel_url": format!("{url}/cancel"),
            "rerun_url": format!("{url}/rerun"),
            "previous_attempt_url": (run.attempt > 1).then(|| format!("{url}/attempts/{}", run.attempt - 1)),
            "workflow_url": format!("{api}/workflows/{}", run.workflow_id),
            "head_commit": run.commit.json(&run.head_sha),
            "repository": repository(&run.repository),
            "head_repository": repository(&run.head_repository),
        })
    }

    /// Derives a run's status and conclusion from its jobs.
    pub(super) fn run_status(&self, run: &Run) -> (&'static str, Option<&'static str>) {
        let jobs: Vec<&Job> = run.jobs.iter().filter_map(|id| self.jobs.get(id)).collect();
        let statuses = || jobs.iter().map(|job| job.state.status());
        if let Some(outcome) = run.course.as_ref().and_then(Course::outcome) {
            return ("completed", Some(outcome.as_str()));
        }
        if run.course.is_none() && statuses().all(|status| status == Some("completed")) {
            let has =
                |wanted| jobs.iter().any(|job| job.state.conclusion().is_some_and(|c| c.as_str() == wanted));
            let worst = ["failure", "cancelled", "success"].into_iter().find(|wanted| has(*wanted));
            ("completed", Some(worst.unwrap_or("skipped")))
        } else if run.course.as_ref().is_some_and(Course::is_waiting) {
            ("pending", None)
        } else if statuses().any(|status| status == Some("in_progress") || status == Some("completed")) {
            ("in_progress", None)
        } else if statuses().any(|status| status == Some("queued")) {
            ("queued", None)
        } else {
            ("waiting", None)
        }
    }

    pub(super) fn runner_json(&self, registration: &Registration) -> Value {
        let labels: Vec<Value> = registration
            .labels
            .iter()
            .enumerate()
            .map(|(index, label)| json!({"id": index + 1, "name": label, "type": "custom"}))
            .collect();
        let online = self
            .session_of(registration.id)
            .is_some_and(|(_, session)| self.is_online(session, std::time::Instant::now()));
        let group = match &registration.scope {
            Scope::Repository(_) => 1,
            Scope::Organization { group, .. } => group.get(),
        };
        json!({
            "id": registration.id,
            "name": registration.name,
            "os": if registration.sessions > 0 { "Linux" } else { "unknown" },
            "status": if online { "online" } else { "offline" },
            "busy": self.is_busy(registration.id),
            "labels": labels,
            "runner_group_id": group,
            "ephemeral": true,
        })
    }
}
