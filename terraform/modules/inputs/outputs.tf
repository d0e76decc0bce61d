# The inputs, which nothing receives before they are right.

output "checked" {
  description = "The inputs, unchanged."
  value       = var.inputs

  precondition {
    condition     = length(local.mistakes) == 0
    error_message = join("\n", local.mistakes)
  }
}

output "mistakes" {
  description = "What is wrong with the inputs, one sentence for each value."
  value       = local.mistakes
}
