//! Compares the keys, variables, flags and routes of `docs/configuration.md` and
//! `docs/interface.md` with the code.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use ecsrunner_agent::config::VARIABLES;
use ecsrunner_demo::github::app_key;
use ecsrunner_local::config::{Config, Overrides};
use secrecy::ExposeSecret;

const CONFIGURATION: &str = include_str!("../../../docs/configuration.md");
const INTERFACE: &str = include_str!("../../../docs/interface.md");
const ONE_MACHINE: &str = include_str!("../../../docs/one-machine.md");
const ENVIRONMENT: &str = include_str!("../src/environment.rs");
const SERVER: &str = include_str!("../../local/src/server.rs");
const WEB: &str = include_str!("../../web/src/lib.rs");
const PAGE: &str = include_str!("../../web/src/page.rs");

/// Returns the rows of the table below a heading, as cells without backticks.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let heading = format!("## {heading}");
    let section = CONFIGURATION.lines().skip_while(|line| *line != heading).skip(1);
    let rows: Vec<Vec<String>> = section
        .take_while(|line| !line.starts_with("## "))
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split(" | ").map(|cell| cell.trim_matches(['|', ' ', '`']).to_owned()).collect())
        .collect();
    assert!(!rows.is_empty(), "docs/configuration.md has no table below `{heading}`");
    rows
}

fn first_column(heading: &str) -> BTreeSet<String> {
    rows(heading).into_iter().map(|row| row[0].clone()).collect()
}

/// Writes a configuration with the files that it names, and reads it.
fn read(text: &str) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    for file in ["token", "webhook-secret", "webhook-secret.old", "ecsrunner-acme-office.webhook-secret"] {
        fs::write(dir.path().join(file), "secret").unwrap();
    }
    for file in ["app.pem", "ecsrunner-acme-office.private-key.pem"] {
        fs::write(dir.path().join(file), app_key().private_pem.expose_secret()).unwrap();
    }
    let listener = dir.path().join("actions-runner/bin/Runner.Listener");
    fs::create_dir_all(listener.parent().unwrap()).unwrap();
    fs::write(&listener, "").unwrap();
    let file = dir.path().join("config.toml");
    fs::write(&file, text).unwrap();
    Config::read(&file, &Overrides::default()).map_err(|error| error.to_string())
}

/// Returns the keys that serde expects in place of an unknown one.
fn keys_of(section: &str, text: &str) -> BTreeSet<String> {
    let told = read(text).unwrap_err();
    let expected =
        told.split("unknown field `unknown`").nth(1).unwrap_or_else(|| panic!("{section}: {told}"));
    let keys = expected.lines().next().unwrap().split('`').skip(1).step_by(2);
    keys.map(|key| if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }).collect()
}

#[test]
fn the_documented_example_is_read_without_a_mistake() {
    let toml = CONFIGURATION.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let config = read(toml).unwrap();
    assert_eq!(config.settings.deployment.as_str(), "office");
    // The example is complete: it has every key of the table.
    for key in first_column("Keys") {
        let last = key.rsplit('.').next().unwrap();
        let left_out = ["github.token_file", "runner.first_uid", "runner.tasks.max_process_memory"]
            .contains(&key.as_str())
            || key.starts_with("registration.")
            // Refused on one machine.
            || key.starts_with("classes.<name>.gpu");
        let written = toml.lines().any(|line| line.starts_with(&format!("{last} =")))
            || toml.contains(&format!("[{}", key.replace("<name>", "large")))
            || toml
                .contains(&format!("[{}", key.replace("<name>", "with-db").replace("<service>", "postgres")));
        assert!(written || left_out, "`{key}` is not in the example");
    }
}

#[test]
fn the_configuration_for_one_machine_is_read_without_a_mistake() {
    // The second block is what `ecsrunner setup` adds.
    let blocks = ONE_MACHINE.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let toml = blocks.collect::<Vec<_>>().join("\n");
    assert!(toml.contains("[github.app]"), "{toml}");
    read(&toml).unwrap();
}

#[test]
fn every_key_of_the_configuration_is_documented_and_no_other() {
    let top = "version = 1\ndeployment = 'x'\nrepositories = ['acme/app']\n";
    let mut keys: BTreeSet<String> = keys_of("", &format!("{top}unknown = 1"));
    for section in [
        "budget",
        "limits",
        "paces",
        "paces.github",
        "paces.fargate",
        "github",
        "github.app",
        "webhook",
        "runner",
        "runner.tasks",
        "runner.docker",
        "runner.network",
        "server",
    ] {
        keys.extend(keys_of(section, &format!("{top}[{section}]\nunknown = 1")));
    }
    keys.extend(keys_of("classes.<name>", &format!("{top}[classes.x]\nunknown = 1")));
    let warm = format!("{top}[classes.x]\ncpu = 512\nmemory = 1024\nwarm = {{ unknown = 1 }}");
    keys.extend(keys_of("classes.<name>.warm", &warm));
    let gpu = format!("{top}[classes.x]\ncpu = 512\nmemory = 1024\ngpu = {{ unknown = 1 }}");
    keys.extend(keys_of("classes.<name>.gpu", &gpu));
    let budget = format!("{top}[classes.x]\ncpu = 512\nmemory = 1024\nbudget = {{ unknown = 1 }}");
    keys.extend(keys_of("classes.<name>.budget", &budget));
    let budget = format!("{top}[repository_budgets.'acme/app']\nunknown = 1");
    keys.extend(keys_of("repository_budgets.<pattern>", &budget));
    let of_service = "classes.<name>.services.<service>";
    let service = format!("{top}[classes.x]\ncpu = 512\nmemory = 1024\n[classes.x.services.y]\n");
    keys.extend(keys_of(of_service, &format!("{service}unknown = 1")));
    let health = format!("{service}image = 'a'\nport = 1\nhealth = {{ unknown = 1 }}");
    keys.extend(keys_of(&format!("{of_service}.health"), &health));
    keys.extend(["registration.organization.name", "registration.organization.group"].map(str::to_owned));
    assert_eq!(first_column("Keys"), keys);
}

#[test]
fn labels_can_be_mapped_to_classes_as_documented() {
    let toml = CONFIGURATION.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let section = CONFIGURATION.split("    [labels]\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let mapped = read(&format!("{toml}\n[labels]\n{section}\n")).unwrap().catalogue;
    let labels = ecsrunner_core::rules::labels::Labels::new(["ubuntu-latest"]);
    assert_eq!(mapped.mapped_class(&labels).unwrap().name.as_str(), "small");
    assert!(read(toml).unwrap().catalogue.mapped_class(&labels).is_none());
    let wrong = read(&format!("{toml}\n[labels]\n\"ubuntu-latest\" = \"huge\"\n")).unwrap_err();
    assert!(
        wrong.contains("labels: label `ubuntu-latest` is mapped to the class `huge`, which does not exist"),
        "{wrong}"
    );
}

#[test]
fn an_organization_can_be_configured_as_documented() {
    let toml = CONFIGURATION.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let row = rows("Keys").into_iter().find(|row| row[0] == "registration").unwrap();
    let value = row[3].split('`').find(|word| word.starts_with('{')).unwrap().to_owned();
    let toml = toml.replace("registration = \"repository\"", &format!("registration = {value}"));
    assert!(format!("{:?}", read(&toml).unwrap().settings.registration).contains("acme"));
}

#[test]
fn every_variable_of_the_command_line_is_documented_and_no_other() {
    let declared =
        ENVIRONMENT.lines().filter_map(|line| line.split_once(": &str = \"")).map(|(_, rest)| rest);
    let declared: BTreeSet<String> = declared.map(|rest| rest.trim_end_matches("\";").to_owned()).collect();
    assert_eq!(first_column("Variables of the command line"), declared);
}

#[test]
fn every_variable_of_the_agent_is_documented_with_its_default_and_no_other() {
    let documented: BTreeSet<(String, String)> =
        rows("Variables of the agent").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let declared = VARIABLES.iter().map(|it| (it.name.to_owned(), it.default.unwrap_or("none").to_owned()));
    assert_eq!(documented, declared.collect());
}

#[test]
fn every_flag_is_documented() {
    let commands = [
        &["demo"][..],
        &["demo", "github"],
        &["local", "up"],
        &["setup"],
        &["ui"],
        &["why"],
        &["runners", "list"],
        &["runners", "details"],
        &["runners", "logs"],
        &["runners", "exec"],
        &["runners", "stop"],
        &["jobs", "list"],
        &["jobs", "logs"],
        &["jobs", "retry"],
        &["cluster", "status"],
        &["doctor"],
        &["deliveries", "list"],
        &["deliveries", "redeliver"],
        &["replay"],
        &["simulate"],
        &["runs", "list"],
        &["stats"],
        &["costs"],
        &["classes", "list"],
        &["classes", "check"],
        &["list-class-sizes"],
        &["pause"],
        &["resume"],
        &["drain"],
        &["webhook", "send"],
        &["completions"],
        &["man"],
    ];
    for command in commands {
        let help =
            Command::new(env!("CARGO_BIN_EXE_ecsrunner")).args(command).arg("--help").output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        assert!(INTERFACE.contains(&format!("ecsrunner {}", command.join(" "))), "{command:?}");
        for flag in help.split([' ', '\n', ',']).filter(|word| word.starts_with("--") && word.len() > 2) {
            let flag = flag.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            let general = ["--help", "--version"].contains(&flag);
            assert!(general || INTERFACE.contains(flag), "{command:?}: `{flag}` is not in docs/interface.md");
        }
    }
}

#[test]
fn every_route_of_the_server_is_documented() {
    for source in [SERVER, WEB, PAGE] {
        for route in source.split("\"/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(INTERFACE.contains(&format!(" /{route}")), "`/{route}` is not in docs/interface.md");
        }
    }
}
