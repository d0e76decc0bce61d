use ecsrunner_aws::parameters::{Parameters, ParametersError};
use ecsrunner_core::id::Deployment;
use ecsrunner_engine::ports::Disposition;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::aws::Aws;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_764_000_000 + secs).unwrap()
}

fn parameters() -> Value {
    let facts = json!({
        "state_table": "state", "boot_table": "boot", "boot_owner": "AROAEXAMPLE", "boot_owner_exec": "AROAEXEC", "cluster": "ci",
        "subnets": ["subnet-aaaa1111"], "security_groups": ["sg-1"],
        "task_definitions": {"default/x64": "runner:1"},
        "queue_url": "https://queue", "webhook_secret": "webhook", "github_secret": "github",
        "log_group": "runners"
    });
    let settings = json!({"version": 1, "deployment": "ci", "repositories": ["acme/*"]});
    let classes = json!({"small": {"cpu": 512, "memory": 1024}});
    let parameter = |name: &str, value: &Value| json!({"Name": format!("/ecsrunner/ci/{name}"), "Type": "String", "Value": value.to_string()});
    json!({"Parameters": [
        parameter("classes", &classes), parameter("deployment", &facts), parameter("settings", &settings)
    ], "InvalidParameters": []})
}

#[tokio::test]
async fn a_deployments_parameters_are_read_with_one_call_and_kept_for_a_while() {
    let aws = Aws::answering([(200, parameters())]);
    let parameters = Parameters::new(&aws.connection().await, Deployment::parse("ci").unwrap());
    for _ in 0..2 {
        assert_eq!(parameters.read(at(0)).await.unwrap().catalogue.names(), "small");
    }
    let names = ["deployment", "settings", "classes", "paused"].map(|name| format!("/ecsrunner/ci/{name}"));
    let request = json!({"Names": names, "WithDecryption": false});
    assert_eq!(aws.requests(), [("GetParameters".to_owned(), request)]);
}

#[tokio::test]
async fn a_pause_is_heard_of_within_30_seconds() {
    let mut paused = parameters();
    let settings = json!({"version": 1, "deployment": "ci", "repositories": ["acme/*"], "paused": true});
    paused["Parameters"][2]["Value"] = settings.to_string().into();
    let aws = Aws::answering([(200, parameters()), (200, paused)]);
    let parameters = Parameters::new(&aws.connection().await, Deployment::parse("ci").unwrap());
    let mut heard = Vec::new();
    for secs in [0, 24, 25] {
        heard.push(parameters.read(at(secs)).await.unwrap().settings.paused);
    }
    assert_eq!(heard, [false, false, true]);
}

#[tokio::test]
async fn a_refusal_of_aws_is_permanent_and_a_missing_parameter_is_named() {
    let denied = json!({"__type": "AccessDeniedException", "message": "not authorized"});
    let missing = json!({"Parameters": [], "InvalidParameters": ["/ecsrunner/ci/settings"]});
    let aws = Aws::answering([(400, denied), (200, missing)]);
    let parameters = Parameters::new(&aws.connection().await, Deployment::parse("ci").unwrap());
    let error = parameters.read(at(0)).await.unwrap_err();
    assert_eq!(error.to_string(), "the parameters `/ecsrunner/ci/*` cannot be read");
    assert_eq!(error.disposition(), Disposition::Permanent);
    let error = parameters.read(at(0)).await.unwrap_err();
    assert!(matches!(&error, ParametersError::Mistakes(mistakes) if mistakes.len() == 3), "{error}");
}
