//! ECS's statistics of a container, in Docker's form.

use std::time::Duration;

use serde::Deserialize;

use super::super::http::Http;
use super::{Asked, TaskError, get};

/// What ECS says that a container uses. What it does not say is missing.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ContainerStats {
    /// CPU time since the container started, in nanoseconds.
    pub cpu_nanos: Option<u64>,
    /// The kernel's periods of the CPU limit, and in how many of them it was reached.
    pub periods: Option<u64>,
    pub throttled_periods: Option<u64>,
    /// The most memory since the container started, with all of the file cache, in bytes. Docker has it with version 1 of
    /// cgroups only.
    pub memory_max: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stats {
    cpu_stats: CpuStats,
    memory_stats: MemoryStats,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CpuStats {
    cpu_usage: CpuUsage,
    throttling_data: Throttling,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CpuUsage {
    total_usage: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Throttling {
    periods: Option<u64>,
    throttled_periods: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MemoryStats {
    max_usage: Option<u64>,
}

/// Asks ECS what this container uses. `metadata` is `ECS_CONTAINER_METADATA_URI_V4`.
///
/// # Errors
///
/// See [`TaskError`].
pub fn container_stats(metadata: &str, http: &Http, limit: Duration) -> Result<ContainerStats, TaskError> {
    let asked = Asked::Metadata;
    let body = get(http, asked, &format!("{}/stats", metadata.trim_end_matches('/')), None, limit)?;
    // ECS answers `null` until it has statistics.
    let stats: Option<Stats> = serde_json::from_slice(&body)
        .map_err(|error| TaskError::Unusable { asked, fault: error.to_string() })?;
    let Stats { cpu_stats, memory_stats } = stats.unwrap_or_default();
    Ok(ContainerStats {
        cpu_nanos: cpu_stats.cpu_usage.total_usage,
        periods: cpu_stats.throttling_data.periods,
        throttled_periods: cpu_stats.throttling_data.throttled_periods,
        memory_max: memory_stats.max_usage.filter(|most| *most > 0),
    })
}
