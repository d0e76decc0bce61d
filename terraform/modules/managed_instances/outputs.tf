# What the control plane needs to run tasks on the instances.

output "capacity_providers" {
  description = "Names of the capacity providers, by market (`on-demand`, `spot`)."
  value       = { for market, provider in aws_ecs_capacity_provider.class : market => provider.name }
}

output "security_group_id" {
  description = "The instances' security group, which has no ingress."
  value       = aws_security_group.instance.id
}

output "instance" {
  description = "What an instance has, or has at least if it has GPUs: `vcpus` and `memory_mib`."
  value       = { vcpus = local.vcpus.min, memory_mib = local.memory_mib.min }
}
