# The parameters that the control plane may read.

output "arns" {
  description = "ARNs of the four parameters: deployment, settings, classes and paused."
  value       = concat([for name in ["deployment", "settings", "classes"] : aws_ssm_parameter.document[name].arn], [aws_ssm_parameter.paused.arn])
}

output "paused_arn" {
  description = "ARN of the parameter `paused`, which operators change."
  value       = aws_ssm_parameter.paused.arn
}
