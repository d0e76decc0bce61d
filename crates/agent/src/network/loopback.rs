//! Which addresses of the machine's loopback a task needs: those that its configuration names.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use ecsrunner_core::host::loopback_of;

/// The port of a name server.
const DOMAIN: u16 = 53;

/// Returns where a URL leads to, if that is on loopback. `localhost` is `127.0.0.1`.
#[must_use]
pub fn of_url(url: &str) -> Option<SocketAddr> {
    let (scheme, rest) = url.trim().split_once("://")?;
    let port = match scheme.to_ascii_lowercase().as_str() {
        "http" => 80,
        "https" => 443,
        _ => 1080,
    };
    of_authority(rest.split(['/', '?', '#']).next()?, port)
}

/// Returns the address on loopback that a variable names: by a URL, or without a scheme as the address of a proxy.
pub(super) fn of_variable(name: &str, value: &str) -> Option<SocketAddr> {
    let is_proxy = name.to_ascii_lowercase().ends_with("_proxy") && !name.eq_ignore_ascii_case("no_proxy");
    of_url(value).or_else(|| is_proxy.then(|| of_url(&format!("http://{}", value.trim())))?)
}

/// Returns the name servers on loopback that a `resolv.conf` names, each once.
pub(super) fn name_servers(text: &str) -> BTreeSet<SocketAddr> {
    let on_loopback = named(text).filter(IpAddr::is_loopback);
    on_loopback.map(|address| SocketAddr::new(address, DOMAIN)).collect()
}

/// Whether a `resolv.conf` names name servers, and none that a namespace reaches: it has no IPv6 but that of loopback.
pub(super) fn are_out_of_reach(text: &str) -> bool {
    let mut servers = named(text).peekable();
    servers.peek().is_some() && servers.all(|address| address.is_ipv6() && !address.is_loopback())
}

fn named(text: &str) -> impl Iterator<Item = IpAddr> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        // An address of one device has its name behind a `%`.
        (words.next()? == "nameserver").then(|| words.next()?.split('%').next()?.parse().ok())?
    })
}

/// Reads `user:password@host:port`, where only the host is required.
fn of_authority(authority: &str, default_port: u16) -> Option<SocketAddr> {
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (place, default_port),
    };
    let address = loopback_of(host)?;
    (port != 0).then_some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_variable_names_on_loopback_is_needed() {
        for (name, value, expected) in [
            ("GITHUB_API_URL", "http://127.0.0.1:8123/api/v3", Some("127.0.0.1:8123")),
            ("HTTPS_PROXY", "http://user:p@ss@localhost:3128", Some("127.0.0.1:3128")),
            ("https_proxy", "LOCALHOST:3128", Some("127.0.0.1:3128")),
            ("all_proxy", "socks5h://[::1]", Some("[::1]:1080")),
            ("MIRROR", "https://127.0.0.2?x", Some("127.0.0.2:443")),
            ("MIRROR", "http://127.0.0.1", Some("127.0.0.1:80")),
            ("MIRROR", "localhost:3128", None),
            ("no_proxy", "127.0.0.1", None),
            ("HTTPS_PROXY", "http://proxy.example:3128", None),
            ("HTTPS_PROXY", "http://10.0.0.1:3128", None),
            ("HTTPS_PROXY", "http://localhost.example:1", None),
            ("HTTPS_PROXY", "http://127.0.0.1:x", None),
            ("HTTPS_PROXY", "http://127.0.0.1:0", None),
            ("HTTPS_PROXY", "", None),
        ] {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(of_variable(name, value), expected, "{name}={value}");
        }
    }

    #[test]
    fn name_servers_on_loopback_are_those_that_the_namespace_would_not_reach() {
        let text = "# nameserver 127.0.0.1\nnameserver 127.0.0.53\nnameserver 192.0.2.1\n\
                    options edns0 trust-ad\nnameserver ::1\nnameserver\nnameserver 127.0.0.53\nsearch example\n";
        let expected = ["127.0.0.53:53", "[::1]:53"].map(|text| text.parse().unwrap());
        assert_eq!(name_servers(text), BTreeSet::from(expected), "each once");
    }

    #[test]
    fn name_servers_with_addresses_of_ipv6_alone_are_out_of_reach() {
        let are_out = |servers: &[&str]| {
            let lines: Vec<String> = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
            are_out_of_reach(&lines.concat())
        };
        assert!(are_out(&["2001:db8::1", "fe80::1%eth0"]));
        for servers in [&[][..], &["2001:db8::1", "192.0.2.1"], &["2001:db8::1", "::1"], &["127.0.0.53"]] {
            assert!(!are_out(servers), "{servers:?}");
        }
    }
}
