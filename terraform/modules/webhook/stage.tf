# What is served: a deployment of the API as it is now, its limits, and who called.

resource "aws_api_gateway_deployment" "webhook" {
  rest_api_id = aws_api_gateway_rest_api.webhook.id
  description = "The API as Terraform last made it."

  # A deployment is a copy: whatever it is a copy of has to be named here, or a change would never be served.
  triggers = {
    api = sha256(jsonencode([
      aws_api_gateway_rest_api_policy.callers.policy,
      aws_api_gateway_resource.webhook,
      aws_api_gateway_request_validator.headers,
      aws_api_gateway_method.post,
      aws_api_gateway_integration.put_events,
      aws_api_gateway_method_response.statuses,
      aws_api_gateway_integration_response.statuses,
      aws_api_gateway_gateway_response.refusals,
    ]))
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_api_gateway_stage" "v1" {
  #checkov:skip=CKV_AWS_73:no code of ours runs here that a trace would explain
  #checkov:skip=CKV_AWS_120:nothing here can be cached, each request is a POST
  #checkov:skip=CKV2_AWS_29:a web ACL is the input `waf`, since it costs at least 5 dollars a month
  #checkov:skip=CKV2_AWS_77:the same
  #checkov:skip=CKV2_AWS_51:a client certificate would be for a back end of our own, AWS checks the signature of the role
  #checkov:skip=CKV2_AWS_4:executions are not logged, the log would hold bodies and signatures
  rest_api_id   = aws_api_gateway_rest_api.webhook.id
  deployment_id = aws_api_gateway_deployment.webhook.id
  stage_name    = local.stage
  description   = "GitHub's webhooks."

  # The template publishes to this bus. One that does not exist is counted as taken, so both are made together.
  variables = { bus = aws_cloudwatch_event_bus.webhooks.name }

  # No body, no header: what a sender controls is neither kept nor able to forge a line. A client may choose the
  # request id, but not the extended one.
  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    format = jsonencode({
      extendedRequestId  = "$context.extendedRequestId"
      time               = "$context.requestTimeEpoch"
      sourceIp           = "$context.identity.sourceIp"
      method             = "$context.httpMethod"
      resource           = "$context.resourcePath"
      status             = "$context.status"
      responseType       = "$context.error.responseType"
      integrationStatus  = "$context.integration.status"
      integrationLatency = "$context.integration.latency"
      responseLatency    = "$context.responseLatency"
    })
  }

  depends_on = [aws_api_gateway_account.logs]
}

resource "aws_api_gateway_method_settings" "all" {
  #checkov:skip=CKV_AWS_225:nothing here can be cached, each request is a POST
  rest_api_id = aws_api_gateway_rest_api.webhook.id
  stage_name  = aws_api_gateway_stage.v1.stage_name
  method_path = "*/*"

  settings {
    throttling_rate_limit  = var.throttle.rate
    throttling_burst_limit = var.throttle.burst

    # The stage has its metrics without this; by method they are paid for.
    metrics_enabled = false

    # Execution logs would hold bodies and signatures.
    logging_level      = "OFF"
    data_trace_enabled = false
  }
}

resource "aws_wafv2_web_acl_association" "stage" {
  for_each = var.waf == null ? {} : { stage = var.waf }

  resource_arn = aws_api_gateway_stage.v1.arn
  web_acl_arn  = each.value.acl_arn
}

resource "aws_cloudwatch_log_group" "access" {
  #checkov:skip=CKV_AWS_158:encrypted with a key of AWS's; the lines hold addresses and statuses, no contents
  #checkov:skip=CKV_AWS_338:how long access logs are kept is the operator's to say, a year is not the default
  name              = "/aws/apigateway/${local.name}-webhook"
  retention_in_days = var.log_retention_days
}

# One for the account and Region, whoever sets it: see the input.
resource "aws_api_gateway_account" "logs" {
  for_each = aws_iam_role.account_logs

  cloudwatch_role_arn = each.value.arn

  # AWS tries the role when it is set.
  depends_on = [aws_iam_role_policy.account_logs]
}
