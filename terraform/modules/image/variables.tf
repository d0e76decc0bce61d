# The image to build, and its sources.

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

variable "image" {
  description = <<-EOT
    - `tag`: the image's tag, such as the runner's version; `runner_image_tag` of the root. A hash of the sources is
      appended, since tags in the repository are immutable.
    - `dockerfile_dir`: the directory that holds `Dockerfile`. Default: `runner` of this project.
    - `context_dir`: the build context. Default: the parent of `dockerfile_dir`.
    - `inputs`: patterns of the files in `context_dir` that the image depends on. Default: what this project's
      Dockerfile copies.
    - `base_image`: the base image. Default: the Dockerfile's.
    - `platforms`: `linux/amd64`, `linux/arm64` or both.
  EOT
  type = object({
    tag            = string
    dockerfile_dir = optional(string)
    context_dir    = optional(string)
    inputs         = optional(list(string), [".cargo/**", ".dockerignore", "Cargo.lock", "Cargo.toml", "bench/**", "clippy.toml", "crates/**", "fixtures/Cargo.toml", "fixtures/src/**", "rustfmt.toml", "xtask/**"])
    base_image     = optional(string)
    platforms      = optional(list(string), ["linux/amd64", "linux/arm64"])
  })
  nullable = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9._-]{0,114}$", var.image.tag))
    error_message = "runner_image_tag is `${var.image.tag}`: 1 to 115 letters, digits, `_`, `.` and `-` are expected, not beginning with `.` or `-`."
  }

  validation {
    condition     = fileexists("${coalesce(var.image.dockerfile_dir, "${path.module}/../../../runner")}/Dockerfile")
    error_message = "image.dockerfile_dir is `${coalesce(var.image.dockerfile_dir, "${path.module}/../../../runner")}`: a directory with a Dockerfile is expected, or null for this project's. Set runner_image_uri to use an image that exists already."
  }

  validation {
    condition     = length(var.image.inputs) > 0 && alltrue([for pattern in var.image.inputs : length(pattern) > 0 && !startswith(pattern, "/") && !strcontains(pattern, "..")])
    error_message = "image.inputs is [${join(", ", var.image.inputs)}]: at least one pattern is expected, each relative to context_dir and within it."
  }

  validation {
    condition     = var.image.base_image == null || can(regex("^[^\\s@:]+(:[0-9]+/[^\\s@:]+)?(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$", var.image.base_image))
    error_message = "image.base_image is `${coalesce(var.image.base_image, "null")}`: REGISTRY/NAME:TAG is expected, followed by @sha256:DIGEST for a reproducible build."
  }

  validation {
    condition     = length(var.image.platforms) > 0 && length(setsubtract(var.image.platforms, ["linux/amd64", "linux/arm64"])) == 0 && length(distinct(var.image.platforms)) == length(var.image.platforms)
    error_message = "image.platforms is [${join(", ", var.image.platforms)}]: `linux/amd64`, `linux/arm64` or both are expected, each once."
  }
}
