# The network in which tasks run: one created here, or an existing one.

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

variable "network" {
  description = <<-EOT
    Your own network, given by both `vpc_id` and `subnet_ids`. If neither is given, a VPC is created.

    - `cidr`: addresses of the VPC that is created, a /16 to a /24.
    - `vpc_id`, `subnet_ids`: your own VPC and subnets. You provide their route to the internet.
    - `assign_public_ip`: whether tasks get a public IPv4 address, which they need in a public subnet. Default: true
      in the VPC created here, false in your own.
    - `interface_endpoints`: endpoints for ECR, CloudWatch Logs and ECS Exec in the VPC created here. Each costs about
      $7.30 a month in each zone.
  EOT
  type = object({
    cidr                = optional(string, "10.73.0.0/16")
    vpc_id              = optional(string)
    subnet_ids          = optional(list(string))
    assign_public_ip    = optional(bool)
    interface_endpoints = optional(bool, false)
  })
  default  = {}
  nullable = false

  validation {
    condition     = can(regex("^[0-9.]+/(1[6-9]|2[0-4])$", var.network.cidr)) && try(cidrsubnet(var.network.cidr, 0, 0) == var.network.cidr, false)
    error_message = "network.cidr is `${var.network.cidr}`: an IPv4 network from /16 to /24 without host bits is expected, such as 10.73.0.0/16."
  }

  validation {
    condition     = (var.network.vpc_id == null) == (var.network.subnet_ids == null)
    error_message = "network.vpc_id is ${coalesce(var.network.vpc_id, "not given")} and network.subnet_ids ${var.network.subnet_ids == null ? "are not given" : "are given"}: both or neither are expected. Without them a VPC is created."
  }

  validation {
    condition     = var.network.vpc_id == null || can(regex("^vpc-([0-9a-f]{8}|[0-9a-f]{17})$", var.network.vpc_id))
    error_message = "network.vpc_id is `${coalesce(var.network.vpc_id, "null")}`: `vpc-` and 8 or 17 hexadecimal digits are expected."
  }

  validation {
    condition = var.network.subnet_ids == null || try(
      length(var.network.subnet_ids) > 0
      && length(var.network.subnet_ids) == length(distinct(var.network.subnet_ids))
      && alltrue([for id in var.network.subnet_ids : can(regex("^subnet-([0-9a-f]{8}|[0-9a-f]{17})$", id))]),
      false,
    )
    error_message = "network.subnet_ids is [${try(join(", ", var.network.subnet_ids), "")}]: at least one id is expected, each once: `subnet-` and 8 or 17 hexadecimal digits."
  }

  validation {
    condition     = var.network.subnet_ids != null || coalesce(var.network.assign_public_ip, true)
    error_message = "network.assign_public_ip is false without subnet_ids: true or null is expected. The VPC created here has no NAT, so its tasks need a public address to reach GitHub. Leave it out, or set vpc_id and subnet_ids to a network with a NAT."
  }

  validation {
    condition     = var.network.subnet_ids == null || !var.network.interface_endpoints
    error_message = "network.interface_endpoints is true with subnet_ids: false is expected. The endpoints' private DNS names would affect everything else in that VPC. Create them together with the VPC."
  }
}
