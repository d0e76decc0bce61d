//! Services of the runner's class, and how a job gets them.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use ecsrunner_aws::boot::{BootTable, Credentials, Http};
use serde_json::{Value, json};

use crate::ecs::{Ecs, METADATA_ID, Told};
use crate::harness::{Agent, COMPLETE, CONNECT, Ended, RUN};
use crate::table::{ACCESS_KEY_ID, Answer, OWNER, RUNNER, SECRET_ACCESS_KEY, SESSION_TOKEN, item};

/// What the official runner writes into the hook, for the job's one service.
const ASKED: &str = r#"{"image":"postgres:17","createOptions":"--health-cmd pg_isready","registry":null,
    "environmentVariables":{"POSTGRES_PASSWORD":"s3cret"},"portMappings":["5432:5432"],"userMountVolumes":[]}"#;

/// A boot item whose class declares that service.
fn item_with(service: &Value) -> Vec<Answer> {
    let offer = json!({"class": "with-db", "services": {"db": service}, "elsewhere": []});
    let mut item = item();
    item["services"] = json!({"S": offer.to_string()});
    vec![Answer::Item(item)]
}

fn postgres() -> Value {
    json!({"image": "postgres:17", "port": 5432, "env": {"POSTGRES_PASSWORD": "s3cret"},
           "health": {"command": "pg_isready", "interval_secs": 1, "retries": 30}})
}

/// Shell lines that call the container hook as the official runner does, and print its answer.
fn calls(services: &str) -> Vec<String> {
    let prepare = format!(
        r#"{{"command":"prepare_job","responseFile":"answer","state":null,"args":{{"container":null,"services":[{services}]}}}}"#
    );
    let call = |name: &str, json: &str| {
        format!(
            "bash --noprofile --norc -e -o pipefail $ACTIONS_RUNNER_CONTAINER_HOOKS <<'CALL'\n{json}\nCALL\necho \"{name}: $?\""
        )
    };
    let cleanup = r#"{"command":"cleanup_job","state":{"services":["db"]},"args":{}}"#;
    let mut lines = vec![CONNECT.to_owned(), RUN.to_owned(), "echo > answer".to_owned()];
    lines.extend([call("prepare_job", &prepare), "echo \"answer: $(cat answer)\"".to_owned()]);
    lines.extend([call("cleanup_job", cleanup), COMPLETE.to_owned()]);
    lines
}

fn agent(service: &Value, services: &str) -> Agent {
    let lines = calls(services);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    Agent::with_answers(item_with(service), &lines)
}

/// ECS's answer about a task with these containers beside the agent's.
fn task(containers: Value) -> Told {
    let mut all = vec![json!({"Name": "runner", "KnownStatus": "RUNNING"})];
    all.extend(containers.as_array().unwrap().iter().cloned());
    Told::Json(json!({
        "TaskARN": "arn:aws:ecs:eu-west-1:123456789012:task/ecsrunner-test/0123456789abcdef0123456789abcdef",
        "Containers": all,
    }))
}

fn has(ended: &Ended, line: &str) {
    assert!(ended.lines.iter().any(|seen| seen == line), "no line `{line}`: {}", ended.text());
}

/// Whether these lines follow one another, with others between them or not.
fn in_order(ended: &Ended, lines: &[&str]) {
    let mut seen = ended.lines.iter();
    for line in lines {
        assert!(seen.any(|seen| seen == line), "no line `{line}` in its place: {}", ended.text());
    }
}

#[test]
fn a_job_waits_until_ecs_says_that_its_container_is_healthy() {
    let states = [
        task(json!([])),
        task(json!([{"Name": "db", "KnownStatus": "PULLED"}])),
        Told::Status(500),
        task(json!([{"Name": "db", "KnownStatus": "RUNNING", "Health": {"status": "UNKNOWN"}}])),
        // Of the clean-up.
        task(json!([{"Name": "db", "KnownStatus": "RUNNING", "Health": {"status": "HEALTHY"}}])),
        task(json!([{"Name": "db", "KnownStatus": "STOPPED", "ExitCode": 3}])),
    ];
    let ended = agent(&postgres(), ASKED).in_task(Ecs::start().metadata_first(&states)).run();
    let ended = ended.ended_with(0, "completed");
    has(&ended, "prepare_job: 0");
    has(&ended, "Service `db` is ready on port 5432");
    let answer = r#"{"context":{"services":[{"id":"db","network":"host","ports":{"5432":"5432"}}]},"state":{"services":["db"]}}"#;
    has(&ended, &format!("answer: {answer}"));
    has(
        &ended,
        "::warning::Service `db` did not last as long as the job: its container has ended with exit code 3",
    );
    has(&ended, "cleanup_job: 0");
    let command = format!("`ecsrunner runners logs {RUNNER} --container db`");
    has(&ended, &format!("What the service `db` has written: {command}"));
    assert!(!ended.text().contains("s3cret"), "{}", ended.text());
}

#[test]
fn a_container_that_is_not_going_to_be_ready_fails_the_job_with_the_reason() {
    for (containers, why) in [
        (
            json!([{"Name": "db", "KnownStatus": "STOPPED", "ExitCode": 1}]),
            "its container has ended with exit code 1",
        ),
        (
            json!([{"Name": "db", "KnownStatus": "RUNNING", "Health": {"status": "UNHEALTHY"}}]),
            "its health check `pg_isready` fails",
        ),
        (
            json!([{"Name": "other", "KnownStatus": "RUNNING"}]),
            "its task has no container `db`: the class has been changed since the task was started",
        ),
    ] {
        let states = [task(json!([])), task(containers)];
        // The clean-up hears the last answer again.
        let ended = agent(&postgres(), ASKED).in_task(Ecs::start().metadata_first(&states)).run();
        let ended = ended.ended_with(0, "completed");
        has(&ended, &format!("::error::Service `db` is not ready: {why}"));
        has(&ended, "prepare_job: 1");
        has(&ended, "cleanup_job: 0");
        has(&ended, "answer: ");
    }
}

#[test]
fn a_process_gets_a_port_and_a_directory_of_its_own_and_ends_with_the_listener() {
    let mut service = postgres();
    service["health"]["command"] = json!("test \"$(cat {dir}/port)\" = {port}");
    service["process"] =
        json!(["sh", "-c", "echo {port} > port; echo $POSTGRES_PASSWORD > password; pwd; exec sleep 600"]);
    let asked = ASKED.replace("5432:5432", "5432");
    let agent = agent(&service, &asked);
    let dir = agent.path("services");
    let ended = agent.env("ECSRUNNER_SERVICE_DIR", dir.display()).run().ended_with(0, "completed");
    let port = ended.told("service started", "port").as_u64().unwrap();
    assert_eq!(fs::read_to_string(dir.join("db/port")).unwrap(), format!("{port}\n"));
    assert_eq!(fs::read_to_string(dir.join("db/password")).unwrap(), "s3cret\n");
    assert_eq!(
        fs::read_to_string(ended.path("service-db.log")).unwrap(),
        format!("{}\n", dir.join("db").display())
    );
    has(&ended, &format!("Service `db` is ready on port {port}"));
    has(&ended, "prepare_job: 0");
    assert!(!ended.text().contains("s3cret"), "{}", ended.text());
    let pid = ended.told("service started", "pid").to_string();
    assert!(!crate::harness::is_there(&pid), "the service has ended");
}

#[test]
fn a_service_is_at_its_declared_port_if_that_is_free_and_elsewhere_if_not() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let declared = taken.local_addr().unwrap().port();
    let mut service = postgres();
    service["port"] = json!(declared);
    service["health"]["command"] = json!("true");
    service["process"] = json!(["sleep", "600"]);
    let fixed = ASKED.replace("5432:5432", &format!("{declared}:{declared}"));
    let run = || {
        let agent = agent(&service, &fixed);
        let dir = agent.path("services");
        agent.env("ECSRUNNER_SERVICE_DIR", dir.display()).run().ended_with(0, "completed")
    };
    let ended = run();
    let port = ended.told("service started", "port").as_u64().unwrap();
    assert_ne!(port, u64::from(declared));
    let told = format!(
        "the workflow puts it at port {declared} (`{declared}:{declared}`), and on this runner it is at {port}"
    );
    assert!(ended.text().contains(&told), "{}", ended.text());
    has(&ended, "prepare_job: 1");
    drop(taken);
    let ended = run();
    assert_eq!(ended.told("service started", "port"), declared);
    has(&ended, "prepare_job: 0");
}

#[test]
fn a_process_that_cannot_be_started_or_ends_is_told_in_the_jobs_log_alone() {
    for (process, why) in [
        (json!(["/no/such/program"]), "it cannot be started: No such file or directory (os error 2)"),
        (json!(["sh", "-c", "exit 3"]), "it has ended with exit code 3"),
        (json!(["sh", "-c", "kill -KILL $$"]), "it has ended with signal SIGKILL"),
    ] {
        let mut service = postgres();
        service["health"]["command"] = json!("false");
        service["process"] = process;
        let agent = agent(&service, &ASKED.replace("5432:5432", "5432"));
        let dir = agent.path("services");
        let ended = agent.env("ECSRUNNER_SERVICE_DIR", dir.display()).run().ended_with(0, "completed");
        has(&ended, &format!("::error::Service `db` is not ready: {why}"));
        has(&ended, "prepare_job: 1");
    }
}

#[test]
fn a_services_log_is_bounded_and_its_last_lines_are_in_the_jobs_log() {
    let mut service = postgres();
    service["health"]["command"] = json!("test -e {dir}/done");
    let script =
        "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo the last line; touch done; exec sleep 600";
    service["process"] = json!(["sh", "-c", script]);
    let agent = agent(&service, &ASKED.replace("5432:5432", "5432"));
    let dir = agent.path("services");
    let ended = agent.env("ECSRUNNER_SERVICE_DIR", dir.display()).run().ended_with(0, "completed");
    let log = fs::read_to_string(ended.path("service-db.log")).unwrap();
    assert!((2 << 20..(2 << 20) + 1000).contains(&log.len()), "{}", log.len());
    assert!(log.starts_with("xxx") && log.ends_with("x\nthe last line\n"), "{}", &log[log.len() - 100..]);
    assert!(log.contains(" bytes are left out here]\n"));
    // The clean-up shows it, as the official runner does for Docker's services.
    let shown =
        ["::group::Last lines of the service `db`", "the last line", "::endgroup::", "cleanup_job: 0"];
    in_order(&ended, &shown);
    let shown = ended.lines.iter().filter(|line| line.starts_with("xxx")).count();
    assert_eq!(shown, 0, "a part of a line is not shown");
}

#[test]
fn what_a_service_that_failed_has_written_is_in_the_jobs_log() {
    let mut service = postgres();
    service["health"]["command"] = json!("false");
    service["process"] = json!(["sh", "-c", "echo starting; echo ::error::forged >&2; exit 3"]);
    let agent = agent(&service, &ASKED.replace("5432:5432", "5432"));
    let dir = agent.path("services");
    let ended = agent.env("ECSRUNNER_SERVICE_DIR", dir.display()).run().ended_with(0, "completed");
    let shown = [
        "::group::Last lines of the service `db`",
        "starting",
        ": :error: :forged",
        "::endgroup::",
        "::error::Service `db` is not ready: it has ended with exit code 3",
        "prepare_job: 1",
    ];
    in_order(&ended, &shown);
}

/// A service that runs until it is ended, as another user than an agent that is root.
fn sleeping(port: u16) -> Value {
    let mut service = postgres();
    service["port"] = json!(port);
    service["health"]["command"] = json!("true");
    service["process"] = json!(["sleep", "600"]);
    service
}

#[test]
fn services_end_if_the_listener_cannot_be_started() {
    let agent = Agent::without_listener(item_with(&sleeping(5432)));
    let dir = agent.path("services");
    let ended = agent.env("ECSRUNNER_SERVICE_DIR", dir.display()).run().ended_with(13, "listener_missing");
    let pid = ended.told("service started", "pid").to_string();
    assert!(!crate::harness::is_there(&pid), "{}", ended.text());
}

#[test]
fn no_job_runs_if_the_hook_cannot_read_about_the_services() {
    let agent = agent(&sleeping(5432), ASKED);
    let file = agent.path("run/agent/services.json");
    // A file cannot take the place of a directory.
    fs::create_dir_all(&file).unwrap();
    let dir = agent.path("services");
    let ended = agent.env("ECSRUNNER_SERVICE_DIR", dir.display()).run().ended_with(25, "files_failed");
    assert!(ended.text().contains(&format!("`{}` cannot be made: ", file.display())), "{}", ended.text());
    assert!(!ended.text().contains("listener started"), "{}", ended.text());
    let pid = ended.told("service started", "pid").to_string();
    assert!(!crate::harness::is_there(&pid), "{}", ended.text());
}

#[test]
fn a_service_of_another_user_gets_no_port_that_takes_a_privilege() {
    let Some(agent) = agent(&sleeping(1), &ASKED.replace("5432:5432", "1")).in_container() else { return };
    let dir = agent.path("services");
    let ended = agent.env("ECSRUNNER_SERVICE_DIR", dir.display()).run().ended_with(0, "completed");
    let port = ended.told("service started", "port").as_u64().unwrap();
    assert!(port >= 1024, "{port}");
    has(&ended, "prepare_job: 0");
    has(&ended, &format!("Service `db` is ready on port {port}"));
}

#[test]
fn services_take_dockers_place_and_the_path_of_the_metadata_is_only_where_they_are() {
    let show = "echo \"hook: ${ACTIONS_RUNNER_CONTAINER_HOOKS:+set}\"; cat ../run/agent/services.json; echo";
    let lines = ["export DOCKER_HOST=x", CONNECT, show, RUN, COMPLETE];
    for (answers, expected) in [(item_with(&postgres()), true), (vec![Answer::Item(item())], false)] {
        let agent = Agent::with_answers(answers, &lines).in_task(Ecs::start());
        fs::write(agent.path("docker"), "").unwrap();
        let path = format!("{}:/usr/bin:/bin", agent.path("").display());
        fs::write(agent.path("runner/.env"), format!("DOCKER_HOST=tcp://docker:2375\nPATH={path}\n"))
            .unwrap();
        let ended = agent.run().ended_with(0, "completed");
        has(&ended, if expected { "hook: set" } else { "hook: " });
        assert_eq!(ended.text().contains(METADATA_ID), expected, "{}", ended.text());
    }
}

/// A job can read a service's environment, with the path of the task's credentials.
#[test]
fn a_thief_who_gets_the_tasks_credentials_through_a_service_finds_the_boot_item_taken() {
    let agent = Agent::with_answers(
        item_with(&postgres()),
        &[CONNECT, RUN, "until test -e stolen; do sleep 0.02; done", COMPLETE],
    );
    let mut running = agent.in_task(Ecs::start()).start();
    running.until("Running job: build");
    let credentials = Credentials {
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: SECRET_ACCESS_KEY.to_owned().into(),
        session_token: Some(SESSION_TOKEN.to_owned().into()),
        expires_at: None,
    };
    let http = Http::new(None).unwrap();
    let table = BootTable::new(http, running.table_url(), "eu-west-1", "boot", credentials);
    assert!(table.take(OWNER, Duration::from_secs(10)).unwrap().is_none());
    fs::write(running.path("runner/stolen"), "").unwrap();
    running.end().ended_with(0, "completed");
}
