//! The network of a Docker engine: real engines, each on a machine of its own as far as networks go.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::docker::{PATH, has_engine};
use crate::harness::until;

/// The runner's user, and one that is another job's.
const RUNNER: u32 = 61_996;
const OTHER: u32 = 61_997;

/// A network namespace with a process in it, which ends with its input.
struct Host {
    child: Child,
    _input: ChildStdin,
}

impl Host {
    /// `lines` are executed in it first.
    fn start(dir: &Path, lines: &str) -> Self {
        // Its own devices, and the cgroups that engines need.
        let script = format!(
            "mkdir -p {cgroups:?} && mount --rbind /sys/fs/cgroup {cgroups:?} && mount -t sysfs sysfs /sys && \
             mount --rbind {cgroups:?} /sys/fs/cgroup && ip link set dev lo up && {lines} && echo ready && read end",
            cgroups = dir.join("cgroups")
        );
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "/bin/sh", "-ec", &script]).env("PATH", PATH);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{script}");
        let input = child.stdin.take().unwrap();
        Self { child, _input: input }
    }

    /// A command in it.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--mount", "--target", &self.child.id().to_string()]).arg(program);
        command.env_clear().env("PATH", PATH);
        command
    }

    /// Executes a shell line, and returns what it prints.
    fn told(&self, line: &str) -> String {
        let output = self.command(Path::new("/bin/sh")).args(["-ec", line]).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Whether a user reaches a port from here.
    fn reaches(&self, user: u32, address: &str, port: u16) -> bool {
        reaches(&["--net".to_owned(), format!("--target={}", self.child.id())], user, address, port)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Whether a user reaches a port from a namespace.
fn reaches(namespace: &[String], user: u32, address: &str, port: u16) -> bool {
    let mut command = Command::new("nsenter");
    let connect = format!("exec 3<>/dev/tcp/{address}/{port}");
    command.args(namespace).args(["setpriv", &format!("--reuid={user}"), "--clear-groups"]);
    command.args(["timeout", "1", "bash", "-c", &connect]);
    command.stderr(Stdio::null()).status().unwrap().success()
}

/// A keeper with its order.
struct Keeper {
    child: Child,
    input: Option<ChildStdin>,
    answer: Value,
}

impl Keeper {
    fn start(mut command: Command, order: &Value) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        writeln!(input, "{order}").unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, input: Some(input), answer: serde_json::from_str(&line).unwrap() }
    }

    fn end(&mut self) {
        drop(self.input.take());
        self.child.wait().unwrap();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end();
    }
}

/// An engine on a machine of its own.
struct Engine {
    keeper: Keeper,
    machine: Host,
    dir: TempDir,
}

impl Engine {
    fn start(addresses: &str, lines: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let off = "echo 0 >/proc/sys/net/ipv4/ip_forward; \
                   for it in /proc/sys/net/bridge/bridge-nf-call-iptables; do test ! -e $it || echo 0 >$it; done";
        let machine = Host::start(dir.path(), &format!("{off}; {lines}"));
        let executable = env!("CARGO_BIN_EXE_ecsrunner-agent");
        let find = |name: &str| PATH.split(':').map(|dir| Path::new(dir).join(name)).find(|it| it.is_file());
        let order = json!({
            "dir": dir.path().join("docker"),
            "socket": dir.path().join("docker.sock"),
            "owner": [RUNNER, RUNNER],
            "executable": executable,
            "dockerd": find("dockerd").unwrap(),
            "arguments": ["--storage-driver=vfs"],
            "environment": [["PATH", {"Unix": PATH.as_bytes()}]],
            "addresses": addresses,
            "limit_secs": 60,
            "view": {"binds": [], "kept": []},
        });
        let mut command = machine.command(Path::new(executable));
        command.arg("agent-docker").arg(dir.path().join("docker"));
        Self { keeper: Keeper::start(command, &order), machine, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Executes `docker` with these words.
    fn docker(&self, words: &str) -> String {
        self.machine.told(&format!("docker --host unix://{} {words}", self.path("docker.sock").display()))
    }

    /// Makes an image with a web server, and a page for it.
    fn make_image(&self) {
        let image = self.path("image");
        self.machine.told(&format!(
            "mkdir -p {image:?}/bin && cp $(command -v busybox) {image:?}/bin/busybox && echo word >{image:?}/word && \
             for name in sh httpd; do ln -s busybox {image:?}/bin/$name; done"
        ));
        let socket = self.path("docker.sock");
        self.machine.told(&format!(
            "tar -C {image:?} -c . | docker --host unix://{} import - base:1",
            socket.display()
        ));
    }

    /// Starts a container with a web server, and returns its address.
    fn serve(&self, name: &str, options: &str) -> String {
        self.docker(&format!("run -d --name {name} {options} base:1 /bin/httpd -f -p 80 -h /"));
        let format = "'{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'";
        self.docker(&format!("inspect --format {format} {name}")).trim().to_owned()
    }

    /// Whether the machine forwards packets, and by which rules.
    fn rules(&self) -> String {
        let policy = "iptables -S FORWARD | grep -e '-P '";
        self.machine.told(&format!(
            "cat /proc/sys/net/ipv4/ip_forward; {policy}; iptables-save | grep -e '-A ' || true"
        ))
    }
}

#[test]
fn a_machine_that_forwards_nothing_then_forwards_for_engines_only_what_a_rule_accepts() {
    if !has_engine() {
        return;
    }
    let mut engine = Engine::start("10.241.0.0/22", "true");
    let answer = engine.keeper.answer.clone();
    assert!(answer["told"]["Ready"].is_object() && answer["switched_on"] == true, "{answer}");
    engine.keeper.end();
    assert_eq!(engine.rules(), "1\n-P FORWARD DROP\n", "what stays");
    assert!(engine.machine.told("iptables -S").contains("-N ECSRUNNER-USER"), "an operator's rules stay");
}

#[test]
fn rules_of_the_operator_stay_whatever_their_comments_are() {
    if !has_engine() {
        return;
    }
    let rule = |chain: &str, comment: &str| {
        format!("-A {chain} -d 10.0.0.0/8 -m comment --comment {comment} -j DROP")
    };
    let rules = [
        rule("ECSRUNNER-USER", "ecsrunner-internal"),
        rule("ECSRUNNER-USER", "\"ecsrunner: no internal\""),
        // As if it were a rule for a device that is gone.
        rule("ECSRUNNER-USER", "ecsr0af11b00-0123456789abcdef"),
        rule("FORWARD", "ecsrunner-too"),
        rule("FORWARD", "\"ecsrunner: and \\\"this\\\"\""),
    ];
    let commands = rules.each_ref().map(|rule| format!("iptables {rule}")).join(" && ");
    let mut engine = Engine::start("10.241.24.0/22", &format!("iptables -N ECSRUNNER-USER && {commands}"));
    let answer = engine.keeper.answer.clone();
    assert!(answer["told"]["Ready"].is_object(), "{answer}");
    let stay = |when: &str| {
        let listed = engine.machine.told("iptables -S");
        for rule in &rules {
            assert!(listed.lines().any(|line| line == rule), "{when}, {rule}: {listed}");
        }
    };
    stay("once the engine runs");
    engine.keeper.end();
    stay("after it");
}

#[test]
fn what_was_switched_on_for_an_engine_that_does_not_come_up_is_told_too() {
    if !has_engine() {
        return;
    }
    // The one part is in use.
    let engine = Engine::start("10.241.12.0/22", "ip link add name ecsr0af10c00 type bridge");
    let answer = &engine.keeper.answer;
    assert!(answer["told"]["Failed"].is_object() && answer["switched_on"] == true, "{answer}");
    assert_eq!(engine.rules(), "1\n-P FORWARD DROP\n");
}

#[test]
fn an_engine_leaves_a_machine_that_forwards_between_some_devices_as_it_is() {
    if !has_engine() {
        return;
    }
    let on = "/proc/sys/net/ipv4/conf/lo/forwarding";
    let engine = Engine::start("10.241.4.0/22", &format!("echo 1 >{on}"));
    let answer = &engine.keeper.answer;
    let reason = answer["told"]["Failed"]["reason"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let expected = format!("it has no network: /proc/sys/net/ipv4/ip_forward is 0, but {on} is 1: ");
    assert!(reason.starts_with(&expected), "{reason}");
    assert_eq!(engine.rules(), "0\n-P FORWARD ACCEPT\n");
}

#[test]
fn an_engine_takes_no_addresses_that_a_route_of_the_machine_leads_to() {
    if !has_engine() {
        return;
    }
    let route = "ip link add name other type bridge && ip address add 10.241.9.1/24 dev other && \
                 ip link set dev other up";
    let engine = Engine::start("10.241.8.0/21", route);
    assert!(engine.keeper.answer["told"]["Ready"].is_object(), "{}", engine.keeper.answer);
    let devices = engine.machine.told("ip -o link");
    assert!(devices.contains("ecsr0af10c00") && !devices.contains("ecsr0af10800"), "{devices}");
    drop(engine);
    let whole = Engine::start("10.241.8.0/22", route);
    let reason = whole.keeper.answer["told"]["Failed"]["reason"].as_str().unwrap();
    let expected = "it has no network: all of 10.241.8.0/22 is in use by other Docker engines, or by routes of this \
                    machine: choose others in runner.docker.addresses";
    assert_eq!(reason, expected);
}

#[test]
fn only_its_own_job_reaches_what_a_container_does_not_publish() {
    if !has_engine() {
        return;
    }
    // Also what stays on a bridge goes through the firewall.
    let bridged =
        "for it in /proc/sys/net/bridge/bridge-nf-call-iptables; do test ! -e $it || echo 1 >$it; done";
    let engine = Engine::start("10.241.16.0/22", bridged);
    assert!(engine.keeper.answer["told"]["Ready"].is_object(), "{}", engine.keeper.answer);
    let (machine, elsewhere) = (&engine.machine, Host::start(engine.dir.path(), "true"));
    let link = format!("ip link add name up0 type veth peer name up1 netns {}", elsewhere.child.id());
    machine.told(&format!("{link} && ip address add 198.51.100.2/24 dev up0 && ip link set dev up0 up"));
    elsewhere.told(
        "ip link set dev up1 up && ip address add 198.51.100.1/24 dev up1 && \
         ip route add default via 198.51.100.2",
    );
    engine.make_image();
    let web = engine.serve("web", "-p 8088:80");
    assert!(web.starts_with("10.241.16."), "{web}");
    let network = "network create --subnet 172.29.3.0/24 --opt com.docker.network.bridge.name=own0 own";
    engine.docker(network);
    let own = engine.serve("own", "--network own");
    let rules = || engine.rules().lines().filter(|line| line.contains("own0")).count();
    until("the rules of the job's network", || rules() == 3);

    // After the engine's, the rules of a task with services let its packets through.
    let mut command = machine.command(Path::new(env!("CARGO_BIN_EXE_ecsrunner-agent")));
    command.arg("agent-network").arg(engine.path("service/network"));
    let services = Keeper::start(command, &json!({"addresses": "10.242.16.0/30", "loopback": []}));
    let ready = &services.answer["Ready"];
    let of_services =
        [format!("--net=/proc/{}/fd/{}", services.child.id(), ready["descriptor"].as_i64().unwrap())];
    // As where an operator has made the machine a router.
    machine.told("iptables -P FORWARD ACCEPT");
    for address in [&web, &own] {
        assert!(machine.reaches(RUNNER, address, 80), "the job itself: {address}");
        assert!(machine.reaches(0, address, 80), "root: {address}");
        assert!(!machine.reaches(OTHER, address, 80), "another job: {address}");
        assert!(!elsewhere.reaches(0, address, 80), "another machine: {address}");
        assert!(!reaches(&of_services, OTHER, address, 80), "a job with services: {address}");
    }
    assert!(machine.reaches(OTHER, "127.0.0.1", 8088), "what is published");
    assert!(elsewhere.reaches(0, "198.51.100.2", 8088), "what is published");
    assert!(reaches(&of_services, OTHER, "198.51.100.2", 8088), "what is published");

    machine.told("iptables -P FORWARD DROP");
    // Every server of the machine answers containers, and containers of one network reach each other.
    let page = engine.path("image").display().to_string();
    let server =
        format!("exec setpriv --reuid={OTHER} --clear-groups busybox httpd -f -p 10.241.16.1:8090 -h {page}");
    machine.told(&format!("chmod a+rx {} {page}", engine.dir.path().display()));
    let mut server = machine.command(Path::new("/bin/sh")).args(["-c", &server]).spawn().unwrap();
    until("the machine's server", || machine.reaches(0, "10.241.16.1", 8090));
    let get = |network: &str, address: &str, port: u16| {
        let ask = r"printf 'GET /word HTTP/1.0\r\n\r\n' | /bin/busybox nc -w 5";
        engine.docker(&format!("run --rm --network {network} base:1 /bin/sh -c \"{ask} {address} {port}\""))
    };
    for (network, address, port) in
        [("bridge", "10.241.16.1", 8090), ("bridge", web.as_str(), 80), ("own", own.as_str(), 80)]
    {
        let answer = get(network, address, port);
        assert!(answer.ends_with("\nword\n"), "{network} {address}: {answer}");
    }
    server.kill().unwrap();
    server.wait().unwrap();

    engine.docker("rm --force own");
    engine.docker("network rm own");
    until("the rules to go with the network", || rules() == 0);
    drop(services);
    let Engine { mut keeper, machine, dir } = engine;
    keeper.end();
    let left = machine.told("iptables-save | grep -e '-A ' || true");
    let expected =
        "-A FORWARD -m physdev --physdev-is-bridged -m comment --comment bridged-as-before -j ACCEPT\n";
    assert_eq!(left, expected);
    drop(dir);
}
