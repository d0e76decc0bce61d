# The API's deployment and stage, its limits, and its access log.

resource "aws_api_gateway_deployment" "webhook" {
  rest_api_id = aws_api_gateway_rest_api.webhook.id
  description = "The API as Terraform last made it."

  # A deployment is a snapshot. All arguments must be listed here, or changes to them would never be deployed. Arguments
  # and not resources: attributes that AWS fills in, or spells in its own way, would make the second plan differ.
  triggers = {
    api = sha256(jsonencode([
      data.aws_iam_policy_document.callers.json,
      aws_api_gateway_resource.webhook.path_part,
      [for method in [aws_api_gateway_method.post] : [method.http_method, method.authorization]],
      local.integration,
      local.statuses,
      [for status, response in local.responses : [status, response.pattern, file("${path.module}/${response.template}")]],
      local.gateway_responses,
    ]))
  }

  lifecycle {
    create_before_destroy = true
  }

  # The snapshot needs them all.
  depends_on = [
    aws_api_gateway_gateway_response.refusals,
    aws_api_gateway_integration_response.statuses,
    aws_api_gateway_rest_api_policy.callers,
  ]
}

resource "aws_api_gateway_stage" "v1" {
  #checkov:skip=CKV_AWS_73:no code runs here, so there is nothing to trace
  #checkov:skip=CKV_AWS_120:nothing here can be cached, each request is a POST
  #checkov:skip=CKV2_AWS_29:the input `waf` sets a web ACL, which costs at least 5 dollars a month
  #checkov:skip=CKV2_AWS_77:the same
  #checkov:skip=CKV2_AWS_51:a client certificate is for HTTP back ends; AWS checks the role's signature here
  #checkov:skip=CKV_AWS_76:a log needs a role that belongs to the whole account, so `account_log_role` turns it on
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
  dynamic "access_log_settings" {
    for_each = var.account_log_role == "none" ? [] : [aws_cloudwatch_log_group.access.arn]
    content {
      destination_arn = access_log_settings.value
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
  }

  tags = var.tags

  depends_on = [aws_api_gateway_account.own]
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

# It exists without a log too: turning the log off must not delete what was logged.
resource "aws_cloudwatch_log_group" "access" {
  #checkov:skip=CKV_AWS_158:encrypted with AWS's own key; the lines contain addresses and statuses, no content
  #checkov:skip=CKV_AWS_338:the operator sets the retention; a year is not the default
  name              = "/aws/apigateway/${local.name}-webhook"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

# There is one per account and Region: see the input `account_log_role`.
resource "aws_api_gateway_account" "own" {
  for_each = aws_iam_role.apigateway_logs

  cloudwatch_role_arn = each.value.arn

  # AWS checks the role's permissions when it is set.
  depends_on = [aws_iam_role_policy.apigateway_logs]
}

# Earlier versions set the account's role by default. Destroying that setting would empty it, and so stop the logs of
# every other API in the Region. An upgrade leaves it and its role as they are. The role of `own` has another name.
removed {
  from = aws_api_gateway_account.logs

  lifecycle {
    destroy = false
  }
}

removed {
  from = aws_iam_role.account_logs

  lifecycle {
    destroy = false
  }
}

removed {
  from = aws_iam_role_policy.account_logs

  lifecycle {
    destroy = false
  }
}
