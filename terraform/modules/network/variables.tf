# Where the tasks run: a network made here, or one that is there already.

variable "deployment" {
  description = "Name of this installation of ecsrunner, part of every name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$", var.deployment))
    error_message = "deployment is `${var.deployment}`: 1 to 20 characters of a-z, 0-9 and - are expected, beginning and ending with a letter or digit."
  }
}

variable "network" {
  description = <<-EOT
    A network of one's own by `vpc_id` and `subnet_ids`, both or neither; where neither is given one is made.

    - `cidr`: addresses of the VPC that is made, a /16 to a /24.
    - `vpc_id`, `subnet_ids`: one's own. Their route to the internet is one's own business.
    - `assign_public_ip`: whether tasks get a public IPv4 address, which they need in a public subnet. Default: true
      in the VPC made here, false in one's own.
    - `interface_endpoints`: endpoints for ECR, CloudWatch Logs and ECS Exec in the VPC made here. They cost about
      $7.30 a month each in each zone.
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
    error_message = "network.vpc_id is ${coalesce(var.network.vpc_id, "not given")} and network.subnet_ids ${var.network.subnet_ids == null ? "are not given" : "are given"}: both belong together, or neither is given and a VPC is made."
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
    error_message = "network.subnet_ids is [${try(join(", ", var.network.subnet_ids), "")}]: at least one is expected, each once, as `subnet-` and 8 or 17 hexadecimal digits."
  }

  validation {
    condition     = var.network.subnet_ids != null || coalesce(var.network.assign_public_ip, true)
    error_message = "network.assign_public_ip is false: the VPC that is made has no NAT, so its tasks reach GitHub by a public address only. Leave it out, or give vpc_id and subnet_ids of a network with a NAT."
  }

  validation {
    condition     = var.network.subnet_ids == null || !var.network.interface_endpoints
    error_message = "network.interface_endpoints is true with subnet_ids: their private names would change what everything else in that VPC resolves. Make them where the VPC is made."
  }
}
