use super::*;

fn read(json: &str) -> Result<Services, Vec<String>> {
    let entries: BTreeMap<String, ServiceEntry> = serde_json::from_str(json).unwrap();
    Service::read_all(&entries, (1024, 2048), false)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn only(json: &str) -> String {
    let errors = read(json).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    errors.into_iter().next().unwrap()
}

#[test]
fn an_image_and_a_port_alone_make_a_service_and_a_check_has_defaults() {
    let services = read(
        r#"{"db": {"image": "postgres:17", "port": 5432, "health": {"command": "pg_isready"}},
            "cache": {"image": "redis:7", "port": 6379}}"#,
    )
    .unwrap();
    let db = &services[&ServiceName::parse("db").unwrap()];
    let health = db.health.as_ref().unwrap();
    assert_eq!((health.interval_secs, health.retries, health.limit_secs()), (2, 30, 60));
    assert_eq!(services[&ServiceName::parse("cache").unwrap()].health, None);
}

#[test]
fn every_mistake_is_told_at_once_with_its_service_and_value() {
    let errors = read(
        r#"{"Db": {"image": "postgres:17", "port": 1},
            "a": {"image": "Postgres", "port": 0, "env": {"1A": "x"}},
            "b": {"image": "redis:7", "port": 70000, "command": [], "memory": 5, "cpu": 0},
            "c": {"image": "mysql", "port": 3306, "health": {"command": " ", "interval_secs": 301, "retries": 0}},
            "runner": {"image": "mongo", "port": 2}}"#,
    )
    .unwrap_err();
    assert_eq!(
        errors,
        [
            "service `Db` is not valid: 1 to 32 characters of a-z, 0-9 and -, beginning and ending with a letter or digit",
            "service `a`: image `Postgres` is not valid: a name such as `postgres:17` or `ghcr.io/acme/db:1@sha256:DIGEST` is expected, with 64 hexadecimal digits in DIGEST",
            "service `a`: port is 0, 1 to 65535 is expected",
            "service `a`: env has the name `1A`: letters, digits and _ are expected, and no digit at the start",
            "service `b`: port is 70000, 1 to 65535 is expected",
            "service `b`: command is empty, a program and its arguments are expected",
            "service `b`: memory is 5 MiB, at least 6 is expected",
            "service `b`: cpu is 0, at least 1 is expected",
            "service `c`: health.command is empty, a command line is expected, such as `pg_isready`",
            "service `c`: health.interval_secs is 301, 1 to 300 is expected",
            "service `c`: health.retries is 0, 1 to 100 is expected",
            "service `runner`: another name is expected, since the runner's own container has this one",
        ]
    );
}

#[test]
fn nine_services_are_possible_and_ten_are_not() {
    let services = |count: u32| {
        let one = |n: u32| format!(r#""s{n}": {{"image": "i{n}", "port": {}}}"#, n + 1);
        read(&format!("{{{}}}", (0..count).map(one).collect::<Vec<_>>().join(",")))
    };
    assert_eq!(services(9).unwrap().len(), 9);
    assert_eq!(
        services(10).unwrap_err(),
        ["it has 10 services, at most 9 are possible: ECS starts at most 10 containers in a task"]
    );
}

#[test]
fn two_services_share_neither_a_port_nor_an_image() {
    assert!(
        only(r#"{"a": {"image": "a", "port": 1}, "b": {"image": "b", "port": 1}}"#)
            .starts_with("services `a` and `b` both have port 1: ")
    );
    assert!(
        only(r#"{"a": {"image": "a:latest", "port": 1}, "b": {"image": "library/a", "port": 2}}"#)
            .starts_with("services `a` and `b` both have the image `library/a`: ")
    );
    assert!(read(r#"{"a": {"image": "a:1", "port": 1}, "b": {"image": "a:2", "port": 2}}"#).is_ok());
}

#[test]
fn sizes_leave_something_for_the_runner() {
    let sized = |cpu: u32, memory: u32| {
        read(&format!(
            r#"{{"a": {{"image": "a", "port": 1, "cpu": {cpu}, "memory": 1024}},
                 "b": {{"image": "b", "port": 2, "memory": {memory}}}}}"#
        ))
    };
    assert!(sized(896, 512).is_ok());
    assert_eq!(
        sized(897, 513).unwrap_err(),
        [
            "the services' cpu is 897 together, and the class has 1024: at least 128 must be left for the runner",
            "the services' memory is 1537 together, and the class has 2048: at least 512 must be left for the runner",
        ]
    );
}

#[test]
fn exec_and_services_exclude_each_other() {
    let entries = serde_json::from_str(r#"{"a": {"image": "a", "port": 1}}"#).unwrap();
    let errors = Service::read_all(&entries, (1024, 2048), true).unwrap_err();
    assert_eq!(errors, [ServiceError::Exec]);
    assert!(Service::read_all(&BTreeMap::new(), (256, 512), true).is_ok());
}

#[test]
fn a_process_is_for_one_machine_and_a_container_for_ecs() {
    let process = r#"{"a": {"image": "a", "port": 1, "process": ["a", "-p", "{port}"]}}"#;
    let container = r#"{"b": {"image": "b", "port": 2}}"#;
    let unfit = |place| -> Vec<String> {
        let all = [read(process).unwrap(), read(container).unwrap()];
        let all = all.iter().flatten().filter_map(|(name, it)| it.unfit(name, place));
        all.map(|error| error.to_string()).collect()
    };
    assert_eq!(
        only(r#"{"a": {"image": "a", "port": 1, "process": ["a"]}, "b": {"image": "b", "port": 2}}"#),
        "service `a` has a process and service `b` has none: on one machine all have one, on ECS none"
    );
    assert_eq!(
        unfit(Place::Ecs),
        ["service `a` has a process, which is for one machine: on ECS the container of its image runs"]
    );
    assert_eq!(
        unfit(Place::OneMachine),
        ["service `b` has no process: on one machine, a program and its arguments are expected"]
    );
    let told = read(
        r#"{"a": {"image": "a", "port": 1, "process": ["a"], "command": ["a"], "cpu": 1, "memory": 64}}"#,
    )
    .unwrap_err();
    assert_eq!(told[0], "service `a`: it has process and command: process names the whole command");
    assert_eq!(told.len(), 3, "{told:#?}");
}

#[test]
fn no_value_of_a_variable_is_shown() {
    let services = read(r#"{"a": {"image": "a", "port": 1, "env": {"PASSWORD": "s3cret"}}}"#).unwrap();
    let shown = format!("{services:?}");
    assert!(shown.contains("PASSWORD") && !shown.contains("s3cret"), "{shown}");
    let told = only(r#"{"a": {"image": "a", "port": 1, "env": {"PASSWORD": "s3cret\u0000"}}}"#);
    assert_eq!(told, "service `a`: the value of `PASSWORD` in env has a NUL character");
}

#[test]
fn a_value_that_is_not_a_text_is_refused_by_its_name() {
    let told = serde_json::from_str::<ServiceEntry>(r#"{"image": "a", "port": 1, "env": {"PIN": 1234}}"#);
    let told = told.unwrap_err().to_string();
    assert!(told.starts_with("the value of `PIN` in env is not a text") && !told.contains("1234"), "{told}");
}

#[test]
fn an_env_that_is_not_a_map_is_refused_without_what_it_is() {
    for env in [r#""PIN=1234""#, "1234", "[1234]", "true", "null"] {
        let entry = format!(r#"{{"image": "a", "port": 1, "env": {env}}}"#);
        let told = serde_json::from_str::<ServiceEntry>(&entry).unwrap_err().to_string();
        assert!(told.starts_with("env is not a map of names and texts at line "), "{told}");
        assert!(!told.contains("1234"), "{told}");
    }
}

#[test]
fn an_unknown_key_is_refused() {
    let told =
        serde_json::from_str::<ServiceEntry>(r#"{"image": "a", "port": 1, "ports": [1]}"#).unwrap_err();
    assert!(told.to_string().starts_with("unknown field `ports`"), "{told}");
}
