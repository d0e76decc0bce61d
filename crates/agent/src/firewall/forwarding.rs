//! Whether this machine forwards packets of IPv4, which every network of a task takes.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{change, iptables};
use crate::log::Log;

/// The kernel's settings of this process's network.
const SETTINGS: &str = "/proc/sys/net";
const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";
/// Whether packets that stay on one bridge go through the chain `FORWARD` too.
const BRIDGED: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";
/// The comment of the rule that stays.
const COMMENT: &str = "bridged-as-before";

/// Has the machine forward packets of IPv4, if it does not. It then forwards what a rule accepts, and nothing else: a
/// machine that has not been a router does not become one. What stays on a bridge is let through as before. Returns
/// whether anything was changed.
///
/// A machine that forwards between some of its devices is left as it is: the firewall would drop that.
pub(crate) fn forward() -> io::Result<bool> {
    let is_off = || fs::read_to_string(FORWARD).map(|text| text.trim() == "0");
    if !is_off()? {
        return Ok(false);
    }
    if let Some(on) = forwards_in_part(Path::new(SETTINGS)) {
        // Another task's keeper may have switched it on meanwhile.
        return if is_off()? { Err(in_part(&on)) } else { Ok(false) };
    }
    let failed =
        |error: io::Error| io::Error::new(error.kind(), format!("{FORWARD} cannot be written: {error}"));
    // Before the firewall is changed, which would stay so.
    let mut file = OpenOptions::new().write(true).open(FORWARD).map_err(failed)?;
    forward_by_rules_alone()?;
    file.write_all(b"1").map(|()| true).map_err(failed)
}

/// Tells what [`forward`] has changed, which stays so.
pub(crate) fn tell(log: &mut Log<impl Write>) {
    log.info(
        "this machine now forwards packets of IPv4",
        &[("setting", &"net.ipv4.ip_forward"), ("policy", &"FORWARD DROP")],
    );
}

/// Drops every packet between networks of this machine that no rule accepts.
fn forward_by_rules_alone() -> io::Result<()> {
    let accepts = iptables("filter", &["-S", "FORWARD"])?.lines().any(|line| line == "-P FORWARD ACCEPT");
    if accepts && is_on(Path::new(BRIDGED)) {
        // After all others, where the policy has let them through until now.
        let bridged = ("filter", "FORWARD -m physdev --physdev-is-bridged -j ACCEPT".to_owned());
        if change("-C", &bridged, COMMENT).is_err() {
            change("-A", &bridged, COMMENT)?;
        }
    }
    iptables("filter", &["-P", "FORWARD", "DROP"]).map(drop)
}

fn in_part(on: &Path) -> io::Error {
    io::Error::other(format!(
        "{FORWARD} is 0, but {} is 1: this machine forwards packets in part, and that would be cut off. Write 1 to {FORWARD} \
         if it may forward packets between all of its networks",
        on.display()
    ))
}

/// Returns the setting of a device by which packets of IPv4 are forwarded while [`FORWARD`] is off.
fn forwards_in_part(settings: &Path) -> Option<PathBuf> {
    let devices = fs::read_dir(settings.join("ipv4/conf")).into_iter().flatten().flatten();
    devices.map(|device| device.path().join("forwarding")).find(|file| is_on(file))
}

fn is_on(setting: &Path) -> bool {
    fs::read_to_string(setting).is_ok_and(|text| text.trim() == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_forwards_between_some_devices_forwards_in_part() {
        for on in ["ipv4/conf/eth0/forwarding", "ipv4/conf/default/forwarding"] {
            let settings = tempfile::tempdir().unwrap();
            for file in ["ipv4/conf/all/forwarding", "ipv4/conf/lo/forwarding", on] {
                fs::create_dir_all(settings.path().join(file).parent().unwrap()).unwrap();
                fs::write(settings.path().join(file), "0\n").unwrap();
            }
            assert_eq!(forwards_in_part(settings.path()), None);
            fs::write(settings.path().join(on), "1\n").unwrap();
            assert_eq!(forwards_in_part(settings.path()), Some(settings.path().join(on)));
        }
    }
}
