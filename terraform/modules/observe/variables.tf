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

variable "image" {
  description = "When the runners' image was pushed, in seconds since the epoch. Null if the image is not built here, since its age is then unknown."
  type        = object({ pushed_at = number })
  default     = null

  validation {
    condition     = var.image == null ? true : var.image.pushed_at > 0
    error_message = "image.pushed_at is ${try(var.image.pushed_at, 0)}: seconds since 1970 are expected."
  }
}

variable "alarms" {
  description = "Thresholds of alarms: `launch_failures` within 15 minutes; webhook deliveries that the sweep has not checked for `sweep_behind_minutes`; an image that is `image_age_days` old. GitHub refuses a runner 30 days after the release of a newer one."
  type = object({
    launch_failures      = optional(number, 20)
    sweep_behind_minutes = optional(number, 60)
    image_age_days       = optional(number, 25)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.alarms.launch_failures >= 1
    error_message = "alarms.launch_failures is ${var.alarms.launch_failures}: at least 1 is expected."
  }

  validation {
    condition     = var.alarms.sweep_behind_minutes >= 5
    error_message = "alarms.sweep_behind_minutes is ${var.alarms.sweep_behind_minutes}: at least 5 minutes are expected, since an idle sweep checks deliveries every 5 minutes."
  }

  validation {
    condition     = var.alarms.image_age_days >= 1 && var.alarms.image_age_days <= 30
    error_message = "alarms.image_age_days is ${var.alarms.image_age_days}: 1 to 30 days are expected. From 30 days on, GitHub may refuse the image's runner."
  }
}

variable "notify" {
  description = "Recipients of alarms in addition to the deployment's own topic: `emails`, each of which must confirm its subscription, and ARNs of more `topics`."
  type = object({
    emails = optional(list(string), [])
    topics = optional(list(string), [])
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for email in var.notify.emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])
    error_message = "notify.emails has ${join(", ", [for email in var.notify.emails : "`${email}`" if !can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])}: addresses such as `ops@example.com` are expected."
  }

  validation {
    condition     = alltrue([for topic in var.notify.topics : can(regex("^arn:[^:]+:sns:[^:]+:[0-9]{12}:", topic))])
    error_message = "notify.topics has ${join(", ", [for topic in var.notify.topics : "`${topic}`" if !can(regex("^arn:[^:]+:sns:[^:]+:[0-9]{12}:", topic))])}: ARNs of SNS topics are expected."
  }
}
