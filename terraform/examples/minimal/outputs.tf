# The next steps after an apply, and where to find things.

output "webhook_url" {
  description = "URL for GitHub's webhook settings."
  value       = module.ecsrunner.webhook_url
}

output "webhook_sources" {
  description = "Addresses that may send webhooks."
  value       = module.ecsrunner.webhook_sources
}

output "webhook_secret_command" {
  description = "Command that prints the webhook's secrets, once they are set."
  value       = module.ecsrunner.webhook_secret_command
}

output "github_secret_command" {
  description = "Command that stores GitHub's credentials from stdin."
  value       = module.ecsrunner.github_secret_command
}

output "cluster_arn" {
  description = "ARN of the cluster that runs the runners' tasks."
  value       = module.ecsrunner.cluster_arn
}

output "runner_image" {
  description = "The runners' default image, by architecture."
  value       = module.ecsrunner.runner_image
}

output "dead_letters" {
  description = "Names of the dead-letter queues."
  value       = module.ecsrunner.dead_letters
}

output "log_groups" {
  description = "Names of the log groups."
  value       = module.ecsrunner.log_groups
}

output "dashboard" {
  description = "URL of the dashboard in CloudWatch."
  value       = module.ecsrunner.dashboard
}

output "alarms" {
  description = "The topic to which alarms are published, and the alarms' names."
  value       = module.ecsrunner.alarms
}

output "policies" {
  description = "JSON of policies for people."
  value       = module.ecsrunner.policies
}
