//! Which addresses of the machine's loopback a task needs: those that its configuration names.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

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

/// Returns the name servers on loopback that a `resolv.conf` names.
pub(super) fn name_servers(text: &str) -> Vec<SocketAddr> {
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next()?.parse::<IpAddr>().ok())?
    });
    named.filter(IpAddr::is_loopback).map(|address| SocketAddr::new(address, DOMAIN)).collect()
}

/// Reads `user:password@host:port`, where only the host is required.
fn of_authority(authority: &str, default_port: u16) -> Option<SocketAddr> {
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (place, default_port),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = match host.eq_ignore_ascii_case("localhost") {
        true => Ipv4Addr::LOCALHOST.into(),
        false => host.parse::<IpAddr>().ok()?,
    };
    (address.is_loopback() && port != 0).then_some(SocketAddr::new(address, port))
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
                    options edns0 trust-ad\nnameserver ::1\nnameserver\nsearch example\n";
        let expected: Vec<SocketAddr> = vec!["127.0.0.53:53".parse().unwrap(), "[::1]:53".parse().unwrap()];
        assert_eq!(name_servers(text), expected);
    }
}
