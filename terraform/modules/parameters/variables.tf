# The deployment's configuration. Each rule here is also a rule of the control plane, so that a mistake
# fails the plan and does not disable a class later. The size table is that of
# `crates/core/src/rules/class/size.rs`; labels and limits are those of `class.rs`, `settings.rs` and `pace.rs`.

locals {
  # CPU units, and the MiB that Fargate offers with them (AWS, "Task CPU and memory", read 2026-11).
  fargate_memory = {
    "256"   = [512, 1024, 2048]
    "512"   = range(1024, 4 * 1024 + 1, 1024)
    "1024"  = range(2 * 1024, 8 * 1024 + 1, 1024)
    "2048"  = range(4 * 1024, 16 * 1024 + 1, 1024)
    "4096"  = range(8 * 1024, 30 * 1024 + 1, 1024)
    "8192"  = range(16 * 1024, 60 * 1024 + 1, 4 * 1024)
    "16384" = range(32 * 1024, 120 * 1024 + 1, 8 * 1024)
    "32768" = [60 * 1024, 120 * 1024, 244 * 1024]
  }

  # Numbers of vCPUs of EC2 instances, as `crates/core/src/rules/class/size/instance.rs` has them. The largest have 8 GiB of
  # memory for each, and seven eighths of it are for the task.
  instance_vcpus = [2, 4, 8, 16, 32, 48, 64, 96]

  # A name of EC2's, or a pattern, as `crates/core/src/rules/class/gpu.rs` reads them.
  instance_type_pattern = "^[a-z0-9.*-]{1,30}$"

  # `owner/name`, `owner/*` or `*`, as `crates/core/src/rules/policy.rs` reads them.
  repository_pattern = "^([*]|[A-Za-z0-9_-]{1,80}/([*]|[A-Za-z0-9_.-]{1,100}))$"

  # The form of a window, such as `Mon-Wed,Fri 08:00-19:00 Europe/Berlin`. Whether there is such a time zone is checked by
  # `ecsrunner classes check`.
  window_day     = "(?i:mon|tue|wed|thu|fri|sat|sun)"
  window_time    = "([01][0-9]|2[0-3]):[0-5][0-9]"
  window_pattern = "^((?i:daily)|${local.window_day}(-${local.window_day})?(,${local.window_day}(-${local.window_day})?)*)\\s+${local.window_time}-(${local.window_time}|24:00)\\s+[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"

  # checkov reads no `{}` within the text of a message.
  no_budgets = {}

  # Minimum and maximum. A setting without a maximum of its own has that of 32 bits.
  limit_ranges = {
    max_runners                = [1, 4294967295]
    max_runners_per_repository = [1, 4294967295]
    max_warm                   = [0, 4294967295]
    max_job_minutes            = [1, 7200]
    boot_limit_secs            = [10, 3600]
    connect_limit_secs         = [10, 3600]
    idle_limit_secs            = [600, 86400]
    hook_limit_secs            = [10, 3600]
    surplus_grace_secs         = [0, 4294967295]
  }
}

variable "deployment" {
  description = "Name of the deployment, part of every resource's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$", var.deployment))
    error_message = "deployment is `${var.deployment}`: 1 to 20 characters of a-z, 0-9 and - are expected, beginning and ending with a letter or digit."
  }
}

variable "tags" {
  description = "Tags of every resource here that can be tagged."
  type        = map(string)
  default     = {}
  nullable    = false
}

# The root's `runner_class_sizes`, passed on unchanged; messages use that name.
variable "classes" {
  description = "The class catalogue, `runner_class_sizes` of the root. Only `cpu` (1024 for one vCPU) and `memory` (MiB) are required. docs/configuration.md describes the other keys."
  type = map(object({
    cpu      = number
    memory   = number
    arch     = optional(string, "x64")
    capacity = optional(string, "on-demand")
    compute  = optional(string)
    docker   = optional(bool)
    gpu = optional(object({
      count          = number
      instance_types = optional(list(string))
    }))
    ephemeral_storage_gib = optional(number)
    max_runners           = optional(number)
    max_job_minutes       = optional(number)
    labels                = optional(list(string), [])
    image                 = optional(string)
    image_fallback        = optional(bool)
    repositories          = optional(list(string))
    exec                  = optional(bool, false)
    rerun                 = optional(bool)
    warm = optional(object({
      count         = number
      schedule      = optional(list(string))
      max_age_hours = optional(number)
    }))
    budget = optional(object({
      daily_usd   = optional(number)
      monthly_usd = optional(number)
      action      = optional(string)
    }))
    services = optional(map(object({
      image   = string
      port    = number
      env     = optional(map(string))
      command = optional(list(string))
      health = optional(object({
        command       = string
        interval_secs = optional(number)
        retries       = optional(number)
      }))
      cpu     = optional(number)
      memory  = optional(number)
      process = optional(list(string))
    })), {})
    default = optional(bool, false)
  }))
  nullable = false

  validation {
    condition     = length(var.classes) > 0
    error_message = "runner_class_sizes is empty: at least one class is expected, such as { small = { cpu = 512, memory = 1024, default = true } }."
  }

  validation {
    condition     = alltrue([for name in keys(var.classes) : can(regex("^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", name))])
    error_message = "runner_class_sizes: invalid names: ${join(", ", [for name in keys(var.classes) : "`${name}`" if !can(regex("^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", name))])}. 1 to 32 characters of a-z, 0-9 and - are expected, beginning and ending with a letter or digit."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : contains(keys(local.fargate_memory), tostring(class.cpu)) if coalesce(class.compute, "fargate") != "managed-instances"])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has cpu ${class.cpu}" if coalesce(class.compute, "fargate") != "managed-instances" && !contains(keys(local.fargate_memory), tostring(class.cpu))])}. 256, 512, 1024, 2048, 4096, 8192, 16384 or 32768 is expected (Fargate's sizes)."
  }

  validation {
    # An invalid cpu is reported above.
    condition     = alltrue([for class in values(var.classes) : contains(lookup(local.fargate_memory, tostring(class.cpu), [class.memory]), class.memory) if coalesce(class.compute, "fargate") != "managed-instances"])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has memory ${class.memory} with cpu ${class.cpu}, for which Fargate offers ${join(", ", lookup(local.fargate_memory, tostring(class.cpu), []))} MiB" if coalesce(class.compute, "fargate") != "managed-instances" && !contains(lookup(local.fargate_memory, tostring(class.cpu), [class.memory]), class.memory)])}."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : anytrue([for vcpus in local.instance_vcpus : class.cpu <= vcpus * 1024 && class.cpu * 2 > vcpus * 1024 && floor(class.cpu) == class.cpu]) if coalesce(class.compute, "fargate") == "managed-instances" && class.gpu == null])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has cpu ${class.cpu} on managed instances" if coalesce(class.compute, "fargate") == "managed-instances" && class.gpu == null && !anytrue([for vcpus in local.instance_vcpus : class.cpu <= vcpus * 1024 && class.cpu * 2 > vcpus * 1024 && floor(class.cpu) == class.cpu])])}. More than half of the vCPUs of an instance are expected (1024 units each), so that no second task has room. EC2 offers ${join(", ", local.instance_vcpus)}: ${join(", ", [for vcpus in local.instance_vcpus : "${vcpus * 512 + 1} to ${vcpus * 1024}"])}."
  }

  validation {
    # An invalid cpu is reported above.
    condition     = alltrue([for class in values(var.classes) : class.memory >= 512 && floor(class.memory) == class.memory && class.memory <= max(concat([0], [for vcpus in local.instance_vcpus : vcpus * 7168 if class.cpu <= vcpus * 1024 && class.cpu * 2 > vcpus * 1024])...) if coalesce(class.compute, "fargate") == "managed-instances" && class.gpu == null && anytrue([for vcpus in local.instance_vcpus : class.cpu <= vcpus * 1024 && class.cpu * 2 > vcpus * 1024])])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has memory ${class.memory} with cpu ${class.cpu} on managed instances, for which 512 to ${max(concat([0], [for vcpus in local.instance_vcpus : vcpus * 7168 if class.cpu <= vcpus * 1024 && class.cpu * 2 > vcpus * 1024])...)} MiB are expected" if coalesce(class.compute, "fargate") == "managed-instances" && class.gpu == null && anytrue([for vcpus in local.instance_vcpus : class.cpu <= vcpus * 1024 && class.cpu * 2 > vcpus * 1024]) && !(class.memory >= 512 && floor(class.memory) == class.memory && class.memory <= max(concat([0], [for vcpus in local.instance_vcpus : vcpus * 7168 if class.cpu <= vcpus * 1024 && class.cpu * 2 > vcpus * 1024])...))])}. That is seven eighths of what the largest instance with so many vCPUs has."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : coalesce(class.compute, "fargate") != "fargate" if class.gpu != null])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has gpu, and its tasks run on Fargate" if class.gpu != null && coalesce(class.compute, "fargate") == "fargate"])}. compute = \"managed-instances\" is expected, since Fargate has no GPUs."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : contains([1, 2, 4, 8], class.gpu.count) if class.gpu != null])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has gpu.count ${class.gpu.count}" if try(!contains([1, 2, 4, 8], class.gpu.count), false)])}. 1, 2, 4 or 8 is expected: instance types have no other number."
  }

  validation {
    condition     = alltrue(flatten([for class in values(var.classes) : [for type in coalesce(class.gpu.instance_types, []) : can(regex(local.instance_type_pattern, type))] if class.gpu != null]))
    error_message = "runner_class_sizes: ${join("; ", flatten([for name, class in var.classes : [for type in coalesce(class.gpu.instance_types, []) : "class `${name}` has `${type}` in gpu.instance_types" if !can(regex(local.instance_type_pattern, type))] if class.gpu != null]))}. Up to 30 of a-z, 0-9, `.`, `-` and `*` are expected, such as `g6.xlarge` or `g6.*`."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : length(coalesce(class.gpu.instance_types, [])) <= 10 if class.gpu != null])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has ${length(coalesce(class.gpu.instance_types, []))} entries in gpu.instance_types" if try(length(class.gpu.instance_types) > 10, false)])}. At most 10 are expected; a pattern such as `g6.*` names several."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : class.cpu >= 1024 && class.cpu <= 196608 && floor(class.cpu) == class.cpu if class.gpu != null && coalesce(class.compute, "fargate") == "managed-instances"])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has cpu ${class.cpu} and gpu" if class.gpu != null && coalesce(class.compute, "fargate") == "managed-instances" && !(class.cpu >= 1024 && class.cpu <= 196608 && floor(class.cpu) == class.cpu)])}. A whole number from 1024 (one vCPU) to 196608 is expected, which the largest instance with GPUs has."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : class.memory >= 512 && class.memory <= 3670016 && floor(class.memory) == class.memory if class.gpu != null && coalesce(class.compute, "fargate") == "managed-instances"])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has memory ${class.memory} and gpu" if class.gpu != null && coalesce(class.compute, "fargate") == "managed-instances" && !(class.memory >= 512 && class.memory <= 3670016 && floor(class.memory) == class.memory)])}. A whole number from 512 to 3670016 (MiB) is expected, which is seven eighths of what the largest instance with GPUs has."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : coalesce(class.ephemeral_storage_gib, 80) >= 30 && coalesce(class.ephemeral_storage_gib, 80) <= 1000 && floor(coalesce(class.ephemeral_storage_gib, 80)) == coalesce(class.ephemeral_storage_gib, 80) if coalesce(class.compute, "fargate") == "managed-instances"])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has ephemeral_storage_gib ${coalesce(class.ephemeral_storage_gib, 80)} on managed instances" if coalesce(class.compute, "fargate") == "managed-instances" && !(coalesce(class.ephemeral_storage_gib, 80) >= 30 && coalesce(class.ephemeral_storage_gib, 80) <= 1000 && floor(coalesce(class.ephemeral_storage_gib, 80)) == coalesce(class.ephemeral_storage_gib, 80))])}. A whole number from 30 to 1000 is expected, or null for 80."
  }

  validation {
    # Those of Docker classes are reported below.
    condition     = alltrue([for class in values(var.classes) : length(class.services) == 0 && class.warm == null && !class.exec if coalesce(class.compute, "fargate") == "managed-instances" && !coalesce(class.docker, false)])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has compute `managed-instances` and ${join(", ", concat(length(class.services) > 0 ? ["services"] : [], class.warm != null ? ["warm"] : [], class.exec ? ["exec"] : []))}" if coalesce(class.compute, "fargate") == "managed-instances" && !coalesce(class.docker, false) && !(length(class.services) == 0 && class.warm == null && !class.exec)])}. None of them is expected. Only tasks on Fargate have services beside the runner, a warm task would keep an instance that serves one job only, and a job that is root of its instance could use its task's role, which `exec` gives more permissions."
  }

  validation {
    condition     = !var.facts.assign_public_ip || alltrue([for class in values(var.classes) : coalesce(class.compute, "fargate") != "managed-instances"])
    error_message = "runner_class_sizes: ${join(", ", [for name, class in var.classes : "class `${name}`" if coalesce(class.compute, "fargate") == "managed-instances"])} runs on managed instances, and network.assign_public_ip is true. A network with a NAT is expected: AWS gives such a task no public address, so it could not reach GitHub. Set network.vpc_id and network.subnet_ids to private subnets."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : contains(["x64", "arm64"], class.arch)])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has arch `${class.arch}`" if !contains(["x64", "arm64"], class.arch)])}. `x64` or `arm64` is expected."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : contains(["on-demand", "spot", "spot-then-on-demand"], class.capacity)])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has capacity `${class.capacity}`" if !contains(["on-demand", "spot", "spot-then-on-demand"], class.capacity)])}. `on-demand`, `spot` or `spot-then-on-demand` is expected."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : contains(["fargate", "managed-instances"], coalesce(class.compute, "fargate"))])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has compute `${coalesce(class.compute, "fargate")}`" if !contains(["fargate", "managed-instances"], coalesce(class.compute, "fargate"))])}. `fargate` or `managed-instances` is expected."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : coalesce(class.compute, "fargate") != "fargate" if coalesce(class.docker, false)])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has docker, and its tasks run on Fargate" if coalesce(class.docker, false) && coalesce(class.compute, "fargate") == "fargate"])}. compute = \"managed-instances\" is expected, since Fargate gives no task the privileges that a Docker engine needs."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : length(class.services) == 0 && class.warm == null && !class.exec if coalesce(class.docker, false)])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has docker and ${join(", ", concat(length(class.services) > 0 ? ["services"] : [], class.warm != null ? ["warm"] : [], class.exec ? ["exec"] : []))}" if coalesce(class.docker, false) && !(length(class.services) == 0 && class.warm == null && !class.exec)])}. docker alone is expected. Workflows start their services with Docker, tasks with a Docker engine cannot wait for a job, and a job could use the identity of its task, which `exec` gives more permissions."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : contains(range(20, 201), coalesce(class.ephemeral_storage_gib, 20)) if coalesce(class.compute, "fargate") != "managed-instances"])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has ephemeral_storage_gib ${class.ephemeral_storage_gib}" if coalesce(class.compute, "fargate") != "managed-instances" && !contains(range(20, 201), coalesce(class.ephemeral_storage_gib, 20))])}. A whole number from 21 to 200 is expected, or null for the 20 GiB that are free."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : coalesce(class.max_runners, 1) >= 1 && floor(coalesce(class.max_runners, 1)) == coalesce(class.max_runners, 1)])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has max_runners ${class.max_runners}" if coalesce(class.max_runners, 1) < 1 || floor(coalesce(class.max_runners, 1)) != coalesce(class.max_runners, 1)])}. A whole number of at least 1 is expected, or null for no limit per class."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : coalesce(class.max_job_minutes, 1) >= 1 && coalesce(class.max_job_minutes, 1) <= 7200 && floor(coalesce(class.max_job_minutes, 1)) == coalesce(class.max_job_minutes, 1)])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has max_job_minutes ${class.max_job_minutes}" if coalesce(class.max_job_minutes, 1) < 1 || coalesce(class.max_job_minutes, 1) > 7200 || floor(coalesce(class.max_job_minutes, 1)) != coalesce(class.max_job_minutes, 1)])}. A whole number from 1 to 7200 is expected, since GitHub ends a job after five days."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : class.warm == null || try(class.warm.count >= 1 && floor(class.warm.count) == class.warm.count, false)])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has warm.count ${try(jsonencode(class.warm.count), "null")}" if class.warm != null && !try(class.warm.count >= 1 && floor(class.warm.count) == class.warm.count, false)])}. A whole number of at least 1 is expected, or no `warm` for no warm tasks."
  }

  validation {
    # An invalid count is reported above.
    condition     = alltrue([for class in values(var.classes) : try(class.warm.count <= class.max_runners, true)])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has warm.count ${class.warm.count} and max_runners ${class.max_runners}" if !try(class.warm.count <= class.max_runners, true)])}. At most max_runners is expected, since warm tasks count as runners."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : try(class.warm.max_age_hours >= 1 && class.warm.max_age_hours <= 168 && floor(class.warm.max_age_hours) == class.warm.max_age_hours, true)])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has warm.max_age_hours ${class.warm.max_age_hours}" if !try(class.warm.max_age_hours >= 1 && class.warm.max_age_hours <= 168 && floor(class.warm.max_age_hours) == class.warm.max_age_hours, true)])}. A whole number from 1 to 168 is expected, or null for 12."
  }

  validation {
    condition     = alltrue(flatten([for class in values(var.classes) : [for window in try(coalesce(class.warm.schedule, []), []) : can(regex(local.window_pattern, window))]]))
    error_message = "runner_class_sizes: ${join("; ", flatten([for name, class in var.classes : [for window in try(coalesce(class.warm.schedule, []), []) : "class `${name}` has the window `${window}`" if !can(regex(local.window_pattern, window))]]))}. Days, a start and an end, and a time zone are expected in warm.schedule, such as `Mon-Fri 08:00-19:00 Europe/Berlin` or `daily 22:00-06:00 UTC`."
  }

  validation {
    condition     = alltrue(flatten([for class in values(var.classes) : [for window in try(coalesce(class.warm.schedule, []), []) : length(distinct(try(regex("([0-9:]{5})-([0-9:]{5})", window), ["", "24:00"]))) == 2]]))
    error_message = "runner_class_sizes: ${join("; ", flatten([for name, class in var.classes : [for window in try(coalesce(class.warm.schedule, []), []) : "class `${name}` has the window `${window}`" if length(distinct(try(regex("([0-9:]{5})-([0-9:]{5})", window), ["", "24:00"]))) == 1]]))}. An end that differs from the start is expected in warm.schedule. The whole day is `00:00-24:00`."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : try(length(class.warm.schedule), 0) <= 20])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has ${length(class.warm.schedule)} windows in warm.schedule" if try(length(class.warm.schedule), 0) > 20])}. At most 20 are expected."
  }

  # As `crates/core/src/rules/budget.rs` checks a budget.
  validation {
    condition     = alltrue([for class in values(var.classes) : class.budget == null ? true : ((class.budget.daily_usd != null || class.budget.monthly_usd != null) && alltrue([for usd in [class.budget.daily_usd, class.budget.monthly_usd] : coalesce(usd, 1) >= 0.0001 && coalesce(usd, 1) <= 1000000]) && coalesce(class.budget.daily_usd, 0) <= coalesce(class.budget.monthly_usd, 1000000) && contains(["alarm", "hold"], coalesce(class.budget.action, "alarm")))])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has a budget of daily_usd = ${coalesce(class.budget.daily_usd, 0)}, monthly_usd = ${coalesce(class.budget.monthly_usd, 0)} and action = `${coalesce(class.budget.action, "alarm")}`" if class.budget == null ? false : !((class.budget.daily_usd != null || class.budget.monthly_usd != null) && alltrue([for usd in [class.budget.daily_usd, class.budget.monthly_usd] : coalesce(usd, 1) >= 0.0001 && coalesce(usd, 1) <= 1000000]) && coalesce(class.budget.daily_usd, 0) <= coalesce(class.budget.monthly_usd, 1000000) && contains(["alarm", "hold"], coalesce(class.budget.action, "alarm")))])}. A budget for a day, for a month, or both is expected: at least 0.0001 and at most 1000000 US dollars, the day's not above the month's, and the action `alarm` or `hold`. To launch nothing, run `ecsrunner pause`."
  }

  # Warm tasks cost as much as busy ones, so the deployment has to allow for them.
  validation {
    condition     = sum(concat([0], [for class in values(var.classes) : try(class.warm.count + 0, 0)])) <= coalesce(var.settings.limits.max_warm, 0)
    error_message = "runner_class_sizes: warm.count of all classes together is ${sum(concat([0], [for class in values(var.classes) : try(class.warm.count + 0, 0)]))} (${join(", ", [for name, class in var.classes : "`${name}` ${try(class.warm.count + 0, 0)}" if class.warm != null])}), but limits.max_warm is ${coalesce(var.settings.limits.max_warm, 0)}. Set limits.max_warm to at least ${sum(concat([0], [for class in values(var.classes) : try(class.warm.count + 0, 0)]))}, or lower warm.count."
  }

  validation {
    condition     = alltrue(flatten([for class in values(var.classes) : [for label in class.labels : can(regex("^[^,\\s\\p{Cc}\\p{Z}]([^,\\p{Cc}]*[^,\\s\\p{Cc}\\p{Z}])?$", label))]]))
    error_message = "runner_class_sizes: ${join("; ", flatten([for name, class in var.classes : [for label in class.labels : "class `${name}` has the label `${label}`" if !can(regex("^[^,\\s\\p{Cc}\\p{Z}]([^,\\p{Cc}]*[^,\\s\\p{Cc}\\p{Z}])?$", label))]]))}. Labels are expected that are not empty, contain no comma or control character, and have no leading or trailing space."
  }

  validation {
    condition     = alltrue(flatten([for class in values(var.classes) : [for label in class.labels : !can(regex("^(?i:class|ecsrunner):", label))]]))
    error_message = "runner_class_sizes: ${join("; ", flatten([for name, class in var.classes : [for label in class.labels : "class `${name}` has the label `${label}`" if can(regex("^(?i:class|ecsrunner):", label))]]))}. Labels are expected that do not begin with `class:` or `ecsrunner:`. ecsrunner sets those itself, and a class with another class's label would take that class's jobs."
  }

  # GitHub assigns a job to any idle runner that has its labels, so a label must not be false.
  validation {
    condition     = alltrue(flatten([for class in values(var.classes) : [for label in class.labels : !contains(["self-hosted", "linux", "windows", "macos", "x64", "x86", "arm", "arm64"], lower(label))]]))
    error_message = "runner_class_sizes: ${join("; ", flatten([for name, class in var.classes : [for label in class.labels : "class `${name}` has the label `${label}`" if contains(["self-hosted", "linux", "windows", "macos", "x64", "x86", "arm", "arm64"], lower(label))]]))}. Other labels are expected, since these are GitHub's own. A class always has `self-hosted`, `linux` and its architecture. Any other of GitHub's labels would bring it jobs that it cannot run."
  }

  # Jobs that name no class belong to the default class, but GitHub can assign them to any runner that has
  # their labels. Required labels are exempt, since every job of the deployment has them.
  validation {
    condition = length(setsubtract(setintersection(
      [for label in flatten([for class in values(var.classes) : class.labels if class.default]) : lower(label)],
      [for label in flatten([for class in values(var.classes) : class.labels if !class.default]) : lower(label)],
    ), [for label in var.settings.required_labels : lower(label)])) == 0
    error_message = "runner_class_sizes: the default class and another one both have ${join(", ", [for label in setsubtract(setintersection([for label in flatten([for class in values(var.classes) : class.labels if class.default]) : lower(label)], [for label in flatten([for class in values(var.classes) : class.labels if !class.default]) : lower(label)]), [for label in var.settings.required_labels : lower(label)]) : "`${label}`"])}. A job with that label and without `class:` belongs to the default class, but GitHub could assign it to a runner of the other class. Give the label to the default class or to the others, not to both."
  }

  # A job must name each of them, and a class must offer each label that a job names.
  validation {
    condition     = alltrue([for name, class in var.classes : length(setsubtract([for label in var.settings.required_labels : lower(label)], [for label in concat(["self-hosted", "linux", class.arch, "class:${name}"], class.labels) : lower(label)])) == 0])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` does not offer ${join(", ", [for label in setsubtract([for label in var.settings.required_labels : lower(label)], [for label in concat(["self-hosted", "linux", class.arch, "class:${name}"], class.labels) : lower(label)]) : "`${label}`"])}" if length(setsubtract([for label in var.settings.required_labels : lower(label)], [for label in concat(["self-hosted", "linux", class.arch, "class:${name}"], class.labels) : lower(label)])) > 0])}. Every job must have the required_labels, so a class without them serves no job. Add them to the labels of each class."
  }

  # Bytes of the sorted set, separated by commas, as in `class.rs`. This keeps open records small.
  validation {
    condition     = alltrue([for name, class in var.classes : length(replace(base64encode(join(",", distinct([for label in concat(["self-hosted", "linux", class.arch, "class:${name}"], class.labels) : lower(label)]))), "=", "")) * 3 <= 120 * 4])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "the labels of class `${name}` are `${join(",", distinct([for label in concat(["self-hosted", "linux", class.arch, "class:${name}"], class.labels) : lower(label)]))}`" if length(replace(base64encode(join(",", distinct([for label in concat(["self-hosted", "linux", class.arch, "class:${name}"], class.labels) : lower(label)]))), "=", "")) * 3 > 120 * 4])}. At most 120 bytes are expected in total, separated by commas."
  }

  validation {
    condition     = alltrue(flatten([for class in values(var.classes) : [for pattern in coalesce(class.repositories, []) : can(regex(local.repository_pattern, pattern)) && !can(regex("/[.]{1,2}$", pattern))]]))
    error_message = "runner_class_sizes: ${join("; ", flatten([for name, class in var.classes : [for pattern in coalesce(class.repositories, []) : "class `${name}` has the repository `${pattern}`" if !can(regex(local.repository_pattern, pattern)) || can(regex("/[.]{1,2}$", pattern))]]))}. `owner/name`, `owner/*` or `*` is expected."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : try(length(class.repositories) > 0, true)])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has an empty list of repositories" if !try(length(class.repositories) > 0, true)])}. At least one is expected, since no job could use the class. Leave repositories out for all that are allowed."
  }

  validation {
    condition     = length([for class in values(var.classes) : class if class.default]) <= 1
    error_message = "runner_class_sizes: ${join(" and ", [for name, class in var.classes : "`${name}`" if class.default])} are marked `default`. At most one default class is expected, which serves jobs that name no class."
  }

  validation {
    # An invalid architecture is reported above.
    condition     = alltrue([for class in values(var.classes) : contains(keys(var.facts.task_definitions), "${coalesce(class.image, "default")}/${class.arch}${class.exec ? "/exec" : ""}") if contains(["x64", "arm64"], class.arch)])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` needs the image `${coalesce(class.image, "default")}` for ${class.arch}" if !contains(keys(var.facts.task_definitions), "${coalesce(class.image, "default")}/${class.arch}${class.exec ? "/exec" : ""}")])}. The deployment has ${join(", ", distinct([for key in keys(var.facts.task_definitions) : trimsuffix(key, "/exec")]))}. Add the image to runner_images, or the architecture to the image; or let the class start GitHub's own image (`image = \"official\"`), which needs the agent of its architecture."
  }
}

variable "settings" {
  description = "The settings: the keys of docs/configuration.md from `repositories` to `paces`. Keys that are left out have the defaults documented there."
  type = object({
    repositories        = list(string)
    required_labels     = optional(list(string), ["self-hosted"])
    public_repositories = optional(bool, false)
    forks               = optional(bool, false)
    events              = optional(list(string), [])
    check_runs          = optional(bool, false)
    rerun               = optional(bool)
    rerun_repositories  = optional(list(string))
    on_failure          = optional(string)
    fail_after_minutes  = optional(number)
    job_summary         = optional(bool)
    budget = optional(object({
      daily_usd   = optional(number)
      monthly_usd = optional(number)
      action      = optional(string)
    }))
    repository_budgets = optional(map(object({
      daily_usd   = optional(number)
      monthly_usd = optional(number)
      action      = optional(string)
    })))
    self_hosted_fee = optional(number)
    registration = optional(object({
      organization = optional(object({ name = string, group = optional(number, 1) }))
    }), {})
    limits = optional(object({
      max_runners                = optional(number)
      max_runners_per_repository = optional(number)
      max_warm                   = optional(number)
      max_job_minutes            = optional(number)
      boot_limit_secs            = optional(number)
      connect_limit_secs         = optional(number)
      idle_limit_secs            = optional(number)
      hook_limit_secs            = optional(number)
      surplus_grace_secs         = optional(number)
    }), {})
    paces = optional(object({
      github  = optional(object({ burst = number, per_minute = number }))
      fargate = optional(object({ burst = number, per_minute = number }))
    }), {})
  })
  nullable = false

  validation {
    condition     = length(var.settings.repositories) > 0
    error_message = "allowed_repositories is empty: at least one of `owner/name`, `owner/*` or `*` is expected, since otherwise no job can run."
  }

  validation {
    condition     = alltrue([for pattern in var.settings.repositories : can(regex(local.repository_pattern, pattern)) && !can(regex("/[.]{1,2}$", pattern))])
    error_message = "allowed_repositories: ${join(", ", [for pattern in var.settings.repositories : "`${pattern}`" if !can(regex(local.repository_pattern, pattern)) || can(regex("/[.]{1,2}$", pattern))])}: `owner/name`, `owner/*` or `*` is expected."
  }

  validation {
    condition     = alltrue([for pattern in coalesce(var.settings.rerun_repositories, []) : can(regex(local.repository_pattern, pattern)) && !can(regex("/[.]{1,2}$", pattern))])
    error_message = "policy.rerun_repositories: ${join(", ", [for pattern in coalesce(var.settings.rerun_repositories, []) : "`${pattern}`" if !can(regex(local.repository_pattern, pattern)) || can(regex("/[.]{1,2}$", pattern))])}: `owner/name`, `owner/*` or `*` is expected."
  }

  validation {
    condition     = alltrue([for it in [var.settings.budget] : ((it.daily_usd != null || it.monthly_usd != null) && alltrue([for usd in [it.daily_usd, it.monthly_usd] : coalesce(usd, 1) >= 0.0001 && coalesce(usd, 1) <= 1000000]) && coalesce(it.daily_usd, 0) <= coalesce(it.monthly_usd, 1000000) && contains(["alarm", "hold"], coalesce(it.action, "alarm"))) if it != null])
    error_message = "costs: ${join("", [for it in [var.settings.budget] : "budget has daily_usd = ${coalesce(it.daily_usd, 0)}, monthly_usd = ${coalesce(it.monthly_usd, 0)} and action = `${coalesce(it.action, "alarm")}`" if it != null])}. A budget for a day, for a month, or both is expected: at least 0.0001 and at most 1000000 US dollars, the day's not above the month's, and the action `alarm` or `hold`. To launch nothing, run `ecsrunner pause`."
  }

  validation {
    condition     = alltrue([for it in values(coalesce(var.settings.repository_budgets, local.no_budgets)) : ((it.daily_usd != null || it.monthly_usd != null) && alltrue([for usd in [it.daily_usd, it.monthly_usd] : coalesce(usd, 1) >= 0.0001 && coalesce(usd, 1) <= 1000000]) && coalesce(it.daily_usd, 0) <= coalesce(it.monthly_usd, 1000000) && contains(["alarm", "hold"], coalesce(it.action, "alarm")))])
    error_message = "costs: ${join("; ", [for key, it in coalesce(var.settings.repository_budgets, local.no_budgets) : "repository_budgets of `${key}` has daily_usd = ${coalesce(it.daily_usd, 0)}, monthly_usd = ${coalesce(it.monthly_usd, 0)} and action = `${coalesce(it.action, "alarm")}`" if !((it.daily_usd != null || it.monthly_usd != null) && alltrue([for usd in [it.daily_usd, it.monthly_usd] : coalesce(usd, 1) >= 0.0001 && coalesce(usd, 1) <= 1000000]) && coalesce(it.daily_usd, 0) <= coalesce(it.monthly_usd, 1000000) && contains(["alarm", "hold"], coalesce(it.action, "alarm")))])}. A budget for a day, for a month, or both is expected: at least 0.0001 and at most 1000000 US dollars, the day's not above the month's, and the action `alarm` or `hold`. To launch nothing, run `ecsrunner pause`."
  }

  validation {
    condition     = alltrue([for pattern in keys(coalesce(var.settings.repository_budgets, local.no_budgets)) : can(regex(local.repository_pattern, pattern)) && !can(regex("/[.]{1,2}$", pattern))])
    error_message = "costs.repository_budgets: ${join(", ", [for pattern in keys(coalesce(var.settings.repository_budgets, local.no_budgets)) : "`${pattern}`" if !can(regex(local.repository_pattern, pattern)) || can(regex("/[.]{1,2}$", pattern))])}: `owner/name`, `owner/*` or `*` is expected."
  }

  # Each round of the dispatcher reads the sums of each pattern.
  validation {
    condition     = length(coalesce(var.settings.repository_budgets, local.no_budgets)) <= 10 && length(distinct([for pattern in keys(coalesce(var.settings.repository_budgets, local.no_budgets)) : lower(pattern)])) == length(coalesce(var.settings.repository_budgets, local.no_budgets))
    error_message = "costs.repository_budgets has ${join(", ", [for pattern in keys(coalesce(var.settings.repository_budgets, local.no_budgets)) : "`${pattern}`"])}. At most 10 patterns are expected, and each once: case makes no difference."
  }

  validation {
    condition     = coalesce(var.settings.self_hosted_fee, 0) >= 0 && coalesce(var.settings.self_hosted_fee, 0) <= 1
    error_message = "costs.self_hosted_fee is ${coalesce(var.settings.self_hosted_fee, 0)}: 0 to 1 US dollar a minute is expected."
  }

  validation {
    condition     = contains(["fail_job", "wait"], coalesce(var.settings.on_failure, "fail_job"))
    error_message = "policy.on_failure is `${coalesce(var.settings.on_failure, "fail_job")}`: `fail_job` or `wait` is expected."
  }

  validation {
    condition     = coalesce(var.settings.fail_after_minutes, 15) >= 0 && coalesce(var.settings.fail_after_minutes, 15) <= 1380 && floor(coalesce(var.settings.fail_after_minutes, 15)) == coalesce(var.settings.fail_after_minutes, 15)
    error_message = "policy.fail_after_minutes is ${coalesce(var.settings.fail_after_minutes, 15)}: a whole number from 0 to 1380 is expected, since GitHub ends a queued job after 24 hours."
  }

  # The control plane takes both, and ignores the time.
  validation {
    condition     = coalesce(var.settings.on_failure, "fail_job") != "wait" || var.settings.fail_after_minutes == null
    error_message = "policy.fail_after_minutes is ${coalesce(var.settings.fail_after_minutes, 15)}, and policy.on_failure is `wait`: no time is expected, since such jobs wait until GitHub ends them."
  }

  validation {
    condition     = length(var.settings.required_labels) > 0 && alltrue([for label in var.settings.required_labels : can(regex("^[^,\\s]([^,]*[^,\\s])?$", label))])
    error_message = "policy.required_labels is [${join(", ", var.settings.required_labels)}]: at least one label is expected, and no label may be empty, contain a comma, or have leading or trailing space."
  }

  validation {
    condition     = var.settings.check_runs || !var.settings.public_repositories
    error_message = "policy.public_repositories is true and policy.check_runs is false: anyone can open a pull request there, so GitHub has to be asked what started a run before a runner is launched. Set check_runs to true."
  }

  validation {
    condition     = alltrue([for event in var.settings.events : can(regex("^[a-z_]+$", event))])
    error_message = "policy.events is [${join(", ", var.settings.events)}]: names of GitHub events are expected, such as push or pull_request."
  }

  validation {
    condition = var.settings.registration.organization == null || try(
      can(regex("^[A-Za-z0-9_-]{1,80}$", var.settings.registration.organization.name))
      && var.settings.registration.organization.group >= 1 && floor(var.settings.registration.organization.group) == var.settings.registration.organization.group,
      false,
    )
    error_message = "github.organization is `${try(var.settings.registration.organization.name, "null")}`, group ${try(var.settings.registration.organization.group, "null")}: the organization's login and the runner group's id are expected; 1 is the default group."
  }

  validation {
    condition     = var.settings.registration.organization == null || alltrue([for pattern in var.settings.repositories : startswith(lower(pattern), lower("${try(var.settings.registration.organization.name, "")}/"))])
    error_message = "allowed_repositories: ${join(", ", [for pattern in var.settings.repositories : "`${pattern}`" if !startswith(lower(pattern), lower("${try(var.settings.registration.organization.name, "")}/"))])} does not belong to the organization `${try(var.settings.registration.organization.name, "null")}`, where runners register. Only repositories of that organization are expected."
  }

  validation {
    condition     = alltrue([for key, range in local.limit_ranges : coalesce(var.settings.limits[key], range[0]) >= range[0] && coalesce(var.settings.limits[key], range[0]) <= range[1] && floor(coalesce(var.settings.limits[key], range[0])) == coalesce(var.settings.limits[key], range[0])])
    error_message = "limits: ${join("; ", [for key, range in local.limit_ranges : "${key} is ${coalesce(var.settings.limits[key], range[0])}, a whole number from ${range[0]} to ${range[1]} is expected" if coalesce(var.settings.limits[key], range[0]) < range[0] || coalesce(var.settings.limits[key], range[0]) > range[1] || floor(coalesce(var.settings.limits[key], range[0])) != coalesce(var.settings.limits[key], range[0])])}."
  }

  validation {
    # The default of `max_runners` is the code's.
    condition     = coalesce(var.settings.limits.max_warm, 0) <= coalesce(var.settings.limits.max_runners, 50)
    error_message = "limits: max_warm is ${coalesce(var.settings.limits.max_warm, 0)}, at most max_runners is expected, which is ${coalesce(var.settings.limits.max_runners, 50)}: warm tasks count as runners."
  }

  validation {
    condition     = alltrue(flatten([for rate in [for pace in [var.settings.paces.github, var.settings.paces.fargate] : pace if pace != null] : [for number in [rate.burst, rate.per_minute] : number >= 1 && number <= 60000 && floor(number) == number]]))
    error_message = "limits.paces: ${jsonencode({ for key, rate in var.settings.paces : key => rate if rate != null })}: whole numbers from 1 to 60000 are expected."
  }
}
