//! A deployment on AWS: its two secrets.

use serde_json::{Value, json};

use super::amazon::{GITHUB_SECRET, WEBHOOK_SECRET, WEBHOOK_URL};
use super::{Amazon, Browser, Ended, Process, apps, github};
use crate::testbed::bounded;

/// Goes through without waiting for an installation.
async fn complete(amazon: &Amazon, github: &str, more: &[&str]) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), &amazon.variables(github), &[&["--no-wait"], more].concat());
    Browser::new().go_through(&process.page().await).await;
    process.end().await
}

fn stored(amazon: &Amazon, arn: &str) -> Value {
    serde_json::from_str(&amazon.secret(arn).expect("a value")).unwrap()
}

#[tokio::test]
async fn the_app_points_at_the_deployment_and_both_secrets_are_stored_with_old_webhook_secrets_kept() {
    bounded(async {
        let (amazon, github) = (Amazon::start().await, github().await);
        amazon.set(|account| {
            account.secrets.insert(WEBHOOK_SECRET.to_owned(), Some(json!(["old", "older"]).to_string()));
        });
        let dir = tempfile::tempdir().unwrap();
        let process = Process::start(dir.path(), &amazon.variables(github.url()), &["--json"]);
        let mut browser = Browser::new();
        let installation = browser.go_through(&process.page().await).await;
        browser.install(&installation, &["acme/app", "acme/other"]).await;
        let ended = process.end().await;

        let app = apps(&github).await.remove(0);
        assert_eq!((&app["slug"], &app["owner"]), (&json!("ecsrunner-acme-ci"), &json!("acme")));
        assert_eq!((&app["webhook"], &app["webhook_active"]), (&json!(WEBHOOK_URL), &json!(true)));
        assert_eq!(app["events"], json!(["workflow_job"]));
        let credentials = stored(&amazon, GITHUB_SECRET);
        assert_eq!(credentials["app_id"], app["id"]);
        assert!(credentials["private_key"].as_str().unwrap().starts_with("-----BEGIN RSA PRIVATE KEY-----"));
        assert_eq!(credentials.as_object().unwrap().len(), 2, "no client secret is kept");
        let secrets = stored(&amazon, WEBHOOK_SECRET);
        assert_eq!(secrets.as_array().unwrap()[1..], [json!("old"), json!("older")]);
        assert_eq!(secrets[0].as_str().unwrap().len(), 40);

        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(report["installation"]["accounts"], json!(["acme"]));
        assert_eq!(report["installation"]["others"], 1);
        let check = |name: &str| {
            let checks = report["checks"].as_array().unwrap();
            checks.iter().find(|check| check["name"] == name).unwrap()["state"].clone()
        };
        assert_eq!((check("webhook secret"), check("GitHub App")), (json!("ok"), json!("ok")));
        // The stand-in denies the other calls of `doctor`.
        assert_eq!((check("cluster"), &report["healthy"], ended.code), (json!("unknown"), &json!(true), 0));
    })
    .await;
}

#[tokio::test]
async fn permissions_follow_from_the_registration_and_from_running_jobs_again() {
    bounded(async {
        let (amazon, github) = (Amazon::start().await, github().await);
        amazon.set(|account| {
            account.settings["registration"] = json!({"organization": {"name": "acme", "group": 1}});
            account.settings["rerun"] = json!(true);
        });
        assert_eq!(complete(&amazon, github.url(), &[]).await.code, 0);
        let permissions = &apps(&github).await[0]["permissions"];
        let expected =
            json!({"actions": "write", "metadata": "read", "organization_self_hosted_runners": "write"});
        assert_eq!(permissions, &expected);
    })
    .await;
}

#[tokio::test]
async fn a_second_run_repairs_the_webhook_and_its_secret() {
    bounded(async {
        let (amazon, github) = (Amazon::start().await, github().await);
        assert_eq!(complete(&amazon, github.url(), &[]).await.code, 0);
        let dir = tempfile::tempdir().unwrap();
        let again =
            async || Process::start(dir.path(), &amazon.variables(github.url()), &["--no-wait"]).end().await;
        let quiet = again().await;
        assert_eq!(quiet.code, 0, "{quiet:?}");
        assert!(!quiet.stderr.contains("webhook"), "nothing is to be repaired: {}", quiet.stderr);

        let other = "https://hooks.example.com/webhook";
        amazon.set(|account| account.facts["webhook_url"] = json!(other));
        let moved = again().await;
        assert!(moved.stderr.contains(&format!("from {WEBHOOK_URL} to {other}")), "{}", moved.stderr);
        assert_eq!(apps(&github).await[0]["webhook"], other);

        amazon.set(|account| {
            account.secrets.insert(WEBHOOK_SECRET.to_owned(), None);
        });
        let secret = again().await;
        assert_eq!(secret.code, 0, "{secret:?}");
        assert!(secret.stderr.contains("gave the App's webhook the new secret"), "{}", secret.stderr);
        assert_eq!(stored(&amazon, WEBHOOK_SECRET)[0].as_str().unwrap().len(), 64);
        assert_eq!(apps(&github).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn stored_credentials_are_replaced_only_when_asked() {
    bounded(async {
        let (amazon, github) = (Amazon::start().await, github().await);
        for (value, fault) in [
            (json!({"token": "ghp_s3cret"}).to_string(), "has a token, not an App's credentials"),
            ("ghp_s3cret".to_owned(), "is expected"),
            (json!({"app_id": 7, "private_key": "-----BEGIN s3cret"}).to_string(), "cannot be used"),
        ] {
            amazon.set(|account| {
                account.secrets.insert(GITHUB_SECRET.to_owned(), Some(value.clone()));
            });
            let dir = tempfile::tempdir().unwrap();
            let ended = Process::start(dir.path(), &amazon.variables(github.url()), &[]).end().await;
            assert_eq!(ended.code, 2, "{ended:?}");
            assert!(ended.stderr.contains(fault) && !ended.stderr.contains("s3cret"), "{}", ended.stderr);
            assert!(ended.stderr.contains("`ecsrunner setup --deployment ci --replace`"), "{}", ended.stderr);
            assert_eq!(amazon.secret(GITHUB_SECRET), Some(value));
        }
        assert_eq!(complete(&amazon, github.url(), &["--replace"]).await.code, 0);
        assert_eq!(stored(&amazon, GITHUB_SECRET)["app_id"], apps(&github).await[0]["id"]);
    })
    .await;
}

#[tokio::test]
async fn nothing_that_is_stored_is_printed_even_with_the_most_detail() {
    bounded(async {
        let (amazon, github) = (Amazon::start().await, github().await);
        let dir = tempfile::tempdir().unwrap();
        let variables = [&amazon.variables(github.url())[..], &[("ECSRUNNER_LOG", "trace")]].concat();
        let process = Process::start(dir.path(), &variables, &["--no-wait"]);
        Browser::new().go_through(process.line("  http://127.0.0.1:").await.trim()).await;
        let ended = process.end().await;
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let key = stored(&amazon, GITHUB_SECRET)["private_key"].as_str().unwrap().to_owned();
        let secret = stored(&amazon, WEBHOOK_SECRET)[0].as_str().unwrap().to_owned();
        // Both may be printed with escapes, or in parts.
        for part in [&key.lines().nth(1).unwrap()[..32], &secret[..16]] {
            assert!(!ended.stderr.contains(part), "a secret is printed: {}", ended.stderr);
        }
    })
    .await;
}

#[tokio::test]
async fn without_the_webhooks_address_the_next_apply_is_named() {
    bounded(async {
        let (amazon, github) = (Amazon::start().await, github().await);
        amazon.set(|account| account.facts["webhook_url"] = Value::Null);
        let dir = tempfile::tempdir().unwrap();
        let ended = Process::start(dir.path(), &amazon.variables(github.url()), &[]).end().await;
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.stderr.contains("have no `webhook_url`") && ended.stderr.contains("`terraform apply`"));
        let url = "https://hooks.example.com/webhook";
        assert_eq!(complete(&amazon, github.url(), &["--webhook-url", url]).await.code, 0);
        assert_eq!(apps(&github).await[0]["webhook"], url);
    })
    .await;
}
