# What a deployment is told. `deployment`, `region`, `allowed_repositories` and `control_plane` have to be given, the
# rest has defaults that keep it secure and its bill small. What a module checks itself is not checked again here: its
# message names the keys as they are called here.

variable "deployment" {
  description = "Name of this installation, part of the name of everything. One account has at most one of a name, in whatever Region: the names of roles are the account's."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$", var.deployment))
    error_message = "deployment is `${var.deployment}`: 1 to 20 characters of a-z, 0-9 and - are expected, beginning and ending with a letter or digit."
  }
}

variable "region" {
  description = "AWS Region that everything is made in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region is `${var.region}`: the name of a Region is expected, such as `eu-west-1`."
  }
}

variable "tags" {
  description = "Tags of everything that can be tagged, besides `ecsrunner:deployment`."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:") && !startswith(lower(key), "ecsrunner:")])
    error_message = "tags has ${join(", ", [for key in keys(var.tags) : "`${key}`" if startswith(lower(key), "aws:") || startswith(lower(key), "ecsrunner:")])}: keys that begin with `aws:` are AWS's, those that begin with `ecsrunner:` are set here."
  }
}

variable "allowed_repositories" {
  description = "Whose jobs may run: `owner/name`, `owner/*` or `*`."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.allowed_repositories) > 0
    error_message = "allowed_repositories is empty: at least one of `owner/name`, `owner/*` or `*` is expected, or no job runs."
  }
}

variable "runner_class_sizes" {
  description = "Runner classes by name; a job asks for one with the label `class:<name>`. `cpu` (1024 for one vCPU) and `memory` (MiB), a size that Fargate offers, are enough; the other keys are those of docs/configuration.md. One class is the `default`, which serves jobs that name none."
  type = map(object({
    cpu                   = number
    memory                = number
    arch                  = optional(string, "x64")
    capacity              = optional(string, "on-demand")
    ephemeral_storage_gib = optional(number)
    max_runners           = optional(number)
    max_job_minutes       = optional(number)
    labels                = optional(list(string), [])
    image                 = optional(string)
    repositories          = optional(list(string))
    exec                  = optional(bool, true)
    default               = optional(bool, false)
  }))
  default = {
    small  = { cpu = 512, memory = 1024, default = true }
    medium = { cpu = 2048, memory = 4096 }
    large  = { cpu = 4096, memory = 8192 }
  }
  nullable = false

  validation {
    condition     = alltrue([for class in values(var.runner_class_sizes) : contains(concat(["default"], keys(var.runner_images)), coalesce(class.image, "default"))])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.runner_class_sizes : "class `${name}` has image `${coalesce(class.image, "default")}`" if !contains(concat(["default"], keys(var.runner_images)), coalesce(class.image, "default"))])}. `default` or a key of runner_images is expected: ${join(", ", concat(["default"], keys(var.runner_images)))}."
  }
}

variable "runner_image_tag" {
  description = "What the runners' image that is built here is called. A hash of what it is built from is put behind it. Another one has the image built again, which is due each month, since GitHub refuses old runners."
  type        = string
  default     = "1"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9._-]{0,114}$", var.runner_image_tag))
    error_message = "runner_image_tag is `${var.runner_image_tag}`: 1 to 115 letters, digits, `_`, `.` and `-` are expected, not beginning with `.` or `-`."
  }
}

variable "runner_image_uri" {
  description = "An image of one's own in place of the one built here, as REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:DIGEST, for the architectures of the classes that use it; runner/README.md says what it has to have."
  type        = string
  default     = null

  validation {
    condition     = var.runner_image_uri == null || can(regex("^[^\\s/@:]+(:[0-9]+)?(/[a-z0-9._-]+)+(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|@sha256:[0-9a-f]{64})$", var.runner_image_uri))
    error_message = "runner_image_uri is `${coalesce(var.runner_image_uri, "null")}`: REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:DIGEST is expected."
  }
}

variable "runner_images" {
  description = "Further images by name, for classes that ask for one with `image`."
  type        = map(object({ uri = string }))
  default     = {}
  nullable    = false

  validation {
    condition     = !contains(keys(var.runner_images), "default")
    error_message = "runner_images has `default`: the default image is the one built here, or runner_image_uri."
  }
}

variable "runner_image_build" {
  description = "What the image is built from, by Docker on the machine that applies, where runner_image_uri is not given: another `base_image` than GitHub's own; a Dockerfile of one's own in `dockerfile_dir`, with what it copies (`inputs`, patterns in `context_dir`)."
  type = object({
    base_image     = optional(string)
    dockerfile_dir = optional(string)
    context_dir    = optional(string)
    inputs         = optional(list(string))
  })
  default  = {}
  nullable = false
}

variable "github" {
  description = "GitHub: its API (`api_url`, for GitHub Enterprise Server `https://host/api/v3`), and where runners register: with the job's repository, or with an `organization`'s runner group, which is recommended where one organization owns all repositories."
  type = object({
    api_url      = optional(string, "https://api.github.com")
    organization = optional(object({ name = string, group = optional(number, 1) }))
  })
  default  = {}
  nullable = false

  validation {
    condition     = can(regex("^https://[^/?#\\s]+(/[^?#\\s]*)?$", var.github.api_url))
    error_message = "github.api_url is `${var.github.api_url}`: a URL with https, such as `https://api.github.com` or `https://host/api/v3`, is expected."
  }
}

variable "webhook_secrets" {
  description = "The webhook's secrets, any of which will do, so that one can be replaced: the new one first. Where null, one is generated. They stand in Terraform's state."
  type        = list(string)
  default     = null
  sensitive   = true
}

variable "policy" {
  description = "What may run, besides allowed_repositories: the keys of docs/configuration.md."
  type = object({
    required_labels     = optional(list(string), ["self-hosted"])
    public_repositories = optional(bool, false)
    forks               = optional(bool, false)
    events              = optional(list(string), [])
    check_runs          = optional(bool, false)
  })
  default  = {}
  nullable = false
}

variable "limits" {
  description = "Limits, times and `paces` of launches: the keys of docs/configuration.md, with its defaults, which are 50 runners and 360 minutes a job."
  type = object({
    max_runners                = optional(number)
    max_runners_per_repository = optional(number)
    max_job_minutes            = optional(number)
    boot_limit_secs            = optional(number)
    connect_limit_secs         = optional(number)
    idle_limit_secs            = optional(number)
    hook_limit_secs            = optional(number)
    surplus_grace_secs         = optional(number)
    paces = optional(object({
      github  = optional(object({ burst = number, per_minute = number }))
      fargate = optional(object({ burst = number, per_minute = number }))
    }), {})
  })
  default  = {}
  nullable = false
}

variable "network" {
  description = "Where tasks run: a small VPC of public subnets without NAT, made here in `cidr`; or one's own, by `vpc_id` and `subnet_ids`, with `assign_public_ip` where those are public. `interface_endpoints` cost about 7.30 dollars a month each in each zone."
  type = object({
    cidr                = optional(string, "10.73.0.0/16")
    vpc_id              = optional(string)
    subnet_ids          = optional(list(string))
    assign_public_ip    = optional(bool)
    interface_endpoints = optional(bool, false)
  })
  default  = {}
  nullable = false
}

variable "webhook" {
  description = "The way in: who may post (`source_cidrs`, everybody by default), how much (`throttle`), a web ACL before it (`waf`), days that webhooks are archived (`archive_days`, none by default), and whether API Gateway's role for logs, of which an account has one in a Region, is set here (`account_log_role` `own`) or is there already (`existing`)."
  type = object({
    source_cidrs     = optional(list(string))
    throttle         = optional(object({ rate = optional(number, 200), burst = optional(number, 1000) }), {})
    waf              = optional(object({ acl_arn = string }))
    archive_days     = optional(number, 0)
    account_log_role = optional(string, "own")
  })
  default  = {}
  nullable = false
}

variable "control_plane" {
  description = "The control plane's archive (`package`: a `filename`, or an object in S3, and the `architecture` that it was built for), what it logs, and how much of Lambda it takes."
  type = object({
    package = object({
      filename          = optional(string)
      s3_bucket         = optional(string)
      s3_key            = optional(string)
      s3_object_version = optional(string)
      architecture      = optional(string, "arm64")
    })
    log_level = optional(string, "info")
    function = optional(object({
      timeout              = optional(number, 60)
      memory               = optional(number, 128)
      reserved_concurrency = optional(number, -1)
    }), {})
  })
  nullable = false
}

variable "observe" {
  description = "Who hears of alarms (`emails`, ARNs of further `topics`) and what alarms wait for (`alarms`); for how many days logs are kept (`log_retention_days`); whether the cluster has Container Insights, which costs for each task."
  type = object({
    emails = optional(list(string), [])
    topics = optional(list(string), [])
    alarms = optional(object({
      launch_failures      = optional(number, 20)
      sweep_behind_minutes = optional(number, 60)
      image_age_days       = optional(number, 25)
    }), {})
    log_retention_days = optional(number, 30)
    container_insights = optional(bool, false)
  })
  default  = {}
  nullable = false
}

variable "storage" {
  description = "How durable and how secret the deployment's memory is: `deletion_protection` of the tables, `point_in_time_recovery` of the records, days in which a deleted secret can be brought back, and a key of one's own (`kms_key`) for tables, secrets and the runners' logs, whose policy has to let CloudWatch Logs use it."
  type = object({
    deletion_protection         = optional(bool, true)
    point_in_time_recovery      = optional(bool, true)
    secret_recovery_window_days = optional(number, 7)
    kms_key                     = optional(object({ arn = string }))
  })
  default  = {}
  nullable = false
}
