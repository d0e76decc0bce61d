//! The networks of engines that share a machine: a bridge of its own for each, with
//! addresses of its own.
//!
//! An engine that makes its own firewall rules empties the chains of every other engine
//! when it starts. So `dockerd` makes none here. Three rules for all addresses of the
//! engine take their place, and `docker-proxy` serves published ports.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const DEVICES: &str = "/sys/class/net";
/// Docker's names for the bridges of networks begin so; 12 digits of the network's id follow.
const OF_NETWORK: &str = "br-";

/// Addresses for the engines of a machine, such as `10.201.0.0/16`. Each engine takes 1024.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addresses {
    base: u32,
    prefix: u32,
}

/// Why a text is not [`Addresses`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{0}` is no range of addresses: the first address and a length from 8 to 22 are expected, such as `10.201.0.0/16`"
)]
pub struct AddressesError(String);

impl Addresses {
    /// The length of one engine's part.
    const PART: u32 = 22;

    /// The parts, each of one engine.
    fn networks(self) -> impl Iterator<Item = Network> {
        let parts = 1_u32 << (Self::PART - self.prefix);
        (0..parts).map(move |part| Network { base: self.base + (part << (32 - Self::PART)) })
    }
}

impl FromStr for Addresses {
    type Err = AddressesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (base, prefix) = text.split_once('/')?;
            let (base, prefix) = (base.parse::<Ipv4Addr>().ok()?.to_bits(), prefix.parse::<u32>().ok()?);
            let is_first = (8..=Self::PART).contains(&prefix) && base << prefix == 0;
            is_first.then_some(Self { base, prefix })
        };
        parse().ok_or_else(|| AddressesError(text.to_owned()))
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.base), self.prefix)
    }
}

impl Serialize for Addresses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One engine's part of the addresses. The default network has the first 256 of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Network {
    base: u32,
}

impl Network {
    const FILE: &str = "network.json";

    /// Takes the first part that no other engine has. The name of the bridge is the lock: the kernel gives each
    /// name once.
    pub(super) fn take(addresses: Addresses, dir: &Path, tools: &Tools<'_>) -> io::Result<Self> {
        for network in addresses.networks() {
            let bridge = network.bridge();
            match tools.run("ip", &["link", "add", "name", &bridge, "type", "bridge"]) {
                Ok(()) => {
                    fs::write(dir.join(Self::FILE), serde_json::to_vec(&network)?)?;
                    network.set_up(tools)?;
                    return Ok(network);
                }
                Err(_) if Path::new(DEVICES).join(&bridge).exists() => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other(format!("all of {addresses} is in use by other Docker engines")))
    }

    fn set_up(self, tools: &Tools<'_>) -> io::Result<()> {
        let (bridge, address) = (self.bridge(), format!("{}/24", Ipv4Addr::from_bits(self.base + 1)));
        tools.run("ip", &["address", "add", &address, "dev", &bridge])?;
        tools.run("ip", &["link", "set", &bridge, "up"])?;
        self.rules().iter().try_for_each(|rule| rule.apply("-I", tools))
    }

    /// What `dockerd` is told.
    pub(super) fn arguments(self) -> Vec<String> {
        let mut arguments = vec![
            format!("--bridge={}", self.bridge()),
            "--iptables=false".to_owned(),
            "--ip6tables=false".to_owned(),
        ];
        arguments.extend((1..4).map(|part| {
            let base = Ipv4Addr::from_bits(self.base + (part << 8));
            format!("--default-address-pool=base={base}/24,size=26")
        }));
        arguments
    }

    fn bridge(self) -> String {
        format!("ecsr{:08x}", self.base)
    }

    /// What its containers send leaves the machine with the machine's address, and answers come back.
    fn rules(self) -> [Rule; 3] {
        let all = format!("{}/{}", Ipv4Addr::from_bits(self.base), Addresses::PART);
        let rule = |chain: [&'static str; 3], words: &[&str]| Rule {
            chain,
            words: words.iter().map(|word| (*word).to_owned()).collect(),
        };
        let forward = ["-t", "filter", "FORWARD"];
        [
            rule(["-t", "nat", "POSTROUTING"], &["-s", &all, "!", "-d", &all, "-j", "MASQUERADE"]),
            rule(forward, &["-s", &all, "-j", "ACCEPT"]),
            rule(
                forward,
                &["-d", &all, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"],
            ),
        ]
    }

    /// What was taken for the engine of this directory, if anything was.
    pub(super) fn of(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(dir.join(Self::FILE)).ok()?).ok()
    }

    fn release(dir: &Path, tools: &Tools<'_>) {
        let Some(network) = Self::of(dir) else { return };
        // What is not there any more needs no removal.
        for rule in network.rules() {
            let _gone = rule.apply("-D", tools);
        }
        let _gone = tools.run("ip", &["link", "delete", &network.bridge()]);
        let _gone = fs::remove_file(dir.join(Self::FILE));
    }
}

struct Rule {
    /// `-t`, the table, the chain.
    chain: [&'static str; 3],
    words: Vec<String>,
}

impl Rule {
    /// `action` is `-I` or `-D`.
    fn apply(&self, action: &str, tools: &Tools<'_>) -> io::Result<()> {
        let [option, table, chain] = self.chain;
        let mut words = vec!["-w", option, table, action, chain];
        words.extend(self.words.iter().map(String::as_str));
        tools.run("iptables", &words)
    }
}

/// The programs that change networks.
pub(super) struct Tools<'a> {
    pub(super) environment: &'a [(String, OsString)],
}

impl Tools<'_> {
    fn run(&self, program: &str, words: &[&str]) -> io::Result<()> {
        let variables = self.environment.iter().map(|(name, value)| (name, value));
        let output = Command::new(program)
            .args(words)
            .env_clear()
            .envs(variables)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| {
                io::Error::new(error.kind(), format!("`{program}` cannot be started: {error}"))
            })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(io::Error::other(format!("`{program} {}` failed: {}", words.join(" "), said.trim())))
    }
}

/// Removes the networks that an engine has left: its own bridge, and those of networks that jobs made. The engine's own
/// database names these, so that no other engine's are touched.
pub(super) fn remove(dir: &Path, data: &Path, tools: &Tools<'_>) {
    let database = fs::read(data.join("network/files/local-kv.db")).unwrap_or_default();
    for device in fs::read_dir(DEVICES).into_iter().flatten().flatten() {
        let name = device.file_name().to_string_lossy().into_owned();
        let id = name.strip_prefix(OF_NETWORK).filter(|id| is_network_id(id));
        if id.is_some_and(|id| database.windows(id.len()).any(|bytes| bytes == id.as_bytes())) {
            let _gone = tools.run("ip", &["link", "delete", &name]);
        }
    }
    Network::release(dir, tools);
}

fn is_network_id(id: &str) -> bool {
    id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_engine_has_addresses_that_no_other_has() {
        let addresses: Addresses = "10.201.0.0/16".parse().unwrap();
        assert_eq!(addresses.to_string(), "10.201.0.0/16");
        let networks: Vec<Network> = addresses.networks().collect();
        assert_eq!(networks.len(), 64);
        assert_eq!(networks[0].bridge(), "ecsr0ac90000");
        assert_eq!(
            networks[63].arguments(),
            [
                "--bridge=ecsr0ac9fc00",
                "--iptables=false",
                "--ip6tables=false",
                "--default-address-pool=base=10.201.253.0/24,size=26",
                "--default-address-pool=base=10.201.254.0/24,size=26",
                "--default-address-pool=base=10.201.255.0/24,size=26",
            ]
        );
        assert_eq!("10.0.0.0/22".parse::<Addresses>().unwrap().networks().count(), 1);
    }

    #[test]
    fn a_range_begins_with_its_first_address_and_holds_an_engine() {
        for text in
            ["10.201.0.0", "10.201.0.0/23", "10.201.1.0/16", "10.201.0.0/7", "x/16", "10.0.0.0/-1", ""]
        {
            let error = text.parse::<Addresses>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{text}` is no range of addresses")), "{error}");
        }
    }
}
