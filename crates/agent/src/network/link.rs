//! What a namespace has on the machine: a pair of devices, one of them in the namespace, and rules of the firewall.
//!
//! The namespace's own rules refuse everything that comes from outside, and go with it. The machine's rules let through
//! what leaves, with the machine's address. The name of the device on the machine is the lock of its addresses: the kernel
//! gives each name once. Devices and rules are found by the name of the task's directory, so no file says what a task has.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::Path;

use super::Addresses;
use crate::firewall::{self, Rule, USER_CHAIN};
use crate::routes::Routes;
use crate::tools::{self, run};

/// The names of devices on the machine begin so; 8 digits of the first address follow.
const PREFIX: &str = "ecsn";
/// The device in the namespace.
pub(super) const INNER: &str = "eth0";
/// The kernel's settings of this process's network.
const SETTINGS: &str = "/proc/sys/net";
const UNPRIVILEGED_PORTS: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
/// Which groups may use `ping` without a privilege.
const PING_GROUPS: &str = "/proc/sys/net/ipv4/ping_group_range";

/// The devices of one namespace. Of its four addresses, the second is the machine's and the third the namespace's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Link {
    base: u32,
}

impl Link {
    /// Makes devices with addresses that no other task has, and that no route of the machine leads to. The search begins
    /// at a part that depends on the task, so that addresses are used again late.
    pub(super) fn take(
        addresses: Addresses,
        dir: &Path,
        routes: &Routes,
        namespace: &impl AsRawFd,
    ) -> io::Result<Self> {
        let owner = owner(dir);
        let namespace = format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd());
        let address = tools::hardware_address(&owner);
        let parts = addresses.parts();
        let first = u32::try_from(tools::hash(&owner) % u64::from(parts)).unwrap_or_default();
        for part in 0..parts {
            let link = Self { base: addresses.base_of((first + part) % parts) };
            let name = link.name();
            if routes.lead_to((link.base, 30)) || tools::is_device(&name)? {
                continue;
            }
            let words = ["link", "add", "name", &name, "address", &address, "type", "veth"];
            match run("ip", &[&words[..], &["peer", "name", INNER, "netns", &namespace]].concat()) {
                Ok(_) => return Ok(link),
                Err(error) if !tools::is_device(&name)? => return Err(error),
                Err(_) => {}
            }
        }
        Err(io::Error::other(format!(
            "all of {addresses} is in use by other tasks, or by routes of this machine: choose others in \
             runner.network.addresses"
        )))
    }

    /// Sets up the machine's side. Rules of tasks that are gone are removed: a task's device goes with its namespace.
    pub(super) fn set_up_outside(self, dir: &Path, mtu: &str) -> io::Result<()> {
        let name = self.name();
        firewall::remove_left(PREFIX, &name)?;
        firewall::insert_of(&name, &owner(dir), &self.rules())?;
        prepare(&name, mtu)?;
        run("ip", &["address", "add", &format!("{}/30", self.outer()), "dev", &name])?;
        run("ip", &["link", "set", "dev", &name, "up"]).map(drop)
    }

    /// Sets up the namespace, in a process that is in it. Nothing from outside reaches a port of the task, and the task
    /// reaches no other task, also where this machine's rules would let it.
    /// `ping_groups` are the machine's.
    pub(super) fn set_up_inside(self, addresses: Addresses, mtu: &str, ping_groups: &str) -> io::Result<()> {
        run("ip", &["link", "set", "dev", "lo", "up"])?;
        firewall::insert(&Self::inner_rules(addresses), INNER)?;
        prepare(INNER, mtu)?;
        run("ip", &["address", "add", &format!("{}/30", self.inner()), "dev", INNER])?;
        run("ip", &["link", "set", "dev", INNER, "up"])?;
        run("ip", &["route", "add", "default", "via", &self.outer().to_string()])?;
        // Where they cannot be written, a service with a low port gets another one, and `ping` takes a privilege.
        let _best_effort = fs::write(UNPRIVILEGED_PORTS, "0");
        let _best_effort = fs::write(PING_GROUPS, ping_groups);
        Ok(())
    }

    /// What the task sends leaves the machine with the machine's address, unless the operator refuses it, and only answers
    /// come back.
    fn rules(self) -> [Rule; 5] {
        let (name, inner) = (self.name(), self.inner());
        [
            ("nat", format!("POSTROUTING -s {inner}/32 ! -o {name} -j MASQUERADE")),
            ("filter", format!("FORWARD -i {name} -j {USER_CHAIN}")),
            ("filter", format!("FORWARD -s {inner}/32 -i {name} -j ACCEPT")),
            ("filter", format!("FORWARD -o {name} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")),
            ("filter", format!("FORWARD -o {name} -j DROP")),
        ]
    }

    fn inner_rules(addresses: Addresses) -> [Rule; 3] {
        [
            ("filter", format!("INPUT -i {INNER} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")),
            ("filter", format!("INPUT -i {INNER} -j DROP")),
            ("filter", format!("OUTPUT -o {INNER} -d {addresses} -j DROP")),
        ]
    }

    /// The device on the machine.
    fn name(self) -> String {
        format!("{PREFIX}{:08x}", self.base)
    }

    fn outer(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base + 1)
    }

    /// The namespace's address.
    pub(super) fn inner(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base + 2)
    }
}

/// Keeps a device without addresses of IPv6, and sets its largest packet.
fn prepare(device: &str, mtu: &str) -> io::Result<()> {
    let has_ipv6 = Path::new(SETTINGS).join("ipv6").exists();
    run("ip", &preparation(device, mtu, has_ipv6)).map(drop)
}

fn preparation<'a>(device: &'a str, mtu: &'a str, has_ipv6: bool) -> Vec<&'a str> {
    // A kernel without IPv6 does not know this.
    let addresses: &[&str] = if has_ipv6 { &["addrgenmode", "none"] } else { &[] };
    [&["link", "set", "dev", device], addresses, &["mtu", mtu]].concat()
}

/// Returns which groups may use `ping` in the network of this process.
pub(super) fn ping_groups() -> String {
    fs::read_to_string(PING_GROUPS).unwrap_or_default()
}

/// Removes what is left of a task's namespace on the machine: the device also where the rules cannot be removed, so that
/// nothing goes through them.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    let owner = owner(dir);
    let rules = firewall::remove_of(PREFIX, &owner);
    let address = tools::hardware_address(&owner);
    let devices = tools::devices_with(&address);
    devices
        .filter(|name| name.starts_with(PREFIX))
        .try_for_each(|name| tools::delete_device(&name))
        .and(rules)
}

/// The name that a task's namespace has on this machine.
pub(super) fn owner(dir: &Path) -> String {
    let task = dir.parent().and_then(Path::file_name).unwrap_or_default();
    format!("ecsrunner-network-{}", task.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIR: &str = "/state/tasks/0123/network";

    #[test]
    fn what_leaves_has_the_machines_address_and_only_answers_come_in() {
        let link = Link { base: Ipv4Addr::new(10, 202, 0, 4).to_bits() };
        let rules = link.rules().map(|(table, rule)| format!("{table} {rule}"));
        assert_eq!(
            rules,
            [
                "nat POSTROUTING -s 10.202.0.6/32 ! -o ecsn0aca0004 -j MASQUERADE",
                "filter FORWARD -i ecsn0aca0004 -j ECSRUNNER-USER",
                "filter FORWARD -s 10.202.0.6/32 -i ecsn0aca0004 -j ACCEPT",
                "filter FORWARD -o ecsn0aca0004 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                "filter FORWARD -o ecsn0aca0004 -j DROP",
            ]
        );
        let rules = Link::inner_rules("10.202.0.0/16".parse().unwrap()).map(|(_, rule)| rule);
        assert_eq!(
            rules,
            [
                "INPUT -i eth0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                "INPUT -i eth0 -j DROP",
                "OUTPUT -o eth0 -d 10.202.0.0/16 -j DROP",
            ]
        );
    }

    #[test]
    fn a_kernel_without_ipv6_is_told_nothing_of_it() {
        assert_eq!(preparation("eth0", "1500", false).join(" "), "link set dev eth0 mtu 1500");
        let words = preparation("eth0", "1500", true).join(" ");
        assert_eq!(words, "link set dev eth0 addrgenmode none mtu 1500");
    }

    #[test]
    fn a_namespace_is_known_by_the_task_and_not_by_the_place_of_its_directory() {
        let digits = |dir| firewall::digits(&owner(Path::new(dir)));
        assert_eq!(digits(DIR), digits("/elsewhere/0123/network"));
        assert_ne!(digits(DIR), digits("/state/tasks/0124/network"));
    }
}
