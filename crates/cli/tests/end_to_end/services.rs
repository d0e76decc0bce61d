//! `services:` of a workflow, served by services that a class declares as processes.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use ecsrunner_skip::skip;
use serde_json::{Value, json};

use crate::job_logs::output;
use crate::namespaces::without_namespaces;
use crate::testbed::{REPOSITORY, Server, Setup, Testbed, bounded, job_ids};

/// Two jobs that are at work at the same time. Each expects a database of its own.
const TWO_JOBS: &str = r#"
name: ci
on: push
jobs:
  test:
    runs-on: [self-hosted, 'class:db']
    strategy:
      matrix:
        own: [a, b]
        include: [{own: a, other: b}, {own: b, other: a}]
    services:
      postgres:
        image: postgres:15
        env:
          POSTGRES_PASSWORD: ${{ format('p{0}', 'w') }}
        ports:
          - FIXED5432
        options: >-
          --health-cmd "pg_isready -U postgres"
          --health-interval 10s
    steps:
      - name: Meet the other job
        run: |
          touch MEET/${{ matrix.own }}
          until test -e MEET/${{ matrix.other }}; do sleep 0.05; done
      - name: Use the database
        env:
          PGHOST: localhost
          PGPORT: ${{ job.services.postgres.ports[5432] }}
          PGUSER: postgres
          PGPASSWORD: pw
        run: |
          psql -v ON_ERROR_STOP=1 -c "create table t (x text)" -c "insert into t values ('${{ matrix.own }}')"
          echo "rows: $(psql -At -c 'select string_agg(x, chr(44)) from t') network: ${{ job.services.postgres.network }}"
          touch MEET/${{ matrix.own }}-done
          until test -e MEET/${{ matrix.other }}-done; do sleep 0.05; done
"#;

/// The same of a server of our own, which every machine has.
const OF_OUR_OWN: &str = r#"
name: ci
on: push
jobs:
  test:
    runs-on: [self-hosted, 'class:CLASS']
    services:
      github:
        image: ghcr.io/acme/fake-github:1
        env: {A: ENV}
        ports: ["PORT/tcp"]
        options: --health-cmd x
    steps:
      - run: |
          exec 3<>/dev/tcp/127.0.0.1/${{ job.services.github.ports['3000'] }}
          printf 'GET /_sim/state HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n' >&3
          head -n 1 <&3
"#;

async fn submit(testbed: &Testbed, workflow: &str) -> Vec<u64> {
    let body = json!({"repository": REPOSITORY, "file": ".github/workflows/ci.yml", "text": workflow});
    job_ids(&testbed.github.submit_workflow(&body).await)
}

/// Runs the jobs of a workflow to their ends. Returns GitHub's conclusions and logs.
async fn run(testbed: &Testbed, workflow: &str) -> Vec<(Value, String)> {
    let mut ended = Vec::new();
    for job in submit(testbed, workflow).await {
        let conclusion = testbed.github.wait_for(job, "completed").await["conclusion"].clone();
        ended.push((conclusion, testbed.github.log(job).await));
    }
    ended
}

/// A testbed whose classes declare a server of our own, by the executable under test.
async fn with_a_server_of_our_own(process: &str) -> (Testbed, Server) {
    let mut testbed = Testbed::set_up(Setup::default()).await;
    let executable = testbed.path("ecsrunner").display().to_string();
    let process = process.replace("EXECUTABLE", &executable);
    let classes = format!(
        "[classes.small]\ncpu = 512\nmemory = 1024\n\
         [classes.served]\ncpu = 512\nmemory = 1024\n\
         [classes.served.services.hub]\nimage = \"ghcr.io/acme/fake-github:1\"\nport = 3000\nenv = {{ A = \"one\" }}\n\
         health = {{ command = \"exec 3<>/dev/tcp/127.0.0.1/{{port}}\", interval_secs = 1, retries = 20 }}\n\
         process = {process}\n"
    )
    // `/dev/tcp` is bash's.
    .replace("\"exec 3<>/dev/tcp/127.0.0.1/{port}\"", "\"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}'\"");
    testbed.reconfigure(classes.leak());
    let server = testbed.serve().await;
    (testbed, server)
}

fn own(class: &str, env: &str, port: &str) -> String {
    OF_OUR_OWN.replace("CLASS", class).replace("ENV", env).replace("PORT", port)
}

const SERVER: &str = r#"["EXECUTABLE", "demo", "github", "--listen", "127.0.0.1:{port}"]"#;

#[tokio::test]
async fn a_job_reaches_a_declared_service_at_the_port_that_it_is_told() {
    bounded(async {
        let (testbed, server) = with_a_server_of_our_own(SERVER).await;
        let ended = run(&testbed, &own("served", "one", "3000")).await;
        assert_eq!(ended[0].0, "success", "{}", ended[0].1);
        assert!(ended[0].1.contains("Service `hub` is ready on port "), "{}", ended[0].1);
        assert!(ended[0].1.contains("HTTP/1.1 200 OK"), "{}", ended[0].1);
        let listed =
            server.api().until("the runner to be gone", |api| api.runners_in("gone").len() == 1).await;
        let runner = listed.runners[0]["name"].as_str().unwrap();
        let logs = async |container: &str| {
            output(&testbed, &["runners", "logs", runner, "--container", container]).await
        };
        let told = logs("hub").await;
        assert!(String::from_utf8_lossy(&told.stdout).contains("listening on http://127.0.0.1:"), "{told:?}");
        assert_eq!(logs("runner").await.status.code(), Some(0));
        let missing = logs("cache").await;
        assert_eq!(missing.status.code(), Some(4));
        assert!(
            String::from_utf8_lossy(&missing.stderr).contains("has no log of the service cache"),
            "{missing:?}"
        );
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_job_that_asks_for_another_service_fails_with_one_sentence_for_each_difference() {
    bounded(async {
        let (testbed, server) = with_a_server_of_our_own(SERVER).await;
        let ended = run(&testbed, &own("small", "one", "3000")).await;
        assert_eq!(ended[0].0, "failure");
        let sentence = "##[error]service 1 (`ghcr.io/acme/fake-github:1`): class `small` declares no services; a class \
                        that declares what this job asks for: `class:served`";
        assert!(ended[0].1.contains(sentence), "{}", ended[0].1);
        let ended = run(&testbed, &own("served", "another", "3001:3000")).await;
        assert_eq!(ended[0].0, "failure");
        for sentence in ["the workflow gives `A` another value in its env than class `served`", "puts it at port 3001"] {
            assert!(ended[0].1.contains(sentence), "{}", ended[0].1);
        }
        assert!(!ended[0].1.contains("HTTP/1.1"), "no step runs: {}", ended[0].1);
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_service_that_ends_is_told_in_the_jobs_log() {
    bounded(async {
        let (testbed, server) = with_a_server_of_our_own(r#"["sh", "-c", "exit 7"]"#).await;
        let ended = run(&testbed, &own("served", "one", "3000")).await;
        assert_eq!(ended[0].0, "failure");
        let sentence = "##[error]Service `hub` is not ready: it has ended with exit code 7";
        assert!(ended[0].1.contains(sentence), "{}", ended[0].1);
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn two_jobs_with_postgres_pass_unchanged_and_have_a_database_each() {
    let Some(bin) = postgres() else { return };
    bounded(async {
        let mut testbed = Testbed::set_up(Setup::default()).await;
        let shared = testbed.path("shared");
        fs::create_dir_all(shared.join("meet")).unwrap();
        for dir in [&shared, &shared.join("meet")] {
            fs::set_permissions(dir, Permissions::from_mode(0o777)).unwrap();
        }
        let cluster = initialized(&bin, &shared);
        let classes = format!(
            "[runner.tasks]\nwritable = [{shared:?}]\n\
             [classes.db]\ncpu = 512\nmemory = 1024\n\
             [classes.db.services.postgres]\nimage = \"postgres:15\"\nport = 5432\nenv = {{ POSTGRES_PASSWORD = \"pw\" }}\n\
             health = {{ command = \"{bin}/pg_isready -U postgres -h 127.0.0.1 -p {{port}}\", interval_secs = 1 }}\n\
             process = [\"sh\", \"-c\", \"cp -R {cluster} {{dir}}/data && chmod -R u=rwX,go= {{dir}}/data && \
             exec {bin}/postgres -D {{dir}}/data -p {{port}} -k {{dir}} -h 127.0.0.1\"]\n",
            bin = bin.display(),
            cluster = cluster.display(),
        );
        testbed.reconfigure(classes.leak());
        let server = testbed.serve().await;
        // In a namespace of its own, each job's database is at the port that its workflow fixes, whatever has it here.
        let _taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 5432));
        let host = if without_namespaces().is_none() { "5432:" } else { "" };
        let workflow = TWO_JOBS
            .replace("FIXED", host)
            .replace("MEET", &shared.join("meet").display().to_string());
        let ended = run(&testbed, &workflow).await;
        assert_eq!(ended.len(), 2);
        for ((conclusion, log), own) in ended.iter().zip(["a", "b"]) {
            assert_eq!(conclusion, "success", "{log}");
            assert!(log.contains(&format!("rows: {own} network: host")), "{log}");
            assert!(host.is_empty() || log.contains("is ready on port 5432"), "{log}");
        }
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

/// Returns the directory of PostgreSQL's programs, if it is installed.
fn postgres() -> Option<PathBuf> {
    let on_path = std::env::split_paths(&std::env::var_os("PATH")?).collect::<Vec<_>>();
    let of_debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut all = of_debian.map(|version| version.path().join("bin")).chain(on_path);
    let has_all = |dir: &PathBuf| {
        ["initdb", "postgres", "pg_isready"].iter().all(|program| dir.join(program).is_file())
    };
    let found = all.find(has_all).filter(|_| Command::new("psql").arg("--version").output().is_ok());
    if found.is_none() {
        skip("PostgreSQL is not installed");
    }
    found
}

/// Makes a database cluster that every user can copy. A runner's user has no name, which `initdb` insists on.
fn initialized(bin: &Path, dir: &Path) -> PathBuf {
    let (cluster, password) = (dir.join("cluster"), dir.join("password"));
    fs::write(&password, "pw").unwrap();
    let initdb = bin.join("initdb");
    let mut command = if nix::unistd::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(initdb);
        command
    } else {
        Command::new(initdb)
    };
    command.arg("--pgdata").arg(&cluster).args(["--username=postgres", "--auth=scram-sha-256", "--no-sync"]);
    let output = command.arg("--pwfile").arg(&password).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = Command::new("chmod").args(["-R", "a+rX"]).arg(&cluster).output().unwrap();
    assert!(output.status.success());
    cluster
}
