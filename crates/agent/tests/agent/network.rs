//! The keeper of a task's network namespace, with the kernel's own namespaces, devices and rules.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use ecsrunner_skip::skip;
use serde_json::{Value, json};

use crate::harness::until;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn has_namespaces() -> bool {
    let is_there = |name: &str| PATH.split(':').any(|dir| Path::new(dir).join(name).is_file());
    let tried = Command::new("unshare").args(["--net", "true"]).output();
    let may = nix::unistd::geteuid().is_root() && tried.is_ok_and(|tried| tried.status.success());
    if !may || !is_there("ip") || !is_there("iptables") {
        skip("a network namespace takes root, `ip` and `iptables` (Debian: iproute2, iptables)");
    }
    may && is_there("ip") && is_there("iptables")
}

/// A keeper with its order. It ends with its input.
struct Keeper {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Keeper {
    fn start(mut command: Command, addresses: &str, loopback: &[String]) -> Self {
        let mut child = command
            .env_clear()
            .env("PATH", PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        writeln!(input, "{}", json!({"addresses": addresses, "loopback": loopback})).unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input: Some(input), output }
    }

    fn of(task: &str, addresses: &str) -> Self {
        Self::start(command(task), addresses, &[])
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn address(&mut self) -> String {
        let answer = self.answer();
        answer["Ready"]["address"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
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

/// A directory of a task, which need not exist.
fn dir(task: &str) -> PathBuf {
    PathBuf::from(format!("/tasks/test-{}-{task}/network", std::process::id()))
}

fn command(task: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ecsrunner-agent"));
    command.arg("agent-network").arg(dir(task));
    command
}

fn output(words: &[&str]) -> String {
    let output = Command::new(words[0]).args(&words[1..]).env("PATH", PATH).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The devices and rules whose names begin with the digits of a range.
fn left(digits: &str) -> Vec<String> {
    let text = output(&["ip", "-o", "link"]) + &output(&["iptables-save"]);
    text.lines().filter(|line| line.contains(&format!("ecsn{digits}"))).map(str::to_owned).collect()
}

#[test]
fn tasks_at_once_have_different_addresses_and_the_one_too_many_is_told_why_it_has_none() {
    if !has_namespaces() {
        return;
    }
    let range = "10.232.1.0/28";
    let mut keepers: Vec<Keeper> = (0..4).map(|task| Keeper::of(&format!("many-{task}"), range)).collect();
    let addresses: BTreeSet<String> = keepers.iter_mut().map(Keeper::address).collect();
    let expected = [2, 6, 10, 14].map(|byte| Ipv4Addr::new(10, 232, 1, byte).to_string());
    assert_eq!(addresses, BTreeSet::from(expected));
    let mut one_more = Keeper::of("many-4", range);
    let answer = one_more.answer();
    let reason = answer["Failed"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("all of 10.232.1.0/28 is in use by other tasks, or by routes"), "{reason}");
    // What has failed ends by itself, and takes nothing from the others.
    one_more.child.wait().unwrap();
    assert_eq!(left("0ae80100").len(), 6, "a device, and five rules");
    keepers.clear();
    assert_eq!(left("0ae801"), Vec::<String>::new());
}

#[test]
fn addresses_that_a_route_of_the_machine_leads_to_are_not_taken() {
    if !has_namespaces() {
        return;
    }
    // The device of a network that has half of the range.
    output(&["ip", "link", "add", "name", "ecstest232", "type", "bridge"]);
    output(&["ip", "address", "add", "10.232.2.1/29", "dev", "ecstest232"]);
    output(&["ip", "link", "set", "dev", "ecstest232", "up"]);
    let mut keepers: Vec<Keeper> =
        (0..3).map(|task| Keeper::of(&format!("route-{task}"), "10.232.2.0/28")).collect();
    let answers: Vec<Value> = keepers.iter_mut().map(Keeper::answer).collect();
    output(&["ip", "link", "delete", "dev", "ecstest232"]);
    let mut taken: Vec<&str> =
        answers.iter().filter_map(|answer| answer["Ready"]["address"].as_str()).collect();
    taken.sort_unstable();
    assert_eq!(taken, ["10.232.2.10", "10.232.2.14"], "{answers:?}");
}

#[test]
fn what_a_killed_keeper_left_is_removed_by_the_next_one_of_any_task() {
    if !has_namespaces() {
        return;
    }
    let mut killed = Keeper::of("killed", "10.232.3.0/30");
    killed.address();
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    // The device goes with the namespace, in which there is no process.
    until("the end of the device", || !fs::exists("/sys/class/net/ecsn0ae80300").unwrap());
    assert_eq!(left("0ae80300").len(), 5, "its rules stay");
    Keeper::of("next", "10.232.3.4/30").address();
    assert_eq!(left("0ae803"), Vec::<String>::new());
}

#[test]
fn a_machine_that_forwards_nothing_then_forwards_only_what_a_rule_accepts() {
    if !has_namespaces() {
        return;
    }
    // A machine of its own, as far as networks go.
    let (answer, rest) = on_a_machine_of_its_own("forward", "10.232.4.0/30", "true");
    assert_eq!(answer["Ready"]["switched_on"], true, "{answer}");
    assert_eq!(rest, "1\n-P FORWARD DROP\n", "what stays, and nothing else that is forwarded");
}

#[test]
fn rules_of_others_stay_whatever_their_comments_are() {
    if !has_namespaces() {
        return;
    }
    let rules = ["ecsnat-internal", "\"ecsnat: no internal\""]
        .map(|comment| format!("-A FORWARD -d 10.0.0.0/8 -m comment --comment {comment} -j DROP"));
    let command = rules.each_ref().map(|rule| format!("iptables {rule}")).join(" && ");
    let (answer, rest) = on_a_machine_of_its_own("others", "10.232.8.0/30", &command);
    assert!(answer["Ready"].is_object(), "{answer}");
    assert_eq!(rest, format!("1\n-P FORWARD DROP\n{}\n", rules.join("\n")));
}

#[test]
fn what_stays_on_a_bridge_is_let_through_as_before() {
    if !has_namespaces() {
        return;
    }
    let on = "/proc/sys/net/bridge/bridge-nf-call-iptables";
    if !Path::new(on).exists() {
        skip("this machine has no module br_netfilter");
        return;
    }
    let rule =
        "-A FORWARD -m physdev --physdev-is-bridged -m comment --comment bridged-as-before -j ACCEPT\n";
    for (before, expected) in [("true", rule), ("iptables -P FORWARD DROP", "")] {
        let command = format!("echo 1 >{on} && {before}");
        let (answer, rest) = on_a_machine_of_its_own("bridged", "10.232.7.0/30", &command);
        assert_eq!(answer["Ready"]["switched_on"], true, "{answer}");
        assert_eq!(rest, format!("1\n-P FORWARD DROP\n{expected}"), "after `{before}`");
    }
}

#[test]
fn a_machine_that_forwards_in_part_is_left_as_it_is() {
    if !has_namespaces() {
        return;
    }
    let on = "/proc/sys/net/ipv4/conf/lo/forwarding";
    let (answer, rest) = on_a_machine_of_its_own("part", "10.232.6.0/30", &format!("echo 1 >{on}"));
    let reason = answer["Failed"]["reason"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert!(reason.starts_with(&format!("/proc/sys/net/ipv4/ip_forward is 0, but {on} is 1: ")), "{reason}");
    assert_eq!(rest, "0\n-P FORWARD ACCEPT\n");
}

/// Runs a keeper where no packets are forwarded, after a command, and ends it. Returns its answer, and then whether packets
/// are forwarded, and by which rules.
fn on_a_machine_of_its_own(task: &str, addresses: &str, command: &str) -> (Value, String) {
    let script = format!(
        "mount -t sysfs sysfs /sys && echo 0 >/proc/sys/net/ipv4/ip_forward && ip link set dev lo up && \
         for it in /proc/sys/net/bridge/bridge-nf-call-iptables; do test ! -e $it || echo 0 >$it; done && {command} && \
         \"$@\"; cat /proc/sys/net/ipv4/ip_forward; iptables -S FORWARD"
    );
    let mut wrapped = Command::new("unshare");
    wrapped.args(["--net", "--mount", "/bin/sh", "-c", &script, "sh"]);
    wrapped.arg(env!("CARGO_BIN_EXE_ecsrunner-agent")).arg("agent-network").arg(dir(task));
    let mut keeper = Keeper::start(wrapped, addresses, &[]);
    let answer = keeper.answer();
    drop(keeper.input.take());
    let mut rest = String::new();
    keeper.output.read_to_string(&mut rest).unwrap();
    (answer, rest)
}

#[test]
fn an_address_that_cannot_be_listened_on_is_told_and_nothing_is_left() {
    if !has_namespaces() {
        return;
    }
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().to_string();
    // Twice the same.
    let mut keeper = Keeper::start(command("twice"), "10.232.5.0/30", &[taken.clone(), taken.clone()]);
    let answer = keeper.answer();
    let reason = answer["Failed"]["reason"].as_str().unwrap();
    assert!(
        reason.starts_with(&format!("{taken} cannot be listened on: Address already in use")),
        "{reason}"
    );
    keeper.end();
    assert_eq!(left("0ae805"), Vec::<String>::new());
}
