# The control plane's code, the resources that it uses, and its Lambda settings.

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

variable "package" {
  description = "The functions' archive: a file (`filename`), or an object in S3 (`s3_bucket`, `s3_key`, `s3_object_version`, and its `sha256`, as `sha256sum` prints it), and the `architecture` that it was built for. Changed file contents or another hash replace the code."
  type = object({
    filename          = optional(string)
    s3_bucket         = optional(string)
    s3_key            = optional(string)
    s3_object_version = optional(string)
    sha256            = optional(string)
    architecture      = optional(string, "arm64")
  })
  nullable = false

  validation {
    condition     = (var.package.filename == null) != (var.package.s3_bucket == null) && (var.package.s3_bucket == null) == (var.package.s3_key == null)
    error_message = "control_plane.package has filename ${coalesce(var.package.filename, "null")}, s3_bucket ${coalesce(var.package.s3_bucket, "null")} and s3_key ${coalesce(var.package.s3_key, "null")}: filename alone, or both s3_bucket and s3_key, are expected."
  }

  validation {
    condition     = (var.package.s3_bucket == null) == (var.package.s3_object_version == null)
    error_message = "control_plane.package.s3_object_version is ${coalesce(var.package.s3_object_version, "null")}: the version of the object in S3 is expected with s3_bucket, and only with it, so that the object cannot change. `aws s3api put-object` prints it; the bucket must keep versions."
  }

  validation {
    condition     = var.package.s3_bucket == null ? var.package.sha256 == null : can(regex("^[0-9a-f]{64}$", var.package.sha256))
    error_message = "control_plane.package.sha256 is `${coalesce(var.package.sha256, "null")}`: the 64 hexadecimal digits that `sha256sum FILE` prints are expected with s3_bucket, and only with it."
  }

  validation {
    condition     = var.package.filename == null ? true : fileexists(var.package.filename)
    error_message = "control_plane.package.filename is `${coalesce(var.package.filename, "null")}`: an existing file is expected. A release's archive has it beside `terraform`, and so has the one that `cargo xtask package` makes in `dist`."
  }

  validation {
    condition     = contains(["arm64", "x86_64"], var.package.architecture)
    error_message = "control_plane.package.architecture is `${var.package.architecture}`: `arm64` or `x86_64` is expected (Lambda's names)."
  }
}

variable "bus" {
  description = "The event bus that receives the webhooks."
  type        = object({ name = string, arn = string })
  nullable    = false
}

variable "cluster" {
  description = "The cluster that runs the runners' tasks."
  type        = object({ name = string, arn = string })
  nullable    = false
}

variable "tasks" {
  description = "What may be launched: `definition_arns`, task definitions with all their revisions (ARNs that end with `:*`), and `role_arns`, the task roles and the execution role."
  type = object({
    definition_arns = list(string)
    role_arns       = list(string)
  })
  nullable = false

  validation {
    condition     = length(var.tasks.definition_arns) > 0 && length(var.tasks.role_arns) > 0
    error_message = "tasks has ${length(var.tasks.definition_arns)} definition_arns and ${length(var.tasks.role_arns)} role_arns: at least one of each is expected."
  }
}

variable "runner_log_group" {
  description = "The log group of the runners' tasks, whose exit records the control plane receives."
  type        = object({ name = string, arn = string })
  nullable    = false
}

variable "managed_instances" {
  description = "Whether a class runs on ECS Managed Instances, so that the control plane looks after container instances."
  type        = bool
  default     = false
  nullable    = false
}

variable "image" {
  description = "The runners' image: `agent_arns`, the objects from which tasks of GitHub's own image download the agent; `repository` and `projects` (by architecture), if AWS builds the default image."
  type = object({
    agent_arns = optional(list(string), [])
    repository = optional(object({ arn = string }))
    projects   = optional(map(object({ name = string, arn = string })), {})
  })
  default  = {}
  nullable = false

  validation {
    condition     = length(var.image.projects) == 0 || var.image.repository != null
    error_message = "image has ${length(var.image.projects)} projects and no repository: the repository that they push to is expected, since the control plane moves its tags."
  }
}

variable "tables" {
  description = "The tables: `state` holds jobs and runners, `boot` holds boot items."
  type = object({
    state = object({ arn = string })
    boot  = object({ arn = string })
  })
  nullable = false
}

variable "secrets" {
  description = "The secrets: the webhook's secrets, and GitHub's credentials."
  type = object({
    webhook = object({ arn = string })
    github  = object({ arn = string })
  })
  nullable = false
}

variable "parameter_arns" {
  description = "ARNs of the Systems Manager parameters that the control plane reads."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.parameter_arns) > 0
    error_message = "parameter_arns is empty: at least one ARN is expected, since the functions could not read their configuration."
  }
}

variable "kms_key_arn" {
  description = "The KMS key that encrypts tables and secrets, or null for AWS's own keys. It is an object so that the key can be created in the same apply."
  type        = object({ arn = string })
  default     = null
}

variable "github_api_url" {
  description = "URL of GitHub's API; for GitHub Enterprise Server `https://host/api/v3`."
  type        = string
  default     = "https://api.github.com"
  nullable    = false
}

variable "traces" {
  description = "Where the traces of jobs go: an OTLP endpoint over HTTP; `/v1/traces` is appended. The headers are a secret in Secrets Manager, in the form of OTEL_EXPORTER_OTLP_HEADERS, which Terraform does not read. `headers_kms_key_arn` is its key, if it is not AWS's own or that of the deployment."
  type = object({
    endpoint            = string
    headers_secret_arn  = optional(string)
    headers_kms_key_arn = optional(string)
  })
  default = null

  validation {
    condition     = var.traces == null ? true : can(regex("^https?://[^/?#@\\s]+(/[^?#\\s]*)?$", var.traces.endpoint))
    error_message = "control_plane.traces.endpoint is `${try(var.traces.endpoint, "null")}`: a URL such as `https://otlp.example.com:4318` is expected, without credentials, which belong into the headers' secret."
  }

  validation {
    condition     = try(var.traces.headers_secret_arn, null) == null ? true : startswith(var.traces.endpoint, "https://")
    error_message = "control_plane.traces.endpoint is `${try(var.traces.endpoint, "null")}`, and the headers are a secret: a URL with https is expected."
  }

  # The whole ARN: with a name or a pattern, the policy would fit other secrets too.
  validation {
    condition     = try(var.traces.headers_secret_arn, null) == null ? true : can(regex("^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+-[A-Za-z0-9]{6}$", var.traces.headers_secret_arn))
    error_message = "control_plane.traces.headers_secret_arn is `${try(coalesce(var.traces.headers_secret_arn, "null"), "null")}`: the whole ARN of a secret is expected, with the six characters that Secrets Manager adds."
  }

  validation {
    condition     = try(var.traces.headers_kms_key_arn, null) == null ? true : can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.traces.headers_kms_key_arn))
    error_message = "control_plane.traces.headers_kms_key_arn is `${try(coalesce(var.traces.headers_kms_key_arn, "null"), "null")}`: the ARN of a key is expected, not of an alias."
  }
}

variable "log" {
  description = "The log level (`level`: error, warn, info or debug), and the days to keep logs (`retention_days`)."
  type = object({
    level          = optional(string, "info")
    retention_days = optional(number, 30)
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["error", "warn", "info", "debug"], var.log.level)
    error_message = "control_plane.log_level is `${var.log.level}`: `error`, `warn`, `info` or `debug` is expected."
  }
}

variable "function" {
  description = "Timeout in seconds and memory in MB of both functions, and their reserved concurrency: `reserved_concurrency` bounds what a flood of webhooks can use of the account, `sweeper_reserved_concurrency` keeps some for sweeps. -1 reserves none, which is the default: Lambda leaves at least 100 executions unreserved, and a new account has 10 in all."
  type = object({
    timeout                      = optional(number, 60)
    memory                       = optional(number, 512)
    reserved_concurrency         = optional(number, -1)
    sweeper_reserved_concurrency = optional(number, -1)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.function.timeout >= 60 && var.function.timeout <= 900 && floor(var.function.timeout) == var.function.timeout
    error_message = "control_plane.function.timeout is ${var.function.timeout}: a whole number from 60 to 900 seconds is expected. A dispatcher needs a minute to finish its round."
  }

  validation {
    condition     = var.function.memory >= 128 && var.function.memory <= 10240 && floor(var.function.memory) == var.function.memory
    error_message = "control_plane.function.memory is ${var.function.memory}: a whole number from 128 to 10240 MB is expected (Lambda's range)."
  }

  validation {
    condition     = (var.function.reserved_concurrency == -1 || var.function.reserved_concurrency >= 2) && floor(var.function.reserved_concurrency) == var.function.reserved_concurrency
    error_message = "control_plane.function.reserved_concurrency is ${var.function.reserved_concurrency}: -1 (none) or a whole number of at least 2 is expected. With 0 nothing runs; with 1 webhooks wait for the dispatcher."
  }

  validation {
    condition     = (var.function.sweeper_reserved_concurrency == -1 || var.function.sweeper_reserved_concurrency >= 1) && floor(var.function.sweeper_reserved_concurrency) == var.function.sweeper_reserved_concurrency
    error_message = "control_plane.function.sweeper_reserved_concurrency is ${var.function.sweeper_reserved_concurrency}: -1 (none) or a whole number of at least 1 is expected. With 0 no sweep runs."
  }
}
