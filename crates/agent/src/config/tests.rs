use super::*;

/// The variables that ECS and the control plane set.
const TASK: [(&str, &str); 5] = [
    ("ECSRUNNER_BOOT_TABLE", "boot"),
    ("ECSRUNNER_BOOT_ROLE", "AROA"),
    ("AWS_REGION", "eu-west-1"),
    ("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/1"),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/s3cret"),
];

fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let lookup = |name: &str| {
        variables.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
    };
    Config::from_env(lookup, "/agent")
}

fn with(variables: &[(&'static str, &'static str)]) -> Result<Config, ConfigError> {
    read(&[&TASK[..], variables].concat())
}

#[test]
fn every_fault_of_the_environment_is_told_at_once() {
    let error = read(&[("ECSRUNNER_JOB_LIMIT_SECS", "soon"), ("ECSRUNNER_AGENT_DIR", "here")]);
    assert_eq!(
        error.unwrap_err().to_string(),
        "AWS_REGION is not set; ECSRUNNER_BOOT_TABLE is not set; ECSRUNNER_BOOT_ROLE is not set; \
         ECS_CONTAINER_METADATA_URI_V4 is not set; AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set; \
         ECSRUNNER_AGENT_DIR is not an absolute path: `here`; \
         ECSRUNNER_JOB_LIMIT_SECS is not a whole number: `soon`"
    );
    let error =
        read(&[("ECSRUNNER_BOOT_OWNER", "AROA:1"), ("AWS_REGION", "r"), ("ECSRUNNER_BOOT_TABLE", "t")]);
    assert_eq!(
        error.unwrap_err().to_string(),
        "AWS_ACCESS_KEY_ID is not set; AWS_SECRET_ACCESS_KEY is not set"
    );
}

#[test]
fn defaults_hold_where_nothing_is_said() {
    let config = with(&[]).unwrap();
    assert_eq!(config.boot.endpoint, "https://dynamodb.eu-west-1.amazonaws.com");
    assert_eq!(config.boot.limit, Duration::from_secs(300));
    assert_eq!(config.supervision.limits.idle, Duration::from_secs(900));
    assert_eq!(config.supervision.agent_dir, PathBuf::from("/run/ecsrunner"));
    assert!(config.supervision.listener.uid.is_none());
}

#[test]
fn dynamodb_has_an_endpoint_in_every_partition() {
    for (region, endpoint) in [
        ("us-east-1", "https://dynamodb.us-east-1.amazonaws.com"),
        ("us-gov-west-1", "https://dynamodb.us-gov-west-1.amazonaws.com"),
        ("cn-northwest-1", "https://dynamodb.cn-northwest-1.amazonaws.com.cn"),
        ("eusc-de-east-1", "https://dynamodb.eusc-de-east-1.amazonaws.eu"),
    ] {
        assert_eq!(with(&[("AWS_REGION", region)]).unwrap().boot.endpoint, endpoint);
    }
}

#[test]
fn the_variable_of_one_service_or_region_comes_before_that_of_all() {
    let config =
        with(&[("AWS_ENDPOINT_URL", "http://a"), ("AWS_ENDPOINT_URL_DYNAMODB", "http://b")]).unwrap();
    assert_eq!(config.boot.endpoint, "http://b");
    assert_eq!(with(&[("AWS_DEFAULT_REGION", "us-east-1")]).unwrap().boot.region, "eu-west-1");
    let default = with(&[("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "us-east-1")]).unwrap();
    assert_eq!(default.boot.region, "us-east-1");
}

#[test]
fn no_variable_of_ours_or_of_aws_can_be_passed_to_a_job() {
    for name in [
        "AWS_SECRET_ACCESS_KEY",
        "ECS_CONTAINER_METADATA_URI_V4",
        "ECSRUNNER_BOOT_ROLE",
        "HOME",
        "PATH",
        "ACTIONS_RUNNER_HOOK_JOB_STARTED",
        "ACTIONS_RUNNER_HOOK_JOB_COMPLETED",
        "ACTIONS_RUNNER_CONTAINER_HOOKS",
        "actions_runner_input_jitconfig",
        "ACTIONS_RUNNER_REQUIRE_JOB_CONTAINER",
        "BASH_ENV",
        "BASH_FUNC_exec%%",
        "SHELLOPTS",
    ] {
        assert!(!may_pass(name), "{name}");
    }
    assert!(may_pass("ECSRUNNER_SIM_EXECUTOR"));
    let config = with(&[("ECSRUNNER_LISTENER_ENV", "A, B"), ("B", "2")]).unwrap();
    assert!(config.supervision.listener.environment.contains(&("B".to_owned(), OsString::from("2"))));
}

#[test]
fn debug_shows_no_secret() {
    assert!(!format!("{:?}", with(&[]).unwrap()).contains("s3cret"));
    let told = with(&[
        ("ECSRUNNER_BOOT_OWNER", "AROA:1"),
        ("AWS_ACCESS_KEY_ID", "AKIA"),
        ("AWS_SECRET_ACCESS_KEY", "s3cret"),
    ]);
    assert!(!format!("{:?}", told.unwrap()).contains("s3cret"));
}

#[test]
fn of_the_runners_own_variables_two_can_be_passed_and_one_is_passed_where_it_is_set() {
    let passed = |variables: &[(&'static str, &'static str)]| {
        let environment = with(variables).unwrap().supervision.listener.environment;
        environment
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| name.starts_with("ACTIONS"))
            .collect::<Vec<_>>()
    };
    let print = ("ACTIONS_RUNNER_PRINT_LOG_TO_STDOUT", "1");
    let cache = ("ACTIONS_RUNNER_ACTION_ARCHIVE_CACHE", "/cache");
    let hook = ("ACTIONS_RUNNER_HOOK_JOB_STARTED", "/other");
    assert_eq!(passed(&[print, cache, hook]), [cache.0]);
    assert_eq!(passed(&[print, ("ECSRUNNER_LISTENER_ENV", "ACTIONS_RUNNER_PRINT_LOG_TO_STDOUT")]), [print.0]);
    let error = with(&[hook, ("ECSRUNNER_LISTENER_ENV", "ACTIONS_RUNNER_HOOK_JOB_STARTED")]).unwrap_err();
    assert_eq!(error.to_string(), "ECSRUNNER_LISTENER_ENV must not name `ACTIONS_RUNNER_HOOK_JOB_STARTED`");
}

#[test]
fn a_path_that_the_runner_would_read_otherwise_is_refused_with_the_variable_and_the_characters() {
    let expected = "a path of the characters A-Z a-z 0-9 / . _ + @ : , - is expected";
    for variable in ["ECSRUNNER_RUNNER_DIR", "ECSRUNNER_AGENT_DIR", "ECSRUNNER_TMP_DIR"] {
        let error = with(&[(variable, "/my runner")]).unwrap_err().to_string();
        assert_eq!(error, format!("{variable} is `/my runner`: {expected}"));
    }
    let lookup =
        |name: &str| TASK.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
    let error = Config::from_env(lookup, "/opt/my agent").unwrap_err().to_string();
    assert_eq!(error, format!("the agent's executable is `/opt/my agent`: {expected}"));
    assert_eq!(with(&[]).unwrap().supervision.listener.tmp_dir, None);
}
