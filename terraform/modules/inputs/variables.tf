# The inputs as they were written.

variable "inputs" {
  description = "Inputs of the root by name, each of any type. Null is an input that is left out."
  type        = any
  nullable    = false
}
