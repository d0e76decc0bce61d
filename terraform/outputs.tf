# What to do next, and where things are.

output "webhook_url" {
  description = "The address to give to GitHub: event *Workflow jobs*, content type `application/json`."
  value       = module.webhook.url
}

output "webhook_secret_command" {
  description = "Prints the webhook's secrets, the one to give to GitHub first."
  value       = "aws secretsmanager get-secret-value --region ${var.region} --secret-id ${module.state.secrets.webhook.arn} --query SecretString --output text"
}

output "github_secret_command" {
  description = "Puts GitHub's credentials in, read from standard input: see README.md for what they are."
  value       = "aws secretsmanager put-secret-value --region ${var.region} --secret-id ${module.state.secrets.github.arn} --secret-string file:///dev/stdin"
}

output "cluster_arn" {
  description = "The cluster that runners are tasks of."
  value       = module.fleet.cluster.arn
}

output "runner_image" {
  description = "The default image of runners."
  value       = var.runner_image_uri == null ? one(values(module.image)[*].uri) : var.runner_image_uri
}

output "dead_letters" {
  description = "The queues that hold what could not be worked off, by their names."
  value       = [module.control_plane.queues.events_dead.name, module.control_plane.queues.kicks_dead.name]
}

output "log_groups" {
  description = "Log groups, by name: the functions', the runners', the webhooks' access log."
  value = {
    control_plane = module.control_plane.log_groups.control_plane
    sweeper       = module.control_plane.log_groups.sweeper
    runners       = module.fleet.log_group.name
    webhooks      = module.webhook.log_group.name
  }
}

output "dashboard" {
  description = "The dashboard in CloudWatch."
  value       = "https://${var.region}.console.aws.amazon.com/cloudwatch/home?region=${var.region}#dashboards/dashboard/${module.observe.dashboard_name}"
}

output "alarms" {
  description = "The topic that alarms are published to, and their names."
  value       = { topic_arn = module.observe.sns_topic_arn, names = module.observe.alarm_names }
}
