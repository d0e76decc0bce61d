//! Reads the parameters that Terraform plans with the code that reads them in a deployment.
//!
//! `cargo xtask test terraform` plans them from `xtask/terraform/parameters.tfvars.json`, and names the file.

use std::collections::BTreeMap;
use std::fs;

use ecsrunner_aws::parameters::Configuration;
use ecsrunner_core::id::{Deployment, ServiceName};
use ecsrunner_core::rules::budget::{BudgetAction, Usd};
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::settings::OnFailure;

const FILE: &str = "ECSRUNNER_PLANNED_PARAMETERS";

#[test]
fn what_terraform_writes_is_read_as_it_was_meant() {
    let Ok(file) = std::env::var(FILE) else {
        return ecsrunner_skip::left_to("terraform");
    };
    let texts: BTreeMap<String, String> = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(texts["/ecsrunner/ci/paused"], "false");
    let read = Configuration::parse(&Deployment::parse("ci").unwrap(), &texts).unwrap();
    assert_eq!(read.class_faults, [] as [&str; 0]);

    let settings = &read.settings;
    assert!(!settings.paused && settings.check_runs && settings.job_summary);
    assert!(settings.reruns.all && settings.reruns.repositories.len() == 1, "{:?}", settings.reruns);
    assert_eq!(settings.on_failure, OnFailure::FailJob { after_minutes: 30 });
    let budget = settings.budgets.deployment.as_ref().unwrap();
    assert_eq!((budget.daily, budget.monthly), (Some(Usd::of(20.0)), Some(Usd::of(300.0))));
    assert_eq!((budget.action, settings.self_hosted_fee), (BudgetAction::Hold, Usd::of(0.002)));
    let of_app = settings.budgets.repositories.values().next().unwrap();
    assert_eq!((of_app.monthly, of_app.action), (Some(Usd::of(12.5)), BudgetAction::Alarm));
    assert!(format!("{:?}", settings.registration).contains("acme"), "{:?}", settings.registration);
    assert_eq!(settings.limits.max_runners, 8);
    assert_eq!((settings.limits.max_warm, settings.limits.surplus_grace_secs), (3, 60));
    let policy = &settings.policy;
    assert!(policy.public_repositories && policy.forks, "{policy:?}");
    assert_eq!(policy.repositories.len(), 2);

    let names: Vec<&str> = read.catalogue.iter().map(|class| class.name.as_str()).collect();
    assert_eq!(names, ["images", "large", "small"]);
    assert_eq!(read.catalogue.default_class().unwrap().name.as_str(), "small");
    let large = read.catalogue.iter().nth(1).unwrap();
    assert_eq!((large.max_runners, large.max_job_minutes, large.exec), (Some(2), Some(120), true));
    // Terraform writes its default, and it is ours.
    assert!(!read.catalogue.default_class().unwrap().exec);
    assert_eq!(large.rerun, Some(false));
    assert_eq!(large.budget.as_ref().unwrap().daily, Some(Usd::of(3.0)));
    let warm = large.warm.as_ref().unwrap();
    assert_eq!((warm.count, warm.max_age.as_hours(), warm.schedule.windows().count()), (2, 12, 1));
    assert!(read.catalogue.default_class().unwrap().warm.is_none());
    let services = &read.catalogue.default_class().unwrap().services;
    let db = &services[&ServiceName::parse("db").unwrap()];
    assert_eq!((services.len(), db.port, db.env.0["POSTGRES_PASSWORD"].as_str()), (2, 5432, "postgres"));
    assert_eq!(db.health.as_ref().unwrap().limit_secs(), 2 * 45);
    assert!(large.services.is_empty());
    assert_eq!((large.image.as_deref(), large.size.ephemeral_storage_gib()), (Some("android"), 60));
    assert!(large.offers.contains("big-disk") && large.offers.contains("arm64"));

    let facts = &read.deployment;
    assert_eq!(facts.tables.boot_owners.plain, "AROAPLAIN");
    assert_eq!(facts.tables.boot_owners.exec, "AROAEXEC");
    assert_eq!(facts.task_definitions.len(), 6);
    let of_small = &facts.service_definitions[&read.catalogue.default_class().unwrap().name];
    assert_eq!(of_small["default"], "ecsrunner-ci-services_small_default:1");
    assert!(!facts.network.assign_public_ip);
    let images = read.catalogue.iter().next().unwrap();
    assert!(images.is_managed() && images.docker, "{images:?}");
    let gpu = images.gpu.as_ref().unwrap();
    assert_eq!((gpu.count, gpu.instance_types.as_slice()), (1, ["g6.*".to_owned()].as_slice()));
    let providers = &facts.capacity_providers[&images.name];
    assert_eq!(providers.of(Market::OnDemand), Some("runners-ci-images"));
    assert_eq!(providers.of(Market::Spot), Some("runners-ci-images-spot"));
    assert_eq!(facts.service_definitions[&images.name]["default"], "ecsrunner-ci-managed_images_default:1");
    assert_eq!(facts.log_group, "/ecsrunner/ci/runners");
    assert_eq!(facts.questions_function.as_deref(), Some("ecsrunner-ci-questions"));
    assert_eq!(facts.github_api_url.as_deref(), Some("https://github.example.com/api/v3"));
    assert!(
        facts.webhook_url.as_deref().is_some_and(|url| url.ends_with("/webhook")),
        "{:?}",
        facts.webhook_url
    );
    let versions: Vec<&str> = facts.agents.values().map(|agent| agent.version.as_str()).collect();
    assert_eq!((versions.len(), facts.agents[&Arch::X64].key.as_str()), (2, "agent/x64/ecsrunner-agent"));
    let rules = read.ruleset().images.unwrap();
    assert_eq!((rules.built, rules.is_plain), ([Arch::X64].into(), true));
    assert_eq!(rules.pinned.map(|version| version.to_string()).as_deref(), Some("2.337.0"));
    assert_eq!((rules.sources.as_str(), rules.tag.as_str()), ("0123456789ab", "2026-11"));
    let sources = facts.webhook_sources.as_ref().unwrap();
    assert_eq!((sources.cidrs.len(), sources.github_as_of.as_deref()), (2, Some("2026-08-29")));
}
