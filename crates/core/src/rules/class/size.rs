//! The task sizes that AWS offers: those of Fargate's table, those that fill more than half of an EC2 instance, and those of
//! tasks with GPUs.

mod instance;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use instance::InstanceShape;

/// A CPU architecture, named by GitHub's label for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// AMD64.
    #[default]
    X64,
    /// AWS Graviton.
    Arm64,
}

impl Arch {
    pub const ALL: [Self; 2] = [Self::X64, Self::Arm64];

    /// The label with which the official runner registers.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::X64 => "x64",
            Self::Arm64 => "arm64",
        }
    }
}

/// A size that what runs the task offers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Size {
    cpu: u32,
    memory: u32,
    ephemeral_storage_gib: u32,
    arch: Arch,
}

/// A row of AWS's table "Task CPU and memory" (Fargate task definitions, read
/// 2026-11): CPU units, and the memory in MiB that is offered with them.
struct Row {
    cpu: u32,
    memory: Memory,
}

enum Memory {
    Listed(&'static [u32]),
    /// From, to and step, in MiB.
    Range(u32, u32, u32),
}

const GIB: u32 = 1024;

const TABLE: [Row; 8] = [
    Row { cpu: 256, memory: Memory::Listed(&[512, GIB, 2 * GIB]) },
    Row { cpu: 512, memory: Memory::Range(GIB, 4 * GIB, GIB) },
    Row { cpu: 1024, memory: Memory::Range(2 * GIB, 8 * GIB, GIB) },
    Row { cpu: 2048, memory: Memory::Range(4 * GIB, 16 * GIB, GIB) },
    Row { cpu: 4096, memory: Memory::Range(8 * GIB, 30 * GIB, GIB) },
    Row { cpu: 8192, memory: Memory::Range(16 * GIB, 60 * GIB, 4 * GIB) },
    Row { cpu: 16384, memory: Memory::Range(32 * GIB, 120 * GIB, 8 * GIB) },
    Row { cpu: 32768, memory: Memory::Listed(&[60 * GIB, 120 * GIB, 244 * GIB]) },
];

impl Memory {
    fn offers(&self, memory: u32) -> bool {
        match *self {
            Self::Listed(list) => list.contains(&memory),
            Self::Range(from, to, step) => {
                (from..=to).contains(&memory) && (memory - from).is_multiple_of(step)
            }
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Listed(list) => {
                let list: Vec<String> = list.iter().map(ToString::to_string).collect();
                f.write_str(&list.join(", "))
            }
            Self::Range(from, to, step) => write!(f, "{from} to {to} in steps of {step}"),
        }
    }
}

/// A size that Fargate does not offer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SizeError {
    #[error(
        "cpu {0} is not a size of Fargate's: 256, 512, 1024, 2048, 4096, 8192, 16384 or 32768 is expected"
    )]
    Cpu(u32),
    /// Fargate does not offer this memory with this CPU.
    #[error("memory {memory} does not go with cpu {cpu}: Fargate offers {offered} MiB")]
    Memory {
        cpu: u32,
        /// The requested MiB.
        memory: u32,
        /// What Fargate offers with that CPU.
        offered: String,
    },
    /// Ephemeral storage out of range.
    #[error("ephemeral_storage_gib {0} is not offered: 21 to 200 is expected, or nothing for 20")]
    Storage(u32),
    /// No EC2 instance has so few or so many vCPUs that the task would reserve more than half of them.
    #[error(
        "cpu {cpu} is not offered on managed instances: a task must reserve more than half of the vCPUs of its \
         instance. EC2 offers {offered}. From {nearest} is expected"
    )]
    InstanceCpu {
        cpu: u32,
        /// The numbers of vCPUs.
        offered: String,
        /// The CPU units that go with the number of vCPUs next to it.
        nearest: String,
    },
    /// No EC2 instance with that CPU has so much memory, or the task would have none.
    #[error(
        "memory {memory} does not go with cpu {cpu} on managed instances: 512 to {most} MiB is expected, seven eighths of \
         what the largest instance with {vcpus} vCPUs has"
    )]
    InstanceMemory { cpu: u32, memory: u32, most: u32, vcpus: u32 },
    #[error("cpu {cpu} is not offered on instances with GPUs: {least} to {most} is expected")]
    GpuCpu { cpu: u32, least: u32, most: u32 },
    #[error("memory {memory} is not offered on instances with GPUs: {least} to {most} MiB is expected")]
    GpuMemory { memory: u32, least: u32, most: u32 },
    #[error(
        "ephemeral_storage_gib {0} is not offered on managed instances: 30 to 1000 is expected, or nothing for 80"
    )]
    InstanceStorage(u32),
}

impl Size {
    /// The storage in GiB that each task has at no extra cost.
    pub const FREE_STORAGE_GIB: u32 = 20;

    /// Returns a size from CPU units, memory in MiB and ephemeral storage in GiB.
    ///
    /// # Errors
    ///
    /// Fargate does not offer the size; the error lists what it offers.
    pub fn new(cpu: u32, memory: u32, storage: Option<u32>, arch: Arch) -> Result<Self, SizeError> {
        let row = TABLE.iter().find(|row| row.cpu == cpu).ok_or(SizeError::Cpu(cpu))?;
        if !row.memory.offers(memory) {
            return Err(SizeError::Memory { cpu, memory, offered: row.memory.to_string() });
        }
        let ephemeral_storage_gib = storage.unwrap_or(Self::FREE_STORAGE_GIB);
        if !(Self::FREE_STORAGE_GIB..=200).contains(&ephemeral_storage_gib) {
            return Err(SizeError::Storage(ephemeral_storage_gib));
        }
        Ok(Self { cpu, memory, ephemeral_storage_gib, arch })
    }

    /// Returns a size that was stored. It was checked when a runner was reserved, by the rules of that time and of what runs
    /// its task.
    #[must_use]
    pub const fn stored(cpu: u32, memory: u32, ephemeral_storage_gib: u32, arch: Arch) -> Self {
        Self { cpu, memory, ephemeral_storage_gib, arch }
    }

    /// CPU units; 1024 are one vCPU.
    #[must_use]
    pub const fn cpu(self) -> u32 {
        self.cpu
    }

    /// Memory in MiB.
    #[must_use]
    pub const fn memory(self) -> u32 {
        self.memory
    }

    /// Ephemeral storage in GiB, including the free 20.
    #[must_use]
    pub const fn ephemeral_storage_gib(self) -> u32 {
        self.ephemeral_storage_gib
    }

    #[must_use]
    pub const fn arch(self) -> Arch {
        self.arch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fargate_offers_77_pairs_of_cpu_and_memory() {
        let offered = |cpu| {
            (512..=244 * GIB)
                .step_by(512)
                .filter(|memory| Size::new(cpu, *memory, None, Arch::X64).is_ok())
                .count()
        };
        let counts = [256, 512, 1024, 2048, 4096, 8192, 16384, 32768].map(offered);
        assert_eq!(counts, [3, 4, 7, 13, 23, 12, 12, 3]);
    }

    #[test]
    fn a_size_that_is_not_offered_is_refused_with_those_that_are() {
        let error = Size::new(512, 8192, None, Arch::X64).unwrap_err();
        assert_eq!(
            error.to_string(),
            "memory 8192 does not go with cpu 512: Fargate offers 1024 to 4096 in steps of 1024 MiB"
        );
        assert!(Size::new(500, 1024, None, Arch::X64).is_err());
        assert!(Size::new(512, 1024, Some(201), Arch::X64).is_err());
        assert_eq!(Size::new(512, 1024, Some(60), Arch::Arm64).unwrap().ephemeral_storage_gib(), 60);
    }
}
