//! The machine's routes: which addresses are in use, and by which device the machine reaches the network.

use std::cmp::Reverse;
use std::fs;
use std::io;
use std::path::Path;

use crate::addresses::overlap;
use crate::tools::DEVICES;

const IPV4: &str = "/proc/net/route";
const IPV6: &str = "/proc/net/ipv6_route";
/// The device of the kernel's own routes, also of the one that refuses everything.
const LOOPBACK: &str = "lo";

/// A route with a shorter prefix leads to the network at large: no network of one owner is larger than `10.0.0.0/8`.
const NETWORK: u32 = 8;
/// The first address of those for many receivers, `224.0.0.0/4`, which are no way out.
const MULTICAST: u32 = 0xe000_0000;

/// Routes of IPv4.
#[derive(Debug)]
pub(crate) struct Routes(Vec<Route>);

#[derive(Debug)]
struct Route {
    device: String,
    /// An address and the length of the prefix.
    to: (u32, u32),
}

impl Routes {
    /// Reads the routes of this process's network.
    pub(crate) fn read() -> io::Result<Self> {
        Ok(Self::parse(&fs::read_to_string(IPV4)?))
    }

    /// Whether this machine reaches the network by IPv6, and not by IPv4.
    pub(crate) fn are_ipv6_alone(&self) -> bool {
        self.uplink().is_none() && fs::read_to_string(IPV6).is_ok_and(|text| has_default_of_ipv6(&text))
    }

    fn parse(text: &str) -> Self {
        let route = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            // As the kernel has them in memory, so the first byte is the last on a little-endian machine.
            let number = |at: usize| u32::from_str_radix(words.get(at)?, 16).ok().map(u32::to_be);
            let device = (*words.first()?).to_owned();
            Some(Route { device, to: (number(1)?, number(7)?.count_ones()) })
        };
        Self(text.lines().skip(1).filter_map(route).collect())
    }

    /// Whether a network has an address that a route other than the default one leads to. A VPN may have two or more in
    /// place of the default one, such as `0.0.0.0/1` and `128.0.0.0/1`.
    pub(crate) fn lead_to(&self, network: (u32, u32)) -> bool {
        self.0.iter().any(|route| route.to.1 >= NETWORK && overlap(route.to, network))
    }

    /// The largest packet that the device of the default route takes, or of what is in its place, in bytes.
    pub(crate) fn mtu(&self) -> Option<u32> {
        let file = Path::new(DEVICES).join(self.uplink()?).join("mtu");
        fs::read_to_string(file).ok()?.trim().parse().ok()
    }

    fn uplink(&self) -> Option<&str> {
        let leads_out = |route: &&Route| route.to.1 < NETWORK && route.to.0 < MULTICAST;
        // Of two that are as long, the first.
        let longest = self.0.iter().filter(leads_out).min_by_key(|route| Reverse(route.to.1));
        longest.map(|route| route.device.as_str())
    }
}

/// A line is a destination, the length of its prefix, six other numbers, flags and the device.
fn has_default_of_ipv6(text: &str) -> bool {
    text.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(1) == Some(&"00") && words.last().is_some_and(|device| *device != LOOPBACK)
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn what_a_route_leads_to_is_in_use_and_the_default_route_is_none_of_these() {
        let head = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";
        let text = format!(
            "{head}eth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0\n\
             eth0 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n\
             tun0 0000CA0A 00000000 0001 0 0 0 0000FFFF 0 0 0\n\nnonsense\n"
        );
        let routes = Routes::parse(&text);
        assert_eq!(routes.uplink(), Some("eth0"));
        let lead_to = |address: [u8; 4], prefix| routes.lead_to((Ipv4Addr::from(address).to_bits(), prefix));
        assert!(lead_to([192, 0, 2, 4], 30));
        assert!(lead_to([10, 202, 255, 252], 30));
        assert!(lead_to([10, 0, 0, 0], 8));
        assert!(!lead_to([10, 203, 0, 0], 30));
        assert!(!Routes::parse(head).lead_to((0, 0)));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn routes_of_a_vpn_in_place_of_the_default_one_take_no_addresses_and_are_the_way_out() {
        let text = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
                    tun0 00000000 0100080A 0003 0 0 0 00000080 0 0 0\n\
                    eth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0\n\
                    tun0 00000080 0100080A 0003 0 0 0 00000080 0 0 0\n\
                    eth0 000000E0 00000000 0001 0 0 0 000000F0 0 0 0\n\
                    tun0 0000080A 00000000 0001 0 0 0 00FFFFFF 0 0 0\n";
        let routes = Routes::parse(text);
        assert_eq!(routes.uplink(), Some("tun0"));
        let lead_to = |address: [u8; 4]| routes.lead_to((Ipv4Addr::from(address).to_bits(), 30));
        assert!(!lead_to([10, 202, 0, 4]) && !lead_to([192, 168, 0, 0]));
        assert!(lead_to([10, 8, 0, 4]));
    }

    #[test]
    fn a_machine_without_a_default_route_of_ipv6_has_only_the_kernels_own() {
        let zeros = "00000000000000000000000000000000";
        let of = |device: &str| {
            format!("{zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200 {device}\n")
        };
        assert!(!has_default_of_ipv6(&of("lo")));
        assert!(has_default_of_ipv6(&of("eth0")));
    }
}
