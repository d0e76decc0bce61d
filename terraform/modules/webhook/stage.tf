# The API's deployment and stage, its limits, and its access log.

resource "aws_api_gateway_deployment" "webhook" {
  rest_api_id = aws_api_gateway_rest_api.webhook.id
  description = "The API as Terraform last made it."

  # A deployment is a snapshot. All its parts must be listed here, or changes to them would never be deployed.
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
  #checkov:skip=CKV_AWS_73:no code runs here, so there is nothing to trace
  #checkov:skip=CKV_AWS_120:nothing here can be cached, each request is a POST
  #checkov:skip=CKV2_AWS_29:the input `waf` sets a web ACL, which costs at least 5 dollars a month
  #checkov:skip=CKV2_AWS_77:the same
  #checkov:skip=CKV2_AWS_51:a client certificate is for HTTP back ends; AWS checks the role's signature here
  #checkov:skip=CKV2_AWS_4:executions are not logged, since the log would contain bodies and signatures
  rest_api_id   = aws_api_gateway_rest_api.webhook.id
  deployment_id = aws_api_gateway_deployment.webhook.id
  stage_name    = local.stage
  description   = "GitHub's webhooks."

  # The template publishes to this bus. PutEvents reports success for a bus that does not exist, so both are created
  # together.
  variables = { bus = aws_cloudwatch_event_bus.webhooks.name }

  # No body and no header: data that a sender controls is not stored and cannot forge a log line. A client can choose
  # the request id, but not the extended request id.
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

    # The stage has metrics without this; metrics per method are charged.
    metrics_enabled = false

    # Execution logs would contain bodies and signatures.
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
  #checkov:skip=CKV_AWS_158:encrypted with AWS's own key; the lines contain addresses and statuses, no content
  #checkov:skip=CKV_AWS_338:the operator sets the retention; a year is not the default
  name              = "/aws/apigateway/${local.name}-webhook"
  retention_in_days = var.log_retention_days
}

# There is one per account and Region: see the input `account_log_role`.
resource "aws_api_gateway_account" "logs" {
  for_each = aws_iam_role.account_logs

  cloudwatch_role_arn = each.value.arn

  # AWS checks the role's permissions when it is set.
  depends_on = [aws_iam_role_policy.account_logs]
}
