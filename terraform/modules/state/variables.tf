# Protection, recovery and encryption of the deployment's stored data.

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

variable "deletion_protection" {
  description = "Whether DynamoDB refuses to delete the tables. Set it to false and apply before `terraform destroy`."
  type        = bool
  default     = true
  nullable    = false
}

variable "point_in_time_recovery" {
  description = "Whether the state table can be restored to any second of the last 35 days, at $0.20 a month for each GB."
  type        = bool
  default     = true
  nullable    = false
}

variable "kms_key_arn" {
  description = "ARN of your own KMS key for the state table and the secrets. If null, AWS's own keys are used."
  type        = string
  default     = null
}

variable "secret_recovery_window_days" {
  description = "Days in which a deleted secret can be restored. Its name cannot be reused meanwhile. 0 deletes at once."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition     = var.secret_recovery_window_days == 0 || try(var.secret_recovery_window_days >= 7 && var.secret_recovery_window_days <= 30 && floor(var.secret_recovery_window_days) == var.secret_recovery_window_days, false)
    error_message = "storage.secret_recovery_window_days is ${var.secret_recovery_window_days}: 0 or a whole number from 7 to 30 is expected."
  }
}

variable "webhook_secrets" {
  description = "Secrets of the webhook, newest first. A webhook signed with any of them is accepted, so that a secret can be replaced. They are stored in Terraform's state. If null, Terraform stores none: `ecsrunner setup` does, and an existing value stays."
  type        = list(string)
  default     = null
  sensitive   = true

  validation {
    condition     = var.webhook_secrets == null || try(length(var.webhook_secrets) >= 1 && length(var.webhook_secrets) <= 5, false)
    error_message = "webhook_secrets is empty or has more than 5 secrets: 1 to 5 are expected, or null if `ecsrunner setup` stores them."
  }

  validation {
    condition     = try(alltrue([for secret in coalesce(var.webhook_secrets, []) : length(secret) >= 16 && trimspace(secret) == secret]), false)
    error_message = "webhook_secrets has a secret that is too short, or that begins or ends with white space: at least 16 characters are expected, such as the output of `openssl rand -hex 32`."
  }
}

variable "boot_roles" {
  description = "ARNs of the only roles that may use the boot table: `control_plane` writes and deletes items, `tasks` delete them."
  type        = object({ control_plane = string, tasks = list(string) })
  nullable    = false

  validation {
    condition     = alltrue([for arn in concat(var.boot_roles.tasks, [var.boot_roles.control_plane]) : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+$", arn))])
    error_message = "boot_roles has ${join(", ", [for arn in concat(var.boot_roles.tasks, [var.boot_roles.control_plane]) : "`${arn}`" if !can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+$", arn))])}: ARNs of roles are expected, without `*`, such as arn:aws:iam::123456789012:role/ecsrunner-ci-task."
  }
}
