variable "agent" {
  description = "The static agents by architecture, if they are not beside the Terraform that they came with."
  type        = object({ x64 = optional(string), arm64 = optional(string) })
  default     = {}
}
