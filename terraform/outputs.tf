# The next steps after an apply, and where to find things.

locals {
  # AWS has a console for each partition.
  consoles = {
    aws        = "console.aws.amazon.com"
    aws-cn     = "console.amazonaws.cn"
    aws-us-gov = "console.amazonaws-us-gov.com"
    aws-eusc   = "console.amazonaws-eusc.eu"
  }
}

output "webhook_url" {
  description = "URL for GitHub's webhook settings: event *Workflow jobs*, content type `application/json`."
  value       = module.webhook.url
}

output "webhook_sources" {
  description = "Addresses that may send webhooks (`cidrs`), and the date of GitHub's list, if it is that one (`github_as_of`)."
  value       = module.webhook.sources
}

output "webhook_secret_command" {
  description = "Command that prints the webhook's secrets, once `ecsrunner setup` or `webhook_secrets` has set them. The first one is for GitHub."
  value       = "aws secretsmanager get-secret-value --region ${data.aws_region.current.region} --secret-id ${module.state.secrets.webhook.arn} --query SecretString --output text"
}

output "github_secret_command" {
  description = "Command that stores GitHub's credentials from stdin. README.md describes their form."
  value       = "aws secretsmanager put-secret-value --region ${data.aws_region.current.region} --secret-id ${module.state.secrets.github.arn} --secret-string file:///dev/stdin"
}

output "cluster_arn" {
  description = "ARN of the cluster that runs the runners' tasks."
  value       = module.fleet.cluster.arn
}

output "runner_image" {
  description = "The runners' default image, by architecture. If AWS builds it, a tag that the control plane moves."
  value       = local.default_uris
}

output "dead_letters" {
  description = "Names of the dead-letter queues, which hold events and kicks that could not be processed."
  value       = [module.control_plane.queues.events_dead.name, module.control_plane.queues.kicks_dead.name]
}

output "log_groups" {
  description = "Names of the log groups: the functions', the runners', the webhooks' access log, and the image's builds (null if AWS does not build)."
  value = {
    control_plane = module.control_plane.log_groups.control_plane
    sweeper       = module.control_plane.log_groups.sweeper
    runners       = module.fleet.log_group.name
    webhooks      = module.webhook.log_group.name
    image         = module.image.log_group
  }
}

output "dashboard" {
  description = "URL of the dashboard in CloudWatch."
  value       = "https://${data.aws_region.current.region}.${lookup(local.consoles, data.aws_partition.current.partition, local.consoles.aws)}/cloudwatch/home?region=${data.aws_region.current.region}#dashboards/dashboard/${module.observe.dashboard_name}"
}

output "alarms" {
  description = "The topic to which alarms are published, and the alarms' names."
  value       = { topic_arn = module.observe.sns_topic_arn, names = module.observe.alarm_names }
}

output "policies" {
  description = "JSON of policies for people: `viewer` reads, `operator` also pauses, stops, retries and opens shells. modules/access describes them."
  value       = module.access.policies
}
