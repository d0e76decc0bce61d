//! The domains of AWS's partitions.
//!
//! With the SDK, its own list is asked. The agent links none of it, and has a copy, which a test compares with that list.

/// The Regions of partitions with a domain of their own, by the beginning of their names.
#[cfg(any(feature = "boot", test))]
const DOMAINS: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
];
/// The domain of the commercial partition and of `aws-us-gov`.
const COMMERCIAL: &str = "amazonaws.com";

/// Returns the domain under which a Region's services are, without the SDK.
#[cfg(any(feature = "boot", test))]
#[must_use]
pub fn known_domain(region: &str) -> &'static str {
    let found = DOMAINS.into_iter().find(|(prefix, _)| region.starts_with(prefix));
    found.map_or(COMMERCIAL, |(_, domain)| domain)
}

/// Returns the domain under which a Region's services are, by the SDK's own list of partitions.
#[cfg(feature = "control-plane")]
pub(crate) fn domain(region: &str) -> String {
    use aws_sdk_ecs::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
    let params = Params::builder().region(region).build().ok();
    let resolve = |params: Params| {
        let resolver = DefaultResolver::new();
        let resolved = resolver.resolve_endpoint(&params);
        // The resolver is ready at once: it has its list compiled in.
        let endpoint = futures::FutureExt::now_or_never(resolved)?.ok()?;
        endpoint.url().strip_prefix(&format!("https://ecs.{region}.")).map(str::to_owned)
    };
    params.and_then(resolve).unwrap_or_else(|| COMMERCIAL.to_owned())
}

#[cfg(all(test, feature = "control-plane"))]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_its_own_domain_with_and_without_the_sdk() {
        for (region, expected) in [
            ("eu-west-1", "amazonaws.com"),
            ("us-gov-west-1", "amazonaws.com"),
            ("cn-north-1", "amazonaws.com.cn"),
            ("eusc-de-east-1", "amazonaws.eu"),
            ("us-iso-east-1", "c2s.ic.gov"),
            ("us-isob-east-1", "sc2s.sgov.gov"),
            ("us-isof-south-1", "csp.hci.ic.gov"),
            ("eu-isoe-west-1", "cloud.adc-e.uk"),
        ] {
            assert_eq!((domain(region).as_str(), known_domain(region)), (expected, expected), "{region}");
        }
    }
}
