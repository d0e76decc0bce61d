//! Sizes on ECS Managed Instances, and the EC2 instance that goes with each.
//!
//! AWS places as many tasks on an instance as have room. So the instance is as small as the task allows, and the task
//! reserves more than half of its vCPUs: no second task of the class has room. `terraform/modules/managed_instances` asks
//! for exactly this instance, and `terraform/modules/parameters/variables.tf` refuses the same sizes.
//!
//! A task with GPUs reserves all GPUs of its instance. So its instance may be larger than the task, and AWS chooses among the
//! types with that many GPUs.

use super::{Arch, Size, SizeError};

/// Numbers of vCPUs that current families of EC2 instances offer for x64 and arm64 alike (EC2, "Instance types", read
/// 2026-11).
const VCPUS: [u32; 8] = [2, 4, 8, 16, 32, 48, 64, 96];
/// GiB of memory for each vCPU: compute optimized, general purpose and memory optimized families.
const GIB_PER_VCPU: [u32; 3] = [2, 4, 8];
const MIB_PER_GIB: u32 = 1024;
const UNITS_PER_VCPU: u32 = 1024;
/// The operating system and ECS's agent take a part of an instance's memory. An eighth is left to them.
const EIGHTHS_FOR_THE_TASK: u32 = 7;
const LEAST_MEMORY: u32 = 512;
/// CPU units of a task with GPUs: one vCPU to what the largest instance with GPUs has, which is also ECS's limit for a task.
const GPU_CPU: (u32, u32) = (UNITS_PER_VCPU, 192 * UNITS_PER_VCPU);
/// GiB of memory of that instance, `p6-b300.48xlarge`.
const GPU_GIB: u32 = 4096;
/// AWS's own default for the volume of tasks.
const STORAGE_GIB: u32 = 80;

/// What an instance is to have, as both minimum and maximum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InstanceShape {
    pub vcpus: u32,
    pub memory_mib: u32,
}

impl InstanceShape {
    /// Returns the smallest instance for a task of this size; `None` if it reserves more than half of none.
    #[must_use]
    pub fn of(cpu: u32, memory: u32) -> Option<Self> {
        let vcpus = VCPUS.into_iter().find(|vcpus| cpu <= vcpus * UNITS_PER_VCPU)?;
        if cpu * 2 <= vcpus * UNITS_PER_VCPU || memory < LEAST_MEMORY {
            return None;
        }
        let memory_of = |gib: u32| vcpus * gib * MIB_PER_GIB;
        let memory_mib = GIB_PER_VCPU.into_iter().map(memory_of).find(|mib| memory <= for_the_task(*mib))?;
        Some(Self { vcpus, memory_mib })
    }
}

const fn for_the_task(memory_mib: u32) -> u32 {
    memory_mib / 8 * EIGHTHS_FOR_THE_TASK
}

fn storage_gib(storage: Option<u32>) -> Result<u32, SizeError> {
    let storage = storage.unwrap_or(STORAGE_GIB);
    (30..=1000).contains(&storage).then_some(storage).ok_or(SizeError::InstanceStorage(storage))
}

impl Size {
    /// Returns a size on ECS Managed Instances from CPU units, memory in MiB and storage in GiB.
    ///
    /// # Errors
    ///
    /// There is no instance for it; the error lists what there is.
    pub fn managed(cpu: u32, memory: u32, storage: Option<u32>, arch: Arch) -> Result<Self, SizeError> {
        let fits = VCPUS.into_iter().find(|vcpus| cpu <= vcpus * UNITS_PER_VCPU);
        let Some(vcpus) = fits.filter(|vcpus| cpu * 2 > vcpus * UNITS_PER_VCPU) else {
            let next = fits.unwrap_or(VCPUS[VCPUS.len() - 1]);
            return Err(SizeError::InstanceCpu {
                cpu,
                offered: VCPUS.map(|vcpus| vcpus.to_string()).join(", "),
                nearest: format!("{} to {}", next * UNITS_PER_VCPU / 2 + 1, next * UNITS_PER_VCPU),
            });
        };
        if InstanceShape::of(cpu, memory).is_none() {
            let most = for_the_task(vcpus * GIB_PER_VCPU[GIB_PER_VCPU.len() - 1] * MIB_PER_GIB);
            return Err(SizeError::InstanceMemory { cpu, memory, most, vcpus });
        }
        Ok(Self::stored(cpu, memory, storage_gib(storage)?, arch))
    }

    /// Returns a size on ECS Managed Instances with GPUs from CPU units, memory in MiB and storage in GiB.
    ///
    /// # Errors
    ///
    /// The size is outside what instances with GPUs offer.
    pub fn with_gpus(cpu: u32, memory: u32, storage: Option<u32>, arch: Arch) -> Result<Self, SizeError> {
        let (least, most) = GPU_CPU;
        if !(least..=most).contains(&cpu) {
            return Err(SizeError::GpuCpu { cpu, least, most });
        }
        let (least, most) = (LEAST_MEMORY, for_the_task(GPU_GIB * MIB_PER_GIB));
        if !(least..=most).contains(&memory) {
            return Err(SizeError::GpuMemory { memory, least, most });
        }
        Ok(Self::stored(cpu, memory, storage_gib(storage)?, arch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(cpu: u32, memory: u32) -> Option<(u32, u32)> {
        InstanceShape::of(cpu, memory).map(|shape| (shape.vcpus, shape.memory_mib))
    }

    #[test]
    fn the_instance_is_the_smallest_in_which_the_task_has_room_beside_the_system() {
        assert_eq!(shape(2048, 3584), Some((2, 4096)));
        assert_eq!(shape(2048, 3585), Some((2, 8192)));
        assert_eq!(shape(2048, 4096), Some((2, 8192)));
        assert_eq!(shape(4096, 30_720), None);
        assert_eq!(shape(4096, 28_672), Some((4, 32_768)));
        assert_eq!(shape(98_304, 172_032), Some((96, 196_608)));
        // Two tasks that reserve half of an instance each would share it.
        assert_eq!(shape(1024, 1024), None);
        assert_eq!(shape(1025, 1024), Some((2, 4096)));
    }

    #[test]
    fn no_second_task_of_the_same_size_has_room_on_the_instance() {
        for cpu in 1..=96 * 1024 {
            if let Some(shape) = InstanceShape::of(cpu, 1024) {
                assert!(2 * cpu > shape.vcpus * 1024, "{cpu} on {shape:?}");
                assert!(cpu <= shape.vcpus * 1024 && 1024 < shape.memory_mib, "{cpu} on {shape:?}");
            }
        }
    }

    #[test]
    fn a_size_that_is_refused_is_told_with_those_that_are_near() {
        let told = |cpu, memory, storage| {
            Size::managed(cpu, memory, storage, Arch::X64).map_err(|error| error.to_string())
        };
        assert_eq!(
            told(1024, 2048, None).unwrap_err(),
            "cpu 1024 is not offered on managed instances: a task must reserve more than half of the vCPUs of its \
             instance. EC2 offers 2, 4, 8, 16, 32, 48, 64, 96. From 1025 to 2048 is expected"
        );
        assert!(told(200_000, 2048, None).unwrap_err().ends_with("From 49153 to 98304 is expected"));
        assert_eq!(
            told(2048, 16_384, None).unwrap_err(),
            "memory 16384 does not go with cpu 2048 on managed instances: 512 to 14336 MiB is expected, seven eighths of \
             what the largest instance with 2 vCPUs has"
        );
        assert_eq!(
            told(2048, 4096, Some(20)).unwrap_err(),
            "ephemeral_storage_gib 20 is not offered on managed instances: 30 to 1000 is expected, or nothing for 80"
        );
        assert_eq!(told(2048, 4096, None).unwrap().ephemeral_storage_gib(), 80);
    }

    #[test]
    fn a_task_with_gpus_reserves_what_the_largest_such_instance_has_at_most() {
        let told = |cpu, memory, storage| {
            Size::with_gpus(cpu, memory, storage, Arch::X64).map_err(|error| error.to_string())
        };
        for (cpu, memory) in [(1024, 512), (3000, 8192), (196_608, 3_670_016)] {
            let size = told(cpu, memory, None).unwrap();
            assert_eq!((size.cpu(), size.memory(), size.ephemeral_storage_gib()), (cpu, memory, 80));
        }
        for cpu in [0, 1023, 196_609] {
            let mistake =
                format!("cpu {cpu} is not offered on instances with GPUs: 1024 to 196608 is expected");
            assert_eq!(told(cpu, 8192, None).unwrap_err(), mistake);
        }
        for memory in [511, 3_670_017] {
            let mistake = format!(
                "memory {memory} is not offered on instances with GPUs: 512 to 3670016 MiB is expected"
            );
            assert_eq!(told(4096, memory, None).unwrap_err(), mistake);
        }
        assert!(
            told(4096, 8192, Some(29)).unwrap_err().starts_with("ephemeral_storage_gib 29 is not offered")
        );
    }
}
