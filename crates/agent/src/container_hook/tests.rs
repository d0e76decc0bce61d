use serde_json::Value;

use super::*;

/// As the official runner 2.336 sends it, for one service and no container.
fn prepare(response: &Path, service: &str) -> String {
    format!(
        r#"{{"command":"prepare_job","responseFile":"{}","state":null,"args":{{"container":null,"services":[{service}]}}}}"#,
        response.display()
    )
}

const POSTGRES: &str = r#"{"image":"postgres:17","dockerfile":null,"entryPointArgs":[],
    "entryPoint":null,"workingDirectory":null,"createOptions":"--health-cmd pg_isready --health-interval 10s",
    "registry":null,"environmentVariables":{"POSTGRES_PASSWORD":"s3cret"},"portMappings":["5432"],
    "systemMountVolumes":[],"userMountVolumes":[]}"#;

/// There is no agent in these tests.
const NOT_SHOWN: &str = "What services have written is not shown: its agent cannot be asked: ";

fn called(dir: Option<&Path>, input: &str) -> (u8, String) {
    called_in(&[], dir, input)
}

/// Calls the hook in this environment.
fn called_in(env: &[(&str, &str)], dir: Option<&Path>, input: &str) -> (u8, String) {
    let variable = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
    let mut out = Vec::new();
    let code = container_hook(dir, variable, input.as_bytes(), &mut out);
    (code, String::from_utf8(out).unwrap())
}

/// The agent's directory with a service whose check is this command.
fn offered(check: &str, ended: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        r#"{{"offer":{{"class":"small","services":{{"db":{{"image":"postgres:17","port":5432,
            "env":{{"POSTGRES_PASSWORD":"s3cret"}},
            "health":{{"command":"{check}","interval_secs":1,"retries":1}},"process":["postgres"]}}}},"elsewhere":[]}},
            "at":{{"processes":{{"processes":{{"db":{{"port":40001,"dir":"{}"}}}},"ended":{ended}}}}}}}"#,
        dir.path().display()
    );
    fs::write(crate::services::offered::path(dir.path()), text).unwrap();
    dir
}

#[test]
fn a_class_with_a_docker_engine_is_named_to_a_job_that_needs_one() {
    let dir = offered("true", "{}");
    let path = crate::services::offered::path(dir.path());
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(r#""elsewhere":[]"#, r#""elsewhere":[],"engines":["images"]"#)).unwrap();
    for call in [
        r#"{"command":"prepare_job","responseFile":"/r","args":{"container":{"image":"alpine"},"services":[]}}"#,
        r#"{"command":"run_container_step","args":{"image":"alpine"}}"#,
    ] {
        let (code, told) = called(Some(dir.path()), call);
        assert_eq!(code, 1);
        assert!(
            told.trim_end().ends_with("; a class with a Docker engine serves it: `class:images`"),
            "{told}"
        );
    }
}

#[test]
fn whatever_would_execute_in_a_container_fails_with_one_sentence() {
    let dir = offered("true", "{}");
    let none = tempfile::tempdir().unwrap();
    let in_container = r#"{"command":"prepare_job","responseFile":"/r","args":{"container":{"image":"alpine"},"services":[]}}"#;
    let services = prepare(Path::new("/r"), POSTGRES);
    let calls = [
        in_container,
        r#"{"command":"run_container_step","args":{"image":"alpine"}}"#,
        r#"{"command":"run_script_step","args":{}}"#,
        r#"{"command":"of_a_later_runner"}"#,
        "no JSON",
        "",
    ];
    let mut all: Vec<_> = calls.map(|call| (Some(dir.path()), call)).to_vec();
    for dir in [None, Some(none.path())] {
        all.extend(calls.map(|call| (dir, call)));
        all.push((dir, &services));
    }
    for (dir, input) in all {
        let (code, told) = called(dir, input);
        assert_eq!(code, 1, "{input}");
        assert!(told.starts_with("::error::This runner has no Docker: "), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn the_clean_up_succeeds_and_tells_what_has_ended() {
    let call = r#"{"command":"cleanup_job","args":{},"state":{"services":["db"]}}"#;
    assert_eq!(called(None, call), (0, String::new()));
    let (code, told) = called(Some(offered("true", "{}").path()), call);
    assert_eq!((code, told.starts_with(NOT_SHOWN), told.lines().count()), (0, true, 1), "{told}");
    let crashed = offered("true", r#"{"db":"it has ended with exit code 3"}"#);
    let told = "::warning::Service `db` did not last as long as the job: it has ended with exit code 3\n";
    let (code, seen) = called(Some(crashed.path()), call);
    assert!(code == 0 && seen.starts_with(&format!("{told}{NOT_SHOWN}")), "{seen}");
    // A job that did not ask for it hears nothing of it.
    for state in ["null", r#"{"services":[]}"#, r#"{"services":7}"#] {
        let call = format!(r#"{{"command":"cleanup_job","args":{{}},"state":{state}}}"#);
        assert_eq!(called(Some(crashed.path()), &call), (0, String::new()), "{state}");
    }
    fs::write(crate::services::offered::path(crashed.path()), "nonsense").unwrap();
    assert_eq!(called(Some(crashed.path()), call), (0, String::new()));
}

#[test]
fn a_service_that_is_ready_is_answered_by_position_with_its_port() {
    let dir = offered("test {port} = 40001 && test -d {dir} && test $POSTGRES_PASSWORD = s3cret", "{}");
    let response = dir.path().join("response");
    let (code, told) = called(Some(dir.path()), &prepare(&response, POSTGRES));
    assert_eq!(code, 0, "{told}");
    assert!(told.ends_with("Service `db` is ready on port 40001\n"), "{told}");
    let answer: Value = serde_json::from_slice(&fs::read(response).unwrap()).unwrap();
    assert_eq!(
        answer,
        json!({"state": {"services": ["db"]},
               "context": {"services": [{"id": "db", "network": "host", "ports": {"5432": "40001"}}]}})
    );
}

#[test]
fn a_service_that_is_never_ready_fails_the_job_within_its_limit() {
    let dir = offered("false", "{}");
    let response = dir.path().join("response");
    let (code, told) = called(Some(dir.path()), &prepare(&response, POSTGRES));
    assert_eq!(code, 1);
    let why = "::error::Service `db` is not ready: its health check has not succeeded within ";
    // The measured time, which is the limit where no check hangs.
    let (before, after) = told.split_once(why).unwrap();
    assert!(before.lines().last().unwrap().starts_with(NOT_SHOWN), "{told}");
    let waited: u64 = after.strip_suffix(" seconds\n").unwrap().parse().unwrap();
    assert!((1..30).contains(&waited), "{told}");
    assert!(!response.exists());
    let dir = offered("true", r#"{"db":"it has ended with exit code 3"}"#);
    let (code, told) = called(Some(dir.path()), &prepare(&response, POSTGRES));
    assert_eq!(code, 1);
    assert!(told.ends_with("::error::Service `db` is not ready: it has ended with exit code 3\n"), "{told}");
}

#[test]
fn a_service_that_ends_while_the_job_waits_fails_it_at_once() {
    let dir = offered("mv {dir}/later.json {dir}/services.json; false", "{}");
    let file = crate::services::offered::path(dir.path());
    let text = fs::read_to_string(&file).unwrap().replace(r#""retries":1"#, r#""retries":10"#);
    fs::write(&file, &text).unwrap();
    let ended = r#""ended":{"db":"it has ended with exit code 3"}"#;
    fs::write(dir.path().join("later.json"), text.replace(r#""ended":{}"#, ended)).unwrap();
    let (code, told) = called(Some(dir.path()), &prepare(&dir.path().join("response"), POSTGRES));
    assert_eq!(code, 1);
    assert!(told.ends_with("::error::Service `db` is not ready: it has ended with exit code 3\n"), "{told}");
}

#[test]
fn differences_are_told_without_values_and_without_commands_of_the_workflows() {
    let dir = offered("true", "{}");
    let other = POSTGRES.replace("s3cret", "other-s3cret");
    let (code, told) = called(Some(dir.path()), &prepare(Path::new("/r"), &other));
    assert_eq!(code, 1);
    assert!(told.contains("the workflow gives `POSTGRES_PASSWORD` another value in its env"), "{told}");
    assert!(!told.contains("s3cret"), "{told}");
    let hostile = POSTGRES.replace("postgres:17", "a%0A::set-env\\n::error::x");
    let (_, told) = called(Some(dir.path()), &prepare(Path::new("/r"), &hostile));
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("a%250A::set-env::error::x"), "{told}");
    for (given, word) in [
        (r#""userMountVolumes":["/a:/b"]"#, "volumes"),
        (r#""registry":{"username":"a","password":"s3cret"}"#, "credentials"),
        (r#""entryPoint":"/bin/sh""#, "command"),
    ] {
        let (key, _) = given.split_once(':').unwrap();
        let none = if key.contains("user") { format!("{key}:[]") } else { format!("{key}:null") };
        assert!(POSTGRES.contains(&none), "{none}");
        let (code, told) =
            called(Some(dir.path()), &prepare(Path::new("/r"), &POSTGRES.replace(&none, given)));
        assert_eq!(code, 1, "{given}");
        assert!(told.contains(&format!("gives it `{word}`")) && !told.contains("s3cret"), "{told}");
    }
}

#[test]
fn the_credentials_that_the_runner_fills_in_are_not_the_workflows() {
    for (image, server, passes) in [
        ("ghcr.io/acme/db:1", r#""ghcr.io""#, true),
        ("containers.pkg.github.com/acme/db:1", r#""containers.pkg.github.com""#, true),
        ("ghcr.io/acme/db:1", "null", true),
        ("quay.io/acme/db:1", r#""quay.io""#, false),
        ("quay.io/ghcr.io/db:1", "null", false),
    ] {
        let dir = offered("true", "{}");
        let file = crate::services::offered::path(dir.path());
        fs::write(&file, fs::read_to_string(&file).unwrap().replace("postgres:17", image)).unwrap();
        let registry =
            format!(r#""registry":{{"username":"octocat","password":"s3cret-token","serverUrl":{server}}}"#);
        let asked = POSTGRES.replace("postgres:17", image).replace(r#""registry":null"#, &registry);
        let (code, told) = called(Some(dir.path()), &prepare(&dir.path().join("response"), &asked));
        assert_eq!(code == 0, passes, "{image} {server}: {told}");
        assert_eq!(told.contains("`credentials`"), !passes, "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }
}

#[test]
fn the_proxy_that_the_runner_adds_is_not_the_workflows() {
    let dir = offered("true", "{}");
    let proxy = "http://user:s3cret@proxy:3128";
    let names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"];
    let added: String = names.iter().map(|name| format!(r#","{name}":"{proxy}""#)).collect();
    let given = r#""POSTGRES_PASSWORD":"s3cret""#;
    let call = |added: &str| {
        let asked = POSTGRES.replace(given, &format!("{given}{added}"));
        prepare(&dir.path().join("response"), &asked)
    };
    let own = names.map(|name| (name, proxy));
    let (code, told) = called_in(&own, Some(dir.path()), &call(&added));
    assert_eq!(code, 0, "{told}");
    // A value that is not the runner's own is the workflow's, and so is any other variable.
    for (own, added) in [
        (&own[..], r#","NO_PROXY":"localhost""#.to_owned()),
        (&own[1..], added),
        (&[("ALL_PROXY", proxy)], format!(r#","ALL_PROXY":"{proxy}""#)),
    ] {
        let (code, told) = called_in(own, Some(dir.path()), &call(&added));
        assert_eq!(code, 1, "{told}");
        assert_eq!(told.matches("the workflow sets `").count(), 1, "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }
}

#[test]
fn a_job_without_services_needs_none() {
    let dir = tempfile::tempdir().unwrap();
    let response = dir.path().join("response");
    let (code, told) = called(Some(dir.path()), &prepare(&response, ""));
    assert_eq!((code, told.as_str()), (0, ""));
    assert!(response.exists());
}
