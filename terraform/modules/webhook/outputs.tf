# What other modules use of the endpoint.

output "url" {
  description = "URL to which GitHub posts webhooks."
  value       = "${aws_api_gateway_stage.v1.invoke_url}/${aws_api_gateway_resource.webhook.path_part}"
}

output "bus" {
  description = "The event bus that receives the webhooks."
  value = {
    name = aws_cloudwatch_event_bus.webhooks.name
    arn  = aws_cloudwatch_event_bus.webhooks.arn
  }
}

output "rest_api" {
  description = "The API and its stage, which are the dimensions of API Gateway's metrics."
  value = {
    id    = aws_api_gateway_rest_api.webhook.id
    name  = aws_api_gateway_rest_api.webhook.name
    stage = aws_api_gateway_stage.v1.stage_name
  }
}

output "log_group" {
  description = "The log group of the access logs."
  value = {
    name = aws_cloudwatch_log_group.access.name
    arn  = aws_cloudwatch_log_group.access.arn
  }
}

output "sources" {
  description = "Addresses that may send webhooks (`cidrs`), and the date of GitHub's list, if it is that one (`github_as_of`)."
  value = {
    cidrs        = local.sources
    github_as_of = var.source_cidrs == null ? local.github.as_of : null
  }
}
