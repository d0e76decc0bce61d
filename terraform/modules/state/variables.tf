# How durable and how secret the deployment's memory is.

variable "deployment" {
  description = "Name of this installation of ecsrunner, part of every name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$", var.deployment))
    error_message = "deployment is `${var.deployment}`: 1 to 20 characters of a-z, 0-9 and - are expected, beginning and ending with a letter or digit."
  }
}

variable "deletion_protection" {
  description = "Whether DynamoDB refuses to delete the tables. `terraform destroy` needs an apply with false before it."
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
  description = "A KMS key of one's own for the state table and the secrets, by its ARN; keys of AWS's where null."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn is `${coalesce(var.kms_key_arn, "null")}`: the ARN of a key is expected, such as arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab. An alias will not do."
  }
}

variable "secret_recovery_window_days" {
  description = "Days in which a deleted secret can be brought back, in which its name is taken; 0 deletes at once."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition     = var.secret_recovery_window_days == 0 || try(var.secret_recovery_window_days >= 7 && var.secret_recovery_window_days <= 30 && floor(var.secret_recovery_window_days) == var.secret_recovery_window_days, false)
    error_message = "secret_recovery_window_days is ${var.secret_recovery_window_days}: 0, or 7 to 30, is expected."
  }
}

variable "webhook_secrets" {
  description = "The webhook's secrets, any of which will do, so that one can be replaced: the new one first, the old one behind it. Where null, one is generated. They stand in Terraform's state."
  type        = list(string)
  default     = null
  sensitive   = true

  validation {
    condition     = var.webhook_secrets == null || try(length(var.webhook_secrets) >= 1 && length(var.webhook_secrets) <= 5, false)
    error_message = "webhook_secrets has no secret in it, or more than 5: 1 to 5 are expected, or null to have one generated."
  }

  validation {
    condition     = try(alltrue([for secret in coalesce(var.webhook_secrets, []) : length(secret) >= 16 && trimspace(secret) == secret]), false)
    error_message = "webhook_secrets holds a secret that is too short or begins or ends with white space: at least 16 characters are expected, such as those of `openssl rand -hex 32`."
  }
}
