# Images and permissions of tasks, and the VPC in which they run.

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

variable "iam" {
  description = "Of each role: the policy that bounds its permissions (`permissions_boundary`, an ARN), and its `path`. Another path replaces the roles."
  type = object({
    permissions_boundary = optional(string)
    path                 = optional(string, "/")
  })
  default  = {}
  nullable = false
}

variable "vpc_id" {
  description = "The VPC in which tasks run."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^vpc-([0-9a-f]{8}|[0-9a-f]{17})$", var.vpc_id))
    error_message = "vpc_id is `${var.vpc_id}`: `vpc-` and 8 or 17 hexadecimal digits are expected."
  }
}

variable "boot_table" {
  description = "The table from which a task takes its boot item."
  type        = object({ name = string, arn = string })
  nullable    = false
}

locals {
  by_digest = "^[^\\s/@:]+(:[0-9]+)?(/[a-z0-9._-]+)+@sha256:[0-9a-f]{64}$"
  by_tag    = "^[^\\s/@:]+(:[0-9]+)?(/[a-z0-9._-]+)+:[a-z0-9-]+$"

  # How the tags begin that the control plane moves, by the image's name.
  moving_tags = { default = "current", next = "next" }
}

variable "images" {
  description = "Images by name, and by architecture (`x64`, `arm64`), each as a URI with a digest. If AWS builds the default image, `default` and `next` name the tags that the control plane moves: `current-<arch>`, and `next-<arch>` for the first runner of a new build. `official` is reserved."
  type        = map(map(string))
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.images) : can(regex("^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", name)) && name != "official"])
    error_message = "runner_images: invalid names: ${join(", ", [for name in keys(var.images) : "`${name}`" if !can(regex("^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", name)) || name == "official"])}. 1 to 32 characters of a-z, 0-9 and - are expected, beginning and ending with a letter or digit, and not `official`, which is GitHub's own image."
  }

  validation {
    condition     = alltrue([for uris in values(var.images) : length(uris) > 0 && length(setsubtract(keys(uris), ["x64", "arm64"])) == 0])
    error_message = "runner_images: ${join("; ", [for name, uris in var.images : "`${name}` is for [${join(", ", keys(uris))}]" if !(length(uris) > 0 && length(setsubtract(keys(uris), ["x64", "arm64"])) == 0)])}. `x64`, `arm64` or both are expected."
  }

  validation {
    condition     = alltrue(flatten([for name, uris in var.images : [for arch, uri in uris : can(regex(local.by_digest, uri)) || (contains(keys(local.moving_tags), name) && can(regex(local.by_tag, uri)) && endswith(uri, ":${lookup(local.moving_tags, name, "")}-${arch}"))]]))
    error_message = "runner_images: ${join("; ", flatten([for name, uris in var.images : [for arch, uri in uris : "`${name}` is `${uri}` for ${arch}" if !(can(regex(local.by_digest, uri)) || (contains(keys(local.moving_tags), name) && can(regex(local.by_tag, uri)) && endswith(uri, ":${lookup(local.moving_tags, name, "")}-${arch}")))]]))}. REGISTRY/NAME@sha256:DIGEST is expected, since a tag can be moved to another image. Only `default` and `next` may name a tag, `current-<arch>` and `next-<arch>`."
  }
}

variable "official" {
  description = "GitHub's own image, which runs as it is: its `uri`, and the SHA-256 of the agent that a task of it downloads, by architecture (`agents`). There is a task definition for each of these."
  type = object({
    uri    = optional(string, "ghcr.io/actions/actions-runner:latest")
    agents = map(string)
  })
  nullable = false

  validation {
    condition     = can(regex("^[^\\s/@:]+(:[0-9]+)?(/[a-z0-9._-]+)+(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$", var.official.uri))
    error_message = "official_image is `${var.official.uri}`: REGISTRY/NAME:TAG is expected, or a digest after `@`, such as `ghcr.io/actions/actions-runner:latest`."
  }

  validation {
    condition     = alltrue([for arch, sha256 in var.official.agents : contains(["x64", "arm64"], arch) && can(regex("^[0-9a-f]{64}$", sha256))])
    error_message = "official.agents is ${jsonencode(var.official.agents)}: 64 hexadecimal digits are expected for `x64`, `arm64` or both."
  }
}

variable "container_insights" {
  description = "Whether the cluster has Container Insights, which AWS charges per task and metric."
  type        = bool
  default     = false
  nullable    = false
}

variable "log_retention_days" {
  description = "Days to keep the runners' logs."
  type        = number
  default     = 30
  nullable    = false
}

variable "kms_key_arn" {
  description = "ARN of your own KMS key for the runners' logs. Its policy must allow CloudWatch Logs to use it."
  type        = string
  default     = null
}
