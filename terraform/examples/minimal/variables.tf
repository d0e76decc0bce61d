# What differs between deployments. Write the first three into terraform.tfvars. Every other input of the module can be
# written there too. inputs.tf checks its keys and types, the module checks its value, and ../../variables.tf describes each
# key. An input that is left out has the module's default.

variable "deployment" {
  description = "Name of this installation, part of every resource's name: 1 to 20 characters of a-z, 0-9 and -."
  type        = string
}

variable "region" {
  description = "AWS Region in which everything is created, such as `eu-west-1`."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region is `${var.region}`: the name of a Region is expected, such as `eu-west-1`."
  }
}

variable "allowed_repositories" {
  description = "Repositories whose jobs may run: `owner/name`, `owner/*` or `*`."
  type        = list(string)
}

variable "tags" {
  description = "Tags for every resource."
  type        = any
  default     = null
}

variable "iam" {
  description = "Permissions boundary and path of every role."
  type        = any
  default     = null
}

variable "runner_class_sizes" {
  description = "Runner classes by name: cpu, memory and more. By default small, medium and large."
  type        = any
  default     = null
}

variable "runner_image_tag" {
  description = "Begins the tag of each image that is built here."
  type        = any
  default     = null
}

variable "runner_image_uri" {
  description = "Your own image, by digest."
  type        = any
  default     = null
}

variable "runner_images" {
  description = "More images, by digest, for classes that name one."
  type        = any
  default     = null
}

variable "runner_image_build" {
  description = "Who builds the image, from which sources, with which runner, variant and actions."
  type        = any
  default     = null
}

variable "official_image" {
  description = "The image of classes with the image `official`."
  type        = any
  default     = null
}

variable "agent" {
  description = "Files of the static agents, if they are not beside the Terraform that they came with."
  type        = any
  default     = null
}

variable "github" {
  description = "GitHub's API URL, and an organization's runner group."
  type        = any
  default     = null
}

variable "webhook_secrets" {
  description = "Secrets of the webhook, newest first, if Terraform is to store them."
  type        = any
  default     = null
  sensitive   = true
}

variable "policy" {
  description = "Which jobs may run, in addition to allowed_repositories."
  type        = any
  default     = null
}

variable "limits" {
  description = "Limits, timeouts and launch paces."
  type        = any
  default     = null
}

variable "costs" {
  description = "Budgets, and GitHub's fee for self-hosted minutes."
  type        = any
  default     = null
}

variable "network" {
  description = "Addresses of the VPC that is created, or your own network."
  type        = any
  default     = null
}

variable "webhook" {
  description = "Allowed addresses, rate limit, web ACL and archive of the webhook's endpoint."
  type        = any
  default     = null
}

variable "control_plane" {
  description = "The functions' archive, log level and size."
  type        = any
  default     = null
}

variable "observe" {
  description = "Recipients of alarms, thresholds, and how long logs are kept."
  type        = any
  default     = null
}

variable "storage" {
  description = "Protection of tables, recovery of secrets, and your own key."
  type        = any
  default     = null
}
