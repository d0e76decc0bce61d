# The parts of a deployment that people may see or change.

variable "cluster" {
  description = "The cluster that runs the runners' tasks."
  type        = object({ arn = string })
  nullable    = false
}

variable "state_table" {
  description = "The table of records and history."
  type        = object({ arn = string })
  nullable    = false

  validation {
    condition     = !endswith(var.state_table.arn, "-boot")
    error_message = "state_table is `${var.state_table.arn}`: the state table is expected. Nobody may read the boot table."
  }
}

variable "parameter_arns" {
  description = "ARNs of the deployment's parameters."
  type        = list(string)
  nullable    = false
}

variable "paused_arn" {
  description = "ARN of the parameter `paused`, which operators change."
  type        = string
  nullable    = false
}

variable "kicks_queue" {
  description = "The queue of kicks."
  type        = object({ arn = string })
  nullable    = false
}

variable "dead_letter_arns" {
  description = "ARNs of the dead-letter queues. Their sizes are shown, not their messages."
  type        = list(string)
  nullable    = false
}

variable "log_groups" {
  description = "Names of the log groups: the functions', the runners', the webhooks', and the image's builds."
  type        = list(string)
  nullable    = false
}

variable "questions_function_arn" {
  description = "ARN of the function that answers questions to GitHub."
  type        = string
  nullable    = false
}

variable "project_arns" {
  description = "ARNs of the CodeBuild projects that build the runners' image. None if AWS does not build it."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "dashboard_name" {
  description = "Name of the dashboard."
  type        = string
  nullable    = false
}

variable "kms_key_arn" {
  description = "The KMS key that encrypts the state table, or null for AWS's own key. It is an object so that the key can be created in the same apply."
  type        = object({ arn = string })
  default     = null
}
