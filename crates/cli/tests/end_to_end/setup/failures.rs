//! What goes wrong, and how to go on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::amazon::{GITHUB_SECRET, WEBHOOK_SECRET};
use super::{Amazon, Browser, Ended, Process, apps, faults, github};
use crate::testbed::bounded;

/// Returns the file that an error names.
fn file_of(ended: &Ended) -> PathBuf {
    let (_, rest) = ended.stderr.split_once("--from ").expect("a file");
    PathBuf::from(rest.split('`').next().unwrap())
}

/// Checks that only the owner can read a file and its directory.
fn is_private(file: &Path) {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(file), mode(file.parent().unwrap())), (0o600, 0o700));
}

#[tokio::test]
async fn credentials_that_cannot_be_stored_go_to_a_private_file_and_one_command_stores_them() {
    bounded(async {
        let (amazon, github) = (Amazon::start().await, github().await);
        let denied =
            ("AccessDeniedException", "User is not authorized to perform secretsmanager:PutSecretValue");
        amazon.set(|account| account.write_error = Some(denied));
        let home = tempfile::tempdir().unwrap();
        let variables = amazon.variables(github.url());
        let process = Process::start(home.path(), &variables, &["--no-wait"]);
        let mut browser = Browser::new();
        let sent = browser.go_through(&process.page().await).await;
        assert_eq!(sent, "/failed");
        let ended = process.end().await;
        assert_eq!(ended.code, 3, "{ended:?}");
        assert!(ended.stderr.contains("secretsmanager:PutSecretValue"), "{}", ended.stderr);
        let file = file_of(&ended);
        assert!(file.starts_with(home.path().join(".local/state")), "{}", file.display());
        is_private(&file);
        let kept: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let key = kept["app"]["private_key"].as_str().unwrap();
        assert!(key.contains("RSA PRIVATE KEY") && !ended.stderr.contains(key.lines().nth(1).unwrap()));

        let from = ["--no-wait", "--from", file.to_str().unwrap()];
        let still = Process::start(home.path(), &variables, &from).end().await;
        assert_eq!(still.code, 3, "{still:?}");
        assert!(still.stderr.contains(&format!("--from {}` again", file.display())), "{}", still.stderr);
        assert!(file.exists());

        amazon.set(|account| account.write_error = None);
        let stored = Process::start(home.path(), &variables, &from).end().await;
        assert_eq!(stored.code, 0, "{stored:?}");
        assert!(!file.exists() && !file.parent().unwrap().exists());
        let credentials: Value = serde_json::from_str(&amazon.secret(GITHUB_SECRET).unwrap()).unwrap();
        assert_eq!(credentials["private_key"], key);
        let secrets: Value = serde_json::from_str(&amazon.secret(WEBHOOK_SECRET).unwrap()).unwrap();
        assert_eq!(secrets[0], kept["app"]["webhook_secret"]);
        assert_eq!(apps(&github).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn while_github_is_down_the_code_is_kept_and_exchanged_later() {
    bounded(async {
        let (amazon, github) = (Amazon::start().await, github().await);
        let conversions = |status: Value| json!({"rest": [{"path_end": "/conversions", "status": status}]});
        faults(&github, &conversions(json!(502))).await;
        let home = tempfile::tempdir().unwrap();
        let variables = amazon.variables(github.url());
        let process = Process::start(home.path(), &variables, &["--no-wait"]);
        let mut browser = Browser::new();
        let form = browser.open(&process.page().await).await;
        let back = browser.create(&form).await;
        assert_eq!(browser.come_back(&back).await, (303, "/failed".to_owned()));
        let ended = process.end().await;
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.stderr.contains("trying again") && ended.stderr.contains("502"), "{}", ended.stderr);
        assert!(ended.stderr.contains("the code is valid for an hour"), "{}", ended.stderr);
        assert!(!ended.stderr.contains(&back.code()), "{}", ended.stderr);
        let file = file_of(&ended);
        is_private(&file);
        let from = ["--no-wait", "--from", file.to_str().unwrap()];
        assert_eq!(Process::start(home.path(), &variables, &from).end().await.code, 1);
        assert!(file.exists());

        faults(&github, &json!({"rest": []})).await;
        let done = Process::start(home.path(), &variables, &from).end().await;
        assert_eq!(done.code, 0, "{done:?}");
        assert!(!file.exists());
        let credentials: Value = serde_json::from_str(&amazon.secret(GITHUB_SECRET).unwrap()).unwrap();
        assert_eq!(credentials["app_id"], apps(&github).await[0]["id"]);
    })
    .await;
}

#[tokio::test]
async fn a_short_outage_is_waited_out_and_a_lost_answer_is_told_as_such() {
    bounded(async {
        let (amazon, github) = (Amazon::start().await, github().await);
        let once = |more: Value| {
            let mut fault = json!({"path_end": "/conversions", "times": 1, "status": 502});
            fault["after_effect"] = more;
            json!({"rest": [fault]})
        };
        let home = tempfile::tempdir().unwrap();
        let variables = amazon.variables(github.url());
        faults(&github, &once(json!(true))).await;
        let process = Process::start(home.path(), &variables, &["--no-wait"]);
        Browser::new().go_through(&process.page().await).await;
        let lost = process.end().await;
        assert_eq!(lost.code, 1, "{lost:?}");
        assert!(lost.stderr.contains("its answer with the App's credentials was lost"), "{}", lost.stderr);
        assert!(lost.stderr.contains("delete the App"), "{}", lost.stderr);
        assert_eq!(amazon.secret(GITHUB_SECRET), None);

        faults(&github, &once(json!(false))).await;
        let process = Process::start(home.path(), &variables, &["--no-wait", "--name", "second"]);
        Browser::new().go_through(&process.page().await).await;
        let ended = process.end().await;
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.stderr.contains("trying again"), "{}", ended.stderr);
    })
    .await;
}

#[tokio::test]
async fn a_code_that_github_does_not_know_is_told_as_such() {
    bounded(async {
        let (amazon, github) = (Amazon::start().await, github().await);
        let home = tempfile::tempdir().unwrap();
        let arguments = ["--code", "a180b1a3d263"];
        let ended = Process::start(home.path(), &amazon.variables(github.url()), &arguments).end().await;
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(
            ended.stderr.contains("GitHub does not know the code: each is valid once"),
            "{}",
            ended.stderr
        );
        let wrong = ["--code", "https://example.com/?state=1"];
        let ended = Process::start(home.path(), &amazon.variables(github.url()), &wrong).end().await;
        assert_eq!(ended.code, 2, "{ended:?}");
    })
    .await;
}

#[tokio::test]
async fn an_expired_session_a_wrong_region_and_a_deleted_secret_are_found_before_github_makes_an_app() {
    bounded(async {
        let (amazon, github) = (Amazon::start().await, github().await);
        let home = tempfile::tempdir().unwrap();
        let variables = amazon.variables(github.url());
        let run = async |more: &[&str]| Process::start(home.path(), &variables, more).end().await;

        let region = run(&["--region", "us-east-1"]).await;
        assert_eq!(region.code, 4, "{region:?}");
        assert!(region.stderr.contains("there is no deployment `ci` in us-east-1"), "{}", region.stderr);
        assert!(region.stderr.contains("`--region`"), "{}", region.stderr);

        amazon.set(|account| account.is_expired = true);
        let expired = run(&[]).await;
        assert_eq!(expired.code, 3, "{expired:?}");
        assert!(expired.stderr.contains("ExpiredTokenException"), "{}", expired.stderr);
        assert!(
            expired.stderr.contains("hint: the AWS session has expired: sign in again"),
            "{}",
            expired.stderr
        );
        amazon.set(|account| account.is_expired = false);

        for arn in [GITHUB_SECRET, WEBHOOK_SECRET] {
            amazon.set(|account| account.deleted = vec![arn.to_owned()]);
            let deleted = run(&[]).await;
            assert_eq!(deleted.code, 1, "{deleted:?}");
            assert!(deleted.stderr.contains(&format!("secret `{arn}` is scheduled for deletion")));
            assert!(deleted.stderr.contains("restore-secret --secret-id"), "{}", deleted.stderr);
        }
        amazon.set(|account| {
            account.deleted.clear();
            account.secrets.remove(WEBHOOK_SECRET);
        });
        let missing = run(&[]).await;
        assert_eq!(missing.code, 4, "{missing:?}");
        assert!(
            missing.stderr.contains(&format!("there is no secret `{WEBHOOK_SECRET}`")),
            "{}",
            missing.stderr
        );
        assert!(apps(&github).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn ctrl_c_ends_it_and_leaves_nothing() {
    bounded(async {
        let (amazon, github) = (Amazon::start().await, github().await);
        let home = tempfile::tempdir().unwrap();
        let process = Process::start(home.path(), &amazon.variables(github.url()), &[]);
        process.page().await;
        process.interrupt();
        let ended = process.end().await;
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.stderr.contains("error: setup was interrupted"), "{}", ended.stderr);
        assert!(apps(&github).await.is_empty() && amazon.secret(GITHUB_SECRET).is_none());
    })
    .await;
}
