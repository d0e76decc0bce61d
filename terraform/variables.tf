# The inputs of a deployment. `deployment` and `allowed_repositories` are required. The rest have defaults that keep the
# deployment secure and its bill small. A value that goes to one module is validated there, and the message uses the name
# that it has in this file. A value that goes to several modules is validated here, so that a mistake is reported once.

variable "deployment" {
  description = "Name of this installation, part of every resource's name. It must be unique in the account across all Regions, since role names are global."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$", var.deployment))
    error_message = "deployment is `${var.deployment}`: 1 to 20 characters of a-z, 0-9 and - are expected, beginning and ending with a letter or digit."
  }
}

variable "region" {
  description = "The Region in which you expect the deployment. The provider's configuration decides where it is: in another Region the plan fails, instead of creating a second deployment there."
  type        = string
  default     = null

  validation {
    condition     = var.region == null || var.region == data.aws_region.current.region
    error_message = "region is `${coalesce(var.region, "null")}`, but AWS's provider uses the Region `${data.aws_region.current.region}`: the same Region is expected. Set AWS_REGION, or `region` in the provider block of the root module."
  }
}

variable "tags" {
  description = "Tags for every resource that can be tagged, in addition to `ecsrunner:deployment`."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:") && !startswith(lower(key), "ecsrunner:")])
    error_message = "tags has ${join(", ", [for key in keys(var.tags) : "`${key}`" if startswith(lower(key), "aws:") || startswith(lower(key), "ecsrunner:")])}: other keys are expected, since `aws:` is reserved by AWS and `ecsrunner:` by ecsrunner."
  }
}

variable "iam" {
  description = "Of each IAM role: the policy that bounds its permissions (`permissions_boundary`, an ARN), which many organizations require, and its `path`. Another path replaces the roles."
  type = object({
    permissions_boundary = optional(string)
    path                 = optional(string, "/")
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.iam.permissions_boundary == null || can(regex("^arn:[^:]+:iam::(aws|[0-9]{12}):policy/[A-Za-z0-9_+=,.@/-]+$", var.iam.permissions_boundary))
    error_message = "iam.permissions_boundary is `${coalesce(var.iam.permissions_boundary, "null")}`: the ARN of a policy is expected, such as arn:aws:iam::123456789012:policy/boundary."
  }

  validation {
    condition     = can(regex("^/([A-Za-z0-9_+=,.@-]+/)*$", var.iam.path)) && length(var.iam.path) <= 512
    error_message = "iam.path is `${var.iam.path}`: at most 512 characters that begin and end with `/` are expected, such as `/ci/`."
  }
}

variable "allowed_repositories" {
  description = "Repositories whose jobs may run: `owner/name`, `owner/*` or `*`."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.allowed_repositories) > 0
    error_message = "allowed_repositories is empty: at least one of `owner/name`, `owner/*` or `*` is expected, since otherwise no job can run."
  }
}

variable "runner_class_sizes" {
  description = "Runner classes by name. A job selects one with the label `class:<name>`. Only `cpu` (1024 for one vCPU) and `memory` (MiB) are required, and Fargate must offer that size. docs/configuration.md describes the other keys. The `default` class serves jobs that name no class. `exec` lets operators open a shell in a job, and gives each job of the class an identity at AWS: a job that is root can use its task's role, with four actions of `ssmmessages`, and delete its own boot item. Each plan warns about such classes. `warm` keeps tasks that have booted and wait for a job, which cost as much as tasks that execute one; `limits.max_warm` must allow for them. `services` are containers beside the runner, for the `services:` of workflows; nothing in them may be secret. `docker` gives each task a Docker engine of its own, and needs `compute = \"managed-instances\"`: its jobs are root on their instance. `gpu` gives each task all GPUs of an instance, and needs `compute = \"managed-instances\"` too."
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
  default = {
    small  = { cpu = 1024, memory = 2048, default = true }
    medium = { cpu = 2048, memory = 4096 }
    large  = { cpu = 4096, memory = 8192 }
  }
  nullable = false

  validation {
    condition     = alltrue([for class in values(var.runner_class_sizes) : contains(concat(["default", "official"], keys(var.runner_images)), coalesce(class.image, "default"))])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.runner_class_sizes : "class `${name}` has image `${coalesce(class.image, "default")}`" if !contains(concat(["default", "official"], keys(var.runner_images)), coalesce(class.image, "default"))])}. `default`, `official` (GitHub's own image) or a key of runner_images is expected: ${join(", ", concat(["default", "official"], keys(var.runner_images)))}."
  }

  # Image, tasks and instances depend on it.
  validation {
    condition     = alltrue([for class in values(var.runner_class_sizes) : contains(["x64", "arm64"], class.arch)])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.runner_class_sizes : "class `${name}` has arch `${class.arch}`" if !contains(["x64", "arm64"], class.arch)])}. `x64` or `arm64` is expected."
  }
}

variable "runner_image_tag" {
  description = "Begins the tag of each image that is built here. A hash of its sources, the runner's version and the build's number are appended. Another value builds the image again."
  type        = string
  default     = "1"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9._-]{0,94}$", var.runner_image_tag)) && !can(regex("^(current|next)-", var.runner_image_tag))
    error_message = "runner_image_tag is `${var.runner_image_tag}`: 1 to 95 letters, digits, `_`, `.` and `-` are expected, not beginning with `.` or `-`, nor with `current-` or `next-`, whose tags can be moved."
  }
}

variable "runner_image_uri" {
  description = "Your own image instead of the one built here, as REGISTRY/NAME@sha256:DIGEST, since a tag can be moved. It must support the architectures of the classes that use it. runner/README.md lists what it must contain."
  type        = string
  default     = null

  validation {
    condition     = var.runner_image_uri == null || can(regex("^[^\\s/@:]+(:[0-9]+)?(/[a-z0-9._-]+)+@sha256:[0-9a-f]{64}$", var.runner_image_uri))
    error_message = "runner_image_uri is `${coalesce(var.runner_image_uri, "null")}`: REGISTRY/NAME@sha256:DIGEST is expected, since a tag can be moved to another image. `docker buildx imagetools inspect REGISTRY/NAME:TAG --format '{{.Manifest.Digest}}'` prints the digest of a tag."
  }
}

variable "runner_images" {
  description = "More images by name, for classes that select one with `image`. Each `uri` is REGISTRY/NAME@sha256:DIGEST."
  type        = map(object({ uri = string }))
  default     = {}
  nullable    = false

  validation {
    condition     = length(setintersection(keys(var.runner_images), ["default", "next", "official"])) == 0
    error_message = "runner_images has ${join(", ", [for name in setintersection(keys(var.runner_images), ["default", "next", "official"]) : "`${name}`"])}: other names are expected. `default` is the image that is built here, or runner_image_uri; `next` is its newest build, `official` is GitHub's own image."
  }

  validation {
    condition     = alltrue([for image in values(var.runner_images) : can(regex("^[^\\s/@:]+(:[0-9]+)?(/[a-z0-9._-]+)+@sha256:[0-9a-f]{64}$", image.uri))])
    error_message = "runner_images: ${join("; ", [for name, image in var.runner_images : "`${name}` is `${image.uri}`" if !can(regex("^[^\\s/@:]+(:[0-9]+)?(/[a-z0-9._-]+)+@sha256:[0-9a-f]{64}$", image.uri))])}. REGISTRY/NAME@sha256:DIGEST is expected, since a tag can be moved to another image. `docker buildx imagetools inspect REGISTRY/NAME:TAG --format '{{.Manifest.Digest}}'` prints the digest of a tag."
  }
}

variable "runner_image_build" {
  description = "How the default image is built, if runner_image_uri is not set. `builder` is `codebuild` (AWS builds, and again for each newer actions/runner), `docker` (an apply builds with Docker on the machine that runs Terraform) or `none`. `runner_version` pins actions/runner, such as to roll back. `base_image` is a base other than GitHub's. `variant` is `slim` (GitHub's image without what no task on Fargate can use; the default), `full` (the default for another base) or `docker` (for classes with `docker = true`). `actions` are those whose archives the image gets (`OWNER/NAME@REF`). `dockerfile_dir` has a Dockerfile of your own, with the files that it copies (`inputs`, patterns in `context_dir`)."
  type = object({
    builder        = optional(string, "codebuild")
    runner_version = optional(string)
    base_image     = optional(string)
    variant        = optional(string)
    actions        = optional(list(string))
    dockerfile_dir = optional(string)
    context_dir    = optional(string)
    inputs         = optional(list(string))
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["codebuild", "docker", "none"], var.runner_image_build.builder)
    error_message = "runner_image_build.builder is `${var.runner_image_build.builder}`: `codebuild` (AWS builds), `docker` (this machine builds) or `none` is expected."
  }

  validation {
    condition     = var.runner_image_build.builder != "none" || var.runner_image_uri != null || alltrue([for class in values(var.runner_class_sizes) : coalesce(class.image, "default") != "default"])
    error_message = "runner_image_build.builder is `none`, and runner_image_uri is not set: ${join(", ", [for name, class in var.runner_class_sizes : "class `${name}`" if coalesce(class.image, "default") == "default"])} would have no image. Let such a class start GitHub's own (`image = \"official\"`) or one of runner_images, or name a builder."
  }

  validation {
    condition     = var.runner_image_uri == null || alltrue([for key, value in var.runner_image_build : value == null if key != "builder"])
    error_message = "runner_image_build has ${join(", ", [for key, value in var.runner_image_build : key if value != null && key != "builder"])}, and runner_image_uri is set: one of them is expected, since nothing is built if you give an image."
  }
}

variable "official_image" {
  description = "GitHub's own image, which runs as it is for classes with the image `official`, and in place of the built image while that one is missing or fails and has nothing of your own. Name a mirror if tasks cannot reach ghcr.io."
  type        = string
  default     = "ghcr.io/actions/actions-runner:latest"
  nullable    = false

  validation {
    condition     = can(regex("^[^\\s/@:]+(:[0-9]+)?(/[a-z0-9._-]+)+(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$", var.official_image))
    error_message = "official_image is `${var.official_image}`: REGISTRY/NAME:TAG is expected, or a digest after `@`, such as `ghcr.io/actions/actions-runner:latest`."
  }
}

variable "agent" {
  description = "Files of the static agents (`x64`, `arm64`). By default those beside Terraform's directory, where the package has them: `agent-x64` and `agent-arm64`. Only the architectures of the classes are needed."
  type        = object({ x64 = optional(string), arm64 = optional(string) })
  default     = {}
  nullable    = false
}

variable "github" {
  description = "GitHub's API (`api_url`, for GitHub Enterprise Server `https://host/api/v3`), and where runners register: at the job's repository, or in the runner group of an `organization`. The runner group is recommended if one organization owns all repositories."
  type = object({
    api_url      = optional(string, "https://api.github.com")
    organization = optional(object({ name = string, group = optional(number, 1) }))
  })
  default  = {}
  nullable = false

  validation {
    condition     = can(regex("^https://(api[.][^/?#@\\s]+/?|[^/?#@\\s]+/[^?#@\\s]*[^/?#@\\s]/?)$", var.github.api_url))
    error_message = "github.api_url is `${strcontains(var.github.api_url, "@") ? "…" : var.github.api_url}`: `https://api.github.com`, or `https://host/api/v3` for GitHub Enterprise Server, is expected, without a user or password."
  }
}

variable "webhook_secrets" {
  description = "Secrets of the webhook, newest first. A webhook signed with any of them is accepted, so that a secret can be replaced. They are stored in Terraform's state. If null, Terraform stores none: `ecsrunner setup` does, and an existing value stays."
  type        = list(string)
  default     = null
  sensitive   = true
}

variable "policy" {
  description = "Which jobs may run, in addition to allowed_repositories. docs/configuration.md describes the keys."
  type = object({
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
  })
  default  = {}
  nullable = false
}

variable "limits" {
  description = "Limits, timeouts and launch `paces`. docs/configuration.md describes the keys and their defaults, such as 50 runners and 360 minutes per job."
  type = object({
    max_runners                = optional(number)
    max_runners_per_repository = optional(number)
    max_warm                   = optional(number)
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

variable "costs" {
  description = "What the deployment and repositories may cost in a UTC day and a UTC month, in US dollars at list prices, and GitHub's fee for a minute on a self-hosted runner. `action` is `alarm`, or `hold`: then no runner is launched until the period ends. Classes have a `budget` of their own. docs/configuration.md describes the keys."
  type = object({
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
  })
  default  = {}
  nullable = false
}

variable "network" {
  description = "Network for tasks: a small VPC of public subnets without NAT, created here in `cidr`; or your own, given by `vpc_id` and `subnet_ids`, with `assign_public_ip` if the subnets are public. Each of the `interface_endpoints` costs about 7.30 dollars a month in each zone."
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
  description = "Webhook endpoint: allowed addresses (`source_cidrs`, by default those of github.com's webhooks; give your own list for GitHub Enterprise or a proxy, or `[\"0.0.0.0/0\", \"::/0\"]` for all), rate limit (`throttle`), a web ACL (`waf`), days to archive webhooks (`archive_days`, none by default), and whether requests are logged. For that, API Gateway uses one role per account and Region: by default (`account_log_role` is `none`) nothing is logged and that setting of the account is left alone, `existing` logs with the account's present role, `own` replaces it by a role that is created here."
  type = object({
    source_cidrs     = optional(list(string))
    throttle         = optional(object({ rate = optional(number, 25), burst = optional(number, 1000) }), {})
    waf              = optional(object({ acl_arn = string }))
    archive_days     = optional(number, 0)
    account_log_role = optional(string, "none")
  })
  default  = {}
  nullable = false

  validation {
    condition     = local.github_api_url == "https://api.github.com" || var.webhook.source_cidrs != null
    error_message = "webhook.source_cidrs is not set, and github.api_url is `${var.github.api_url}`: the addresses are expected from which that server sends webhooks, since the default is those of github.com."
  }
}

variable "control_plane" {
  description = "The control plane's archive (`package`: a `filename`, or an object in S3 with its `s3_object_version` and `sha256`, and the `architecture` that it was built for), its log level, its Lambda settings, and where the traces of jobs go (`traces`: an OTLP endpoint over HTTP, and the ARN of the secret with its headers, in the form of OTEL_EXPORTER_OTLP_HEADERS). The default archive is the one beside the Terraform that it came with, `control-plane-<architecture>.zip`; if both are there, the one for arm64, which costs less."
  type = object({
    package = optional(object({
      filename          = optional(string)
      s3_bucket         = optional(string)
      s3_key            = optional(string)
      s3_object_version = optional(string)
      sha256            = optional(string)
      architecture      = optional(string)
    }), {})
    log_level = optional(string, "info")
    traces = optional(object({
      endpoint            = string
      headers_secret_arn  = optional(string)
      headers_kms_key_arn = optional(string)
    }))
    function = optional(object({
      timeout                      = optional(number, 60)
      memory                       = optional(number, 512)
      reserved_concurrency         = optional(number, -1)
      sweeper_reserved_concurrency = optional(number, -1)
    }), {})
  })
  default  = {}
  nullable = false
}

variable "observe" {
  description = "Recipients of alarms (`emails`, ARNs of more `topics`), alarm thresholds (`alarms`), days to keep logs (`log_retention_days`), and whether the cluster has Container Insights, which AWS charges per task."
  type = object({
    emails = optional(list(string), [])
    topics = optional(list(string), [])
    alarms = optional(object({
      launch_failures      = optional(number, 20)
      sweep_behind_minutes = optional(number, 60)
      runner_version_days  = optional(number, 7)
    }), {})
    log_retention_days = optional(number, 30)
    container_insights = optional(bool, false)
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.observe.log_retention_days)
    error_message = "observe.log_retention_days is ${var.observe.log_retention_days}: CloudWatch Logs accepts 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

variable "storage" {
  description = "Protection of stored data: `deletion_protection` of the tables, `point_in_time_recovery` of the records, days in which a deleted secret can be restored (`secret_recovery_window_days`), and your own key (`kms_key`) for the state table, secrets and the runners' logs. The key's policy must allow CloudWatch Logs to use it."
  type = object({
    deletion_protection         = optional(bool, true)
    point_in_time_recovery      = optional(bool, true)
    secret_recovery_window_days = optional(number, 7)
    kms_key                     = optional(object({ arn = string }))
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.storage.kms_key == null ? true : can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.storage.kms_key.arn))
    error_message = "storage.kms_key.arn is `${try(var.storage.kms_key.arn, "null")}`: the ARN of a key is expected, not of an alias, such as arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab."
  }
}
