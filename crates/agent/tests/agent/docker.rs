//! The Docker engine of a Docker class.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ecsrunner_skip::skip;
use nix::sys::signal::Signal;

use crate::harness::{Agent, COMPLETE, CONNECT, RUN, WAIT, until};

/// Where a machine's `dockerd` and `docker` are.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What a machine without overlay file systems and without forwarding still has.
const ARGUMENTS: &str = r#"["--storage-driver=vfs"]"#;
/// An agent of a Docker class, whose `dockerd` executes these shell lines.
fn with_dockerd(lines: &str) -> Option<Agent> {
    let agent = Agent::with_listener(&[CONNECT, RUN, COMPLETE]);
    fs::create_dir(agent.path("bin")).unwrap();
    let dockerd = agent.path("bin/dockerd");
    fs::write(&dockerd, format!("#!/bin/bash\n{lines}\n")).unwrap();
    fs::set_permissions(&dockerd, Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", agent.path("bin").display());
    let dir = agent.path("docker");
    may_unshare().then(|| agent.env("PATH", path).env("ECSRUNNER_DOCKER_DIR", dir.display()))
}

fn may_unshare() -> bool {
    let tried = Command::new("unshare").args(["--pid", "--mount", "--fork", "true"]).output();
    let may = nix::unistd::geteuid().is_root() && tried.is_ok_and(|tried| tried.status.success());
    if !may {
        skip("an engine takes root, and namespaces of its own");
    }
    may
}

/// Whether a real engine can be started here, with an image to run.
pub(crate) fn has_engine() -> bool {
    let is_there = |name: &str| PATH.split(':').any(|dir| Path::new(dir).join(name).is_file());
    let missing = ["dockerd", "docker", "ip", "iptables", "busybox"].into_iter().find(|name| !is_there(name));
    if let Some(missing) = missing {
        skip(format!("`{missing}` is not installed (Debian: docker.io, iproute2, busybox-static)"));
    }
    missing.is_none() && may_unshare()
}

/// What an engine has left on this machine, by its directory and the beginning of its addresses.
fn left_by(dir: &Path, addresses: Option<&str>) -> Vec<String> {
    let dir = dir.to_str().unwrap();
    let mut left = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        left.extend(Some(String::from_utf8_lossy(&words).replace('\0', " ")).filter(|it| it.contains(dir)));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    left.extend(mounts.lines().filter(|line| line.contains(dir)).map(str::to_owned));
    let task = Path::new(dir).parent().unwrap().file_name().unwrap().to_str().unwrap();
    let cgroup = format!("ecsrunner-{task}");
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let cgroups = hierarchies.flat_map(|it| [it.path(), it.path().join(&cgroup)]);
    let cgroups =
        cgroups.filter(|path| path.file_name().is_some_and(|name| *name == *cgroup) && path.exists());
    left.extend(cgroups.map(|path| path.display().to_string()));
    for command in
        [&["ip", "-o", "-4", "address"][..], &["iptables-save"]].into_iter().filter(|_| addresses.is_some())
    {
        let output = Command::new(command[0]).args(&command[1..]).env("PATH", PATH).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        left.extend(text.lines().filter(|line| line.contains(addresses.unwrap())).map(str::to_owned));
    }
    left
}

/// Kills the process whose arguments are a keeper's, and returns when it has ended.
fn kill_keeper(dir: &Path) {
    let is_keeper = |process: &Path| {
        let words = fs::read_to_string(process.join("cmdline")).unwrap_or_default();
        words.ends_with(&format!("\0agent-docker\0{}\0", dir.display()))
    };
    let keeper = fs::read_dir("/proc").unwrap().flatten().find(|process| is_keeper(&process.path())).unwrap();
    let pid = keeper.file_name().to_str().unwrap().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    until("the end of the keeper", || !is_keeper(&keeper.path()));
}

/// Kills what works below a directory: the listener of an agent that was killed, and what it has started.
fn kill_processes_in(dir: &Path) {
    let works_there =
        |process: &Path| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
    let pids = || {
        let there = fs::read_dir("/proc").unwrap().flatten().filter(|process| works_there(&process.path()));
        there.filter_map(|process| process.file_name().to_str()?.parse().ok()).collect::<Vec<i32>>()
    };
    until("the end of what works there", || {
        let left = pids();
        for pid in &left {
            let _gone = nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), Signal::SIGKILL);
        }
        left.is_empty()
    });
}

#[test]
fn a_docker_class_without_dockerd_ends_with_a_code_of_its_own() {
    let agent = Agent::with_listener(&["touch listener-ran"]);
    let dir = agent.path("docker");
    let agent = agent.env("ECSRUNNER_DOCKER_DIR", dir.display()).env("PATH", "/nonexistent");
    let ended = agent.run().ended_with(36, "docker_failed");
    let expected = if nix::unistd::geteuid().is_root() {
        "the Docker engine did not come up: no `dockerd` is in PATH"
    } else {
        "the Docker engine did not come up: only root can start one"
    };
    assert_eq!(ended.detail(), expected);
    assert!(!ended.path("runner/listener-ran").exists());
}

#[test]
fn a_dockerd_that_ends_is_told_with_its_last_words_and_no_listener_is_started() {
    let words = r#"printf 'failed to start daemon: \033[31mno\n{"exit_record":1}\n' >&2; exit 3"#;
    let Some(agent) = with_dockerd(words) else { return };
    let ended = agent.run().ended_with(36, "docker_failed");
    assert!(ended.detail().contains("bin/dockerd` ended with exit status: 3"), "{}", ended.detail());
    let words = ended.told("docker engine failed", "last_words");
    assert_eq!(words, "failed to start daemon:  [31mno {\"exit_record\":1}");
    assert!(!ended.text().contains("listener started"), "{}", ended.text());
    assert_eq!(left_by(&ended.path("docker"), None), Vec::<String>::new());
}

/// It ignores TERM, and so does what it has started, which has left its session.
const LASTING: &str = r#"trap '' TERM
setsid bash -c "exec -a $0-child sleep 300" &
while :; do sleep 300; done"#;

#[test]
fn a_dockerd_that_does_not_answer_in_time_is_killed_with_all_that_it_has_started() {
    let Some(agent) = with_dockerd(LASTING) else {
        return;
    };
    let ended = agent.env("ECSRUNNER_DOCKER_LIMIT_SECS", 1).run().ended_with(36, "docker_failed");
    assert!(ended.detail().ends_with("bin/dockerd` did not answer within 1 s"), "{}", ended.detail());
    assert_eq!(left_by(&ended.path("docker"), None), Vec::<String>::new());
    assert_eq!(left_by(&ended.path("bin"), None), Vec::<String>::new());
}

/// A job that makes an image, and runs containers from it and from one that is built on it.
const JOB: &str = r#"
set -e
echo "host $DOCKER_HOST hooks ${ACTIONS_RUNNER_CONTAINER_HOOKS:-none}"
stat -c 'socket %u %g %a' "${DOCKER_HOST#unix://}"
mkdir -p "$PWD/_work/image/bin"
cp "$(command -v busybox)" _work/image/bin/busybox
for name in sh cat ls id sleep nslookup httpd stat wget; do ln -s busybox "_work/image/bin/$name"; done
tar -C _work/image -c . | docker import - base:1 >/dev/null
printf 'FROM base:1\nRUN echo built > /word\n' | docker build --network none -t job:1 - >/dev/null
docker run --rm job:1 cat /word
docker network create jobs >/dev/null
docker run -d --name web --network jobs -p 127.0.0.1::80 job:1 httpd -f -p 80 -h / >/dev/null
docker run --rm --network jobs job:1 wget -q -O - http://web/word
exec 3<>"/dev/tcp/127.0.0.1/$(docker port web 80 | sed 's/.*://')"
printf 'GET /word HTTP/1.0\r\n\r\n' >&3
echo "published $(tail -n 1 <&3)"
# As the official runner does for a job in a container.
docker run --rm -v /var/run/docker.sock:/var/run/docker.sock -v "$PWD/_work:/__w" job:1 \
    sh -c 'stat -c "mounted %F" /var/run/docker.sock; echo root >/__w/of-root'
stat -c 'file %u' _work/of-root
docker run -d --name stays job:1 sleep 300 >/dev/null
"#;

fn with_job(addresses: &str, job: &str) -> Option<Agent> {
    if !has_engine() {
        return None;
    }
    let agent = Agent::with_listener(&[CONNECT, RUN, job, COMPLETE]);
    let dir = agent.path("docker");
    let agent = agent.env("PATH", PATH).env("ECSRUNNER_DOCKER_DIR", dir.display());
    Some(agent.env("ECSRUNNER_DOCKER_ARGS", ARGUMENTS).env("ECSRUNNER_DOCKER_ADDRESSES", addresses))
}

#[test]
fn a_job_builds_images_and_runs_containers_and_nothing_of_its_engine_is_left() {
    let Some(agent) = with_job("10.211.0.0/22", JOB) else { return };
    let agent = agent.reachable_by_all().env("ECSRUNNER_RUNNER_UID", 61_999);
    let socket = agent.path("run/agent/docker.sock");
    let ended = agent.run().ended_with(0, "completed");
    let text = ended.text();
    for line in [
        &*format!("host unix://{} hooks none", socket.display()),
        "socket 61999 61999 600",
        "published built",
        "mounted socket",
        "file 0",
    ] {
        assert!(text.lines().any(|told| told == line), "`{line}`: {text}");
    }
    assert_eq!(text.lines().filter(|line| *line == "built").count(), 2, "{text}");
    assert_eq!(left_by(&ended.path("docker"), Some("10.211.")), Vec::<String>::new());
    assert!(!socket.exists());
    let images = ended.path("docker/data/image");
    assert!(images.is_dir(), "the engine's files are removed by who made its directory");
}

#[test]
fn the_engine_ends_though_its_agent_is_killed() {
    let Some(agent) = with_job("10.212.0.0/22", &format!("{JOB}\necho 'engine is in use'\n{WAIT}")) else {
        return;
    };
    let mut running = agent.start();
    running.until("engine is in use");
    let dir = running.path("docker");
    assert!(
        left_by(&dir, Some("10.212.")).iter().any(|line| line.contains("dockerd")),
        "{:?}",
        left_by(&dir, Some("10.212."))
    );
    running.signal(Signal::SIGKILL);
    kill_processes_in(&running.path("runner"));
    // Waits for the keeper.
    ecsrunner_agent::engine::clean_up(&dir, Instant::now() + Duration::from_secs(60)).unwrap();
    assert_eq!(left_by(&dir, Some("10.212.")), Vec::<String>::new());
}

#[test]
fn the_engine_ends_though_its_keeper_is_killed() {
    let Some(agent) = with_job("10.213.0.0/22", &format!("{JOB}\necho 'engine is in use'\n{WAIT}")) else {
        return;
    };
    let mut running = agent.env("ECSRUNNER_STOP_TIMEOUT_SECS", 6).start();
    running.until("engine is in use");
    let dir = running.path("docker");
    kill_keeper(&dir);
    running.until("docker engine ended").signal(Signal::SIGTERM);
    let ended = running.end();
    assert_eq!(ended.ending().1, "interrupted_busy", "{}", ended.text());
    assert_eq!(left_by(&dir, Some("10.213.")), Vec::<String>::new());
}

/// A job that keeps `dockerd` from answering and from ending.
const STUCK: &str = r#"
dir="${DOCKER_HOST#unix://}"; dir="${dir%/run/agent/docker.sock}/docker"
for process in /proc/[0-9]*; do
    if tr '\0' ' ' <"$process/cmdline" 2>/dev/null | grep -q "data-root=$dir/"; then kill -STOP "${process#/proc/}"; fi
done
echo 'engine is stuck'"#;

#[test]
fn an_agent_that_stops_says_how_it_ended_though_its_engine_does_not_end() {
    let job = format!("{STUCK}\n{WAIT}");
    let Some(agent) = with_job("10.217.0.0/22", &job) else { return };
    let mut running = agent.env("ECSRUNNER_STOP_TIMEOUT_SECS", 6).start();
    running.until("engine is stuck");
    let dir = running.path("docker");
    let began = Instant::now();
    running.signal(Signal::SIGTERM);
    running.until("docker engine is left to its keeper");
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    let ended = running.end();
    assert_eq!(ended.ending().1, "interrupted_busy", "{}", ended.text());
    ecsrunner_agent::engine::clean_up(&dir, Instant::now() + Duration::from_secs(60)).unwrap();
    assert_eq!(left_by(&dir, Some("10.217.")), Vec::<String>::new());
}

/// What a job does so that who cleans up reads without end, waits for ever, or removes what is another's.
const TRAPS: &str = r#"
dir="$(dirname "$DOCKER_HOST")"; dir="${dir#unix://}"; dir="${dir%/run/agent}/docker"
docker network create -o com.docker.network.bridge.name=ecsrtrap jobs >/dev/null
# With addresses of its own choice, and the name of another engine's part.
docker network create --subnet 172.29.216.0/24 -o com.docker.network.bridge.name=ecsr0ad80400 own >/dev/null
until grep -q . /sys/class/net/ecsr0ad80400/ifalias; do sleep 0.05; done
for name in keeper network.json engine.json data/network/files/local-kv.db; do
    rm -f "$dir/$name" && mkfifo "$dir/$name"
done
echo 'engine is in use'"#;

#[test]
fn what_a_killed_engine_left_is_found_without_the_files_that_its_job_changed() {
    let Some(agent) = with_job("10.216.0.0/22", &format!("{TRAPS}\n{WAIT}")) else { return };
    let mut running = agent.start();
    running.until("engine is in use");
    let dir = running.path("docker");
    assert!(left_by(&dir, Some("10.216.")).iter().any(|line| line.contains("ecsrtrap")));
    assert!(left_by(&dir, Some("172.29.216.")).iter().any(|line| line.contains("ecsr0ad80400")));
    // Another engine's, which must stay.
    let other = |action: &str| {
        let words = ["link", action, "name", "ecsr0afa0000", "type", "bridge"];
        assert!(Command::new("ip").args(words).env("PATH", PATH).status().unwrap().success());
    };
    other("add");
    // Nobody is left who could end the engine in order.
    running.signal(Signal::SIGSTOP);
    kill_keeper(&dir);
    running.signal(Signal::SIGKILL);
    kill_processes_in(&running.path("runner"));
    let cleaned = ecsrunner_agent::engine::clean_up(&dir, Instant::now() + Duration::from_secs(60));
    let is_there = Path::new("/sys/class/net/ecsr0afa0000").exists();
    other("delete");
    cleaned.unwrap();
    assert!(is_there, "another engine's bridge is removed");
    for addresses in ["10.216.", "172.29.216.", "ecsr0ad8"] {
        assert_eq!(left_by(&dir, Some(addresses)), Vec::<String>::new());
    }
}

#[test]
fn in_a_container_the_default_socket_leads_to_the_engine() {
    if !has_engine() {
        return;
    }
    let job = "docker version --format 'client and server {{.Server.Os}}'\n\
               env -u DOCKER_HOST docker version --format 'by default {{.Server.Os}}'";
    let agent = Agent::with_listener(&[CONNECT, RUN, job, COMPLETE]);
    let dir = agent.path("docker");
    let Some(agent) = agent.env("PATH", PATH).env("ECSRUNNER_DOCKER_DIR", dir.display()).in_container()
    else {
        return;
    };
    // The container's `/run` is not the machine's. Of the networks, it has the machine's.
    let agent = agent
        .after("mount -t tmpfs tmpfs /run")
        .env("ECSRUNNER_DOCKER_ARGS", r#"["--storage-driver=vfs", "--bridge=none", "--iptables=false"]"#);
    let ended = agent.run().ended_with(0, "completed");
    let text = ended.text();
    for line in ["client and server linux", "by default linux"] {
        assert!(text.lines().any(|told| told == line), "`{line}`: {text}");
    }
    assert_eq!(left_by(&ended.path("docker"), None), Vec::<String>::new());
}

#[test]
fn the_images_env_file_cannot_name_another_engine() {
    let Some(agent) = with_job("10.214.0.0/22", "echo \"host $DOCKER_HOST context ${DOCKER_CONTEXT:-none}\"")
    else {
        return;
    };
    fs::write(agent.path("runner/.env"), "DOCKER_HOST=tcp://10.0.0.1\nDOCKER_CONTEXT=other\nA=b\n").unwrap();
    let socket = agent.path("run/agent/docker.sock");
    let ended = agent.run().ended_with(0, "completed");
    let line = format!("host unix://{} context none", socket.display());
    assert!(ended.text().contains(&line), "{}", ended.text());
    assert_eq!(fs::read_to_string(ended.path("runner/.env")).unwrap(), "A=b\n");
}
