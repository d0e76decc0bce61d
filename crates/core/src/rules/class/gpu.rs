//! GPUs of a class's instances.

use serde::{Deserialize, Serialize};

/// How many NVIDIA GPUs EC2's instance types have, `p2.16xlarge` aside (AWS Batch, "Run GPU jobs", read 2026-12).
const COUNTS: [u32; 4] = [1, 2, 4, 8];
/// Maximum length of a name or pattern (ECS, `InstanceRequirementsRequest`).
const INSTANCE_TYPE_LEN: usize = 30;
/// Maximum number of entries. The catalogue's parameter has 8 KiB for all classes.
const INSTANCE_TYPES: usize = 10;

/// The NVIDIA GPUs of a class. A task reserves all GPUs of its instance, so that no second task has room there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// How many an instance has: 1, 2, 4 or 8.
    pub count: u32,
    /// Names of EC2 instance types, or patterns such as `g6.*`; empty for any type with that many GPUs.
    #[serde(default)]
    pub instance_types: Vec<String>,
}

/// A mistake in `gpu`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GpuError {
    #[error("gpu.count is {0}: 1, 2, 4 or 8 is expected: instance types have no other number")]
    Count(u32),
    #[error(
        "gpu.instance_types has `{0}`: up to {INSTANCE_TYPE_LEN} of a-z, 0-9, `.`, `-` and `*` are expected, such as `g6.xlarge` or `g6.*`"
    )]
    InstanceType(String),
    #[error(
        "gpu.instance_types has {0} entries: at most {INSTANCE_TYPES} are expected; a pattern such as `g6.*` names several"
    )]
    InstanceTypes(usize),
    /// Fargate has no GPUs.
    #[error(
        "gpu is set, and its tasks run on Fargate, which has no GPUs: set compute to `managed-instances`"
    )]
    Fargate,
    /// One machine shares out no GPUs.
    #[error("gpu is set, and only tasks on managed instances of AWS get GPUs: leave it out on one machine")]
    OneMachine,
}

impl Gpu {
    /// Returns every mistake in it.
    pub(super) fn mistakes(&self) -> Vec<GpuError> {
        let mut mistakes = Vec::new();
        if !COUNTS.contains(&self.count) {
            mistakes.push(GpuError::Count(self.count));
        }
        if self.instance_types.len() > INSTANCE_TYPES {
            mistakes.push(GpuError::InstanceTypes(self.instance_types.len()));
        }
        let is_type = |name: &&String| {
            (1..=INSTANCE_TYPE_LEN).contains(&name.len())
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-*".contains(&byte))
        };
        let wrong = self.instance_types.iter().filter(|name| !is_type(name));
        mistakes.extend(wrong.map(|name| GpuError::InstanceType(name.clone())));
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(count: u32, instance_types: &[&str]) -> Vec<String> {
        let gpu = Gpu { count, instance_types: instance_types.iter().map(ToString::to_string).collect() };
        gpu.mistakes().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn instances_have_1_2_4_or_8_gpus() {
        let right: Vec<u32> = (0..=64).filter(|count| told(*count, &[]).is_empty()).collect();
        assert_eq!(right, [1, 2, 4, 8]);
        assert_eq!(
            told(3, &[]),
            ["gpu.count is 3: 1, 2, 4 or 8 is expected: instance types have no other number"]
        );
    }

    #[test]
    fn an_instance_type_is_a_name_or_a_pattern() {
        assert!(told(1, &["g6.xlarge", "g5*.*", "p4de.24xlarge", "u-6tb1.56xlarge", "*"]).is_empty());
        let wrong = ["", "G6.xlarge", "g6 xlarge", "g6.xlarge,g5.xlarge", "g6/xlarge", &"g".repeat(31)];
        for name in wrong {
            let mistakes = told(1, &["g5.*", name]);
            assert_eq!(mistakes.len(), 1, "{name:?}: {mistakes:?}");
            assert!(
                mistakes[0].starts_with(&format!("gpu.instance_types has `{name}`: up to 30 of")),
                "{mistakes:?}"
            );
        }
    }

    #[test]
    fn instance_types_are_few() {
        assert!(told(1, &["g6.*"; 10]).is_empty());
        let mistakes = told(1, &["g6.*"; 11]);
        assert!(
            mistakes[0].starts_with("gpu.instance_types has 11 entries: at most 10 are expected"),
            "{mistakes:?}"
        );
    }
}
