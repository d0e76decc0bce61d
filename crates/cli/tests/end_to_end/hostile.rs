//! Hostile clients of the server, and hostile jobs on its machine.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use reqwest::header::{AUTHORIZATION, HOST, ORIGIN};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::isolation::is_root;
use crate::testbed::{LIMIT, Payload, REPOSITORY, Server, Setup, Testbed, bounded, job_ids, token};

const SMALL: [&str; 2] = ["self-hosted", "class:small"];
const STEPS: &[(&str, &str)] = &[("ECSRUNNER_SIM_EXECUTOR", "steps")];

/// Opens connections that begin a request and never end it.
async fn hold_open(server: &Server, count: usize, text: &str) -> Vec<TcpStream> {
    let address = server.url("").trim_start_matches("http://").to_owned();
    let mut held = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        held.push(stream);
    }
    held
}

#[tokio::test]
async fn neither_event_streams_nor_slow_requests_keep_out_webhooks_and_health() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        let bearer = token(&testbed.state());
        let events = format!(
            "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\n\r\n"
        );
        let mut streams = hold_open(&server, 100, &events).await;
        let mut refused = 0;
        for stream in &mut streams {
            let mut head = [0; 12];
            stream.read_exact(&mut head).await.unwrap();
            refused += usize::from(&head == b"HTTP/1.1 503");
        }
        assert_eq!(refused, 36, "64 readers of events are allowed");
        let _nothing = hold_open(&server, 300, "").await;
        let _heads = hold_open(&server, 300, "POST /webhook HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
        let body = "POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n{";
        let _bodies = hold_open(&server, 300, body).await;
        let began = Instant::now();
        for n in 0..20 {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            assert_eq!(client.get(server.url("/healthz")).send().await.unwrap().status(), 200);
            let (status, _) =
                server.deliver("workflow_job", Payload::queued(1_000 + n, &["ubuntu-latest"])).await;
            assert_eq!(status, 202);
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        let jobs = testbed.github.submit(&SMALL, 3, 10, Value::Null).await;
        for job in jobs {
            assert_eq!(testbed.github.wait_for(job, "completed").await["conclusion"], "success");
        }
        drop(streams);
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn every_request_of_the_api_needs_the_token_a_known_host_and_no_foreign_page() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        let bearer = format!("Bearer {}", token(&testbed.state()));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let name = "runners/ecsr-test-abcdefghij-01arz3ndektsv4rrffq69g5fav";
        for path in [
            "jobs",
            "jobs/7",
            "jobs/7/log",
            "runners",
            name,
            "classes",
            "status",
            "deployment",
            "costs",
            "counts",
            "events",
        ] {
            let url = server.url(&format!("/api/v1/{path}"));
            let asked = async |headers: &[(&str, &str)]| {
                let request = headers
                    .iter()
                    .fold(client.get(&url), |request, (name, value)| request.header(*name, *value));
                request.send().await.unwrap().status().as_u16()
            };
            assert_eq!(asked(&[]).await, 401, "{path}");
            assert_eq!(asked(&[("authorization", "Bearer x")]).await, 401, "{path}");
            let known = asked(&[("authorization", &bearer)]).await;
            assert!([200, 404].contains(&known), "{path}: {known}");
            let rebound = [("authorization", bearer.as_str()), ("host", "evil.example:8080")];
            assert_eq!(asked(&rebound).await, 421, "{path}");
            let foreign = [("authorization", bearer.as_str()), ("origin", "http://evil.example")];
            assert_eq!(asked(&foreign).await, 403, "{path}");
        }
        let page = client.get(server.url("/")).header(HOST, "evil.example").send().await.unwrap();
        assert_eq!(page.status(), 421);
        // GitHub's requests come through any proxy, and health checks as well.
        let (host, origin) = ("ci.example.com", "http://evil.example");
        let health = client.get(server.url("/healthz")).header(HOST, host).header(ORIGIN, origin);
        assert_eq!(health.send().await.unwrap().status(), 200);
        let unsigned =
            client.post(server.url("/webhook")).header(HOST, host).header(AUTHORIZATION, "x").body("{}");
        let unsigned = unsigned.send().await.unwrap();
        assert_eq!(
            (unsigned.status().as_u16(), unsigned.json::<Value>().await.unwrap()["outcome"].clone()),
            (401, json!("refused"))
        );
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_page_holds_no_more_open_jobs_than_its_limit_and_none_is_left_out() {
    bounded(async {
        let testbed = Testbed::set_up(Setup { limits: "max_runners = 1", ..Setup::default() }).await;
        let server = testbed.serve_unheard().await;
        for n in 1..=7 {
            let labels = if n == 7 { &["self-hosted", "class:huge"] } else { &SMALL };
            server.deliver("workflow_job", Payload::queued(n, labels)).await;
        }
        let (mut path, mut seen) = ("/api/v1/jobs?limit=2".to_owned(), Vec::new());
        loop {
            let (status, page) = server.api().get(&path).await;
            assert_eq!(status, 200, "{page}");
            let jobs = page["jobs"].as_array().unwrap();
            assert!(jobs.len() <= 2, "{page}");
            seen.extend(jobs.iter().map(|job| job["id"].as_u64().unwrap()));
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/api/v1/jobs?limit=2&cursor={next}");
        }
        assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
    })
    .await;
}

#[tokio::test]
async fn labels_without_end_are_a_job_of_others_and_no_text_of_a_sender_fills_the_log() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve_unheard().await;
        let labels: Vec<String> = (0..40_000).map(|n| format!("label-{n}")).collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).chain(SMALL).collect();
        let (status, answer) = server.deliver("workflow_job", Payload::queued(1, &labels)).await;
        assert_eq!((status, &answer["outcome"]), (202, &json!("refused")), "{answer}");
        assert!(answer.to_string().len() < 2_000, "{answer}");
        let long = "x".repeat(20_000);
        let headers = [("x-github-delivery", long.as_str()), ("x-github-event", "workflow_job")];
        let (status, answer) = server.post(&headers, b"{}".to_vec()).await;
        assert_eq!((status, &answer["delivery"]), (401, &json!("")));
        let log = fs::read_to_string(testbed.path("server.log")).unwrap();
        assert!(log.contains("refused webhook"));
        let longest = log.lines().map(str::len).max().unwrap();
        assert!(longest < 3_000, "a line of {longest} bytes");
    })
    .await;
}

/// Waits until a file or directory does not exist.
async fn until_removed(path: &Path) {
    let notify = Inotify::init(InitFlags::IN_CLOEXEC).unwrap();
    // Watched before the first look, so that no removal is missed.
    notify
        .add_watch(path.parent().unwrap(), AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_FROM)
        .unwrap();
    let (sender, removed) = tokio::sync::oneshot::channel();
    let watched = path.to_owned();
    std::thread::spawn(move || {
        while watched.symlink_metadata().is_ok() {
            notify.read_events().unwrap();
        }
        let _waits = sender.send(());
    });
    let waited = tokio::time::timeout(LIMIT, removed).await;
    assert!(waited.is_ok(), "{} is left", path.display());
}

/// Runs a job of one step in a testbed to its end. Returns its id.
pub(crate) async fn run_step(testbed: &Testbed, script: &str) -> u64 {
    let job = submit_step(testbed, script).await;
    testbed.github.wait_for(job, "completed").await;
    job
}

/// Queues a job of one step. Returns its id.
pub(crate) async fn submit_step(testbed: &Testbed, script: &str) -> u64 {
    let script: String = script.lines().map(|line| format!("          {line}\n")).collect();
    let text = format!(
        "name: ci\non: push\njobs:\n  build:\n    runs-on: [self-hosted, 'class:small']\n    steps:\n      - run: |\n{script}"
    );
    let body = json!({"repository": REPOSITORY, "file": ".github/workflows/ci.yml", "text": text});
    job_ids(&testbed.github.submit_workflow(&body).await)[0]
}

#[tokio::test]
async fn a_job_leaves_nothing_outside_its_directory_and_gets_no_privileges() {
    if !is_root() {
        return;
    }
    bounded(async {
        let testbed = Testbed::set_up(Setup { listener: STEPS, ..Setup::default() }).await;
        let open = testbed.path("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        let server = testbed.serve().await;
        let mark = format!("left-{}", testbed.path("").file_name().unwrap().to_string_lossy());
        let script = format!(
            "for dir in /tmp /var/tmp /dev/shm; do cp /bin/true $dir/{mark} && chmod 4755 $dir/{mark} && echo made $dir; done\n\
             for dir in / /run/lock /var/crash /etc {open}; do touch $dir/{mark} 2>/dev/null && echo wrote $dir; done\n\
             echo privileges $(grep NoNewPrivs /proc/self/status | cut -f 2)\n\
             echo limits $(ulimit -u) $(ulimit -n)\n\
             echo path $PATH\n\
             ls -d $(dirname {open}) $PWD >/dev/null && echo sees its own\n\
             true\n",
            open = open.display()
        );
        let job = run_step(&testbed, &script).await;
        let log = testbed.github.log(job).await;
        for told in ["made /tmp", "made /var/tmp", "made /dev/shm", "privileges 1", "limits 4096 ", "sees its own"] {
            assert!(log.contains(told), "{told}: {log}");
        }
        assert!(!log.lines().any(|line| line.contains("wrote /")), "{log}");
        assert!(log.contains("path /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), "{log}");
        server.api().until("the runner to be gone", |api| api.runners_in("gone").len() == 1).await;
        for dir in ["/tmp", "/var/tmp", "/dev/shm"] {
            assert!(!Path::new(dir).join(&mark).exists(), "{dir}");
        }
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn without_private_files_what_a_job_left_under_its_user_is_removed_before_the_user_is_used_again() {
    if !is_root() {
        return;
    }
    bounded(async {
        let classes = "[classes.small]\ncpu = 512\nmemory = 1024\n[runner.tasks]\nprivate_files = false\n";
        let testbed = Testbed::set_up(Setup { listener: STEPS, classes, ..Setup::default() }).await;
        let server = testbed.serve().await;
        let mark = format!("left-{}", testbed.path("").file_name().unwrap().to_string_lossy());
        run_step(
            &testbed,
            &format!(
                "mkdir -p /tmp/{mark}/deep\ncp /bin/true /tmp/{mark}/deep\nchmod 4755 /tmp/{mark}/deep/true"
            ),
        )
        .await;
        server.api().until("the runner to be gone", |api| api.runners_in("gone").len() == 1).await;
        until_removed(&Path::new("/tmp").join(&mark)).await;
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_tree_without_end_ends_neither_the_server_nor_the_clean_up_of_others() {
    bounded(async {
        let testbed = Testbed::set_up(Setup { listener: STEPS, ..Setup::default() }).await;
        let server = testbed.serve().await;
        let script = "perl -e 'for (1..6000) { mkdir \"d\" or die; chdir \"d\" or die }' && echo made a tree";
        let job = run_step(&testbed, script).await;
        let log = testbed.github.log(job).await;
        assert!(log.contains("made a tree"), "{log}");
        for task in fs::read_dir(testbed.state().join("tasks")).unwrap() {
            until_removed(&task.unwrap().path().join("runner")).await;
        }
        let jobs = testbed.github.submit(&SMALL, 1, 10, Value::Null).await;
        assert_eq!(testbed.github.wait_for(jobs[0], "completed").await["conclusion"], "success");
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_job_that_forks_without_end_reaches_its_own_limit_alone() {
    if !is_root() {
        return;
    }
    bounded(async {
        let classes = "[classes.small]\ncpu = 512\nmemory = 1024\n[runner.tasks]\nmax_processes = 80\n";
        let testbed = Testbed::set_up(Setup { listener: STEPS, classes, ..Setup::default() }).await;
        let server = testbed.serve().await;
        let script = "perl -e 'for (1..300) { my $p = fork; defined $p or do { print \"refused at $_\\n\"; last }; $p or do { sleep 5; exit } }; kill 9, -getpgrp 0 if 0'";
        let job = run_step(&testbed, script).await;
        let log = testbed.github.log(job).await;
        assert!(log.contains("refused at "), "{log}");
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}
