//! Requests that RunTask accepts or refuses.

use serde_json::{Value, json};

use super::{Cloud, options, request};

fn refused(changes: Value) -> String {
    Cloud::new().refusal("RunTask", &request(changes))
}

fn accepted(changes: Value) -> Value {
    Cloud::new().answer("RunTask", &request(changes))["tasks"][0].clone()
}

#[test]
fn a_task_is_answered_in_the_words_of_aws() {
    let task = accepted(json!({
        "clientToken": "01ARZ-1",
        "tags": [{"key": "runner", "value": "one"}],
        "overrides": {
            "cpu": "1024", "memory": "4096", "ephemeralStorage": {"sizeInGiB": 60},
            "containerOverrides": [{"name": "runner", "environment": [{"name": "A", "value": "1"}]}],
        },
    }));
    let arn = task["taskArn"].as_str().unwrap();
    let id = arn.strip_prefix("arn:aws:ecs:eu-central-1:123456789012:task/runners/").unwrap();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    for (name, value) in [
        ("clusterArn", json!("arn:aws:ecs:eu-central-1:123456789012:cluster/runners")),
        ("taskDefinitionArn", json!("arn:aws:ecs:eu-central-1:123456789012:task-definition/runner-x64:2")),
        ("lastStatus", json!("PROVISIONING")),
        ("desiredStatus", json!("RUNNING")),
        ("capacityProviderName", json!("FARGATE")),
        ("startedBy", json!("ecsrunner/demo")),
        ("group", json!("family:runner-x64")),
        ("cpu", json!("1024")),
        ("memory", json!("4096")),
        ("ephemeralStorage", json!({"sizeInGiB": 60})),
        ("version", json!(1)),
        ("createdAt", json!(1_793_491_200.0)),
        ("tags", json!([{"key": "runner", "value": "one"}])),
    ] {
        assert_eq!(task[name], value, "{name}");
    }
    assert_eq!(task["containers"][0]["name"], "runner");
    assert_eq!(task["containers"][0]["lastStatus"], "PENDING");
}

#[test]
fn the_cluster_and_the_task_definition_have_to_exist() {
    assert_eq!(refused(json!({"cluster": "other"})), "ClusterNotFoundException: Cluster not found.");
    let unknown = "InvalidParameterException: TaskDefinition not found.";
    assert_eq!(refused(json!({"taskDefinition": "other"})), unknown);
    assert_eq!(refused(json!({"taskDefinition": "runner-x64:9"})), unknown);
    let arn = "arn:aws:ecs:eu-central-1:123456789012:task-definition/runner-x64:1";
    assert_eq!(accepted(json!({"taskDefinition": arn}))["taskDefinitionArn"], arn);
    let by_default = accepted(json!({"cluster": null}));
    assert!(by_default["clusterArn"].as_str().unwrap().ends_with("cluster/default"));
}

#[test]
fn one_to_ten_tasks_are_started_at_once() {
    assert!(refused(json!({"count": 0})).starts_with("InvalidParameterException"));
    assert!(refused(json!({"count": 11})).starts_with("InvalidParameterException"));
    assert_eq!(Cloud::new().launched(json!({"count": 10})).0, 10);
}

#[test]
fn overrides_have_at_most_8192_characters() {
    let of_length = |length: usize| {
        let overrides = |value: &str| json!({"containerOverrides": [{"name": "runner", "environment": [{"name": "A", "value": value}]}]});
        let rest = overrides("").to_string().len();
        json!({"overrides": overrides(&"x".repeat(length - rest))})
    };
    assert_eq!(
        refused(of_length(8193)),
        "InvalidParameterException: Container Overrides length must be at most 8192"
    );
    accepted(of_length(8192));
}

#[test]
fn overrides_can_set_neither_image_nor_architecture_nor_secrets() {
    for container in [json!({"image": "other"}), json!({"secrets": []})] {
        let mut container = container;
        container["name"] = json!("runner");
        let refusal = refused(json!({"overrides": {"containerOverrides": [container]}}));
        assert!(refusal.starts_with("SerializationException: unknown field"), "{refusal}");
    }
    let refusal = refused(json!({"overrides": {"runtimePlatform": {"cpuArchitecture": "ARM64"}}}));
    assert!(refusal.starts_with("SerializationException: unknown field"), "{refusal}");
    assert_eq!(
        refused(json!({"overrides": {"containerOverrides": [{"name": "other"}]}})),
        "InvalidParameterException: Override for container named other is not a container in the TaskDefinition."
    );
}

#[test]
fn a_size_that_fargate_does_not_offer_is_refused() {
    let size = |cpu: &str, memory: &str| json!({"overrides": {"cpu": cpu, "memory": memory}});
    let refusal = "ClientException: No Fargate configuration exists for given values.";
    assert_eq!(refused(size("300", "512")), refusal);
    assert_eq!(refused(size("512", "8192")), refusal);
    assert_eq!(refused(json!({"overrides": {"cpu": "4096"}})), refusal, "512 MiB do not go with 4 vCPUs");
    assert_eq!(accepted(size("4 vCPU", "8GB"))["memory"], "8192");
    assert_eq!(accepted(size(".5 vcpu", "1 GB"))["cpu"], "512");
}

#[test]
fn ephemeral_storage_is_21_to_200_gib() {
    let storage = |gib: u32| json!({"overrides": {"ephemeralStorage": {"sizeInGiB": gib}}});
    assert!(refused(storage(20)).starts_with("InvalidParameterException"));
    assert!(refused(storage(201)).starts_with("InvalidParameterException"));
    accepted(storage(21));
    accepted(storage(200));
}

#[test]
fn started_by_has_at_most_128_letters_digits_hyphens_slashes_and_underscores() {
    assert!(refused(json!({"startedBy": "a b"})).starts_with("InvalidParameterException"));
    assert!(refused(json!({"startedBy": "a:b"})).starts_with("InvalidParameterException"));
    assert!(refused(json!({"startedBy": "a".repeat(129)})).starts_with("InvalidParameterException"));
    accepted(json!({"startedBy": "a".repeat(128)}));
}

#[test]
fn a_task_has_at_most_50_tags_each_key_once() {
    let tags = |count: usize| {
        let tag = |i: usize| json!({"key": format!("k{i}"), "value": "v"});
        json!({"tags": (0..count).map(tag).collect::<Vec<Value>>()})
    };
    assert!(refused(tags(51)).starts_with("InvalidParameterException"));
    assert!(refused(json!({"tags": [{"key": "a"}, {"key": "a"}]})).starts_with("InvalidParameterException"));
    assert!(refused(json!({"tags": [{"key": "aws:a"}]})).starts_with("InvalidParameterException"));
    assert_eq!(accepted(tags(50))["tags"].as_array().unwrap().len(), 50);
}

#[test]
fn a_client_token_has_at_most_64_visible_ascii_characters() {
    for token in ["", "a b", "ä", &"a".repeat(65)] {
        assert!(refused(json!({"clientToken": token})).starts_with("InvalidParameterException"), "{token}");
    }
    accepted(json!({"clientToken": "a".repeat(64)}));
}

#[test]
fn a_network_is_needed() {
    let needed = "InvalidParameterException: Network Configuration must be provided when networkMode 'awsvpc' is specified.";
    assert_eq!(refused(json!({"networkConfiguration": null})), needed);
    assert_eq!(refused(json!({"networkConfiguration": {}})), needed);
    let subnets =
        |subnets: Value| json!({"networkConfiguration": {"awsvpcConfiguration": {"subnets": subnets}}});
    assert!(refused(subnets(json!([]))).starts_with("InvalidParameterException"));
    let mut known = options();
    known.subnets.insert("subnet-a".to_owned(), "eu-central-1b".to_owned());
    let mut cloud = Cloud::with(known);
    let refusal = cloud.refusal("RunTask", &request(subnets(json!(["subnet-z"]))));
    assert!(refusal.contains("subnet-z"), "{refusal}");
    let id = cloud.run(json!({}));
    assert_eq!(cloud.describe(&id)["availabilityZone"], "eu-central-1b");
}

#[test]
fn capacity_is_fargate_by_launch_type_or_strategy_but_not_both() {
    let strategy = |name: &str, weight: u32| json!({"capacityProviderStrategy": [{"capacityProvider": name, "weight": weight}]});
    let both = refused(json!({"launchType": "FARGATE"}));
    assert!(both.starts_with("InvalidParameterException: Specifying both"), "{both}");
    assert!(refused(strategy("other", 1)).contains("'other' was not found"));
    assert!(refused(strategy("FARGATE", 0)).contains("weight greater than 0"));
    assert_eq!(
        refused(json!({"capacityProviderStrategy": null})),
        "InvalidParameterException: No Container Instances were found in your cluster."
    );
    assert_eq!(accepted(strategy("FARGATE_SPOT", 1))["capacityProviderName"], "FARGATE_SPOT");
    let by_type = accepted(json!({"capacityProviderStrategy": null, "launchType": "FARGATE"}));
    assert_eq!(by_type["capacityProviderName"], Value::Null);
    assert_eq!(by_type["launchType"], "FARGATE");
}

#[test]
fn a_strategy_shares_tasks_by_base_and_weight() {
    let mut cloud = Cloud::new();
    let strategy = json!([
        {"capacityProvider": "FARGATE", "base": 1, "weight": 1},
        {"capacityProvider": "FARGATE_SPOT", "weight": 3},
    ]);
    let answer = cloud.answer("RunTask", &request(json!({"count": 9, "capacityProviderStrategy": strategy})));
    let tasks = answer["tasks"].as_array().unwrap();
    let spot = tasks.iter().filter(|task| task["capacityProviderName"] == "FARGATE_SPOT").count();
    assert_eq!((tasks.len(), spot), (9, 6));
}

#[test]
fn exec_needs_a_task_role() {
    let refusal = refused(json!({"enableExecuteCommand": true}));
    assert!(refusal.contains("a valid taskRoleArn is not being used"), "{refusal}");
    let role = json!({"taskRoleArn": "arn:aws:iam::123456789012:role/runner"});
    accepted(json!({"enableExecuteCommand": true, "overrides": role}));
}

#[test]
fn a_member_that_is_not_modelled_is_refused() {
    let refusal = refused(json!({"startedby": "ecsrunner"}));
    assert!(refusal.starts_with("SerializationException: unknown field"), "{refusal}");
    assert_eq!(Cloud::new().refusal("StartTask", &json!({})), "UnknownOperationException: ");
}
