//! `ecsrunner webhook send`.

use std::fs::File;

use super::*;
use crate::testbed::SECRET;

#[tokio::test]
async fn a_webhook_is_sent_signed_and_a_refusal_is_a_failure() {
    bounded(async {
        let testbed = Testbed::set_up(Setup { classes: CLASSES, ..Setup::default() }).await;
        let server = testbed.serve_unheard().await;
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &[u8]| {
            std::fs::write(dir.path().join(name), text).unwrap();
            dir.path().join(name).to_str().unwrap().to_owned()
        };
        let body: Vec<u8> = Payload::queued(9, &["self-hosted", "class:gpu"]).into();
        let (payload, secret) = (file("job.json", &body), file("secret", format!("{SECRET}\n").as_bytes()));
        let wrong = file("wrong", b"another secret");
        let url = server.url("/webhook");
        let sent =
            output_with(&[], &["webhook", "send", &payload, "--url", &url, "--secret-file", &secret]).await;
        let answer: Value = serde_json::from_slice(&sent.stdout).unwrap();
        assert_eq!((sent.status.code(), &answer["reason"]["code"]), (Some(0), &json!("class_unknown")));
        let refused = ["webhook", "send", &payload, "--url", &url, "--secret-file", &wrong, "--json"];
        let refused = output_with(&[], &refused).await;
        let words = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1));
        assert!(words.contains("answered 401 Unauthorized to delivery"), "{words}");
        assert!(words.contains("hint: compare `--secret-file` with the webhook's secret"), "{words}");
        assert!(!words.contains("another secret"));
        let document: Value = serde_json::from_slice(&refused.stdout).unwrap();
        assert_eq!(
            (fields(&document).as_str(), &document["status"]),
            ("answer delivery status", &json!(401))
        );
        assert!(words.contains(document["delivery"].as_str().unwrap()), "{words}");
    })
    .await;
}

#[tokio::test]
async fn a_webhook_is_read_from_standard_input() {
    bounded(async {
        let testbed = Testbed::set_up(Setup { classes: CLASSES, ..Setup::default() }).await;
        let server = testbed.serve_unheard().await;
        let url = server.url("/webhook");
        let run = move || {
            let dir = tempfile::tempdir().unwrap();
            let body: Vec<u8> = Payload::queued(9, &["self-hosted", "class:gpu"]).into();
            std::fs::write(dir.path().join("job.json"), body).unwrap();
            std::fs::write(dir.path().join("secret"), SECRET).unwrap();
            ecsrunner(dir.path())
                .args(["webhook", "send", "-", "--url", &url, "--secret-file", "secret", "--json"])
                .stdin(File::open(dir.path().join("job.json")).unwrap())
                .output()
                .unwrap()
        };
        let sent = json_told(&tokio::task::spawn_blocking(run).await.unwrap());
        assert_eq!(
            (&sent["status"], &sent["answer"]["reason"]["code"]),
            (&json!(202), &json!("class_unknown"))
        );
        assert_eq!(sent["answer"]["delivery"], sent["delivery"]);
    })
    .await;
}
