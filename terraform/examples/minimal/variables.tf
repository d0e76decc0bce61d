# What differs between deployments. Write the first three into terraform.tfvars.

variable "deployment" {
  description = "Name of this installation, part of every resource's name: 1 to 20 characters of a-z, 0-9 and -."
  type        = string
}

variable "region" {
  description = "AWS Region in which everything is created, such as `eu-west-1`."
  type        = string
}

variable "allowed_repositories" {
  description = "Repositories whose jobs may run: `owner/name`, `owner/*` or `*`."
  type        = list(string)
}

variable "package" {
  description = "The functions' archive, if it is not beside the Terraform that it came with. Its name ends with its architecture."
  type        = string
  default     = null
}

variable "agent" {
  description = "The static agents by architecture, if they are not beside the Terraform that they came with."
  type        = object({ x64 = optional(string), arm64 = optional(string) })
  default     = {}
}
