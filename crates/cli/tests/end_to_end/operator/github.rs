//! Commands that ask GitHub: about lost webhooks, about jobs without a record,
//! and about the App's setup.

use serde_json::{Value, json};

use super::{CLASSES, fields, json_told, output_with};
use crate::testbed::{Setup, Testbed, bounded};

const ALLOWED: &[(&str, &str)] = &[("actions", "read"), ("administration", "write"), ("metadata", "read")];

async fn testbed(app: &'static [(&'static str, &'static str)]) -> Testbed {
    Testbed::set_up(Setup { classes: CLASSES, app, ..Setup::default() }).await
}

async fn document(testbed: &Testbed, arguments: &[&str]) -> Value {
    json_told(&output(testbed, &[arguments, &["--json"]].concat()).await)
}

async fn output(testbed: &Testbed, arguments: &[&str]) -> std::process::Output {
    let state = testbed.state().display().to_string();
    output_with(&[("ECSRUNNER_LOCAL", &state), ("GITHUB_API_URL", testbed.github_url())], arguments).await
}

#[tokio::test]
async fn a_delivery_that_failed_is_listed_until_it_was_sent_again_and_went_well() {
    bounded(async {
        let testbed = testbed(ALLOWED).await;
        let server = testbed.serve().await;
        testbed.github.faults(json!({"webhooks": {"drop": 1.0}, "assignment_paused": true})).await;
        testbed.github.submit_one(&["self-hosted"], 50).await;
        testbed.github.faults(json!({"webhooks": {}, "assignment_paused": false})).await;
        let lost = document(&testbed, &["deliveries", "list"]).await;
        let lost = lost["deliveries"].as_array().unwrap();
        assert_eq!(lost.len(), 1, "{lost:?}");
        assert_eq!(
            fields(&lost[0]),
            "action delivered_at duration event guid id recorded redelivery repository_id status status_code"
        );
        assert_eq!((&lost[0]["event"], &lost[0]["action"]), (&json!("workflow_job"), &json!("queued")));
        assert_ne!(lost[0]["status"], "OK");
        assert_eq!(lost[0]["recorded"], Value::Null, "a local server does not tell");

        let id = lost[0]["id"].to_string();
        let sent = document(&testbed, &["deliveries", "redeliver", lost[0]["guid"].as_str().unwrap()]).await;
        assert_eq!(sent, json!({"redelivered": [lost[0]["id"]]}));
        server.api().until("the job to be done", |api| api.is_done(1)).await;
        testbed.github.deliveries().await;
        assert_eq!(document(&testbed, &["deliveries", "list"]).await, json!({"deliveries": []}));
        let all = document(&testbed, &["deliveries", "list", "--all"]).await;
        assert!(all["deliveries"].as_array().unwrap().iter().any(|one| one["redelivery"] == true));

        let sent = output(&testbed, &["deliveries", "redeliver", &id]).await;
        assert_eq!(String::from_utf8(sent.stdout).unwrap(), format!("delivery {id} is being sent again\n"));
        let partly = output(&testbed, &["deliveries", "redeliver", &id, "4711", "--json"]).await;
        assert_ne!(partly.status.code(), Some(0));
        let partly: Value = serde_json::from_slice(&partly.stdout).unwrap();
        assert_eq!(
            partly,
            json!({"redelivered": [lost[0]["id"]]}),
            "what was sent before the failure is told"
        );

        let none = output(&testbed, &["deliveries", "redeliver", "--failed", "--json"]).await;
        assert_eq!(String::from_utf8(none.stderr).unwrap(), "no deliveries to send again\n");
        assert_eq!(serde_json::from_slice::<Value>(&none.stdout).unwrap(), json!({"redelivered": []}));
        let unknown = output(&testbed, &["deliveries", "redeliver", "no-such-guid"]).await;
        assert_eq!(unknown.status.code(), Some(4));
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn why_asks_github_about_a_job_without_a_record() {
    bounded(async {
        let testbed = testbed(&[]).await;
        // Without a list of repositories, the sweep cannot ask them.
        let lists = ["/user/repos", "/installation/repositories"];
        let rest = lists.map(|path| json!({"path_end": path, "status": 502}));
        let faults = json!({"webhooks": {"forget": 1.0}, "assignment_paused": true, "rest": rest});
        testbed.github.faults(faults).await;
        let server = testbed.serve().await;
        let job = testbed.github.submit_one(&["self-hosted"], 50).await;
        let url = |job: u64| format!("https://github.com/acme/app/actions/runs/1/job/{job}");
        let why = document(&testbed, &["why", &url(job)]).await;
        assert_eq!((&why["job"], &why["github"]["status"]), (&Value::Null, &json!("queued")));
        assert_eq!(
            fields(&why["github"]),
            "attempt completed_at conclusion created_at labels name repository run_id runner started_at status workflow"
        );
        assert_eq!(why["because"]["code"], "not_recorded");
        let text = output(&testbed, &["why", &job.to_string(), "--repository", "acme/app"]).await;
        let text = String::from_utf8(text.stdout).unwrap();
        for part in ["not recorded here", "GitHub:  queued", "[not_recorded]", "Next:    run `ecsrunner doctor`"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }

        // `why` says that the job would be refused, even if its webhooks were lost.
        let refused = testbed.github.submit_one(&["self-hosted", "class:gpu"], 50).await;
        let why = document(&testbed, &["why", &url(refused)]).await;
        assert_eq!(why["because"]["code"], "class_unknown");
        assert!(why["next"].as_str().unwrap().contains("list-class-sizes"), "{why}");

        let unknown = output(&testbed, &["why", &url(4711)]).await;
        let words = String::from_utf8(unknown.stderr).unwrap();
        assert_eq!(unknown.status.code(), Some(4));
        assert!(
            words.contains("neither") && words.contains("nor GitHub knows job 4711 of acme/app"),
            "{words}"
        );
        let by_id = output(&testbed, &["why", "4711"]).await;
        assert_eq!(by_id.status.code(), Some(4), "GitHub cannot be asked without a repository");
        drop(server);
    })
    .await;
}

#[tokio::test]
async fn why_says_when_github_is_ahead_of_the_record() {
    bounded(async {
        let testbed = testbed(&[]).await;
        let server = testbed.serve().await;
        testbed.github.faults(json!({"assignment_paused": true})).await;
        let job = testbed.github.submit_one(&["self-hosted"], 50).await;
        server.api().until("a queued job", |api| api.job(job).is_some()).await;
        testbed.github.faults(json!({"webhooks": {"forget": 1.0}, "assignment_paused": true})).await;
        testbed.github.cancel(job).await;
        let why = document(&testbed, &["why", &job.to_string()]).await;
        assert_eq!(why["job"]["state"], "queued");
        assert_eq!(why["github"]["conclusion"], "cancelled");
        assert!(why["next"].as_str().unwrap().contains("GitHub says completed with cancelled"), "{why}");
    })
    .await;
}

#[tokio::test]
async fn a_lost_webhook_of_an_app_is_named_with_how_to_have_it_again() {
    bounded(async {
        let testbed = testbed(ALLOWED).await;
        let server = testbed.serve().await;
        testbed.github.faults(json!({"webhooks": {"drop": 1.0}, "assignment_paused": true})).await;
        let mut why = Value::Null;
        // The sweep of the server's start may find the first one. The next sweep comes after a minute.
        for _ in 0..2 {
            let job = testbed.github.submit_one(&["self-hosted"], 50).await;
            let url = format!("https://github.com/acme/app/actions/runs/1/job/{job}");
            why = document(&testbed, &["why", &url]).await;
            if why["because"]["code"] == "not_recorded" {
                break;
            }
        }
        assert_eq!(why["because"]["code"], "not_recorded");
        let delivery = why["deliveries"][0]["id"].to_string();
        let next = why["next"].as_str().unwrap();
        assert!(next.starts_with(&format!("run `ecsrunner deliveries redeliver {delivery}`")), "{next}");
        drop(server);
    })
    .await;
}

#[tokio::test]
async fn doctor_finds_a_permission_that_is_missing() {
    bounded(async {
        let healthy = testbed(ALLOWED).await;
        let server = healthy.serve().await;
        healthy.github.ping().await;
        healthy.github.deliveries().await;
        let told = document(&healthy, &["doctor"]).await;
        let states = |told: &Value| -> Vec<String> {
            let checks = told["checks"].as_array().unwrap().iter();
            checks
                .map(|check| {
                    format!("{}: {}", check["name"].as_str().unwrap(), check["state"].as_str().unwrap())
                })
                .collect()
        };
        assert_eq!(
            (fields(&told), fields(&told["checks"][0])),
            ("checks healthy".into(), "found name remedy state".into())
        );
        assert_eq!(told["healthy"], true, "{told}");
        insta::assert_snapshot!(states(&told).join("\n"), @r"
        server: ok
        configuration: ok
        state directory: ok
        executable: ok
        secrets: ok
        GitHub App: ok
        installation: ok
        webhook: ok
        deliveries: ok
        ");
        drop(server);

        let unhealthy = testbed(&[("actions", "read"), ("metadata", "read")]).await;
        let server = unhealthy.serve().await;
        let output = output(&unhealthy, &["doctor"]).await;
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains("failed\tGitHub App\tecsrunner lacks administration: write\tadd it in"),
            "{text}"
        );
        drop(server);
    })
    .await;
}

#[tokio::test]
async fn doctor_finds_a_public_app_that_serves_every_owner_and_a_runner_group_that_others_can_use() {
    bounded(async {
        let permissions: &[_] =
            &[("actions", "read"), ("metadata", "read"), ("organization_self_hosted_runners", "write")];
        let doctor = async |repositories: &'static str, top: &'static str, public_app: bool| {
            let setup = Setup { app: permissions, repositories, top, public_app, ..Setup::default() };
            let testbed = Testbed::set_up(Setup { classes: CLASSES, ..setup }).await;
            let server = testbed.serve().await;
            let output = output(&testbed, &["doctor"]).await;
            drop(server);
            (output.status.code(), String::from_utf8(output.stdout).unwrap())
        };
        let organization = "registration = { organization = { name = \"acme\", group = 1 } }";
        let (_, told) = doctor(r#"["*"]"#, "", true).await;
        let public = "failed\tGitHub App\tecsrunner is public and `repositories` has `*`";
        assert!(told.contains(public), "{told}");
        let (_, told) = doctor(r#"["*"]"#, "", false).await;
        assert!(!told.contains("is public"), "{told}");
        let (code, told) = doctor(r#"["acme/app"]"#, organization, true).await;
        assert!(!told.contains("is public"), "others may install it, and get nothing: {told}");
        assert!(told.contains("failed\trunner group\tDefault is visible to all repositories"), "{told}");
        assert_eq!(code, Some(1));
        let (_, told) = doctor(r#"["acme/*"]"#, organization, false).await;
        assert!(
            told.contains("ok\trunner group\tDefault is visible to the repositories that are served"),
            "{told}"
        );
    })
    .await;
}
