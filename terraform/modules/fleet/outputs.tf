# What the control plane needs to start tasks, and the roles that it may pass to them.

output "cluster" {
  description = "The cluster."
  value       = { name = aws_ecs_cluster.runners.name, arn = aws_ecs_cluster.runners.arn }

  # A cluster without capacity providers accepts no task.
  depends_on = [aws_ecs_cluster_capacity_providers.runners]
}

output "task_definitions" {
  description = "Task definitions as `family:revision`, by `<image>/<arch>` or `<image>/<arch>/exec`."
  value       = { for key, definition in aws_ecs_task_definition.runner : key => "${definition.family}:${definition.revision}" }
}

output "service_definitions" {
  description = "Task definitions of the classes that have their own, which are those with services or on managed instances, as `family:revision`, by class and image."
  value = merge(
    { for class in keys(var.classes) : class => {
      for variant in values(local.service_variants) : variant.image => "${variant.family}:${aws_ecs_task_definition.services["${class}/${variant.image}"].revision}" if variant.class == class
    } },
    { for class in keys(var.managed_classes) : class => {
      for variant in values(local.managed_variants) : variant.image => "${variant.family}:${aws_ecs_task_definition.managed["${class}/${variant.image}"].revision}" if variant.class == class
    } },
  )
}

output "task_definition_arns" {
  description = "ARNs of all revisions of each family, for the policy of the role that runs them."
  value       = [for variant in concat(values(local.variants), values(local.service_variants), values(local.managed_variants)) : "arn:${data.aws_partition.current.partition}:ecs:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:task-definition/${variant.family}:*"]
}

output "task_roles" {
  description = "The two task roles. The keys of boot items start with their unique ids."
  value       = { for name, role in aws_iam_role.task : name => { arn = role.arn, unique_id = role.unique_id } }

  # A task that starts before its policy exists could not take its boot item.
  depends_on = [aws_iam_role_policy.task]
}

output "execution_role_arn" {
  description = "The role that ECS uses to start tasks."
  value       = aws_iam_role.execution.arn

  depends_on = [aws_iam_role_policy.execution]
}

output "security_group_id" {
  description = "The runners' security group, which has no ingress."
  value       = aws_security_group.runners.id
}

output "log_group" {
  description = "The runners' log group."
  value       = { name = aws_cloudwatch_log_group.runners.name, arn = aws_cloudwatch_log_group.runners.arn }
}
