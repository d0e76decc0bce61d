//! The operator's commands against a local server: what they print, and their exit codes.

mod catalogue;
pub(crate) mod changes;
mod github;
mod notes;
mod page;
mod replay;
mod waits;
mod webhook;

use std::io::Read;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::command_line::{ecsrunner, run, told};
use crate::testbed::{Payload, Server, Setup, Testbed, bounded};

const CLASSES: &str = "[classes.small]\ncpu = 512\nmemory = 1024\ndefault = true\n\
                       [classes.large]\ncpu = 4096\nmemory = 8192\ncapacity = \"spot-then-on-demand\"\n\
                       labels = [\"big-disk\"]\nephemeral_storage_gib = 60\nmax_runners = 2\n";

/// Runs a command with these variables.
async fn output_with(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let owned = |text: &str| text.to_owned();
    let variables: Vec<(String, String)> =
        variables.iter().map(|(name, value)| (owned(name), owned(value))).collect();
    let arguments: Vec<String> = arguments.iter().map(|it| owned(it)).collect();
    let run = move || {
        let dir = tempfile::tempdir().unwrap();
        ecsrunner(dir.path()).args(arguments).envs(variables).output().unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

pub(crate) async fn output(server: &Server, arguments: &[&str]) -> Output {
    output_with(&server.variables(), arguments).await
}

/// Returns the JSON document of a command that must succeed.
fn json_told(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns a command's output with the values replaced that differ between runs.
async fn tell(server: &Server, arguments: &[&str]) -> String {
    let url = server.url("");
    let told =
        told(&output(server, arguments).await, std::path::Path::new("/nowhere")).replace(&url, "[server]");
    let words = told.split_inclusive([' ', '\n', '\t']).map(|word| {
        let end = word.trim_end();
        let rest = &word[end.len()..];
        match end.parse::<jiff::Timestamp>() {
            Ok(_) => format!("[time]{rest}"),
            Err(_) if is_span(end) => format!("[span]{rest}"),
            Err(_) => word.to_owned(),
        }
    });
    words.collect()
}

fn is_span(word: &str) -> bool {
    let number = word.trim_start_matches('+').trim_end_matches("ms").trim_end_matches('s');
    number.len() < word.len() && number.parse::<f64>().is_ok()
}

/// Returns the sorted field names of an object, for comparison with the documents.
fn fields(object: &Value) -> String {
    object.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>().join(" ")
}

pub(crate) async fn json_of(server: &Server, arguments: &[&str]) -> Value {
    json_told(&output(server, arguments).await)
}

/// Starts a server that has executed one job and refused another.
async fn after_two_jobs() -> (Testbed, Server) {
    let testbed = Testbed::set_up(Setup { classes: CLASSES, ..Setup::default() }).await;
    let server = testbed.serve().await;
    testbed.github.submit_one(&["self-hosted", "class:small"], 100).await;
    testbed.github.wait("completed=1").await;
    server.api().until("a job to be done", |api| api.is_done(1)).await;
    server.deliver("workflow_job", Payload::queued(7, &["self-hosted", "class:gpu"])).await;
    (testbed, server)
}

#[tokio::test]
async fn every_list_tells_what_is_and_was() {
    bounded(async {
        let (_scene, server) = after_two_jobs().await;
        let runners = json_of(&server, &["runners", "list", "--json"]).await;
        let jobs = json_of(&server, &["jobs", "list", "--json"]).await;
        let name = runners["runners"][0]["name"].as_str().unwrap();
        let job = runners["runners"][0]["job"].as_u64().unwrap().to_string();
        assert_eq!(runners["runners"].as_array().unwrap().len(), 1);
        let listed = server.api().listed().await;
        assert_eq!(jobs["jobs"], json!(listed.jobs), "the API's own form");
        assert_eq!(runners["runners"], json!(listed.runners));

        let told = tell(&server, &["runners", "list"]).await.replace(name, "[runner]").replace(&job, "[job]");
        insta::assert_snapshot!(told, @r"
        exit code 0
        --- stdout
        [runner]	gone: completed	small	acme/app	[job]	[span]	$0.0005
        --- stderr
        ");
        let told = tell(&server, &["jobs", "list"]).await.replace(&job, "[job]");
        insta::assert_snapshot!(told, @r"
        exit code 0
        --- stdout
        7	refused	acme/app	build	—	[span]	runner class `gpu` does not exist: the catalogue has large, small
        [job]	completed	acme/app	job	small	[span]	success
        --- stderr
        ");
        let told = tell(&server, &["runs", "list"]).await.replace(name, "[runner]").replace(&job, "[job]");
        insta::assert_snapshot!(told, @r"
        exit code 0
        --- stdout
        [job]	acme/app	job	success	[span]	[span]	$0.0005	[runner]
        --- stderr
        ");
        insta::assert_snapshot!(tell(&server, &["list-class-sizes"]).await, @r"
        exit code 0
        --- stdout
        large	4	8 GiB	60 GiB	x64	spot-then-on-demand	2	$0.072	big-disk	—	—
        small	0.5	1 GiB	20 GiB	x64	on-demand	—	$0.030	—	—	—
        --- stderr
        ");
        insta::assert_snapshot!(tell(&server, &["costs", "--by", "class", "--csv"]).await, @r"
        exit code 0
        --- stdout
        class,runners,jobs,hours,cost,hosted,saved
        small,1,1,0.00,0.000495,0.006000,0.005505
        --- stderr
        ");

        assert_eq!(
            json_of(&server, &["runners", "list", "--state", "busy", "--json"]).await,
            json!({"runners": []})
        );
        assert_eq!(
            json_of(&server, &["jobs", "list", "--repository", "acme/web", "--json"]).await,
            json!({"jobs": []})
        );
        let runs =
            json_of(&server, &["runs", "list", "--runner-id", &name[name.len() - 6..], "--json"]).await;
        assert_eq!(runs["runs"][0]["runner"], name);
        assert_eq!(runs["runs"][0]["conclusion"], "success");
        let costs = json_of(&server, &["costs", "--json"]).await;
        assert_eq!(costs["total"]["cost_usd"], runners["runners"][0]["cost_usd"]);
        let keys: Vec<&String> = costs.as_object().unwrap().keys().collect();
        let expected =
            "budgets by hosted_prices_as_of left_out prices_as_of rows self_hosted_fee_usd since total";
        assert_eq!(keys, expected.split(' ').collect::<Vec<_>>());
    })
    .await;
}

/// Cuts out where the wait went, which is known only if the job was seen to start.
fn without_wait(told: &str) -> String {
    let Some((before, rest)) = told.split_once("\nIt waited") else { return told.to_owned() };
    format!("{before}{}", rest.split_once("\n\n").map_or("", |(_, rest)| rest))
        .replacen("Next:", "\nNext:", 1)
}

/// Leaves out what the job used, which is there if this machine gives tasks cgroups of their own.
fn without_use(told: &str) -> String {
    let told = match told.split_once("It used:\n") {
        Some((before, rest)) => format!("{before}{}", rest.split_once("\n\n").unwrap().1),
        None => told.to_owned(),
    };
    let is_use = |line: &str| line.starts_with("CPU  ") || line.starts_with("memory  ");
    told.split_inclusive('\n').filter(|line| !is_use(line)).collect()
}

#[tokio::test]
async fn why_tells_one_job_from_its_webhook_to_what_to_do_next() {
    bounded(async {
        let (_scene, server) = after_two_jobs().await;
        let runners = json_of(&server, &["runners", "list", "--json"]).await;
        let name = runners["runners"][0]["name"].as_str().unwrap();
        let job = runners["runners"][0]["job"].as_u64().unwrap().to_string();
        let run = server.api().listed().await.job(job.parse().unwrap()).unwrap()["run_id"].to_string();
        let task = runners["runners"][0]["task"].as_str().unwrap();
        // Some steps are recorded only if they are observed in time, so they are hidden.
        let steps = ["starting", "booted", "busy", "in progress"];
        let hide = |told: String| {
            let told = told.replace(name, "[runner]").replace(&job, "[job]").replace(&run, "[run]");
            let lines = told.replace(task, "[task]");
            let lines = lines.split_inclusive('\n').filter(|line| !steps.iter().any(|step| line.contains(step)));
            without_use(&without_wait(&lines.collect::<String>()))
        };
        insta::assert_snapshot!(hide(tell(&server, &["why", &job]).await), @r"
        exit code 0
        --- stdout
        Job [job] `job` of acme/app: completed with success
          workflow synthetic, attempt 1, runs-on [class:small, self-hosted], class small
          https://github.com/acme/app/actions/runs/[run]/job/[job]

          [time]  created at GitHub
          [time]  job queued
          [time]    runner [runner] reserved
          [time]  job completed
          [time]    runner [runner] ending: completed
          [time]    runner [runner] gone: completed, $0.0005

        Next:    nothing to do
        --- stderr
        ");
        insta::assert_snapshot!(tell(&server, &["why", "https://github.com/acme/app/actions/runs/1/job/7"]).await, @r"
        exit code 0
        --- stdout
        Job 7 `build` of acme/app: refused
          workflow CI, attempt 1, runs-on [class:gpu, self-hosted]
          https://github.com/acme/app/actions/runs/7/job/7

          [time]  created at GitHub
          [time]  job refused

        Why:     runner class `gpu` does not exist: the catalogue has large, small [class_unknown]
        Next:    correct `runs-on` (`ecsrunner list-class-sizes` lists the classes), or add the class and run `ecsrunner jobs retry 7`
        --- stderr
        ");
        insta::assert_snapshot!(hide(tell(&server, &["runners", "details", &name[name.len() - 6..]]).await), @r"
        exit code 0
        --- stdout
        [runner]: gone (completed)

        class        small
        pool         o55gcjbgta
        repository   acme/app
        started for  job [job]
        executed     job [job]
        task         [task]
        version      —
        cost         $0.0005

        [time]  reserved
        [time]  ending    [span]
        [time]  gone      [span]
        --- stderr
        ");
        let why = json_of(&server, &["why", &job, "--json"]).await;
        assert_eq!(why["runners"][0]["name"], name);
        // As lists show it.
        let of_runner = json_of(&server, &["why", &name[name.len() - 8..], "--json"]).await;
        assert_eq!(of_runner["id"], why["id"]);
        assert_eq!(fields(&why), "because deliveries github id job next runners tasks");
        assert_eq!((&why["because"], &why["next"]), (&Value::Null, &json!("nothing to do")));
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_is_told_with_where_it_was_looked_for() {
    bounded(async {
        let testbed = Testbed::set_up(Setup { classes: CLASSES, ..Setup::default() }).await;
        let server = testbed.serve_unheard().await;
        insta::assert_snapshot!(tell(&server, &["why", "4711"]).await, @r"
        exit code 4
        --- stdout
        --- stderr
        error: the local server at [server] has no record of job 4711

        hint: run `ecsrunner why` with the job's URL to ask GitHub, or `ecsrunner deliveries list` to see lost webhooks: no webhook of the job was recorded in 90 days
        ");
        insta::assert_snapshot!(tell(&server, &["why", "build"]).await, @r"
        exit code 2
        --- stdout
        --- stderr
        error: `build` is neither a job id, the URL of a job, nor a runner's name or at least its last 4 characters

        hint: use the URL of the job's page, such as https://github.com/OWNER/NAME/actions/runs/RUN/job/ID
        ");
        insta::assert_snapshot!(tell(&server, &["runners", "details", "no-such-runner"]).await, @r"
        exit code 4
        --- stdout
        --- stderr
        error: the local server at [server] has no runner `no-such-runner`

        hint: run `ecsrunner runners list --since 90d` to list all runners: only the latest 10000 are searched by the end of a name
        ");
        insta::assert_snapshot!(tell(&server, &["runners", "details", "e"]).await, @r"
        exit code 2
        --- stdout
        --- stderr
        error: `e` is too short: a runner's name, or at least its last 4 characters, is expected

        hint: run `ecsrunner runners list` to list the runners
        ");
        insta::assert_snapshot!(tell(&server, &["cluster", "status", "mine"]).await, @r"
        exit code 2
        --- stdout
        --- stderr
        error: a local server has no cluster: CLUSTER is `mine`

        hint: omit CLUSTER
        ");
        insta::assert_snapshot!(tell(&server, &["runners", "list", "--watch"]).await, @r"
        exit code 2
        --- stdout
        --- stderr
        error: --watch needs a terminal, and stdout is not a terminal
        ");
        insta::assert_snapshot!(tell(&server, &["runners", "list", "--since", "yesterday"]).await, @r"
        exit code 2
        --- stdout
        --- stderr
        error: invalid value 'yesterday' for '--since <WHEN>': expected a span such as 90m, 2h or 30d, or a time such as [time]

        For more information, try '--help'.
        ");
        let url = server.url("");
        for (command, error) in [
            ("pause", format!("pausing needs the state directory of the local server at {url}")),
            ("jobs", format!("{url}/api/v1/jobs answered 401 Unauthorized")),
        ] {
            let arguments = if command == "jobs" { vec!["jobs", "list"] } else { vec![command] };
            let without_token = output_with(&[("ECSRUNNER_LOCAL", &url)], &arguments).await;
            let words = String::from_utf8(without_token.stderr).unwrap();
            assert_eq!(without_token.status.code(), Some(3), "{words}");
            assert!(words.contains(&error) && words.contains("--local DIR"), "{words}");
        }
        let nobody = output_with(&[("ECSRUNNER_LOCAL", "http://127.0.0.1:9")], &["jobs", "list"]).await;
        assert_eq!(nobody.status.code(), Some(1));
        let words = String::from_utf8(nobody.stderr).unwrap();
        assert!(
            words.contains("http://127.0.0.1:9 does not answer") && words.contains("local up"),
            "{words}"
        );
        let unnamed = output_with(&[], &["jobs", "list"]).await;
        insta::assert_snapshot!(told(&unnamed, std::path::Path::new("/nowhere")), @r"
        exit code 2
        --- stdout
        --- stderr
        error: no deployment given

        hint: use `--deployment NAME` or ECSRUNNER_DEPLOYMENT for a deployment on AWS, `--local URL|DIR` or ECSRUNNER_LOCAL for a local server
        ");
    })
    .await;
}

#[tokio::test]
async fn a_closed_pipe_is_no_complaint() {
    bounded(async {
        let (_scene, server) = after_two_jobs().await;
        let variables = server.variables().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let run = move || {
            let dir = tempfile::tempdir().unwrap();
            let mut child = ecsrunner(dir.path())
                .args(["jobs", "list"])
                .envs(variables)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            drop(child.stdout.take());
            let mut words = String::new();
            child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
            let _ended = child.wait().unwrap();
            words
        };
        assert_eq!(tokio::task::spawn_blocking(run).await.unwrap(), "");
    })
    .await;
}

/// AWS's answer to a caller without permission.
const DENIED: &str = r#"{"__type":"AccessDeniedException","message":"User: arn:aws:iam::123456789012:user/eve is not authorized to perform: ssm:GetParameters on resource: arn:aws:ssm:eu-west-1:123456789012:parameter/ecsrunner/ci/deployment"}"#;

#[tokio::test]
async fn access_that_is_denied_is_told_with_the_action_and_what_it_was_on() {
    bounded(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let aws = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 16 * 1024];
                let _read = stream.read(&mut request).await.unwrap();
                let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.1\r\nconnection: close";
                let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{DENIED}", DENIED.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let run = move || {
            let dir = tempfile::tempdir().unwrap();
            let mut command = ecsrunner(dir.path());
            for (name, value) in [
                ("AWS_REGION", "eu-west-1"),
                ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
                ("AWS_SECRET_ACCESS_KEY", "the secret of a key"),
                ("AWS_ENDPOINT_URL", &url),
            ] {
                command.env(name, value);
            }
            command.args(["jobs", "list", "--deployment", "ci"]).output().unwrap()
        };
        let denied = tokio::task::spawn_blocking(run).await.unwrap();
        aws.abort();
        let words = String::from_utf8(denied.stderr).unwrap();
        assert_eq!(denied.status.code(), Some(3), "{words}");
        for part in ["ssm:GetParameters", "parameter/ecsrunner/ci/deployment", "get-caller-identity"] {
            assert!(words.contains(part), "{words}");
        }
        assert!(!words.contains("the secret of a key"), "{words}");
    })
    .await;
}
