//! Tests the client against the stateful fake, which checks signatures and scopes
//! and gives jobs to runners.

use ecsrunner_core::cidr::Cidr;
use ecsrunner_core::id::{JobId, Organization, Repository, RunId, RunnerGroupId, RunnerId};
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_demo::github::{Options, RunnerGroup};
use ecsrunner_engine::ports::github::{Deletion, GitHub, GitHubError, Registration};
use ecsrunner_github::{ApiUrl, Client, Credentials};
use secrecy::SecretString;
use serde_json::json;

use crate::github::{app_client, options, start};
use crate::responder::Responder;
use crate::{TOKEN, app, in_organization, in_repository, queued, runner_name};

const MINT: &str = "POST /app/installations/{installation_id}/access_tokens";

#[tokio::test]
async fn an_app_and_a_token_register_find_and_delete_runners_in_both_scopes() {
    let (fake, _) = start(options(None)).await;
    let token = Credentials::Token(SecretString::from(TOKEN));
    let with_token = Client::new(ApiUrl::parse(fake.url()).unwrap(), &token).unwrap();
    for client in [app_client(fake.url()), with_token, app_client(&format!("{}/api/v3/", fake.url()))] {
        for scope in [in_repository(), in_organization()] {
            let name = runner_name();
            let labels = ["self-hosted".to_owned()];
            let config = client.generate_jitconfig(&scope, &name, &labels).await.unwrap();
            let taken = client.generate_jitconfig(&scope, &name, &labels).await.unwrap_err();
            assert!(matches!(taken, GitHubError::NameTaken), "{taken:?}");

            let found = client.runner(&scope, &name).await.unwrap().unwrap();
            assert_eq!((found.id, found.busy, found.online), (config.runner_id, false, false));
            assert_eq!(client.delete_runner(&scope, found.id).await.unwrap(), Deletion::Deleted);
            assert_eq!(client.delete_runner(&scope, found.id).await.unwrap(), Deletion::Absent);
            assert_eq!(client.runner(&scope, &name).await.unwrap(), None);
        }
    }
}

#[tokio::test]
async fn a_public_app_is_told_from_a_private_one_by_a_call_without_a_token() {
    for public in [false, true] {
        let mut options = options(None);
        options.app.as_mut().unwrap().public = public;
        let (fake, _) = start(options).await;
        let client = app_client(fake.url());
        let slug = client.app().await.unwrap().unwrap().slug.unwrap();
        assert_eq!(client.is_public_app(&slug).await.unwrap(), public);
        assert!(!client.is_public_app("no-such-app").await.unwrap());
    }
}

#[tokio::test]
async fn the_addresses_of_webhooks_are_read_without_a_token() {
    let mut options = options(None);
    options.tokens.clear();
    let (fake, _) = start(options).await;
    // The fake refuses this token, so the call must not send it.
    let token = Credentials::Token(SecretString::from(TOKEN));
    let client = Client::new(ApiUrl::parse(fake.url()).unwrap(), &token).unwrap();
    let ranges = client.webhook_ranges().await.unwrap().unwrap();
    let expected = ["192.30.252.0/22", "2606:50c0::/32"].map(|range| Cidr::parse(range).unwrap());
    assert_eq!(ranges, expected);
}

#[tokio::test]
async fn a_server_that_lists_no_addresses_of_webhooks_is_told_from_one_that_cannot_be_read() {
    let (fake, _) = start(Options { webhook_ranges: Vec::new(), ..options(None) }).await;
    assert_eq!(app_client(fake.url()).webhook_ranges().await.unwrap(), None);
    let unreadable = vec!["github.com".to_owned()];
    let (fake, _) = start(Options { webhook_ranges: unreadable, ..options(None) }).await;
    let error = app_client(fake.url()).webhook_ranges().await.unwrap_err();
    assert!(matches!(error, GitHubError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_runner_group_is_found_by_its_id_with_who_may_use_it() {
    let mut options = options(None);
    let selected = RunnerGroup { visibility: "selected", ..RunnerGroup::named("builders") };
    options.runner_groups.extend((8..200).map(|id| (id, RunnerGroup::named("other"))));
    options.runner_groups.insert(150, RunnerGroup { allows_public_repositories: true, ..selected });
    let (fake, _) = start(options).await;
    let client = app_client(fake.url());
    let organization = Organization::parse("acme").unwrap();
    let found = client.runner_group(&organization, RunnerGroupId::new(150)).await.unwrap().unwrap();
    assert_eq!(
        (&*found.name, &*found.visibility, found.allows_public_repositories),
        ("builders", "selected", true)
    );
    let default = client.runner_group(&organization, RunnerGroupId::new(1)).await.unwrap().unwrap();
    assert_eq!((&*default.visibility, default.allows_public_repositories), ("all", false));
    assert_eq!(client.runner_group(&organization, RunnerGroupId::new(999)).await.unwrap(), None);
}

#[tokio::test]
async fn registrations_of_a_scope_are_listed_with_their_names() {
    let (fake, _) = start(options(None)).await;
    let client = app_client(fake.url());
    for scope in [in_repository(), in_organization()] {
        assert_eq!(client.registrations(&scope, 1).await.unwrap().runners, []);
        let labels = ["self-hosted".to_owned()];
        let config = client.generate_jitconfig(&scope, &runner_name(), &labels).await.unwrap();
        let page = client.registrations(&scope, 1).await.unwrap();
        let registration = Registration { id: config.runner_id, busy: false, online: false };
        assert_eq!(page.runners, [(runner_name().to_string(), registration)]);
        assert!(!page.more);
        assert_eq!(client.registrations(&scope, 2).await.unwrap().runners, []);
    }
}

#[tokio::test]
async fn an_app_draws_on_its_owners_budget_and_a_token_on_its_own() {
    let github = Responder::start(|_| None).await;
    let upper = Scope::Repository(Repository::parse("Acme/App").unwrap());
    let with_app = app_client(github.base());
    let accounts = [upper, in_organization()].map(|scope| {
        (with_app.account(&scope).to_string(), crate::client(&github).account(&scope).to_string())
    });
    assert_eq!(accounts, [("acme".into(), "token".into()), ("acme".into(), "token".into())]);
}

#[tokio::test]
async fn a_runner_that_runs_a_job_is_busy_and_stays() {
    let (fake, control) = start(options(None)).await;
    let client = app_client(fake.url());
    let (run, job) = control.queue_job(&["self-hosted"]).await;
    let waiting = queued(&client).await;
    assert_eq!(waiting.iter().map(|job| job.id).collect::<Vec<_>>(), [job]);

    let labels = ["self-hosted".to_owned()];
    let config = client.generate_jitconfig(&in_repository(), &runner_name(), &labels).await.unwrap();
    let runner = control.connect(&config.encoded).await;
    let executed = runner.begin().await;
    assert_eq!(executed.id, job);
    let busy = client.delete_runner(&in_repository(), config.runner_id).await.unwrap();
    assert_eq!(busy, Deletion::Busy);
    let taken = client.job(&app(), job).await.unwrap().unwrap();
    assert_eq!((taken.status.as_str(), taken.run), ("in_progress", run));
    assert_eq!(taken.runner_name.as_deref(), Some(runner_name().as_str()));
    assert_eq!(queued(&client).await, []);

    executed.complete("2026-11-28T20:56:33.2965012Z hi\n").await;
    let done = client.job(&app(), job).await.unwrap().unwrap();
    assert_eq!((done.status.as_str(), done.conclusion.as_deref()), ("completed", Some("success")));
    let log = client.job_log(&app(), job).await.unwrap();
    assert_eq!(log.lines().map(|line| line.text.into_owned()).collect::<Vec<_>>(), ["hi"]);
    assert_eq!(client.runner(&in_repository(), &runner_name()).await.unwrap(), None);
    let told = client.run(&app(), run).await.unwrap().unwrap();
    assert_eq!((told.event.as_str(), told.head_repository), ("push", Some(app())));
}

#[tokio::test]
async fn a_job_is_run_again_as_the_next_attempt_of_its_run_once_that_has_ended() {
    let mut options = options(None);
    options.app.as_mut().unwrap().permissions.insert("actions".into(), "write".into());
    let (fake, control) = start(options).await;
    let client = app_client(fake.url());
    let (run, job) = control.queue_job(&["self-hosted"]).await;
    let refused = client.run_again(&app(), job).await.unwrap_err();
    assert!(matches!(refused, GitHubError::Refused { status: 403, .. }), "{refused:?}");
    let going = client.run(&app(), run).await.unwrap().unwrap();
    assert_eq!((going.attempt, going.is_completed), (1, false));

    control.post(&format!("jobs/{job}/cancel"), &json!({})).await;
    let ended = client.run(&app(), run).await.unwrap().unwrap();
    assert_eq!((ended.attempt, ended.is_completed), (1, true));
    client.run_again(&app(), job).await.unwrap();
    let again = client.run(&app(), run).await.unwrap().unwrap();
    assert_eq!((again.attempt, again.is_completed), (2, false));
    let latest = client.latest_jobs(&app(), run).await.unwrap();
    assert_eq!(latest.iter().map(|job| job.attempt).collect::<Vec<_>>(), [2]);
    assert_ne!(latest[0].id, job);
    assert_eq!(latest[0].name, client.job(&app(), job).await.unwrap().unwrap().name);
    assert_eq!(client.latest_jobs(&app(), RunId::new(1)).await.unwrap(), []);
}

#[tokio::test]
async fn an_app_that_may_only_read_actions_runs_nothing_again() {
    let (fake, control) = start(options(None)).await;
    let (_, job) = control.queue_job(&["self-hosted"]).await;
    let error = app_client(fake.url()).run_again(&app(), job).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("GitHub refuses create-access-token of installation "), "{text}");
    assert!(text.contains("to run jobs of acme/app again with 422"), "{text}");
}

#[tokio::test]
async fn what_github_does_not_know_is_absent_but_a_repository_out_of_reach_is_refused() {
    let (fake, _) = start(options(None)).await;
    let client = app_client(fake.url());
    assert_eq!(client.job(&app(), JobId::new(1)).await.unwrap(), None);
    assert_eq!(client.run(&app(), RunId::new(1)).await.unwrap(), None);

    let elsewhere = Repository::parse("acme/secret").unwrap();
    let error = client.job(&elsewhere, JobId::new(1)).await.unwrap_err();
    assert!(matches!(error, GitHubError::Refused { status: 404, .. }), "{error:?}");
    let error = client.delete_runner(&Scope::Repository(elsewhere), RunnerId::new(1)).await.unwrap_err();
    assert!(matches!(error, GitHubError::Refused { status: 422, .. }), "{error:?}");
}

#[tokio::test]
async fn tokens_that_github_ends_early_are_minted_again() {
    let (fake, control) = start(options(None)).await;
    let client = app_client(fake.url());
    for _ in 0..2 {
        assert_eq!(client.runner(&in_repository(), &runner_name()).await.unwrap(), None);
        control.post("tokens/expire", &json!({})).await;
    }
    assert_eq!(client.runner(&in_repository(), &runner_name()).await.unwrap(), None);
    assert_eq!(control.calls().await[MINT], 3);
}

#[tokio::test]
async fn an_app_that_lacks_a_permission_says_which_call_failed() {
    let mut options = options(None);
    options.app.as_mut().unwrap().permissions.remove("administration");
    let (fake, _) = start(options).await;
    let error = app_client(fake.url()).runner(&in_repository(), &runner_name()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("GitHub refuses create-access-token of installation "), "{text}");
    assert!(text.ends_with("The permissions requested are not granted to this installation."), "{text}");
}

#[tokio::test]
async fn a_registration_whose_reply_was_lost_is_found_by_its_name() {
    let (fake, control) = start(options(None)).await;
    let client = app_client(fake.url());
    let fault = json!({"path_end": "/generate-jitconfig", "status": 502, "times": 1, "after_effect": true});
    control.post("faults", &json!({"rest": [fault]})).await;
    let (scope, name, labels) = (in_repository(), runner_name(), ["self-hosted".to_owned()]);
    let lost = client.generate_jitconfig(&scope, &name, &labels).await.unwrap_err();
    assert!(matches!(lost, GitHubError::Server { status: 502, .. }), "{lost:?}");
    let taken = client.generate_jitconfig(&scope, &name, &labels).await.unwrap_err();
    assert!(matches!(taken, GitHubError::NameTaken), "{taken:?}");
    let found = client.runner(&scope, &name).await.unwrap().unwrap();
    assert_eq!(client.delete_runner(&scope, found.id).await.unwrap(), Deletion::Deleted);
    client.generate_jitconfig(&scope, &name, &labels).await.unwrap();
}

#[tokio::test]
async fn a_rate_limit_of_github_is_told_with_its_time() {
    let (fake, control) = start(options(None)).await;
    let fault = json!({"path_end": "/actions/runners", "status": 429, "retry_after_secs": 9});
    control.post("faults", &json!({"rest": [fault]})).await;
    let error = app_client(fake.url()).runner(&in_repository(), &runner_name()).await.unwrap_err();
    assert!(matches!(error, GitHubError::Throttled { after, .. } if after.as_secs() == 9), "{error:?}");
}
