# The names of the resources to watch, and who receives alarms.

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

variable "functions" {
  description = "Names of the functions."
  type        = object({ control_plane = string, sweeper = string })
  nullable    = false
}

variable "queues" {
  description = "Names of the dead-letter queues."
  type        = object({ kicks_dead = string, events_dead = string })
  nullable    = false
}

variable "rest_api" {
  description = "Name and stage of the API that receives webhooks. They are the dimensions of its metrics."
  type        = object({ name = string, stage = string })
  nullable    = false
}

variable "log_groups" {
  description = "Names of the log groups: the functions', the runners' and the webhooks' access log."
  type        = object({ control_plane = string, sweeper = string, runners = string, webhooks = string })
  nullable    = false
}

variable "projects" {
  description = "Names of the CodeBuild projects that build the runners' image, by architecture. None if AWS does not build it."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "alarms" {
  description = "Thresholds of alarms: `launch_failures` within 15 minutes; webhook deliveries that the sweep has not checked for `sweep_behind_minutes`; fewer than `runner_version_days` until GitHub refuses the version of actions/runner that is in use."
  type = object({
    launch_failures      = optional(number, 20)
    sweep_behind_minutes = optional(number, 60)
    runner_version_days  = optional(number, 7)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.alarms.launch_failures >= 1 && floor(var.alarms.launch_failures) == var.alarms.launch_failures
    error_message = "observe.alarms.launch_failures is ${var.alarms.launch_failures}: a whole number of at least 1 is expected."
  }

  validation {
    condition     = var.alarms.sweep_behind_minutes >= 5 && floor(var.alarms.sweep_behind_minutes) == var.alarms.sweep_behind_minutes
    error_message = "observe.alarms.sweep_behind_minutes is ${var.alarms.sweep_behind_minutes}: a whole number of at least 5 minutes is expected, since an idle sweep checks deliveries every 5 minutes."
  }

  validation {
    condition     = var.alarms.runner_version_days >= 1 && var.alarms.runner_version_days <= 29 && floor(var.alarms.runner_version_days) == var.alarms.runner_version_days
    error_message = "observe.alarms.runner_version_days is ${var.alarms.runner_version_days}: a whole number from 1 to 29 is expected. GitHub refuses a version 30 days after the release of the next one."
  }
}

variable "notify" {
  description = "Recipients of alarms in addition to the deployment's own topic: `emails`, whose owners must confirm the subscription, and ARNs of more `topics`."
  type = object({
    emails = optional(list(string), [])
    topics = optional(list(string), [])
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for email in var.notify.emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])
    error_message = "observe.emails has ${join(", ", [for email in var.notify.emails : "`${email}`" if !can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])}: addresses such as `ops@example.com` are expected."
  }

  validation {
    condition     = alltrue([for topic in var.notify.topics : can(regex("^arn:[^:]+:sns:[^:]+:[0-9]{12}:", topic))])
    error_message = "observe.topics has ${join(", ", [for topic in var.notify.topics : "`${topic}`" if !can(regex("^arn:[^:]+:sns:[^:]+:[0-9]{12}:", topic))])}: ARNs of SNS topics are expected."
  }
}
