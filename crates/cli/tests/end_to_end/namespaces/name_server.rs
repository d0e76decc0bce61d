//! A name server on loopback.

use std::fs;
use std::net::UdpSocket;

use super::wrapped;
use crate::testbed::Testbed;

/// A name server on this machine's loopback, which answers in capitals.
pub(super) struct NameServer;

impl NameServer {
    pub(super) fn start(testbed: &Testbed) -> Self {
        let socket = UdpSocket::bind("127.0.0.77:53").unwrap();
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut question) {
                socket.send_to(&question[..length].to_ascii_uppercase(), from).unwrap();
            }
        });
        fs::write(testbed.path("resolv.conf"), "nameserver 127.0.0.77\n").unwrap();
        Self
    }

    /// Wraps the server's command in a mount namespace where `/etc/resolv.conf` names this server.
    pub(super) fn with_resolv_conf(&self, testbed: &Testbed) -> tokio::process::Command {
        let mount = format!("mount --bind {} /etc/resolv.conf", testbed.path("resolv.conf").display());
        wrapped(testbed, "unshare", &["--mount", "/bin/sh", "-c", &format!("{mount} && exec \"$@\""), "sh"])
    }
}
