//! On one machine: files beside the configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ecsrunner_demo::github::FakeGitHub;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Browser, Ended, Process, apps, github};
use crate::testbed::bounded;

const CONFIG: &str = "version = 1\ndeployment = \"office\"\nrepositories = [\"acme/app\", \"acme/web\"]\n\n\
                      [classes.small]\ncpu = 1024\nmemory = 2048\ndefault = true\n";

fn directory(config: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.toml"), config).unwrap();
    fs::set_permissions(dir.path().join("config.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    dir
}

fn start(dir: &Path, github: &FakeGitHub, more: &[&str]) -> Process {
    let arguments = [&["--config", "config.toml"], more].concat();
    Process::start(dir, &[("GITHUB_API_URL", github.url())], &arguments)
}

fn text(dir: &TempDir, name: &str) -> String {
    fs::read_to_string(dir.path().join(name)).unwrap()
}

/// Goes through with an installation on `acme/app`.
async fn complete(dir: &Path, github: &FakeGitHub, more: &[&str]) -> Ended {
    let process = start(dir, github, more);
    let mut browser = Browser::new();
    let installation = browser.go_through(&process.page().await).await;
    assert!(installation.starts_with(github.url()), "{installation}: {}", process.stderr());
    browser.install(&installation, &["acme/app"]).await;
    process.end().await
}

#[tokio::test]
async fn one_run_writes_the_key_the_secret_and_the_sections_and_says_what_the_app_sees() {
    bounded(async {
        let (dir, github) = (directory(CONFIG), github().await);
        let ended = complete(dir.path(), &github, &[]).await;
        let app = apps(&github).await.remove(0);
        assert_eq!((&app["owner"], &app["public"]), (&json!("acme"), &json!(false)));
        assert_eq!(app["permissions"], json!({"actions": "read", "administration": "write", "metadata": "read"}));
        assert_eq!((&app["events"], &app["webhook"]), (&json!([]), &Value::Null));

        let (key, secret) =
            ("ecsrunner-acme-office.private-key.pem", "ecsrunner-acme-office.webhook-secret");
        for name in [key, secret] {
            let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert!(text(&dir, key).starts_with("-----BEGIN RSA PRIVATE KEY-----"));
        assert_eq!(text(&dir, secret).trim().len(), 64, "a secret of our own, as GitHub made no webhook");
        let id = &app["id"];
        let sections = format!(
            "\n[github.app]\nid = {id}\nprivate_key_file = \"{key}\"\n\n[webhook]\nsecret_files = [\"{secret}\"]\n"
        );
        assert_eq!(text(&dir, "config.toml"), format!("{CONFIG}{sections}"));

        assert!(ended.stderr.contains("sees 1 repository (acme/app) allowed here, 0 others"), "{}", ended.stderr);
        assert!(ended.stderr.contains("it does not see 1 repository (acme/web)"), "{}", ended.stderr);
        assert!(ended.stderr.contains("--poll` starts the server"), "{}", ended.stderr);
        assert!(ended.stdout.contains("ok\tGitHub App\tecsrunner-acme-office has all permissions"), "{}", ended.stdout);
        // The checks of `doctor` fail for the repository that the App does not see.
        assert_eq!(ended.code, 1, "{}", ended.stdout);
        assert!(ended.stdout.contains("failed\t"), "{}", ended.stdout);
    })
    .await;
}

#[tokio::test]
async fn a_second_run_needs_no_browser_and_goes_on_with_what_is_there() {
    bounded(async {
        let one = CONFIG.replace(", \"acme/web\"", "");
        let (dir, github) = (directory(&one), github().await);
        let first = complete(dir.path(), &github, &["--json"]).await;
        assert_eq!(first.code, 0, "{first:?}");
        let report: Value = serde_json::from_str(&first.stdout).unwrap();
        assert_eq!(report["app"]["slug"], "ecsrunner-acme-office");
        assert_eq!(report["installation"]["repositories"], json!(["acme/app"]));
        assert_eq!((&report["healthy"], report["checks"][0]["state"].as_str()), (&json!(true), Some("ok")));
        let written = text(&dir, "config.toml");

        let again = start(dir.path(), &github, &[]).end().await;
        assert_eq!(again.code, 0, "{again:?}");
        assert!(again.stderr.contains("config.toml has the credentials of an App"), "{}", again.stderr);
        assert_eq!((text(&dir, "config.toml"), apps(&github).await.len()), (written, 1));
    })
    .await;
}

#[tokio::test]
async fn what_is_in_the_configuration_already_is_left_and_printed() {
    bounded(async {
        let own = CONFIG.replace(", \"acme/web\"", "") + "[webhook]\nsecret_files = [\"mine\"]\n";
        let (dir, github) = (directory(&own), github().await);
        let ended = complete(dir.path(), &github, &["--webhook-url", "https://ci.example.com/webhook"]).await;
        let config = text(&dir, "config.toml");
        assert!(config.starts_with(&own) && config.contains("[github.app]"), "{config}");
        let told = "so that it has\n\n[webhook]\nsecret_files = [\"ecsrunner-acme-office.webhook-secret\"]";
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
        let app = apps(&github).await.remove(0);
        assert_eq!(app["events"], json!(["workflow_job"]));
        assert_eq!(
            (&app["webhook"], &app["webhook_active"]),
            (&json!("https://ci.example.com/webhook"), &json!(true))
        );
    })
    .await;
}

#[tokio::test]
async fn credentials_are_replaced_only_when_asked_and_old_files_stay() {
    bounded(async {
        let one = CONFIG.replace(", \"acme/web\"", "");
        let (dir, github) = (directory(&one), github().await);
        complete(dir.path(), &github, &[]).await;
        let key = text(&dir, "ecsrunner-acme-office.private-key.pem");
        let code = Process::start(
            dir.path(),
            &[("GITHUB_API_URL", github.url())],
            &["--config", "config.toml", "--code", "a180b1a3d263"],
        );
        let refused = code.end().await;
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.stderr.contains("has credentials already") && refused.stderr.contains("`--replace`"));

        let replaced = complete(dir.path(), &github, &["--replace", "--name", "Office runners"]).await;
        assert_eq!(text(&dir, "ecsrunner-acme-office.private-key.pem"), key);
        assert!(dir.path().join("office-runners.private-key.pem").exists());
        let id = &apps(&github).await[1]["id"];
        assert!(replaced.stderr.contains(&format!("[github.app]\nid = {id}")), "{}", replaced.stderr);
    })
    .await;
}

#[tokio::test]
async fn a_token_in_the_configuration_is_not_replaced_silently() {
    bounded(async {
        let own = format!("{CONFIG}[github]\ntoken_file = \"token\"\n");
        let (dir, github) = (directory(&own), github().await);
        let ended = start(dir.path(), &github, &[]).end().await;
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.stderr.contains("has a token, not an App's credentials"), "{}", ended.stderr);
        assert!(ended.stderr.contains("--replace` to make an App in its place"), "{}", ended.stderr);
        assert_eq!(text(&dir, "config.toml"), own);
    })
    .await;
}
