# What the way in is told: whose it is, who may use it, and what it may cost.

variable "deployment" {
  description = "The deployment's name, part of the name of everything here."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$", var.deployment))
    error_message = "deployment is `${var.deployment}`: 1 to 20 characters of a-z, 0-9 and - are expected, beginning and ending with a letter or digit."
  }
}

variable "throttle" {
  description = "Requests that are let in: `rate` a second after a burst of `burst`. GitHub sees 429 beyond that, and the sweep fetches what was turned away. They also bound what a flood of false webhooks costs."
  type = object({
    rate  = optional(number, 200)
    burst = optional(number, 1000)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.throttle.rate >= 1 && var.throttle.rate <= 10000
    error_message = "throttle.rate is ${var.throttle.rate}: 1 to 10000 requests a second are expected, which is API Gateway's own quota."
  }

  validation {
    condition     = var.throttle.burst >= 1 && var.throttle.burst <= 5000
    error_message = "throttle.burst is ${var.throttle.burst}: 1 to 5000 requests are expected, which is API Gateway's own quota."
  }
}

variable "source_cidrs" {
  description = "Addresses that webhooks may come from, such as the list `hooks` of https://api.github.com/meta. Null lets everybody in: each webhook is signed, and the signature decides."
  type        = list(string)
  default     = null

  validation {
    condition     = var.source_cidrs == null ? true : length(var.source_cidrs) > 0
    error_message = "source_cidrs is empty: nobody could send a webhook. Leave it out (null) to let everybody in."
  }

  validation {
    condition     = alltrue([for cidr in coalesce(var.source_cidrs, []) : can(cidrhost(cidr, 0))])
    error_message = "source_cidrs has ${join(", ", [for cidr in coalesce(var.source_cidrs, []) : "`${cidr}`" if !can(cidrhost(cidr, 0))])}: address ranges such as `192.30.252.0/22` or `2606:50c0::/32` are expected."
  }
}

variable "waf" {
  description = "A web ACL of AWS WAF's to put before the API, by its ARN. An object, so that the ACL may be made in the same apply."
  type = object({
    acl_arn = string
  })
  default = null

  validation {
    condition     = var.waf == null ? true : can(regex("^arn:[^:]+:wafv2:[^:]+:[0-9]{12}:regional/webacl/", var.waf.acl_arn))
    error_message = "waf.acl_arn is `${try(var.waf.acl_arn, "")}`: the ARN of a regional web ACL is expected, as in `arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/name/id`."
  }
}

variable "log_retention_days" {
  description = "Days that access logs are kept."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days is ${var.log_retention_days}: CloudWatch Logs offers 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 and 3653."
  }
}

variable "account_log_role" {
  description = "API Gateway writes logs with one role for the whole account and Region. `own` sets it to one made here; `existing` leaves the one alone that the account has: say so where somebody else, or another deployment, has set it."
  type        = string
  default     = "own"
  nullable    = false

  validation {
    condition     = contains(["own", "existing"], var.account_log_role)
    error_message = "account_log_role is `${var.account_log_role}`: `own` or `existing` is expected."
  }
}

variable "archive_days" {
  description = "Days that EventBridge archives webhooks for a replay; 0 archives none. An archive holds whole webhooks, branch names and commit authors among them."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.archive_days >= 0 && var.archive_days <= 3650 && floor(var.archive_days) == var.archive_days
    error_message = "archive_days is ${var.archive_days}: a whole number from 0 (no archive) to 3650 is expected."
  }
}
