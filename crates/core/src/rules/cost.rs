//! The cost of a task at AWS's list prices.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::rules::class::Capacity;
use crate::rules::class::size::{Arch, Size};

/// Whether a task runs on Spot capacity.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Market {
    OnDemand,
    /// The price of Spot capacity changes, so its cost is an estimate.
    Spot,
}

impl Market {
    /// The name of ECS's capacity provider, pinned.
    #[must_use]
    pub const fn capacity_provider(self) -> &'static str {
        match self {
            Self::OnDemand => "FARGATE",
            Self::Spot => "FARGATE_SPOT",
        }
    }

    /// Returns the market of a capacity provider; `None` for an unknown one.
    #[must_use]
    pub fn of_capacity_provider(name: &str) -> Option<Self> {
        [Self::OnDemand, Self::Spot].into_iter().find(|market| market.capacity_provider() == name)
    }

    /// The markets that a class uses, the preferred one first.
    #[must_use]
    pub const fn all_of(capacity: Capacity) -> &'static [Self] {
        match capacity {
            Capacity::OnDemand => &[Self::OnDemand],
            Capacity::Spot => &[Self::Spot],
            Capacity::SpotThenOnDemand => &[Self::Spot, Self::OnDemand],
        }
    }
}

impl fmt::Display for Market {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnDemand => "on-demand",
            Self::Spot => "spot",
        })
    }
}

/// When the prices below were read, for us-east-1, from AWS's page
/// "AWS Fargate Pricing" and its Price List API (usage types
/// `USE1-Fargate[-ARM]-vCPU-Hours:perCPU` and `…-GB-Hours`).
pub const PRICES_AS_OF: &str = "2026-09";

struct Price {
    vcpu_hour: f64,
    gb_hour: f64,
}

const fn price(arch: Arch, market: Market) -> Price {
    match (arch, market) {
        (Arch::X64, Market::OnDemand) => Price { vcpu_hour: 0.040_48, gb_hour: 0.004_445 },
        (Arch::Arm64, Market::OnDemand) => Price { vcpu_hour: 0.032_38, gb_hour: 0.003_56 },
        (Arch::X64, Market::Spot) => Price { vcpu_hour: 0.012_89, gb_hour: 0.001_415 },
        (Arch::Arm64, Market::Spot) => Price { vcpu_hour: 0.010_31, gb_hour: 0.001_133 },
    }
}

const STORAGE_GB_HOUR: f64 = 0.000_111;
const PUBLIC_IPV4_HOUR: f64 = 0.005;
/// AWS bills a task for a minute at least.
pub const LEAST: SignedDuration = SignedDuration::from_secs(60);

/// Returns the cost in US dollars of a task of this size on Fargate from `from` to `to`:
/// vCPU, memory, storage above 20 GB and one public IPv4 address, billed per
/// second with a minimum of one minute.
///
/// Not included: data transfer, logs, image storage, and the image pull if it
/// began before `from`.
#[must_use]
pub fn fargate_usd(size: Size, market: Market, from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).max(LEAST).as_secs_f64() / 3600.0 * hourly_usd(size, market)
}

/// Returns the price of an hour of a task of this size, in US dollars, as [`fargate_usd`] counts it.
#[must_use]
pub fn hourly_usd(size: Size, market: Market) -> f64 {
    let price = price(size.arch(), market);
    let extra_storage = size.ephemeral_storage_gib().saturating_sub(Size::FREE_STORAGE_GIB);
    f64::from(size.cpu()) / 1024.0 * price.vcpu_hour
        + f64::from(size.memory()) / 1024.0 * price.gb_hour
        + f64::from(extra_storage) * STORAGE_GB_HOUR
        + PUBLIC_IPV4_HOUR
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(size: Size, market: Market, secs: i64) -> f64 {
        let from = Timestamp::UNIX_EPOCH;
        fargate_usd(size, market, from, from + SignedDuration::from_secs(secs))
    }

    #[test]
    fn an_hour_of_one_vcpu_and_two_gigabytes_costs_the_list_price() {
        let size = Size::new(1024, 2048, None, Arch::X64).unwrap();
        let expected = 0.040_48 + 2.0 * 0.004_445 + 0.005;
        assert!((usd(size, Market::OnDemand, 3600) - expected).abs() < 1e-9);
    }

    #[test]
    fn one_minute_is_billed_at_least() {
        let size = Size::new(256, 512, None, Arch::Arm64).unwrap();
        assert!((usd(size, Market::Spot, 3) - usd(size, Market::Spot, 60)).abs() < f64::EPSILON);
        assert!(usd(size, Market::Spot, 61) > usd(size, Market::Spot, 60));
    }

    #[test]
    fn only_storage_above_twenty_gigabytes_costs() {
        let plain = Size::new(256, 512, None, Arch::X64).unwrap();
        let big = Size::new(256, 512, Some(120), Arch::X64).unwrap();
        let extra = usd(big, Market::OnDemand, 3600) - usd(plain, Market::OnDemand, 3600);
        assert!((extra - 100.0 * STORAGE_GB_HOUR).abs() < 1e-9);
    }
}
