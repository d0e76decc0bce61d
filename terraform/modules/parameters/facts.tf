# The deployment's resources, which the control plane and the command line find in the parameter `deployment`. A mistake
# here is one of the root's wiring.

variable "facts" {
  description = "The deployment's resources, as listed in docs/configuration.md. `version` and `paused` are added here."
  type = object({
    state_table      = string
    boot_table       = string
    boot_owner       = string
    boot_owner_exec  = string
    cluster          = string
    subnets          = list(string)
    security_groups  = list(string)
    assign_public_ip = bool
    task_definitions = map(string)
    queue_url        = string
    webhook_secret   = string
    github_secret    = string
    log_group        = string
    webhook_sources  = object({ cidrs = list(string), github_as_of = optional(string) })
    webhook_url      = string
    agents           = optional(map(object({ bucket = string, key = string, version = string })), {})
    image = object({
      builder        = string
      repository     = optional(string)
      projects       = optional(map(string), {})
      sources        = string
      tag            = string
      runner_version = optional(string)
      plain          = bool
    })

    questions_function = string
    github_api_url     = optional(string)

    service_definitions = optional(map(map(string)), {})
    # Without a class on managed instances there is no such key.
    capacity_providers = optional(map(map(string)), {})
  })
  nullable = false

  validation {
    condition     = alltrue([for key in keys(var.facts.task_definitions) : contains(keys(var.facts.agents), split("/", key)[1]) if startswith(key, "official/")])
    error_message = "facts.agents has [${join(", ", keys(var.facts.agents))}], and facts.task_definitions has ${join(", ", [for key in keys(var.facts.task_definitions) : key if startswith(key, "official/")])}: the agent of each architecture is expected, which a task of GitHub's own image downloads."
  }

  validation {
    condition     = contains(["codebuild", "docker", "none"], var.facts.image.builder)
    error_message = "facts.image.builder is `${var.facts.image.builder}`: `codebuild`, `docker` or `none` is expected."
  }

  validation {
    condition     = (var.facts.image.builder == "codebuild") == (length(var.facts.image.projects) > 0) && (var.facts.image.builder == "none") == (var.facts.image.repository == null)
    error_message = "facts.image has the builder `${var.facts.image.builder}`, the repository ${coalesce(var.facts.image.repository, "null")} and ${length(var.facts.image.projects)} projects: `codebuild` needs a repository and projects, `docker` a repository alone, and `none` has neither."
  }

  validation {
    condition     = alltrue([for arch in keys(var.facts.image.projects) : contains(keys(var.facts.task_definitions), "default/${arch}") && contains(keys(var.facts.task_definitions), "next/${arch}")])
    error_message = "facts.image.projects has [${join(", ", keys(var.facts.image.projects))}]: task definitions `default/<arch>` and `next/<arch>` are expected for each, and there are ${join(", ", keys(var.facts.task_definitions))}."
  }

  validation {
    condition     = can(regex("^[0-9a-f]{12}$", var.facts.image.sources))
    error_message = "facts.image.sources is `${var.facts.image.sources}`: 12 hexadecimal digits are expected, since they are a part of a tag."
  }

  validation {
    condition     = var.facts.image.runner_version == null || can(regex("^[0-9]+[.][0-9]+[.][0-9]+$", var.facts.image.runner_version))
    error_message = "facts.image.runner_version is `${coalesce(var.facts.image.runner_version, "null")}`: three numbers are expected, or null for the newest."
  }

  validation {
    condition     = length(var.facts.subnets) > 0 && length(var.facts.security_groups) > 0
    error_message = "facts has ${length(var.facts.subnets)} subnets and ${length(var.facts.security_groups)} security groups: at least one of each is expected, since otherwise no task can start."
  }
}
