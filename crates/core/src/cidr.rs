//! Ranges of IP addresses in CIDR notation.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::ParseIdError;

/// A range of IPv4 or IPv6 addresses, such as `192.30.252.0/22` or `2606:50c0::/32`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    /// The range's first address.
    first: IpAddr,
    /// How many leading bits all addresses of the range share.
    prefix: u8,
}

impl Cidr {
    /// Parses an address and a prefix length. Host bits are ignored, as Terraform does: `10.1.2.3/8` is `10.0.0.0/8`.
    ///
    /// # Errors
    ///
    /// The text has another form, or the prefix is longer than an address.
    pub fn parse(text: &str) -> Result<Self, ParseIdError> {
        let invalid = || {
            let expected = "an address, `/` and a prefix length are expected, such as `192.30.252.0/22`";
            ParseIdError::new("address range", text, expected)
        };
        let (address, length) = text.split_once('/').ok_or_else(invalid)?;
        let address = IpAddr::from_str(address).map_err(|_| invalid())?;
        let prefix = u8::from_str(length).map_err(|_| invalid())?;
        // The number's parser also accepts `+8` and `08`.
        if prefix > bits(address) || prefix.to_string() != length {
            return Err(invalid());
        }
        Ok(Self { first: first(address, prefix), prefix })
    }

    /// Returns whether each address of this range is in one of `ranges`.
    #[must_use]
    pub fn is_within(&self, ranges: &[Self]) -> bool {
        if ranges.iter().any(|range| range.contains(self)) {
            return true;
        }
        // Several narrower ranges can cover this one together. Each half is then covered by some of them.
        ranges.iter().any(|range| self.contains(range))
            && self.halves().iter().all(|half| half.is_within(ranges))
    }

    fn contains(&self, other: &Self) -> bool {
        self.prefix <= other.prefix
            && self.first.is_ipv4() == other.first.is_ipv4()
            && self.first == first(other.first, self.prefix)
    }

    /// Returns both halves of a range that has more than one address.
    fn halves(&self) -> [Self; 2] {
        let prefix = self.prefix + 1;
        let upper = match self.first {
            IpAddr::V4(address) => {
                Ipv4Addr::from_bits(address.to_bits() | 1 << (Ipv4Addr::BITS - u32::from(prefix))).into()
            }
            IpAddr::V6(address) => {
                Ipv6Addr::from_bits(address.to_bits() | 1 << (Ipv6Addr::BITS - u32::from(prefix))).into()
            }
        };
        [self.first, upper].map(|first| Self { first, prefix })
    }
}

/// Returns the length of an address in bits.
const fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// Returns the first address of the range that contains `address`. `prefix` is at most the address's length.
fn first(address: IpAddr, prefix: u8) -> IpAddr {
    let host_bits = u32::from(bits(address) - prefix);
    // A shift by the whole length, which `/0` needs, would overflow.
    match address {
        IpAddr::V4(address) => {
            Ipv4Addr::from_bits(address.to_bits() & u32::MAX.checked_shl(host_bits).unwrap_or(0)).into()
        }
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & u128::MAX.checked_shl(host_bits).unwrap_or(0)).into()
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cidr:{self}")
    }
}

impl TryFrom<String> for Cidr {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Self, ParseIdError> {
        Self::parse(&text)
    }
}

impl From<Cidr> for String {
    fn from(range: Cidr) -> Self {
        range.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_within(range: &str, ranges: &[&str]) -> bool {
        let ranges: Vec<Cidr> = ranges.iter().map(|range| Cidr::parse(range).unwrap()).collect();
        Cidr::parse(range).unwrap().is_within(&ranges)
    }

    #[test]
    fn a_prefix_is_at_most_as_long_as_the_address() {
        for text in ["0.0.0.0/0", "10.0.0.0/8", "203.0.113.7/32", "::/0", "2a0a:a440::/29", "::1/128"] {
            assert_eq!(Cidr::parse(text).unwrap().to_string(), text);
        }
        for text in ["10.0.0.0/33", "::/129", "10.0.0.0/256", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/08"] {
            assert!(Cidr::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_range_is_refused_with_what_is_expected() {
        for text in
            ["", "/", "/8", "10.0.0.0", "10.0.0.0/", "10.0.0/8", "github.com/8", "10.0.0.0/8/8", " ::/0"]
        {
            let error = Cidr::parse(text).unwrap_err().to_string();
            let expected = format!(
                "address range `{text}` is not valid: an address, `/` and a prefix length are expected, such as \
                 `192.30.252.0/22`"
            );
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn host_bits_are_ignored() {
        for (text, range) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("192.30.255.255/22", "192.30.252.0/22"),
            ("203.0.113.7/0", "0.0.0.0/0"),
            ("2a0a:a447:ffff::1/29", "2a0a:a440::/29"),
            ("ffff::1/0", "::/0"),
        ] {
            assert_eq!(Cidr::parse(text).unwrap().to_string(), range);
        }
    }

    #[test]
    fn a_range_is_within_itself_and_wider_ones_alone() {
        let range = "192.30.252.0/22";
        for wider in ["192.30.252.0/22", "192.30.252.0/21", "192.0.0.0/8", "0.0.0.0/0"] {
            assert!(is_within(range, &["198.51.100.0/24", wider]), "{wider}");
        }
        for other in ["192.30.252.0/23", "192.30.254.0/23", "192.30.248.0/22", "193.0.0.0/8"] {
            assert!(!is_within(range, &[other]), "{other}");
        }
        assert!(is_within("2606:50c0:8000::/34", &["2606:50c0::/32"]));
        assert!(!is_within("2606:50c1::/34", &["2606:50c0::/32"]));
        assert!(!is_within(range, &[]));
    }

    #[test]
    fn ipv4_and_ipv6_are_never_within_each_other() {
        assert!(!is_within("10.0.0.0/8", &["::/0"]));
        assert!(!is_within("::/8", &["0.0.0.0/0"]));
        assert!(!is_within("10.0.0.0/8", &["::ffff:10.0.0.0/104"]));
        assert!(is_within("10.0.0.0/8", &["::/0", "0.0.0.0/0"]));
    }

    #[test]
    fn narrower_ranges_can_cover_a_range_together() {
        assert!(is_within("0.0.0.0/0", &["128.0.0.0/1", "0.0.0.0/1"]));
        assert!(is_within("10.0.0.0/30", &["10.0.0.0/32", "10.0.0.1/32", "10.0.0.2/31"]));
        assert!(!is_within("10.0.0.0/30", &["10.0.0.0/32", "10.0.0.2/31"]));
        assert!(is_within("::/0", &["::/1", "8000::/1"]));
        assert!(!is_within("::/0", &["::/1", "8000::/2"]));
    }

    proptest! {
        #[test]
        fn a_range_is_covered_if_each_of_its_addresses_is(
            ranges in prop::collection::vec((0_u8..16, 28_u8..=32), 0..6),
            (host, prefix) in (0_u8..16, 28_u8..=32),
        ) {
            let range = |(host, prefix): (u8, u8)| Cidr::parse(&format!("10.0.0.{host}/{prefix}")).unwrap();
            // The same by arithmetic on the last four bits.
            let hosts = |(host, prefix): (u8, u8)| (0_u8..16).filter(move |other| other >> (32 - prefix) == host >> (32 - prefix));
            let each = hosts((host, prefix)).all(|one| ranges.iter().any(|range| hosts(*range).any(|other| other == one)));
            let ranges: Vec<Cidr> = ranges.into_iter().map(range).collect();
            prop_assert_eq!(range((host, prefix)).is_within(&ranges), each);
        }
    }
}
