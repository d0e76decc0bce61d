//! Private addresses of a machine from which tasks take theirs, in parts of one size.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Addresses that are divided into parts, such as `10.201.0.0/16`. `PART` is the length of a part's prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range<const PART: u32> {
    pub(crate) base: u32,
    prefix: u32,
}

/// Why a text is not a [`Range`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{text}` is no range of addresses: the first address and a length from 8 to {longest} are expected, such as \
     `10.201.0.0/16`"
)]
pub struct AddressesError {
    text: String,
    longest: u32,
}

impl<const PART: u32> Range<PART> {
    /// How many parts there are.
    pub(crate) fn parts(self) -> u32 {
        1 << (PART - self.prefix)
    }

    /// The first address of a part, which are numbered from 0.
    pub(crate) fn base_of(self, part: u32) -> u32 {
        self.base + (part << (32 - PART))
    }

    /// Whether a network has an address in this range, or the other way around.
    ///
    /// `prefix` is the length of the network's prefix.
    pub fn overlaps(self, network: Ipv4Addr, prefix: u32) -> bool {
        overlap((self.base, self.prefix), (network.to_bits(), prefix))
    }

    /// The first address and the length of the prefix.
    pub fn network(self) -> (Ipv4Addr, u32) {
        (Ipv4Addr::from_bits(self.base), self.prefix)
    }
}

/// Whether two networks have an address in common. Each is an address and the length of the prefix.
pub(crate) fn overlap(one: (u32, u32), other: (u32, u32)) -> bool {
    let host_bits = 32 - one.1.min(other.1);
    (u64::from(one.0) >> host_bits) == (u64::from(other.0) >> host_bits)
}

impl<const PART: u32> FromStr for Range<PART> {
    type Err = AddressesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (base, prefix) = text.split_once('/')?;
            let (base, prefix) = (base.parse::<Ipv4Addr>().ok()?.to_bits(), prefix.parse::<u32>().ok()?);
            let is_first = (8..=PART).contains(&prefix) && base << prefix == 0;
            is_first.then_some(Self { base, prefix })
        };
        parse().ok_or_else(|| AddressesError { text: text.to_owned(), longest: PART })
    }
}

impl<const PART: u32> fmt::Display for Range<PART> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.base), self.prefix)
    }
}

impl<const PART: u32> Serialize for Range<PART> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const PART: u32> Deserialize<'de> for Range<PART> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_begins_with_its_first_address_and_holds_a_part() {
        let expected = "the first address and a length from 8 to 22 are expected, such as `10.201.0.0/16`";
        for text in
            ["10.201.0.0", "10.201.0.0/23", "10.201.1.0/16", "10.201.0.0/7", "x/16", "10.0.0.0/-1", ""]
        {
            let error = text.parse::<Range<22>>().unwrap_err();
            assert_eq!(error.to_string(), format!("`{text}` is no range of addresses: {expected}"));
        }
        let range: Range<30> = "10.202.0.0/29".parse().unwrap();
        assert_eq!((range.to_string().as_str(), range.parts()), ("10.202.0.0/29", 2));
        assert_eq!(Ipv4Addr::from_bits(range.base_of(1)), Ipv4Addr::new(10, 202, 0, 4));
    }

    #[test]
    fn networks_overlap_if_one_is_in_the_other() {
        let range: Range<30> = "10.202.0.0/16".parse().unwrap();
        for (network, prefix, expected) in [
            ([10, 202, 7, 0], 24, true),
            ([10, 0, 0, 0], 8, true),
            ([0, 0, 0, 0], 0, true),
            ([10, 202, 255, 255], 32, true),
            ([10, 203, 0, 0], 16, false),
            ([10, 201, 255, 255], 32, false),
        ] {
            assert_eq!(range.overlaps(Ipv4Addr::from(network), prefix), expected, "{network:?}/{prefix}");
        }
    }
}
