# The endpoint's deployment, allowed callers and limits.

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

variable "throttle" {
  description = "Requests that are accepted: `rate` per second after a burst of `burst`. Requests beyond that are answered with 429, and the sweep fetches those webhooks later. A job sends three webhooks: 25 a second are those of 500 jobs a minute, three times what one deployment can start. The burst takes 1,000 jobs that are queued at once. The limits also bound the cost of a flood of forged webhooks."
  type = object({
    rate  = optional(number, 25)
    burst = optional(number, 1000)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.throttle.rate >= 1 && var.throttle.rate <= 10000
    error_message = "webhook.throttle.rate is ${var.throttle.rate}: 1 to 10000 requests a second are expected (API Gateway's quota)."
  }

  validation {
    condition     = var.throttle.burst >= 1 && var.throttle.burst <= 5000 && floor(var.throttle.burst) == var.throttle.burst
    error_message = "webhook.throttle.burst is ${var.throttle.burst}: a whole number from 1 to 5000 is expected (API Gateway's quota)."
  }
}

variable "source_cidrs" {
  description = "Addresses that may send webhooks. Null is GitHub's own list, as of the date in github_hooks.json. Give your own list if webhooks come from GitHub Enterprise or through a proxy. `[\"0.0.0.0/0\", \"::/0\"]` allows all addresses: each webhook is signed, and the control plane checks the signature."
  type        = list(string)
  default     = null

  validation {
    condition     = var.source_cidrs == null ? true : length(var.source_cidrs) > 0
    error_message = "webhook.source_cidrs is empty: at least one range is expected, since otherwise no webhook could be sent. Leave it out (null) for GitHub's addresses, or give `0.0.0.0/0` and `::/0` to allow all."
  }

  validation {
    condition     = alltrue([for cidr in coalesce(var.source_cidrs, []) : can(cidrhost(cidr, 0))])
    error_message = "webhook.source_cidrs has ${join(", ", [for cidr in coalesce(var.source_cidrs, []) : "`${cidr}`" if !can(cidrhost(cidr, 0))])}: address ranges such as `192.30.252.0/22` or `2606:50c0::/32` are expected."
  }
}

variable "waf" {
  description = "ARN of an AWS WAF web ACL for the API. It is an object so that the ACL can be created in the same apply."
  type = object({
    acl_arn = string
  })
  default = null

  validation {
    condition     = var.waf == null ? true : can(regex("^arn:[^:]+:wafv2:[^:]+:[0-9]{12}:regional/webacl/", var.waf.acl_arn))
    error_message = "webhook.waf.acl_arn is `${try(var.waf.acl_arn, "")}`: the ARN of a regional web ACL is expected, as in `arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/name/id`."
  }
}

variable "log_retention_days" {
  description = "Days to keep access logs."
  type        = number
  default     = 30
  nullable    = false
}

variable "account_log_role" {
  description = "Whether API Gateway logs the requests. For that it uses one role per account and Region, so this is a setting of the account: `none` changes nothing there and logs nothing. `existing` logs with the account's present role. `own` creates a role and sets it for the account, in place of the present one; it is reset when this is taken back or destroyed."
  type        = string
  default     = "none"
  nullable    = false

  validation {
    condition     = contains(["none", "existing", "own"], var.account_log_role)
    error_message = "webhook.account_log_role is `${var.account_log_role}`: `none`, `existing` or `own` is expected."
  }
}

variable "archive_days" {
  description = "Days that EventBridge archives webhooks for a replay; 0 archives none. An archive holds complete webhooks, including branch names and commit authors."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.archive_days >= 0 && var.archive_days <= 3650 && floor(var.archive_days) == var.archive_days
    error_message = "webhook.archive_days is ${var.archive_days}: a whole number from 0 (no archive) to 3650 is expected."
  }
}
