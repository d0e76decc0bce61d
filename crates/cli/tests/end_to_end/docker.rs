//! Jobs with a Docker engine of their own on one machine.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ecsrunner_skip::skip;
use serde_json::json;

use crate::namespaces::firewall::with_iptables_that_fails;
use crate::testbed::processes::needs_cgroups;
use crate::testbed::{LIMIT, REPOSITORY, Setup, Testbed, bounded, job_ids, until, until_within};

/// The `PATH` of the server's tasks.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Two jobs that use their engines at the same time. Each leaves containers, a network and files of root.
const TWO_JOBS: &str = r#"
name: ci
on: push
jobs:
  build:
    runs-on: [self-hosted, 'class:images']
    strategy:
      matrix:
        own: [a, b]
        include: [{own: a, other: b}, {own: b, other: a}]
    steps:
      - name: Build
        run: |
          mkdir -p image/bin
          cp "$(command -v busybox)" image/bin/busybox
          for name in sh cat sleep stat; do ln -s busybox "image/bin/$name"; done
          tar -C image -c . | docker import - base:1
          printf 'FROM base:1\nRUN echo ${{ matrix.own }} > /word\n' | docker build --network none -t job:1 -
          docker network create jobs
          docker run -d --name job-${{ matrix.own }} --network jobs job:1 sleep 300
          touch MEET/${{ matrix.own }}
          until test -e MEET/${{ matrix.other }}; do sleep 0.05; done
      - name: Look
        run: |
          echo "says $(docker run --rm job:1 cat /word), sees $(docker ps --format '{{.Names}}')"
          echo "by default $(env -u DOCKER_HOST docker ps --format '{{.Names}}')"
          stat -c 'socket %u %a' "${DOCKER_HOST#unix://}"
          echo "user $(id -u)"
          docker run --rm -v "$PWD:/work" -v /tmp:/shown -v /var/run/docker.sock:/var/run/docker.sock job:1 \
              sh -c 'echo root > /work/of-root; echo root > /shown/of-root; stat -c "mounted %F" /var/run/docker.sock'
          stat -c 'file of %u' of-root
          stat -c 'temporary file of %u' /tmp/of-root
          touch MEET/${{ matrix.own }}-done
          until test -e MEET/${{ matrix.other }}-done; do sleep 0.05; done
"#;

/// A job that does not end by itself.
const ENDLESS: &str = r#"
name: ci
on: push
jobs:
  build:
    runs-on: [self-hosted, 'class:images']
    steps:
      - run: |
          mkdir -p image/bin
          cp "$(command -v busybox)" image/bin/busybox
          tar -C image -c . | docker import - base:1
          docker network create jobs
          docker run -d --name stays --network jobs base:1 /bin/busybox sleep 300
          touch MEET/ready
          sleep 300
"#;

/// A job with a container whose three processes have 1900 MiB each, at the same time.
const GREEDY: &str = r#"
name: ci
on: push
jobs:
  build:
    runs-on: [self-hosted, 'class:images']
    steps:
      - run: |
          mkdir -p image/bin
          cp "$(command -v busybox)" image/bin/busybox
          tar -C image -c . | docker import - base:1
          docker run --rm base:1 /bin/busybox sh -c 'for i in 1 2 3; do
              (/bin/busybox dd if=/dev/zero bs=1900M count=1 || echo "ended with $?" >&2) | /bin/busybox sleep 5 & done; wait' 2>&1
"#;

/// Whether an engine can be started here, with an image to run.
fn has_engine() -> bool {
    let is_there = |name: &str| PATH.split(':').any(|dir| Path::new(dir).join(name).is_file());
    let missing = ["dockerd", "docker", "ip", "iptables", "busybox"].into_iter().find(|name| !is_there(name));
    let unshare = Command::new("unshare").args(["--pid", "--mount", "--fork", "true"]).output();
    let may = nix::unistd::geteuid().is_root() && unshare.is_ok_and(|tried| tried.status.success());
    match missing {
        Some(missing) => {
            skip(format!("`{missing}` is not installed (Debian: docker.io, iproute2, busybox-static)"));
        }
        None if !may => skip("an engine takes root, and namespaces of its own"),
        None => {}
    }
    may && missing.is_none()
}

/// A testbed with a Docker class, whose jobs can write to the directory `meet`. Each test has addresses of its own.
async fn with_engines(addresses: &str) -> Testbed {
    let mut testbed = Testbed::set_up(Setup::default()).await;
    let meet = testbed.path("meet");
    fs::create_dir(&meet).unwrap();
    fs::set_permissions(&meet, Permissions::from_mode(0o777)).unwrap();
    let classes = format!(
        "[runner.tasks]\nwritable = [{meet:?}]\n\
         [runner.docker]\naddresses = \"{addresses}\"\ndockerd_args = [\"--storage-driver=vfs\"]\n\
         [classes.images]\ncpu = 4096\nmemory = 8192\ncompute = \"managed-instances\"\ndocker = true\n"
    );
    testbed.reconfigure(classes.leak());
    testbed
}

async fn submit(testbed: &Testbed, workflow: &str) -> Vec<u64> {
    let text = workflow.replace("MEET", testbed.path("meet").to_str().unwrap());
    let body = json!({"repository": REPOSITORY, "file": ".github/workflows/ci.yml", "text": text});
    job_ids(&testbed.github.submit_workflow(&body).await)
}

/// What engines have left on this machine, by the beginning of their addresses.
fn left_by_engines(testbed: &Testbed, addresses: &str) -> Vec<String> {
    let tasks = testbed.state().join("tasks");
    let tasks = tasks.to_str().unwrap();
    let mut left = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        left.extend(Some(String::from_utf8_lossy(&words).replace('\0', " ")).filter(|it| it.contains(tasks)));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    left.extend(mounts.lines().filter(|line| line.contains(tasks)).map(str::to_owned));
    for command in [&["ip", "-o", "-4", "address"][..], &["iptables-save"]] {
        let output = Command::new(command[0]).args(&command[1..]).env("PATH", PATH).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        left.extend(text.lines().filter(|line| line.contains(addresses)).map(str::to_owned));
    }
    for task in fs::read_dir(tasks).unwrap().flatten() {
        for name in ["docker", "runner", "private"] {
            let path = task.path().join(name);
            left.extend(path.exists().then(|| path.display().to_string()));
        }
    }
    left
}

async fn until_nothing_is_left(testbed: &Testbed, addresses: &str) {
    let deadline = Instant::now() + LIMIT;
    while !left_by_engines(testbed, addresses).is_empty() {
        assert!(Instant::now() < deadline, "{:#?}", left_by_engines(testbed, addresses));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn two_jobs_at_once_have_an_engine_each_and_leave_nothing_of_it() {
    if !has_engine() {
        return;
    }
    bounded(async {
        let testbed = with_engines("10.221.0.0/20").await;
        let server = testbed.serve().await;
        let mut users = Vec::new();
        for (job, own) in submit(&testbed, TWO_JOBS).await.into_iter().zip(["a", "b"]) {
            let conclusion = testbed.github.wait_for(job, "completed").await["conclusion"].clone();
            let log = testbed.github.log(job).await;
            assert_eq!(conclusion, "success", "{log}");
            let user = log.lines().find_map(|line| line.strip_prefix("user ")).unwrap().to_owned();
            for told in [
                &*format!("says {own}, sees job-{own}"),
                &*format!("by default job-{own}"),
                &*format!("socket {user} 600"),
                "mounted socket",
                "file of 0",
                "temporary file of 0",
            ] {
                assert!(log.lines().any(|line| line == told), "`{told}`: {log}");
            }
            users.push(user);
        }
        assert_ne!(users[0], users[1]);
        assert!(!Path::new("/tmp/of-root").exists(), "a task's engine sees the task's own /tmp");
        until_nothing_is_left(&testbed, "10.221.").await;
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn an_engine_ends_though_the_server_and_its_agent_are_killed() {
    if !has_engine() {
        return;
    }
    bounded(async {
        let testbed = with_engines("10.222.0.0/20").await;
        let server = testbed.serve().await;
        submit(&testbed, ENDLESS).await;
        let ready = testbed.path("meet/ready");
        until("the job to begin", || ready.exists()).await;
        let left = left_by_engines(&testbed, "10.222.");
        assert!(left.iter().any(|words| words.contains("dockerd")), "{left:#?}");
        server.kill().await;
        testbed.kill_agents();
        let server = testbed.serve().await;
        until_nothing_is_left(&testbed, "10.222.").await;
        server.terminate().await;
    })
    .await;
}

/// A job that ends when it is told to.
const TOLD: &str = r#"
name: ci
on: push
jobs:
  build:
    runs-on: [self-hosted, 'class:images']
    steps:
      - run: |
          docker network create jobs
          touch MEET/ready
          until test -e MEET/go; do sleep 0.05; done
"#;

#[tokio::test]
async fn a_firewall_that_fails_keeps_neither_an_engines_files_nor_its_user_and_rules_go_once_it_works() {
    if !has_engine() {
        return;
    }
    let test = async {
        let testbed = with_engines("10.226.0.0/20").await;
        let (command, fails) = with_iptables_that_fails(&testbed);
        let server = testbed.serve_by(command).await;
        let jobs = submit(&testbed, TOLD).await;
        let meet = testbed.path("meet");
        until("the job to begin", || meet.join("ready").exists()).await;
        fs::write(&fails, "").unwrap();
        fs::write(meet.join("go"), "").unwrap();
        assert_eq!(testbed.github.wait_for(jobs[0], "completed").await["conclusion"], "success");
        let task = fs::read_dir(testbed.state().join("tasks")).unwrap().next().unwrap().unwrap().path();
        let there = |name: &str| task.join(name).exists();
        let is_removed = || ["docker", "runner", "removing"].iter().all(|name| !there(name));
        until("the files to be removed", is_removed).await;
        let description: serde_json::Value =
            serde_json::from_slice(&fs::read(task.join("task.json")).unwrap()).unwrap();
        let lock = format!("/run/ecsrunner-uids/{}", description["uid"]);
        let is_free =
            || Command::new("flock").args(["--nonblock", &lock, "true"]).status().unwrap().success();
        until("the user to be free", is_free).await;
        assert!(there("docker-network"), "it is for the next try");
        let left = left_by_engines(&testbed, "10.226.");
        assert!(
            !left.is_empty() && left.iter().all(|line| line.starts_with("-A ")),
            "rules alone: {left:#?}"
        );
        fs::remove_file(&fails).unwrap();
        // The sweep comes once a minute.
        until_within(Duration::from_secs(90), "the next try", || !there("docker-network")).await;
        until_nothing_is_left(&testbed, "10.226.").await;
        testbed.ends_with_nothing_left(server).await;
    };
    tokio::time::timeout(Duration::from_secs(240), test).await.expect("the test took too long");
}

#[tokio::test]
async fn containers_count_to_the_memory_of_their_task() {
    if !has_engine() || !needs_cgroups() {
        return;
    }
    bounded(async {
        let mut testbed = with_engines("10.224.0.0/20").await;
        let classes = testbed.classes().replace("cpu = 4096\nmemory = 8192", "cpu = 2048\nmemory = 4096");
        testbed.reconfigure(classes.leak());
        let server = testbed.serve().await;
        let job = submit(&testbed, GREEDY).await[0];
        assert_eq!(testbed.github.wait_for(job, "completed").await["conclusion"], "success");
        let log = testbed.github.log(job).await;
        assert!(log.contains("ended with 137"), "{log}");
        until_nothing_is_left(&testbed, "10.224.").await;
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_task_that_dies_because_a_container_filled_its_memory_is_told_so() {
    if !has_engine() || !needs_cgroups() {
        return;
    }
    bounded(async {
        let mut testbed = with_engines("10.225.0.0/20").await;
        let classes = testbed.classes().replace("cpu = 4096\nmemory = 8192", "cpu = 2048\nmemory = 4096");
        testbed.reconfigure(classes.leak());
        let server = testbed.serve().await;
        let (before, _) = GREEDY.split_once("          docker run").unwrap();
        // The kernel can neither drop a file system in memory nor end it by a kill.
        let fill = "          docker run --rm --tmpfs /full:size=6g base:1 /bin/busybox dd if=/dev/zero of=/full/file bs=1M count=5000\n";
        submit(&testbed, &format!("{before}{fill}")).await;
        let api = server.api().until("the runner to be gone", |api| api.runners_in("gone").len() == 1).await;
        let runner = api.runners[0].to_string();
        assert!(runner.contains("out_of_memory") || runner.contains("\"oom_kills\":"), "{runner}");
        until_nothing_is_left(&testbed, "10.225.").await;
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_docker_class_beside_public_repositories_is_refused() {
    if !has_engine() {
        return;
    }
    bounded(async {
        let testbed = Testbed::set_up(Setup {
            top: "public_repositories = true\ncheck_runs = true",
            classes: "[classes.images]\ncpu = 4096\nmemory = 8192\ndocker = true\n",
            ..Setup::default()
        })
        .await;
        let output = testbed.command().output().await.unwrap();
        assert_ne!(output.status.code(), Some(0));
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            told.contains(
                "public_repositories is true, and jobs of the class images can become root on this machine"
            ),
            "{told}"
        );
    })
    .await;
}
