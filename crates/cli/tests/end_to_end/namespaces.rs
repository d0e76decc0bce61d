//! Tasks with services have a network namespace each, if the server is root.

pub(crate) mod firewall;

use std::fs::{self, Permissions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ecsrunner_skip::skip;
use serde_json::{Value, json};

use crate::testbed::{REPOSITORY, Server, Setup, Testbed, bounded, job_ids, until};
use elsewhere::Elsewhere;
use name_server::NameServer;

mod elsewhere;
mod name_server;

/// The `PATH` of the programs that change networks.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A workflow whose service is at a fixed port. `STEPS` follow what they use.
const FIXED: &str = r#"
name: ci
on: push
jobs:
  test:
    runs-on: [self-hosted, 'class:served']
    MATRIX
    services:
      hub:
        image: ghcr.io/acme/fake-github:1
        ports: ["PORT:PORT"]
        options: --health-cmd x
    steps:
      - run: |
          # Asks the service at an address: method, path, body.
          ask() {
              exec 3<>"/dev/tcp/$1/PORT" || return 1
              printf '%s %s HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n' "$2" "$3" >&3
              printf 'content-length: %d\r\n\r\n%s' "${#4}" "$4" >&3
              tail -n 1 <&3
          }
          # Whether something listens at an address and a port.
          reaches() { timeout 2 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null; }
          address=$(ip -4 -o address show dev eth0 | tr -s ' ' | cut -d ' ' -f 4 | cut -d / -f 1)
          meet() { until test -e "MEET/$1"; do sleep 0.05; done; }
STEPS
"#;

const TWO: &str = "strategy:\n      matrix:\n        own: [a, b]\n        include: [{own: a, other: b}, {own: b, other: a}]";

/// Whether tasks can have network namespaces here. If not, the test is skipped.
fn has_namespaces() -> bool {
    let why = without_namespaces();
    if let Some(why) = &why {
        skip(why);
    }
    why.is_none()
}

/// Returns why tasks cannot have network namespaces here; `None` if they can.
pub(crate) fn without_namespaces() -> Option<String> {
    let is_there = |name: &str| PATH.split(':').any(|dir| Path::new(dir).join(name).is_file());
    let missing = ["ip", "iptables"].into_iter().find(|name| !is_there(name));
    let may = nix::unistd::geteuid().is_root()
        && Command::new("unshare").args(["--net", "true"]).output().is_ok_and(|tried| tried.status.success());
    match missing {
        Some(missing) => Some(format!("`{missing}` is not installed (Debian: iproute2, iptables)")),
        None => (!may).then(|| "a network namespace takes root".to_owned()),
    }
}

/// A testbed with the class `served`, whose jobs can write to the directory `meet`, and the port of its service. Each test
/// has addresses of its own. `network` are further lines of `[runner.network]`.
async fn testbed(addresses: &str, network: &str, class: &str) -> (Testbed, u16) {
    let port = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap().local_addr().unwrap().port();
    (testbed_at(port, addresses, network, class).await, port)
}

async fn testbed_at(port: u16, addresses: &str, network: &str, class: &str) -> Testbed {
    let limits = "surplus_grace_secs = 1\nmax_warm = 1";
    let mut testbed = Testbed::set_up(Setup { limits, ..Setup::default() }).await;
    let meet = testbed.path("meet");
    fs::create_dir(&meet).unwrap();
    fs::set_permissions(&meet, Permissions::from_mode(0o777)).unwrap();
    let executable = testbed.path("ecsrunner");
    let classes = format!(
        "[runner.tasks]\nwritable = [{meet:?}]\n\
         [runner.network]\naddresses = \"{addresses}\"\n{network}\n\
         [classes.small]\ncpu = 512\nmemory = 1024\n\
         [classes.served]\ncpu = 512\nmemory = 1024\n{class}\n\
         [classes.served.services.hub]\nimage = \"ghcr.io/acme/fake-github:1\"\nport = {port}\n\
         health = {{ command = \"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{{port}}'\", interval_secs = 1 }}\n\
         process = [{executable:?}, \"demo\", \"github\", \"--listen\", \"0.0.0.0:{{port}}\"]\n"
    );
    testbed.reconfigure(classes.leak());
    testbed
}

/// Submits a workflow with the steps.
async fn submit(testbed: &Testbed, port: u16, matrix: &str, steps: &str) -> Vec<u64> {
    let steps: Vec<String> = steps.trim().lines().map(|line| format!("          {}", line.trim())).collect();
    let text = FIXED
        .replace("STEPS", &steps.join("\n"))
        .replace("MATRIX", matrix)
        .replace("PORT", &port.to_string())
        .replace("MEET", testbed.path("meet").to_str().unwrap());
    let body = json!({"repository": REPOSITORY, "file": ".github/workflows/ci.yml", "text": text});
    job_ids(&testbed.github.submit_workflow(&body).await)
}

/// Waits for the ends of jobs. Returns GitHub's conclusions and logs.
async fn ends(testbed: &Testbed, jobs: Vec<u64>) -> Vec<(Value, String)> {
    let mut ended = Vec::new();
    for job in jobs {
        let conclusion = testbed.github.wait_for(job, "completed").await["conclusion"].clone();
        ended.push((conclusion, testbed.github.log(job).await));
    }
    ended
}

/// What tasks have on this machine: processes, and devices and rules with the beginning of their addresses.
fn left(testbed: &Testbed, addresses: &str) -> Vec<String> {
    let tasks = testbed.state().join("tasks");
    let mut left = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        left.extend(Some(words).filter(|it| it.contains(tasks.to_str().unwrap())));
    }
    for command in [&["ip", "-o", "-4", "address"][..], &["iptables-save"]] {
        let output = Command::new(command[0]).args(&command[1..]).env("PATH", PATH).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // The rules for what comes back have no address, but the device's name.
        let digits: String =
            addresses.split('.').take(3).map(|byte| format!("{:02x}", byte.parse::<u8>().unwrap())).collect();
        let is_its = |line: &&str| line.contains(addresses) || line.contains(&format!("ecsn{digits}"));
        left.extend(text.lines().filter(is_its).map(str::to_owned));
    }
    left
}

async fn ends_with_nothing_left(testbed: &Testbed, server: Server, addresses: &str) {
    testbed.ends_with_nothing_left(server).await;
    assert_eq!(left(testbed, addresses), Vec::<String>::new());
}

fn server_log(testbed: &Testbed) -> String {
    fs::read_to_string(testbed.path("server.log")).unwrap()
}

#[tokio::test]
async fn two_jobs_at_once_have_the_same_fixed_port_each_though_the_machine_has_it_too() {
    if !has_namespaces() {
        return;
    }
    bounded(async {
        let (testbed, port) = testbed("10.231.1.0/24", "", "").await;
        let _taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
        let server = testbed.serve().await;
        let jobs = submit(
            &testbed,
            port,
            TWO,
            r#"
            ask 127.0.0.1 POST /_sim/faults '{"rest": [{"method": "GET", "path_end": "/of-${{ matrix.own }}", "status": 500}]}'
            echo "$address" >MEET/${{ matrix.own }}.new
            mv MEET/${{ matrix.own }}.new MEET/${{ matrix.own }}
            meet ${{ matrix.other }}
            echo "own: $(ask 127.0.0.1 GET /_sim/faults | grep -o 'of-[ab]') at $address, told ${{ job.services.hub.ports[PORT] }}"
            reaches "$address" PORT && echo "reaches itself"
            reaches "$(cat MEET/${{ matrix.other }})" PORT && echo "reaches the other" || echo "does not reach the other"
            touch MEET/${{ matrix.own }}-done
            meet ${{ matrix.other }}-done
            meet looked
            "#,
        )
        .await;
        let meet = testbed.path("meet");
        until("both jobs to be at work", || ["a-done", "b-done"].iter().all(|name| meet.join(name).exists()))
            .await;
        // Nor does anything on the machine itself reach a job's service.
        for own in ["a", "b"] {
            let address = fs::read_to_string(meet.join(own)).unwrap();
            let at = SocketAddr::new(address.trim().parse().unwrap(), port);
            assert!(TcpStream::connect_timeout(&at, Duration::from_millis(500)).is_err(), "{at} is reached");
        }
        assert!(!left(&testbed, "10.231.1.").is_empty(), "what is looked for at the end");
        fs::write(meet.join("looked"), "").unwrap();
        for ((conclusion, log), own) in ends(&testbed, jobs).await.iter().zip(["a", "b"]) {
            assert_eq!(conclusion, "success", "{log}");
            assert!(log.contains(&format!("own: of-{own} at 10.231.1.")), "{log}");
            assert!(log.contains(&format!(", told {port}")), "{log}");
            assert!(log.contains("reaches itself"), "{log}");
            assert!(log.contains("does not reach the other"), "{log}");
        }
        let log = server_log(&testbed);
        assert!(log.contains("tasks of these classes have a network namespace each"), "{log}");
        ends_with_nothing_left(&testbed, server, "10.231.1.").await;
    })
    .await;
}

#[tokio::test]
async fn a_job_reaches_of_the_machines_loopback_only_what_it_needs() {
    if !has_namespaces() {
        return;
    }
    bounded(async {
        let [open, closed] = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let [open_port, closed_port] = [&open, &closed].map(|it| it.local_addr().unwrap().port());
        std::thread::spawn(move || {
            for stream in open.incoming() {
                stream.unwrap().write_all(b"welcome\n").unwrap();
            }
        });
        let network = format!("loopback = [\"127.0.0.1:{open_port}\"]");
        let (testbed, port) = testbed("10.231.2.0/24", &network, "").await;
        let names = NameServer::start(&testbed);
        let server = testbed.serve_by(names.with_resolv_conf(&testbed)).await;
        let api = server.url("");
        let api_port = api.rsplit(':').next().unwrap();
        let github_port = testbed.github_url().rsplit(':').next().unwrap();
        let steps = r#"
            reaches 127.0.0.1 GITHUB && echo "reaches GitHub"
            exec 4<>/dev/tcp/127.0.0.1/OPEN; echo "is told $(cat <&4)"
            reaches 127.0.0.1 CLOSED || echo "does not reach the rest"
            reaches 127.0.0.1 API || echo "does not reach the server"
            exec 5<>/dev/udp/127.0.0.77/53; printf 'who is it' >&5; echo "is answered $(timeout 10 head -c 9 <&5)"
        "#
        .replace("OPEN", &open_port.to_string())
        .replace("CLOSED", &closed_port.to_string())
        .replace("API", api_port)
        .replace("GITHUB", github_port);
        let jobs = submit(&testbed, port, "", &steps).await;
        let (conclusion, log) = ends(&testbed, jobs).await.remove(0);
        assert_eq!(conclusion, "success", "{log}");
        for said in [
            "reaches GitHub",
            "is told welcome",
            "does not reach the rest",
            "does not reach the server",
            "is answered WHO IS IT",
        ] {
            assert!(log.lines().any(|line| line.ends_with(said)), "{said}: {log}");
        }
        ends_with_nothing_left(&testbed, server, "10.231.2.").await;
    })
    .await;
}

/// Returns the command that starts the server by another program.
fn wrapped(testbed: &Testbed, program: &str, words: &[&str]) -> tokio::process::Command {
    let server = testbed.command();
    let server = server.as_std();
    let mut command = tokio::process::Command::new(program);
    command.args(words).arg(server.get_program()).args(server.get_args());
    for (name, value) in server.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

#[tokio::test]
async fn a_job_reaches_the_network_and_nothing_there_reaches_the_job() {
    if !has_namespaces() {
        return;
    }
    bounded(async {
        let (testbed, port) = testbed("10.231.3.0/24", "", "").await;
        let elsewhere = Elsewhere::start(&testbed, 8_080);
        let server = testbed.serve().await;
        let steps = r#"
            until reaches ELSEWHERE 8080; do sleep 0.1; done
            echo "is answered $(exec 3<>/dev/tcp/ELSEWHERE/8080; printf 'GET / HTTP/1.0\r\n\r\n' >&3; head -c 8 <&3)"
            echo "$address" >MEET/new
            mv MEET/new MEET/address
            meet looked
            reaches ELSEWHERE 8080 || echo "is refused by the operator"
        "#
        .replace("ELSEWHERE", Elsewhere::ADDRESS);
        let jobs = submit(&testbed, port, "", &steps).await;
        let meet = testbed.path("meet");
        until("the job to be answered", || meet.join("address").exists()).await;
        let address = fs::read_to_string(meet.join("address")).unwrap();
        assert!(!elsewhere.reaches(address.trim(), port));
        // This machine itself is reached, so the way there is no reason.
        let own = TcpListener::bind("198.51.100.17:0").unwrap();
        assert!(elsewhere.reaches("198.51.100.17", own.local_addr().unwrap().port()));
        let of_operator = |action: &str| {
            let rule = [action, "ECSRUNNER-USER", "-d", Elsewhere::ADDRESS, "-j", "DROP"];
            let changed = Command::new("iptables").args(["-w", "5"]).args(rule).env("PATH", PATH).status();
            assert!(changed.unwrap().success(), "{action}");
        };
        of_operator("-A");
        fs::write(meet.join("looked"), "").unwrap();
        let (conclusion, log) = ends(&testbed, jobs).await.remove(0);
        of_operator("-D");
        assert_eq!(conclusion, "success", "{log}");
        assert!(log.contains("is answered HTTP/1.0"), "{log}");
        assert!(log.contains("is refused by the operator"), "{log}");
        ends_with_nothing_left(&testbed, server, "10.231.3.").await;
    })
    .await;
}

#[tokio::test]
async fn nothing_of_a_namespace_is_left_though_server_agent_and_keeper_are_killed() {
    if !has_namespaces() {
        return;
    }
    bounded(async {
        let (testbed, port) = testbed("10.231.4.0/24", "", "").await;
        let server = testbed.serve().await;
        submit(&testbed, port, TWO, "touch MEET/${{ matrix.own }}\nsleep 300").await;
        let meet = testbed.path("meet");
        until("both jobs to be at work", || ["a", "b"].iter().all(|name| meet.join(name).exists())).await;
        server.kill().await;
        // One namespace without its keeper: what it has is found by the task.
        let keepers = keepers(&testbed);
        assert_eq!(keepers.len(), 2);
        nix::sys::signal::kill(keepers[0], nix::sys::signal::Signal::SIGKILL).unwrap();
        testbed.kill_agents();
        until("the other keeper to end", || self::keepers(&testbed).is_empty()).await;
        assert!(!left(&testbed, "10.231.4.").is_empty());
        let server = testbed.serve().await;
        until("nothing to be left", || left(&testbed, "10.231.4.").is_empty()).await;
        server.terminate().await;
    })
    .await;
}

/// The processes that keep the namespaces of a testbed.
fn keepers(testbed: &Testbed) -> Vec<nix::unistd::Pid> {
    let tasks = testbed.state().join("tasks").display().to_string();
    let mut keepers = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        if words.contains("\0agent-network\0") && words.contains(&tasks) {
            keepers.extend(process.file_name().to_string_lossy().parse().map(nix::unistd::Pid::from_raw));
        }
    }
    keepers
}

#[tokio::test]
async fn a_warm_task_has_a_namespace_once_it_has_a_job() {
    if !has_namespaces() {
        return;
    }
    bounded(async {
        let (testbed, port) = testbed("10.231.5.0/24", "", "warm = { count = 1 }").await;
        let _taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
        let server = testbed.serve().await;
        server.api().until("a warm task", |api| api.runners_in("warm").len() == 1).await;
        let jobs = submit(&testbed, port, "", "ask 127.0.0.1 GET /_sim/faults").await;
        let (conclusion, log) = ends(&testbed, jobs).await.remove(0);
        assert_eq!(conclusion, "success", "{log}");
        let api = server.api().listed().await;
        let of_job = api.runners.iter().find(|runner| !runner["launched_for"].is_null()).unwrap();
        assert!(of_job["warm"].is_string(), "{of_job}");
        crate::operator::changes::told_by(&testbed, &["pause"]).await;
        ends_with_nothing_left(&testbed, server, "10.231.5.").await;
    })
    .await;
}

#[tokio::test]
async fn a_service_is_at_its_declared_port_also_where_that_takes_a_privilege_on_the_machine() {
    if !has_namespaces() {
        return;
    }
    bounded(async {
        let port = 83;
        let testbed = testbed_at(port, "10.231.7.0/24", "", "").await;
        let server = testbed.serve().await;
        let jobs = submit(&testbed, port, "", "ask 127.0.0.1 GET /_sim/faults").await;
        let (conclusion, log) = ends(&testbed, jobs).await.remove(0);
        assert_eq!(conclusion, "success", "{log}");
        assert!(log.contains("is ready on port 83"), "{log}");
        ends_with_nothing_left(&testbed, server, "10.231.7.").await;
    })
    .await;
}

#[tokio::test]
async fn without_root_services_have_ports_of_their_own_and_the_log_says_why() {
    if !has_namespaces() {
        return;
    }
    bounded(async {
        let (testbed, port) = testbed("10.231.8.0/24", "", "").await;
        let dir = testbed.path("");
        // The executable may be a link to the one that all tests share.
        let own = dir.join("own");
        fs::copy(testbed.command().as_std().get_program(), &own).unwrap();
        fs::rename(&own, dir.join("ecsrunner")).unwrap();
        let given = Command::new("chown").args(["-R", "63990:63990"]).arg(&dir).status().unwrap();
        assert!(given.success());
        let without = ["--reuid=63990", "--regid=63990", "--clear-groups"];
        let server = testbed.serve_by(wrapped(&testbed, "setpriv", &without)).await;
        let jobs = submit(&testbed, port, "", "ask 127.0.0.1 GET /_sim/faults").await;
        let (conclusion, log) = ends(&testbed, jobs).await.remove(0);
        assert_eq!(conclusion, "success", "{log}");
        let log = server_log(&testbed);
        let told = log.lines().filter(|line| line.contains("listen on ports of their own")).count();
        assert_eq!(told, 1, "{log}");
        assert!(log.contains("\"reason\":\"the server is not root\""), "{log}");
        let is_gone = |runner: &Value| runner["state"] == "gone";
        server.api().until("the runner to be gone", |api| api.runners.iter().all(is_gone)).await;
        server.terminate().await;
        until("nothing to be left", || left(&testbed, "10.231.8.").is_empty()).await;
    })
    .await;
}

#[tokio::test]
async fn where_no_namespace_can_be_made_services_have_ports_of_their_own_and_the_log_says_why() {
    if !has_namespaces() {
        return;
    }
    bounded(async {
        let (testbed, port) = testbed("10.231.6.0/24", "", "").await;
        let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
        // Root without the right to make one, as in most containers.
        let without = ["--bounding-set=-sys_admin", "--inh-caps=-sys_admin"];
        let server = testbed.serve_by(wrapped(&testbed, "setpriv", &without)).await;
        let jobs = submit(&testbed, port, "", "echo reached").await;
        let (conclusion, log) = ends(&testbed, jobs).await.remove(0);
        assert_eq!(conclusion, "failure", "{log}");
        assert!(log.contains(&format!("puts it at port {port}")), "{log}");
        drop(taken);
        let jobs = submit(&testbed, port, "", "ask 127.0.0.1 GET /_sim/faults").await;
        let (conclusion, log) = ends(&testbed, jobs).await.remove(0);
        assert_eq!(conclusion, "success", "{log}");
        let log = server_log(&testbed);
        let told = log.lines().filter(|line| line.contains("listen on ports of their own")).count();
        assert_eq!(told, 1, "{log}");
        assert!(log.contains("a network namespace cannot be made: Operation not permitted"), "{log}");
        let doctor = crate::job_logs::output(&testbed, &["doctor"]).await;
        let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
        assert!(doctor.contains("no task has a network namespace"), "{doctor}");
        ends_with_nothing_left(&testbed, server, "10.231.6.").await;
    })
    .await;
}
