//! A host beyond this machine.

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::PATH;
use crate::testbed::{LIMIT, Testbed};

/// A host beyond this machine, which knows no way to the addresses of tasks: it answers only what has the machine's
/// address.
pub(super) struct Elsewhere(Child);

impl Elsewhere {
    pub(super) const ADDRESS: &str = "198.51.100.18";

    pub(super) fn start(testbed: &Testbed, port: u16) -> Self {
        let script = format!(
            "read ready && ip link set dev out0 up && ip address add {}/30 dev out0 && \
             ip route add default via 198.51.100.17 && exec \"$0\" demo github --listen {}:{port}",
            Self::ADDRESS,
            Self::ADDRESS
        );
        let mut child = Command::new("unshare")
            .args(["--net", "/bin/sh", "-c", &script])
            .arg(testbed.path("ecsrunner"))
            .env("PATH", PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let pid = child.id().to_string();
        let is_apart = || {
            let network = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
            network(&pid).is_some_and(|its| Some(its) != network("self"))
        };
        let deadline = Instant::now() + LIMIT;
        while !is_apart() {
            assert!(Instant::now() < deadline, "no network namespace");
            std::thread::sleep(Duration::from_millis(10));
        }
        for words in [
            &["link", "add", "name", "ecstest17", "type", "veth", "peer", "name", "out0", "netns", &pid][..],
            &["address", "add", "198.51.100.17/30", "dev", "ecstest17"],
            &["link", "set", "dev", "ecstest17", "up"],
        ] {
            let output = Command::new("ip").args(words).env("PATH", PATH).output().unwrap();
            assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        child.stdin.take().unwrap().write_all(b"ready\n").unwrap();
        Self(child)
    }

    /// Whether it reaches a port through this machine.
    pub(super) fn reaches(&self, address: &str, port: u16) -> bool {
        let pid = self.0.id().to_string();
        let connect = format!("exec 3<>/dev/tcp/{address}/{port}");
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &pid, "timeout", "1", "bash", "-c", &connect]);
        command.stderr(Stdio::null()).status().unwrap().success()
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}
