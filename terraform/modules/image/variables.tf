# The image to build, its sources, and who builds it.

variable "deployment" {
  description = "Name of the deployment, part of every resource's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$", var.deployment))
    error_message = "deployment is `${var.deployment}`: 1 to 20 characters of a-z, 0-9 and - are expected, beginning and ending with a letter or digit."
  }
}

variable "architectures" {
  description = "The architectures for which the image is built: `x64`, `arm64` or both."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.architectures) > 0 && length(setsubtract(var.architectures, ["x64", "arm64"])) == 0 && length(distinct(var.architectures)) == length(var.architectures)
    error_message = "architectures is [${join(", ", var.architectures)}]: `x64`, `arm64` or both are expected, each once."
  }
}

variable "agent" {
  description = "The static agents, as files by architecture: those that an image is built with, and those that tasks of GitHub's own image download."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(setsubtract(keys(var.agent), ["x64", "arm64"])) == 0
    error_message = "agent has the keys [${join(", ", keys(var.agent))}]: only `x64` and `arm64` are expected."
  }

  validation {
    condition     = alltrue([for file in values(var.agent) : fileexists(file)])
    error_message = "agent: ${join("; ", [for arch, file in var.agent : "`${file}` for ${arch} does not exist" if !fileexists(file)])}. The static agent is expected, which is beside `terraform` in the package that `cargo xtask package` and each release make. Set `agent` in the root to name another file. Classes of one architecture need only that one."
  }

  validation {
    condition     = var.image.builder == "none" || length(setsubtract(var.architectures, keys(var.agent))) == 0
    error_message = "agent has [${join(", ", keys(var.agent))}]: the image is built for [${join(", ", var.architectures)}], and needs the agent for each."
  }
}

# The root's `runner_image_build` and `runner_image_tag`; messages use those names.
variable "image" {
  description = <<-EOT
    - `builder`: `codebuild` (AWS builds), `docker` (an apply builds on this machine) or `none`.
    - `tag`: `runner_image_tag` of the root. It begins the tag of each build.
    - `runner_version`: the version of actions/runner, such as to roll back. Default: the newest.
    - `base_image`: a base image other than GitHub's.
    - `variant`: `slim` (GitHub's image without Docker, Node for Alpine and Kubernetes hooks, which no task on Fargate can
      use), `full`, or `docker` (with what a Docker engine in the task needs). Default: `slim` for GitHub's image, `full` for another `base_image`.
    - `actions`: actions whose archives the image gets, as `OWNER/NAME@REF`, so that jobs do not download them.
    - `dockerfile_dir`: the directory that holds your own `Dockerfile`. Default: `runner` of this project.
    - `context_dir`: the build context. Default: the parent of `dockerfile_dir`.
    - `inputs`: patterns of the files in `context_dir` that your Dockerfile copies. With `codebuild` they are copied to S3,
      and arrive without their execute bit: use `COPY --chmod`.
    - `docker`: whether a class with a Docker engine starts from it. Then the default of `variant` is `docker`.
  EOT
  type = object({
    builder        = optional(string, "codebuild")
    tag            = string
    runner_version = optional(string)
    base_image     = optional(string)
    variant        = optional(string)
    actions        = optional(list(string), [])
    dockerfile_dir = optional(string)
    context_dir    = optional(string)
    inputs         = optional(list(string), [])
    docker         = optional(bool, false)
  })
  nullable = false

  validation {
    condition     = contains(["codebuild", "docker", "none"], var.image.builder)
    error_message = "runner_image_build.builder is `${var.image.builder}`: `codebuild` (AWS builds), `docker` (this machine builds) or `none` is expected."
  }

  # ECR allows 128 characters. A hash, the runner's version and a number are appended.
  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9._-]{0,94}$", var.image.tag)) && !can(regex("^(current|next)-", var.image.tag))
    error_message = "runner_image_tag is `${var.image.tag}`: 1 to 95 letters, digits, `_`, `.` and `-` are expected, not beginning with `.` or `-`, nor with `current-` or `next-`, whose tags can be moved."
  }

  validation {
    condition     = var.image.runner_version == null || can(regex("^[0-9]+[.][0-9]+[.][0-9]+$", var.image.runner_version))
    error_message = "runner_image_build.runner_version is `${coalesce(var.image.runner_version, "null")}`: three numbers are expected, as in the tags of github.com/actions/runner without the `v`, or null for the newest."
  }

  validation {
    condition     = var.image.runner_version == null || var.image.base_image == null
    error_message = "runner_image_build has runner_version `${coalesce(var.image.runner_version, "null")}` and base_image `${coalesce(var.image.base_image, "null")}`: only one is expected, since a base image brings its own runner."
  }

  validation {
    condition     = var.image.builder == "none" || fileexists("${coalesce(var.image.dockerfile_dir, local.own_dir)}/Dockerfile")
    error_message = "runner_image_build.dockerfile_dir is `${coalesce(var.image.dockerfile_dir, local.own_dir)}`: a directory with a Dockerfile is expected, or null for this project's. Set runner_image_uri to use an image that exists already."
  }

  validation {
    condition     = alltrue([for pattern in var.image.inputs : length(pattern) > 0 && !startswith(pattern, "/") && !strcontains(pattern, "..")])
    error_message = "runner_image_build.inputs is [${join(", ", var.image.inputs)}]: patterns are expected that are relative to context_dir and within it."
  }

  validation {
    condition     = var.image.dockerfile_dir != null || (length(var.image.inputs) == 0 && var.image.context_dir == null)
    error_message = "runner_image_build has ${var.image.context_dir == null ? "inputs" : "context_dir"} without dockerfile_dir: this project's Dockerfile needs no other files. Set dockerfile_dir to the directory of your own Dockerfile."
  }

  validation {
    condition     = var.image.variant == null || contains(["slim", "full", "docker"], coalesce(var.image.variant, "slim"))
    error_message = "runner_image_build.variant is `${coalesce(var.image.variant, "null")}`: `slim` (GitHub's image without what no task on Fargate can use), `full` or `docker` (with iptables, for classes with `docker = true`) is expected, or null for slim on GitHub's image and full on another base."
  }

  validation {
    condition     = var.image.variant == null || var.image.dockerfile_dir == null
    error_message = "runner_image_build has variant `${coalesce(var.image.variant, "null")}` and dockerfile_dir `${coalesce(var.image.dockerfile_dir, "null")}`: only one is expected, since only this project's Dockerfile has variants."
  }

  validation {
    condition     = !var.image.docker || var.image.variant == null || var.image.variant == "docker" || (var.image.variant == "full" && var.image.base_image != null)
    error_message = "runner_image_build.variant is `${coalesce(var.image.variant, "null")}`, and a class has `docker = true`: `docker` is expected, or null, or `full` with a base_image that has Docker and iptables. GitHub's image lacks iptables, and the slim one Docker too."
  }

  # As actions.sh checks them. No character of them means anything to a shell.
  validation {
    condition     = alltrue([for action in var.image.actions : can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+@[A-Za-z0-9._][A-Za-z0-9._/+-]*$", action))])
    error_message = "runner_image_build.actions has ${join(", ", [for action in var.image.actions : "`${action}`" if !can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+@[A-Za-z0-9._][A-Za-z0-9._/+-]*$", action))])}: OWNER/NAME@REF is expected, such as `actions/checkout@v4`, with a tag, a branch or a whole commit, and without a path: an archive has the whole repository."
  }

  # CodeBuild allows 5,500 characters for all variables of a build.
  validation {
    condition     = length(join(" ", var.image.actions)) <= 3000
    error_message = "runner_image_build.actions has ${length(join(" ", var.image.actions))} characters: at most 3000 are expected, since CodeBuild bounds the variables of a build."
  }

  validation {
    condition     = var.image.base_image == null || can(regex("^[^\\s@:]+(:[0-9]+/[^\\s@:]+)?(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$", var.image.base_image))
    error_message = "runner_image_build.base_image is `${coalesce(var.image.base_image, "null")}`: REGISTRY/NAME:TAG is expected, followed by @sha256:DIGEST for a reproducible build."
  }
}

variable "log_retention_days" {
  description = "Days to keep the builds' logs."
  type        = number
  default     = 30
  nullable    = false
}

variable "tags" {
  description = "Tags of every resource here."
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
