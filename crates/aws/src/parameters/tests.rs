use ecsrunner_core::cidr::Cidr;
use ecsrunner_core::id::ClassName;
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::image::{ImageRules, RunnerVersion};
use serde_json::{Value, json};

use super::*;
use crate::ecs::definition::Variant;

fn facts() -> Value {
    json!({
        "version": 1,
        "state_table": "state", "boot_table": "boot", "boot_owner": "AROAEXAMPLE", "boot_owner_exec": "AROAEXEC",
        "cluster": "ecsrunner-ci",
        "subnets": ["subnet-0123456789abcdef0"], "security_groups": ["sg-1"], "assign_public_ip": true,
        "task_definitions": {"default/x64": "runner:1", "android/arm64/exec": "android:2"},
        "queue_url": "https://queue", "webhook_secret": "webhook", "github_secret": "github",
        "log_group": "/ecsrunner/ci/runners",
        "of_a_newer_release": {}
    })
}

fn settings() -> Value {
    json!({"version": 1, "deployment": "ci", "repositories": ["acme/*"]})
}

fn parse(facts: &Value, settings: &Value, classes: &Value) -> Result<Configuration, Vec<String>> {
    let texts = [("deployment", facts), ("settings", settings), ("classes", classes)]
        .map(|(name, value)| (format!("/ecsrunner/ci/{name}"), value.to_string()));
    Configuration::parse(&Deployment::parse("ci").unwrap(), &BTreeMap::from(texts)).map_err(|error| {
        match error {
            ParametersError::Mistakes(mistakes) => mistakes,
            other @ ParametersError::Unread { .. } => vec![other.to_string()],
        }
    })
}

#[test]
fn the_three_parameters_make_a_configuration() {
    let classes = json!({"small": {"cpu": 512, "memory": 1024, "image": "android", "exec": false}});
    let configuration = parse(&facts(), &settings(), &classes).unwrap();
    let deployment = &configuration.deployment;
    assert_eq!(deployment.tables.boot_owners.plain, "AROAEXAMPLE");
    assert_eq!(deployment.task_definitions[&Variant::parse("android/arm64/exec").unwrap()], "android:2");
    assert!(deployment.network.assign_public_ip && !deployment.paused && !configuration.settings.paused);
    assert_eq!(configuration.ruleset().subnets.len(), 1);
    let fleet = configuration.fleet(Arc::new(|_| Vec::new()));
    assert_eq!(fleet.started_by(), "ecsrunner/ci");
    let small = configuration.catalogue.iter().next().unwrap();
    assert_eq!((small.image.as_deref(), small.exec), (Some("android"), false));
}

#[test]
fn the_image_and_the_agents_are_read_and_may_be_missing() {
    let before = parse(&facts(), &settings(), &json!({})).unwrap();
    assert_eq!((before.ruleset().images, before.deployment.agents.len()), (None, 0));
    let mut with = facts();
    with["task_definitions"] = json!({
        "official/x64": "o:1", "official/arm64": "o:2", "default/x64": "d:1", "default/arm64/exec": "d:2", "next/x64": "n:1",
    });
    with["agents"] = json!({"x64": {"bucket": "b", "key": "agent/x64/ecsrunner-agent", "version": "v"}});
    with["image"] = json!({
        "builder": "codebuild", "repository": "r", "projects": {"x64": "p"}, "sources": "abc", "tag": "1",
        "runner_version": "2.337.0", "plain": true,
    });
    let rules = parse(&with, &settings(), &json!({})).unwrap().ruleset().images.unwrap();
    // There is no agent for arm64, and its own image is given.
    let expected = ImageRules {
        built: [Arch::X64].into(),
        official: [Arch::X64].into(),
        given: [Arch::Arm64].into(),
        sources: "abc".to_owned(),
        tag: "1".to_owned(),
        pinned: Some(RunnerVersion::parse("2.337.0").unwrap()),
        is_plain: true,
    };
    assert_eq!(rules, expected);
    with["image"]["builder"] = json!("docker");
    let rules = parse(&with, &settings(), &json!({})).unwrap().ruleset().images.unwrap();
    assert_eq!((rules.built.len(), rules.given.len()), (0, 2));
    with["image"]["builder"] = json!("kaniko");
    with["image"]["runner_version"] = json!("newest");
    let mistakes = parse(&with, &settings(), &json!({})).unwrap_err();
    assert!(mistakes[0].contains("has the builder `kaniko`: `codebuild`, `docker` or `none` is expected"));
    assert!(mistakes[1].contains("invalid `runner_version`"), "{mistakes:?}");
}

#[test]
fn a_class_with_services_needs_a_task_definition_that_has_them() {
    let classes = json!({
        "db": {"cpu": 1024, "memory": 2048, "services": {"db": {"image": "postgres:17", "port": 5432}}},
        "box": {"cpu": 1024, "memory": 2048,
                "services": {"db": {"image": "postgres:17", "port": 5432, "process": ["postgres"]}}},
        "small": {"cpu": 1024, "memory": 2048},
    });
    let read = |definitions: Value| {
        let mut facts = facts();
        facts["service_definitions"] = definitions;
        let read = parse(&facts, &settings(), &classes).unwrap();
        (read.catalogue.names(), read.class_faults)
    };
    let (names, faults) = read(json!({"db": {"default": "ecsrunner-ci-services_db_default:1"}}));
    assert_eq!(names, "db, small");
    assert_eq!(
        faults,
        [
            "parameter `/ecsrunner/ci/classes`: box: service `db` has a process, which is for one machine: on ECS \
          the container of its image runs"
        ]
    );
    for definitions in [Value::Null, json!({"db": {"official": "x:1"}}), json!({"small": {"default": "x:1"}})]
    {
        let (names, faults) = read(definitions);
        assert_eq!(names, "small");
        assert_eq!(
            faults[1],
            "parameter `/ecsrunner/ci/classes`: db: it declares services, and the deployment has no task \
             definition with them for the image `default`"
        );
    }
}

#[test]
fn a_class_on_managed_instances_needs_a_capacity_provider_for_each_market_and_a_network_with_a_nat() {
    let classes = json!({
        "images": {"cpu": 2048, "memory": 4096, "compute": "managed-instances", "docker": true,
                   "capacity": "spot-then-on-demand"},
        "small": {"cpu": 1024, "memory": 2048},
    });
    let read = |providers: Value, definitions: Value, public: bool| {
        let mut facts = facts();
        facts["capacity_providers"] = providers;
        facts["service_definitions"] = definitions;
        facts["assign_public_ip"] = json!(public);
        let read = parse(&facts, &settings(), &classes).unwrap();
        (read.catalogue.names(), read.class_faults.join("; "), read.deployment.capacity_providers)
    };
    let both = || json!({"images": {"on-demand": "runners-ci-images", "spot": "runners-ci-images_spot"}});
    let definition = || json!({"images": {"default": "ecsrunner-ci-managed_images_default:1"}});
    let (names, faults, providers) = read(both(), definition(), false);
    assert_eq!((names.as_str(), faults.as_str()), ("images, small", ""));
    let of_class = &providers[&ClassName::parse("images").unwrap()];
    assert_eq!(of_class.of(Market::Spot), Some("runners-ci-images_spot"));
    assert_eq!(of_class.all().count(), 2);
    for (providers, definitions, public, lacks) in [
        (json!({"images": {"spot": "x"}}), definition(), false, "no on-demand capacity provider"),
        (json!({}), definition(), false, "no spot capacity provider"),
        (Value::Null, definition(), false, "no spot capacity provider"),
        (
            both(),
            json!({"images": {"official": "x:1"}}),
            false,
            "no task definition with the image `default`",
        ),
        (both(), definition(), true, "get no public address"),
    ] {
        let (names, faults, _) = read(providers, definitions, public);
        assert_eq!(names, "small", "{lacks}");
        assert!(faults.contains("`: images: ") && faults.contains(lacks), "{faults}");
    }
}

#[test]
fn a_class_on_spot_instances_needs_an_on_demand_provider_for_jobs_that_were_interrupted_twice() {
    let classes = json!({
        "images": {"cpu": 2048, "memory": 4096, "compute": "managed-instances", "capacity": "spot"},
    });
    let mut facts = facts();
    facts["assign_public_ip"] = json!(false);
    facts["service_definitions"] = json!({"images": {"default": "ecsrunner-ci-managed_images_default:1"}});
    for (providers, fault) in [
        (json!({"images": {"spot": "x", "on-demand": "y"}}), None),
        (json!({"images": {"spot": "x"}}), Some("no on-demand capacity provider")),
    ] {
        facts["capacity_providers"] = providers;
        let faults = parse(&facts, &settings(), &classes).unwrap().class_faults.join("; ");
        assert!(fault.map_or(faults.is_empty(), |fault| faults.contains(fault)), "{faults}");
    }
}

#[test]
fn the_addresses_that_may_send_webhooks_are_read_and_a_mistake_in_them_stops_nothing() {
    let read = |sources: Value| {
        let mut facts = facts();
        facts["webhook_sources"] = sources;
        parse(&facts, &settings(), &json!({})).unwrap().deployment.webhook_sources
    };
    let ranges = ["192.30.252.0/22", "2606:50c0::/32"];
    let cidrs = ranges.map(|range| Cidr::parse(range).unwrap()).to_vec();
    let as_of = "2026-08-29".to_owned();
    let own = WebhookSources { cidrs, github_as_of: None };
    assert_eq!(read(json!({"cidrs": ranges, "github_as_of": null})), Ok(own.clone()));
    let githubs = WebhookSources { github_as_of: Some(as_of.clone()), ..own };
    assert_eq!(read(json!({"cidrs": ranges, "github_as_of": as_of})), Ok(githubs));

    let fault = read(json!({"cidrs": ["github.com"]})).unwrap_err();
    let expected = "`webhook_sources` in the parameter `deployment` cannot be read: address range `github.com` is not valid";
    assert!(fault.starts_with(expected), "{fault}");
    let missing = parse(&facts(), &settings(), &json!({})).unwrap().deployment.webhook_sources;
    assert_eq!(missing.unwrap_err(), "`webhook_sources` is missing in the parameter `deployment`");
}

#[test]
fn either_parameter_pauses_the_deployment() {
    let mut paused = facts();
    paused["paused"] = json!(true);
    assert!(parse(&paused, &settings(), &json!({})).unwrap().settings.paused);
    let mut paused = settings();
    paused["paused"] = json!(true);
    assert!(parse(&facts(), &paused, &json!({})).unwrap().settings.paused);
}

#[test]
fn an_operators_brake_pauses_and_anything_but_true_or_false_is_a_mistake() {
    let with = |paused: &str| {
        let documents = [("deployment", facts()), ("settings", settings()), ("classes", json!({}))];
        let mut texts: BTreeMap<String, String> = documents
            .into_iter()
            .map(|(name, value)| (format!("/ecsrunner/ci/{name}"), value.to_string()))
            .collect();
        texts.insert("/ecsrunner/ci/paused".to_owned(), paused.to_owned());
        Configuration::parse(&Deployment::parse("ci").unwrap(), &texts)
    };
    assert!(with("true").unwrap().settings.paused);
    assert!(!with("false\n").unwrap().settings.paused);
    assert_eq!(
        with("yes").unwrap_err().to_string(),
        "parameter `/ecsrunner/ci/paused` is `yes`: true or false is expected"
    );
}

#[test]
fn every_mistake_is_told_by_parameter_key_and_value() {
    let mut wrong = facts();
    wrong["version"] = json!(2);
    wrong["cluster"] = json!("");
    wrong["queue_url"] = Value::Null;
    wrong["subnets"] = json!(["subnet-zz", 7]);
    wrong["assign_public_ip"] = json!("yes");
    wrong["task_definitions"] = json!({"default/x86": "runner:1", "default/x64": 1});
    let settings =
        json!({"version": 1, "deployment": "ci", "repositories": [], "limits": {"max_runners": 0}});
    let mistakes = parse(&wrong, &settings, &json!([])).unwrap_err();
    let expected = [
        "parameter `/ecsrunner/ci/deployment`: `version` is 2: this release reads 1",
        "parameter `/ecsrunner/ci/deployment`: `cluster` is \"\": a text is expected",
        "parameter `/ecsrunner/ci/deployment`: `subnets` has an invalid value: subnet `subnet-zz` is not valid: \
         `subnet-` and 8 or 17 hexadecimal digits are expected",
        "parameter `/ecsrunner/ci/deployment`: `subnets` has an invalid value: 7 is not a text",
        "parameter `/ecsrunner/ci/deployment`: `assign_public_ip` is \"yes\": true or false is expected",
        "parameter `/ecsrunner/ci/deployment`: `task_definitions` has `default/x64` as 1: a text is expected",
        "parameter `/ecsrunner/ci/deployment`: `task_definitions` has the key `default/x86`: \
         `<image>/<x64 or arm64>`, with or without `/exec`, is expected",
        "parameter `/ecsrunner/ci/deployment`: `queue_url` is missing",
        "parameter `/ecsrunner/ci/settings`: repositories is empty: at least one is needed",
        "parameter `/ecsrunner/ci/settings`: limits.max_runners is 0: at least 1 is expected",
        "parameter `/ecsrunner/ci/classes`: a JSON object is expected",
    ];
    assert_eq!(mistakes, expected);
}

#[test]
fn a_value_of_another_type_hides_no_other_mistake() {
    let mut wrong = facts();
    wrong["agents"] = json!({"x64": {"bucket": 7, "key": "agent", "version": 3}});
    wrong["image"] = json!({"builder": "codebuild", "sources": 7, "tag": "1", "projects": []});
    let settings = json!({"version": 1, "deployment": "ci", "repositories": ["acme"], "events": [null], "paused": "no",
                          "limits": {"max_runners": "many", "max_job_minutes": 0}});
    let mistakes = parse(&wrong, &settings, &json!({})).unwrap_err();
    let text = |rest: &str| format!("parameter `/ecsrunner/ci/{rest}");
    assert_eq!(
        mistakes,
        [
            text("deployment`: agents.x64: invalid type: integer `7`, expected a text"),
            text("deployment`: image.projects: invalid type: sequence, expected a table"),
            text("deployment`: image.sources: invalid type: integer `7`, expected a text"),
            text("deployment`: image.plain: this key is missing"),
            text(
                "settings`: limits.max_runners: invalid type: string \"many\", expected a whole number from 0 to 4294967295"
            ),
            text("settings`: events[0]: invalid type: null, expected a text"),
            text("settings`: paused: invalid type: string \"no\", expected true or false"),
            text(
                "settings`: repositories: repository pattern `acme` is not valid: `owner/name`, `owner/*` or `*` is expected"
            ),
            text("settings`: limits.max_job_minutes is 0: at least 1 is expected"),
        ]
    );
    let classes = json!({"odd": {"cpu": "x", "memory": 1024, "labels": [null], "max_runners": 0}});
    let faults = parse(&facts(), &self::settings(), &classes).unwrap().class_faults;
    assert_eq!(
        faults,
        [
            text(
                "classes`: odd.cpu: invalid type: string \"x\", expected a whole number from 0 to 4294967295"
            ),
            text("classes`: odd.labels[0]: invalid type: null, expected a text"),
            text("classes`: odd: max_runners is 0, at least 1 is needed"),
        ]
    );
}

#[test]
fn a_parameter_that_is_missing_or_no_json_is_named() {
    let texts = BTreeMap::from([("/ecsrunner/ci/classes".to_owned(), "{".to_owned())]);
    let error = Configuration::parse(&Deployment::parse("ci").unwrap(), &texts).unwrap_err();
    assert_eq!(
        error.to_string(),
        "parameter `/ecsrunner/ci/deployment` does not exist; parameter `/ecsrunner/ci/settings` does not exist; \
         parameter `/ecsrunner/ci/classes` is not JSON: EOF while parsing an object at line 1 column 1"
    );
}

#[test]
fn settings_of_another_deployment_are_refused() {
    let other = json!({"version": 1, "deployment": "prod", "repositories": ["acme/*"]});
    let mistakes = parse(&facts(), &other, &json!({})).unwrap_err();
    assert_eq!(mistakes, ["parameter `/ecsrunner/ci/settings`: `deployment` is `prod`, not `ci`"]);
}

#[test]
fn a_class_with_a_mistake_is_set_aside_and_the_others_stay() {
    let classes = json!({
        "small": {"cpu": 512, "memory": 1024},
        "odd": {"cpu": 500, "memory": 1024},
        "newer": {"cpu": 512, "memory": 1024, "tpu": 1}
    });
    let configuration = parse(&facts(), &settings(), &classes).unwrap();
    assert_eq!(configuration.catalogue.names(), "small");
    assert_eq!(configuration.class_faults.len(), 2, "{:?}", configuration.class_faults);
    assert!(configuration.class_faults[0].contains("newer.tpu: unknown field `tpu`"));
}

#[test]
fn the_webhooks_address_is_read_and_may_be_missing() {
    let url = |value: Value| {
        let mut facts = facts();
        facts["webhook_url"] = value;
        parse(&facts, &settings(), &json!({})).unwrap().deployment.webhook_url
    };
    assert_eq!(url(json!("https://x.example/webhook")).as_deref(), Some("https://x.example/webhook"));
    assert_eq!(url(Value::Null), None);
    assert_eq!(parse(&facts(), &settings(), &json!({})).unwrap().deployment.webhook_url, None);
}

#[test]
fn the_address_of_githubs_api_may_be_missing() {
    let read = |facts: &Value| parse(facts, &settings(), &json!({})).unwrap().deployment.github_api_url;
    let mut written = facts();
    assert_eq!(read(&written), None);
    written["github_api_url"] = json!("https://github.example.com/api/v3");
    assert_eq!(read(&written).as_deref(), Some("https://github.example.com/api/v3"));
}
