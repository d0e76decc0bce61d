# What others need of the way in.

output "url" {
  description = "Where GitHub posts its webhooks."
  value       = "${aws_api_gateway_stage.v1.invoke_url}/${aws_api_gateway_resource.webhook.path_part}"
}

output "bus" {
  description = "The bus that webhooks are put onto."
  value = {
    name = aws_cloudwatch_event_bus.webhooks.name
    arn  = aws_cloudwatch_event_bus.webhooks.arn
  }
}

output "rest_api" {
  description = "The API and its stage, by which API Gateway's metrics are known."
  value = {
    id    = aws_api_gateway_rest_api.webhook.id
    name  = aws_api_gateway_rest_api.webhook.name
    stage = aws_api_gateway_stage.v1.stage_name
  }
}

output "log_group" {
  description = "Where access logs are."
  value = {
    name = aws_cloudwatch_log_group.access.name
    arn  = aws_cloudwatch_log_group.access.arn
  }
}
