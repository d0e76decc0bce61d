//! Hosts, as URLs name them.

use std::net::{IpAddr, Ipv4Addr};

/// Returns the loopback address that a URL's host names: `localhost`, which is `127.0.0.1`, or an address, where one of
/// IPv6 may have brackets. Returns `None` for every other host, also if its name begins like an address, such as
/// `127.example.com`.
#[must_use]
pub fn loopback_of(host: &str) -> Option<IpAddr> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    let in_brackets = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address: IpAddr = in_brackets.unwrap_or(host).parse().ok()?;
    address.is_loopback().then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_loopback_and_localhost_are_on_loopback() {
        for (host, address) in [
            ("localhost", "127.0.0.1"),
            ("LOCALHOST", "127.0.0.1"),
            ("127.0.0.1", "127.0.0.1"),
            ("127.8.9.10", "127.8.9.10"),
            ("::1", "::1"),
            ("[::1]", "::1"),
        ] {
            assert_eq!(loopback_of(host), address.parse().ok(), "{host}");
        }
        for other in [
            "",
            "127.example.com",
            "127.0.0.1.example.com",
            "localhost.example.com",
            "[::1].example.com",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "[::2]",
        ] {
            assert_eq!(loopback_of(other), None, "{other}");
        }
    }
}
