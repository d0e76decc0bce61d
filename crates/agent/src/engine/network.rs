//! The networks of engines that share a machine: a bridge of its own for each, with
//! addresses of its own.
//!
//! An engine that makes its own firewall rules empties the chains of every other engine
//! when it starts. So `dockerd` makes none here. A few rules for all addresses of the
//! engine take their place, and `docker-proxy` serves published ports.
//!
//! A job is root and can change every file of its engine. So no file says what an engine has: its bridge has a hardware
//! address that follows from the engine's directory, its rules have a comment that does, and other bridges are its own if
//! they are marked so, or their address is the engine's.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

use super::bridges::{mark, marked};
use super::order::Order;
use crate::addresses::Range;
use crate::firewall::{self, NEW, Rule, USER_CHAIN};
use crate::routes::Routes;
use crate::tools::{self, run};

/// The names of engines' bridges begin so; 8 digits of the first address follow.
const BRIDGE: &str = "ecsr";
/// How many ports an engine chooses from at least.
const PORTS: u32 = 256;

/// The length of one engine's part.
const PART: u32 = 22;

/// Addresses for the engines of a machine, such as `10.201.0.0/16`. Each engine takes 1024.
pub type Addresses = Range<PART>;

/// The parts, each of one engine.
fn networks(addresses: Addresses) -> impl Iterator<Item = Network> {
    (0..addresses.parts()).map(move |part| Network { base: addresses.base_of(part) })
}

/// One engine's part of the addresses. The default network has the first 256 of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Network {
    base: u32,
}

impl Network {
    /// Takes the first part that no other engine has, and that no route of the machine leads to. The name of the bridge
    /// is the lock: the kernel gives each name once.
    pub(super) fn take(addresses: Addresses, dir: &Path, runner: Option<u32>) -> io::Result<Self> {
        let (owner, routes) = (hardware_address(dir), Routes::read()?);
        for network in networks(addresses) {
            let bridge = network.bridge();
            if routes.lead_to((network.base, PART)) || tools::is_device(&bridge)? {
                continue;
            }
            match run("ip", &["link", "add", "name", &bridge, "address", &owner, "type", "bridge"]) {
                Ok(_) => {
                    network.set_up(addresses, dir, runner)?;
                    return Ok(network);
                }
                Err(error) if !tools::is_device(&bridge)? => return Err(error),
                Err(_) => {}
            }
        }
        Err(io::Error::other(format!(
            "all of {addresses} is in use by other Docker engines, or by routes of this machine: choose others in \
             runner.docker.addresses"
        )))
    }

    fn set_up(self, addresses: Addresses, dir: &Path, runner: Option<u32>) -> io::Result<()> {
        let (bridge, address) = (self.bridge(), format!("{}/24", Ipv4Addr::from_bits(self.base + 1)));
        run("ip", &["address", "add", &address, "dev", &bridge])?;
        // Before the engine can be reached, which makes networks of its own.
        firewall::remove_left(BRIDGE, &bridge)?;
        firewall::insert_of(&bridge, &Order::cgroup(dir), &self.rules(addresses, runner))?;
        run("ip", &["link", "set", "dev", &bridge, "alias", &mark(dir), "up"]).map(drop)
    }

    /// What `dockerd` is told.
    pub(super) fn arguments(self) -> Vec<String> {
        let mut arguments = vec![
            format!("--bridge={}", self.bridge()),
            "--iptables=false".to_owned(),
            "--ip6tables=false".to_owned(),
            // It would make the machine a router for everything. The keeper has switched it on.
            "--ip-forward=false".to_owned(),
        ];
        arguments.extend((1..4).map(|part| {
            let base = Ipv4Addr::from_bits(self.base + (part << 8));
            format!("--default-address-pool=base={base}/24,size=26")
        }));
        arguments
    }

    /// The ports that its engine chooses from, of all that may be chosen from: the first and the last. Engines share
    /// some only where more run at once than parts of [`PORTS`] fit.
    pub(super) fn ports(self, addresses: Addresses, (first, last): (u16, u16)) -> (u16, u16) {
        let all = u32::from(last.saturating_sub(first)) + 1;
        let parts = addresses.parts().min(all / PORTS).max(1);
        let (len, own) = (all / parts, ((self.base - addresses.base) >> (32 - PART)) % parts);
        let port = |offset: u32| first.saturating_add(u16::try_from(offset).unwrap_or(u16::MAX));
        (port(own * len), port((own + 1) * len - 1))
    }

    pub(super) fn bridge(self) -> String {
        format!("{BRIDGE}{:08x}", self.base)
    }

    fn of_bridge(name: &str) -> Option<Self> {
        let base = u32::from_str_radix(name.strip_prefix(BRIDGE)?, 16).ok()?;
        Some(Self { base }).filter(|network| network.bridge() == name)
    }

    /// All addresses of the engine.
    pub(super) fn addresses(self) -> String {
        format!("{}/{PART}", Ipv4Addr::from_bits(self.base))
    }

    /// What its containers send leaves the machine with the machine's address, unless the operator refuses it, and
    /// answers come back. Nothing of it reaches another engine's containers. Its containers are reached by the engine's
    /// own job alone, and at published ports, which `docker-proxy` serves as root.
    fn rules(self, addresses: Addresses, runner: Option<u32>) -> [Rule; 8] {
        let (own, others) = (self.addresses(), not_of(runner));
        [
            ("mangle", format!("FORWARD ! -s {own} -d {own} {NEW} -j DROP")),
            ("mangle", format!("OUTPUT -d {own} {NEW} {others} -j DROP")),
            ("nat", format!("POSTROUTING -s {own} ! -d {own} -j MASQUERADE")),
            ("filter", format!("FORWARD -s {own} -d {own} -j ACCEPT")),
            ("filter", format!("FORWARD -s {own} -d {addresses} -j DROP")),
            ("filter", format!("FORWARD -s {own} -j {USER_CHAIN}")),
            ("filter", format!("FORWARD -s {own} -j ACCEPT")),
            ("filter", format!("FORWARD -d {own} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")),
        ]
    }

    /// What was taken for the engine of this directory.
    pub(super) fn of(dir: &Path) -> Option<Self> {
        let owner = hardware_address(dir);
        tools::devices_with(&owner).find_map(|name| Self::of_bridge(&name))
    }

    pub(super) fn has(self, address: Ipv4Addr) -> bool {
        address.to_bits() >> (32 - PART) == self.base >> (32 - PART)
    }
}

/// The hardware address of an engine's own bridge.
fn hardware_address(dir: &Path) -> String {
    tools::hardware_address(&Order::cgroup(dir))
}

/// The bridges with an address of a network, from the lines of `ip -o -4 address`: a number, the name, `inet`, the
/// address with its length.
fn bridges_in(listed: &str, network: Network) -> Vec<String> {
    let named = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let (name, address) = (words.next()?, words.nth(1)?);
        let address: Ipv4Addr = address.split('/').next()?.parse().ok()?;
        network.has(address).then(|| name.to_owned())
    };
    listed.lines().filter_map(named).collect()
}

/// What makes a rule apply to others than root and the runner's user.
pub(super) fn not_of(runner: Option<u32>) -> String {
    let users = [0].into_iter().chain(runner.filter(|uid| *uid != 0));
    users.map(|uid| format!("-m owner ! --uid-owner {uid}")).collect::<Vec<_>>().join(" ")
}

/// Removes the networks that an engine has left: its own bridge and rules, and the bridges of networks that a job made.
/// Bridges are removed also where the rules cannot be, so that nothing goes through these.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    let rules = firewall::remove_of(BRIDGE, &Order::cgroup(dir));
    remove_bridges(dir).and(rules)
}

/// The engine's own is last: as long as it is there, what is left is found.
fn remove_bridges(dir: &Path) -> io::Result<()> {
    let (own, mut bridges) = (Network::of(dir), marked(dir));
    if let Some(network) = own {
        let listed = run("ip", &["-o", "-4", "address", "show", "type", "bridge"])?;
        bridges.extend(bridges_in(&listed, network));
        bridges.remove(&network.bridge());
    }
    let last = own.map(Network::bridge);
    bridges.iter().chain(&last).try_for_each(|name| tools::delete_device(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_engine_has_addresses_that_no_other_has() {
        let addresses: Addresses = "10.201.0.0/16".parse().unwrap();
        assert_eq!(addresses.to_string(), "10.201.0.0/16");
        let all: Vec<Network> = networks(addresses).collect();
        assert_eq!(all.len(), 64);
        assert_eq!(all[0].bridge(), "ecsr0ac90000");
        assert_eq!(
            all[63].arguments(),
            [
                "--bridge=ecsr0ac9fc00",
                "--iptables=false",
                "--ip6tables=false",
                "--ip-forward=false",
                "--default-address-pool=base=10.201.253.0/24,size=26",
                "--default-address-pool=base=10.201.254.0/24,size=26",
                "--default-address-pool=base=10.201.255.0/24,size=26",
            ]
        );
        assert_eq!(networks("10.0.0.0/22".parse().unwrap()).count(), 1);
    }

    #[test]
    fn an_engines_bridge_is_known_by_the_engines_directory_and_no_other_is() {
        let address = hardware_address(Path::new("/state/tasks/0123/docker"));
        assert_eq!(address, "02:ea:9f:54:70:04");
        assert_ne!(address, hardware_address(Path::new("/state/tasks/0124/docker")));
        let network = Network { base: 0x0ac9_0000 };
        assert_eq!(Network::of_bridge("ecsr0ac90000"), Some(network));
        for other in ["ecsrac90000", "ecsr0AC90000", "ecsr", "br-0ac90000", "docker0"] {
            assert_eq!(Network::of_bridge(other), None, "{other}");
        }
    }

    #[test]
    fn bridges_are_an_engines_own_by_their_address_whatever_their_name_is() {
        let listed = "4: eth0    inet 10.201.8.1/24 brd 10.201.8.255 scope global eth0\\       valid_lft forever\n\
                      7: br-0123456789ab    inet 10.201.5.1/26 scope global br-0123456789ab\\  valid_lft forever\n\
                      8: named    inet 10.201.7.193/26 brd 10.201.7.255 scope global named\\  valid_lft forever\n\
                      9: br-other    inet 10.201.3.1/26\nnonsense\n";
        let network = Network { base: Ipv4Addr::new(10, 201, 4, 0).to_bits() };
        assert_eq!(bridges_in(listed, network), ["br-0123456789ab", "named"]);
    }

    #[test]
    fn engines_choose_from_different_ports() {
        let all = (32768, 60999);
        let ports = |addresses: &str| -> Vec<_> {
            let addresses: Addresses = addresses.parse().unwrap();
            networks(addresses).map(|network| network.ports(addresses, all)).collect()
        };
        let of_64 = ports("10.201.0.0/16");
        assert_eq!((of_64[0], of_64[63]), ((32768, 33208), (60551, 60991)));
        assert!(of_64.windows(2).all(|pair| pair[0].1 < pair[1].0));
        assert_eq!(ports("10.0.0.0/22"), [all]);
        let of_many = ports("10.0.0.0/8");
        assert!(of_many.iter().all(|(first, last)| *first >= all.0 && *last <= all.1 && last - first >= 255));
        assert_eq!(of_many[0], of_many[110], "110 parts fit");
    }

    #[test]
    fn nothing_else_reaches_an_engines_containers_and_they_reach_no_other_engines() {
        let addresses: Addresses = "10.201.0.0/16".parse().unwrap();
        let rules = networks(addresses).nth(1).unwrap().rules(addresses, Some(60_001));
        let rules: Vec<_> = rules.iter().map(|(table, rule)| format!("{table} {rule}")).collect();
        assert_eq!(
            rules,
            [
                "mangle FORWARD ! -s 10.201.4.0/22 -d 10.201.4.0/22 -m conntrack ! --ctstate RELATED,ESTABLISHED -j DROP",
                "mangle OUTPUT -d 10.201.4.0/22 -m conntrack ! --ctstate RELATED,ESTABLISHED \
                 -m owner ! --uid-owner 0 -m owner ! --uid-owner 60001 -j DROP",
                "nat POSTROUTING -s 10.201.4.0/22 ! -d 10.201.4.0/22 -j MASQUERADE",
                "filter FORWARD -s 10.201.4.0/22 -d 10.201.4.0/22 -j ACCEPT",
                "filter FORWARD -s 10.201.4.0/22 -d 10.201.0.0/16 -j DROP",
                "filter FORWARD -s 10.201.4.0/22 -j ECSRUNNER-USER",
                "filter FORWARD -s 10.201.4.0/22 -j ACCEPT",
                "filter FORWARD -d 10.201.4.0/22 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            ]
        );
    }
}
