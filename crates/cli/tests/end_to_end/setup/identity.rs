//! Who calls AWS, and which deployment is meant: without the AWS CLI.

use std::fs;
use std::path::Path;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::{get, post};

use super::{Amazon, Ended, Process, github};
use crate::testbed::bounded;

/// Runs setup until it needs the browser, with these files in `.aws`.
async fn called(amazon: &Amazon, files: &[(&str, &str)], variables: &[(&str, &str)], more: &[&str]) -> Ended {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join(".aws")).unwrap();
    for (name, text) in files {
        write(&home.path().join(".aws").join(name), text);
    }
    let github = github().await;
    let common = [
        ("AWS_ENDPOINT_URL_SSM", amazon.url()),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", amazon.url()),
        ("GITHUB_API_URL", github.url()),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        // No AWS CLI is there.
        ("PATH", "/usr/bin:/bin"),
    ];
    let arguments = [&["--deployment", "ci", "--timeout", "1s"], more].concat();
    Process::start(home.path(), &[&common, variables].concat(), &arguments).end().await
}

fn write(file: &Path, text: &str) {
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir).unwrap();
    }
    fs::write(file, text).unwrap();
}

fn got_through(ended: &Ended) {
    assert!(ended.stderr.contains("GitHub sent no code"), "{ended:?}");
}

#[tokio::test]
async fn keys_regions_and_processes_of_profiles_are_used() {
    bounded(async {
        let amazon = Amazon::start().await;
        let config = "[profile ops]\nregion = eu-west-1\n\
                      [profile tool]\nregion = eu-west-1\n\
                      credential_process = echo '{\"Version\":1,\"AccessKeyId\":\"AKIDPROCESS\",\"SecretAccessKey\":\"s\"}'\n";
        let keys = "[ops]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = s\n";
        let files = [("config", config), ("credentials", keys)];
        got_through(&called(&amazon, &files, &[("AWS_PROFILE", "ops")], &[]).await);
        let environment = [("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT"), ("AWS_SECRET_ACCESS_KEY", "s")];
        // The flag stands above the environment's key, and that above AWS_PROFILE.
        got_through(&called(&amazon, &files, &environment, &["--profile", "tool"]).await);
        let both = [&environment[..], &[("AWS_PROFILE", "ops")]].concat();
        got_through(&called(&amazon, &files, &both, &[]).await);
        let mut callers = amazon.callers();
        callers.dedup();
        assert_eq!(callers, ["AKIDPROFILE", "AKIDPROCESS", "AKIDENVIRONMENT"]);
    })
    .await;
}

#[tokio::test]
async fn a_key_that_is_about_to_expire_is_replaced_during_the_command() {
    bounded(async {
        let amazon = Amazon::start().await;
        // Each call gives another key, for less time than is kept in reserve.
        let dir = tempfile::tempdir().unwrap();
        let tool = dir.path().join("keys");
        let script = "echo >> \"$0.calls\"\n\
                      printf '{\"Version\":1,\"AccessKeyId\":\"AKID%s\",\"SecretAccessKey\":\"s\",\"SessionToken\":\"t\",\"Expiration\":\"%s\"}' \\\n\
                      \"$(wc -l < \"$0.calls\")\" \"$(date -u -d '5 seconds' +%Y-%m-%dT%H:%M:%SZ)\"\n";
        write(&tool, script);
        let config = format!(
            "[profile ops]\nregion = eu-west-1\ncredential_process = /bin/sh {}\n",
            tool.display()
        );
        got_through(&called(&amazon, &[("config", &config)], &[("AWS_PROFILE", "ops")], &[]).await);
        let mut callers = amazon.callers();
        callers.dedup();
        assert!(callers.len() > 1 && callers.iter().all(|key| key.starts_with("AKID")), "{callers:?}");
    })
    .await;
}

#[tokio::test]
async fn a_role_is_assumed_as_the_profile_says() {
    bounded(async {
        let amazon = Amazon::start().await;
        let answer = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
             <Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
             <SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
             <AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/ops/s</Arn><AssumedRoleId>AROA:s</AssumedRoleId>\
             </AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>";
        let assume = move |body: String| async move {
            assert!(body.contains("Action=AssumeRole") && body.contains("role%2Fops"), "{body}");
            ([("content-type", "text/xml")], answer)
        };
        let sts = serve(Router::new().route("/", post(assume))).await;
        let config = "[profile ops]\nregion = eu-west-1\nrole_arn = arn:aws:iam::123456789012:role/ops\nsource_profile = base\n\
                      [profile base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = s\n";
        let ended =
            called(&amazon, &[("config", config)], &[("AWS_ENDPOINT_URL_STS", &sts)], &["--profile", "ops"]).await;
        got_through(&ended);
        assert_eq!(amazon.callers()[0], "ASIAROLE");
    })
    .await;
}

#[tokio::test]
async fn a_single_sign_on_session_is_used_and_one_that_has_ended_says_to_sign_in() {
    bounded(async {
        let amazon = Amazon::start().await;
        let credentials = |headers: HeaderMap| async move {
            assert_eq!(headers["x-amz-sso_bearer_token"], "sso-t0ken");
            r#"{"roleCredentials":{"accessKeyId":"ASIASSO","secretAccessKey":"s","sessionToken":"t","expiration":4070908800000}}"#
        };
        let portal = serve(Router::new().route("/federation/credentials", get(credentials))).await;
        let config = "[profile ops]\nregion = eu-west-1\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = ops\n\
                      [sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.awsapps.com/start\n";
        // The SHA-1 of the session's name, as `aws sso login` names its file.
        let cache = "sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
        let token = |until: &str| {
            format!("{{\"accessToken\":\"sso-t0ken\",\"expiresAt\":\"{until}\",\"startUrl\":\"https://corp.awsapps.com/start\",\"region\":\"eu-west-1\"}}")
        };
        let sign_on = [("AWS_ENDPOINT_URL_SSO", portal.as_str()), ("AWS_PROFILE", "ops")];
        let valid = token("2099-01-01T00:00:00Z");
        let ended = called(&amazon, &[("config", config), (cache, &valid)], &sign_on, &[]).await;
        got_through(&ended);
        assert_eq!(amazon.callers()[0], "ASIASSO");

        let old = token("2020-01-01T00:00:00Z");
        let ended = called(&amazon, &[("config", config), (cache, &old)], &sign_on, &[]).await;
        assert_eq!(ended.code, 3, "{ended:?}");
        assert!(ended.stderr.contains("no AWS credentials found") && ended.stderr.contains("`aws sso login`"));
        assert!(!ended.stderr.contains("sso-t0ken") && !ended.stderr.contains("note:"), "{}", ended.stderr);
    })
    .await;
}

#[tokio::test]
async fn without_credentials_or_region_the_way_to_give_them_is_named() {
    bounded(async {
        let amazon = Amazon::start().await;
        let none = called(&amazon, &[], &[("AWS_REGION", "eu-west-1")], &[]).await;
        assert_eq!(none.code, 3, "{none:?}");
        assert!(
            none.stderr.contains("no AWS credentials found") && none.stderr.contains("AWS_ACCESS_KEY_ID")
        );
        let unknown = called(
            &amazon,
            &[("config", "[default]\n")],
            &[],
            &["--profile", "nobody", "--region", "eu-west-1"],
        )
        .await;
        assert_eq!(unknown.code, 3, "{unknown:?}");
        assert!(unknown.stderr.contains("in profile `nobody`"), "{}", unknown.stderr);
        let key = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "s")];
        let region = called(&amazon, &[], &key, &[]).await;
        assert_eq!(region.code, 2, "{region:?}");
        assert!(region.stderr.contains("no AWS Region given"), "{}", region.stderr);
    })
    .await;
}

#[tokio::test]
async fn the_state_table_alone_names_a_deployment_and_must_not_contradict_another_name() {
    bounded(async {
        let amazon = Amazon::start().await;
        let github = github().await;
        let home = tempfile::tempdir().unwrap();
        let run = async |table: &str, deployment: &str| {
            let mut variables = amazon.variables(github.url());
            variables.retain(|(name, _)| *name != "ECSRUNNER_DEPLOYMENT");
            variables.extend([("RUNNER_STATE_TABLE", table), ("ECSRUNNER_DEPLOYMENT", deployment)]);
            Process::start(home.path(), &variables, &["--timeout", "1s"]).end().await
        };
        got_through(&run("ecsrunner-ci-state", "").await);
        got_through(&run("ecsrunner-ci-state", "ci").await);
        let conflict = run("ecsrunner-prod-state", "ci").await;
        assert_eq!(conflict.code, 2, "{conflict:?}");
        let told = "ECSRUNNER_DEPLOYMENT is `ci`, but RUNNER_STATE_TABLE is `ecsrunner-prod-state`, the table of the deployment `prod`";
        assert!(conflict.stderr.contains(told), "{}", conflict.stderr);
        let other = run("my-table", "").await;
        assert_eq!(other.code, 2, "{other:?}");
        assert!(other.stderr.contains("`ecsrunner-<deployment>-state` is expected"), "{}", other.stderr);
    })
    .await;
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}
