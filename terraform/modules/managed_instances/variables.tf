# The class, and where its instances are.

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
  description = "Tags of every resource here that can be tagged, and of the instances."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "iam" {
  description = "Of each role: the policy that bounds its permissions (`permissions_boundary`, an ARN), and its `path`. Another path replaces the roles."
  type = object({
    permissions_boundary = optional(string)
    path                 = optional(string, "/")
  })
  default  = {}
  nullable = false
}

variable "class" {
  description = "The class: its `name`, the `cpu` (units) and `memory` (MiB) that a task reserves, its `arch` and `capacity`, the `storage_gib` of an instance, and its `gpu`: the `count`, and the `instance_types` to choose from."
  type = object({
    name        = string
    cpu         = number
    memory      = number
    arch        = string
    capacity    = string
    storage_gib = optional(number, 80)
    gpu         = optional(object({ count = number, instance_types = optional(list(string), []) }))
  })
  nullable = false

  validation {
    condition     = var.class.gpu != null || anytrue([for count in [2, 4, 8, 16, 32, 48, 64, 96] : var.class.cpu <= count * 1024 && var.class.cpu > count * 512])
    error_message = "runner_class_sizes: class `${var.class.name}` has cpu ${var.class.cpu}: more than half of the vCPUs of an instance are expected. EC2 offers 2, 4, 8, 16, 32, 48, 64 and 96 vCPUs (1024 units each). A second task would have room otherwise."
  }

  validation {
    condition     = var.class.gpu == null || contains([1, 2, 4, 8], try(var.class.gpu.count, 1))
    error_message = "runner_class_sizes: class `${var.class.name}` has gpu.count ${try(var.class.gpu.count, "null")}: 1, 2, 4 or 8 is expected: instance types have no other number."
  }

  validation {
    condition     = contains(["on-demand", "spot", "spot-then-on-demand"], var.class.capacity)
    error_message = "runner_class_sizes: class `${var.class.name}` has capacity `${var.class.capacity}`: `on-demand`, `spot` or `spot-then-on-demand` is expected."
  }

  validation {
    condition     = contains(["x64", "arm64"], var.class.arch)
    error_message = "runner_class_sizes: class `${var.class.name}` has arch `${var.class.arch}`: `x64` or `arm64` is expected."
  }
}

variable "cluster" {
  description = "The cluster whose tasks run on the instances."
  type        = object({ name = string, arn = string })
  nullable    = false
}

variable "network" {
  description = "The VPC and the subnets of the instances. They need a route to the internet by a NAT: neither an instance nor a task gets a public address."
  type        = object({ vpc_id = string, subnet_ids = list(string) })
  nullable    = false
}
