# The instances of one class with `compute = "managed-instances"`: EC2 instances that ECS starts for its tasks and ends
# after them, by a capacity provider for each market that the class uses, and always one for On-Demand.
#
# One job for each instance, ever. AWS packs tasks and keeps instances by default. So an instance is as small as the task
# allows, the task reserves more than half of its vCPUs, and an idle instance ends at once. A task with GPUs reserves all GPUs
# of its instance instead, which may be larger than the task. What AWS does not promise, the
# control plane holds: a task on an instance that had another one gets no configuration (ADR 35).
#
# Assume that a job is root of its instance. It reaches the credentials of the instance's role (iam.tf). The launch template
# of a capacity provider has no settings for the instance metadata service, so neither IMDSv2 nor a hop limit can be set.

locals {
  # A job that lost its Spot capacity twice runs On-Demand, whatever its class has. A provider without instances costs nothing.
  # No capacity provider's name may begin with `ecs`. No class's name has an underscore.
  markets = {
    for market, name in {
      on-demand = "runners-${var.deployment}-${var.class.name}"
      spot      = "runners-${var.deployment}-${var.class.name}_spot"
    } : market => name if market == "on-demand" || startswith(var.class.capacity, market)
  }

  # The smallest instance that holds the task, as `crates/core/src/rules/class/size/instance.rs`
  # chooses it. An eighth of its memory is left to the system.
  smallest_vcpus = one(slice(concat([for count in [2, 4, 8, 16, 32, 48, 64, 96] : count if var.class.cpu <= count * 1024], [96]), 0, 1))
  smallest_mib   = one(slice(concat([for gib in [2, 4, 8] : local.smallest_vcpus * gib * 1024 if var.class.memory <= local.smallest_vcpus * gib * 128 * 7], [local.smallest_vcpus * 8192]), 0, 1))

  # Few types have GPUs, and few of them so many: what the task needs is the minimum, and AWS chooses.
  vcpus      = var.class.gpu == null ? { min = local.smallest_vcpus, max = local.smallest_vcpus } : { min = ceil(var.class.cpu / 1024), max = tonumber(null) }
  memory_mib = var.class.gpu == null ? { min = local.smallest_mib, max = local.smallest_mib } : { min = ceil(var.class.memory * 8 / 7), max = tonumber(null) }
  gpus       = try(var.class.gpu.count, 0)
  # A type that is named may be of an older generation.
  instance_types = try(length(var.class.gpu.instance_types) > 0 ? var.class.gpu.instance_types : null, null)

  manufacturers = { x64 = ["amd", "intel"], arm64 = ["amazon-web-services"] }
}

data "aws_partition" "current" {}

resource "aws_security_group" "instance" {
  #checkov:skip=CKV2_AWS_5:The capacity provider attaches it to each instance.
  name        = "ecsrunner-${var.deployment}-instances-${var.class.name}"
  description = "Instances of class ${var.class.name}: nothing comes in"
  vpc_id      = var.network.vpc_id
  tags        = var.tags
}

# The instance pulls images, writes logs and talks to ECS. A job that is root of it may connect anywhere, as its task may.
resource "aws_vpc_security_group_egress_rule" "anywhere" {
  #checkov:skip=CKV_AWS_382:A job may connect anywhere, as on GitHub's own runners; your own network can restrict it.
  for_each = { ipv4 = "0.0.0.0/0", ipv6 = "::/0" }

  security_group_id = aws_security_group.instance.id
  description       = "Instances reach ECS, registries and logs"
  cidr_ipv4         = each.key == "ipv4" ? each.value : null
  cidr_ipv6         = each.key == "ipv6" ? each.value : null
  ip_protocol       = "-1"

  tags = var.tags
}

resource "aws_ecs_capacity_provider" "class" {
  for_each = local.markets

  name    = each.value
  cluster = var.cluster.name

  managed_instances_provider {
    infrastructure_role_arn = aws_iam_role.infrastructure.arn
    propagate_tags          = "CAPACITY_PROVIDER"

    infrastructure_optimization {
      # Seconds. An instance without a task is of no further use.
      scale_in_after = 0
    }

    instance_launch_template {
      ec2_instance_profile_arn = aws_iam_instance_profile.instance.arn
      capacity_option_type     = each.key == "spot" ? "SPOT" : "ON_DEMAND"
      monitoring               = "BASIC"

      instance_requirements {
        vcpu_count {
          min = local.vcpus.min
          max = local.vcpus.max
        }
        memory_mib {
          min = local.memory_mib.min
          max = local.memory_mib.max
        }
        # Without a maximum, AWS may choose a type with more accelerators, which costs more and has room for another task.
        accelerator_count {
          min = local.gpus
          max = local.gpus
        }
        accelerator_types         = local.gpus > 0 ? ["gpu"] : null
        accelerator_manufacturers = local.gpus > 0 ? ["nvidia"] : null
        allowed_instance_types    = local.instance_types
        cpu_manufacturers         = local.manufacturers[var.class.arch]
        instance_generations      = local.instance_types == null ? ["current"] : ["current", "previous"]
        # AWS leaves out types that cost much more than the cheapest that fits. Types that are named are all meant: so large a
        # number turns that off.
        on_demand_max_price_percentage_over_lowest_price = local.instance_types == null ? null : 999999
        spot_max_price_percentage_over_lowest_price      = local.instance_types == null ? null : 999999
        # A job that uses its CPU for long would be slowed down, or cost more.
        burstable_performance = "excluded"
        bare_metal            = "excluded"
      }

      network_configuration {
        subnets         = var.network.subnet_ids
        security_groups = [aws_security_group.instance.id]
      }

      storage_configuration {
        storage_size_gib = var.class.storage_gib
      }
    }
  }

  tags = var.tags

  # An instance that starts before its roles may act never joins the cluster, and one without egress neither.
  depends_on = [
    aws_iam_role_policy.infrastructure,
    aws_iam_role_policy.instance,
    aws_iam_role_policy_attachment.infrastructure,
    aws_vpc_security_group_egress_rule.anywhere,
  ]
}
