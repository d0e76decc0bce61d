# What the control plane starts tasks with, and what it may pass on.

output "cluster" {
  description = "The cluster."
  value       = { name = aws_ecs_cluster.runners.name, arn = aws_ecs_cluster.runners.arn }

  # A cluster without its providers takes no task.
  depends_on = [aws_ecs_cluster_capacity_providers.runners]
}

output "task_definitions" {
  description = "Task definitions as `family:revision`, by `<image>/<arch>` or `<image>/<arch>/exec`."
  value       = { for key, definition in aws_ecs_task_definition.runner : key => "${definition.family}:${definition.revision}" }
}

output "task_definition_arns" {
  description = "Every revision of every family, for the policy of whoever runs them."
  value       = [for variant in local.variants : "arn:${data.aws_partition.current.partition}:ecs:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:task-definition/${variant.family}:*"]
}

output "task_roles" {
  description = "The two task roles; their unique ids begin the keys of boot items."
  value       = { for name, role in aws_iam_role.task : name => { arn = role.arn, unique_id = role.unique_id } }

  # A task that starts without its policy could not take its item.
  depends_on = [aws_iam_role_policy.task]
}

output "execution_role_arn" {
  description = "The role with which ECS starts tasks."
  value       = aws_iam_role.execution.arn

  depends_on = [aws_iam_role_policy.execution]
}

output "security_group_id" {
  description = "The runners' security group, without ingress."
  value       = aws_security_group.runners.id
}

output "log_group" {
  description = "The runners' logs."
  value       = { name = aws_cloudwatch_log_group.runners.name, arn = aws_cloudwatch_log_group.runners.arn }
}
