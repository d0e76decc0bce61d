# The webhook endpoint: GitHub posts to a REST API, which turns each webhook into an event on the deployment's bus.
#
# No code runs between the two: the three templates in this directory do the translation. They pass the body on byte for
# byte, since the control plane checks its signature later. So nothing here trusts a webhook, and nothing here holds a
# secret. If EventBridge does not accept a webhook, the answer is 502, and GitHub shows the delivery as failed.

data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  name  = "ecsrunner-${var.deployment}"
  stage = "v1"

  # Anyone with a repository at GitHub can have webhooks sent from these addresses. They keep out others, and prove no
  # sender's identity.
  github  = jsondecode(file("${path.module}/github_hooks.json"))
  sources = coalesce(var.source_cidrs, local.github.cidrs)

  # Arguments that the deployment's hash covers (stage.tf).
  integration = {
    type        = "AWS"
    method      = "POST"
    uri         = "arn:${data.aws_partition.current.partition}:apigateway:${data.aws_region.current.region}:events:action/PutEvents"
    credentials = aws_iam_role.put_events.arn

    # GitHub waits for 10 seconds.
    timeout_milliseconds = 9000

    # Other content types are answered with 415. Otherwise their body would go to EventBridge without a template.
    passthrough_behavior = "NEVER"
    templates            = { "application/json" = file("${path.module}/put_events.vtl") }
    parameters = {
      "integration.request.header.X-Amz-Target" = "'AWSEvents.PutEvents'"
      "integration.request.header.Content-Type" = "'application/x-amz-json-1.1'"
    }
  }

  # 400 comes from put_events_failed.vtl.
  statuses = ["200", "400", "502"]

  responses = {
    "200" = { pattern = null, template = "put_events_response.vtl" }
    "502" = { pattern = "4\\d{2}|5\\d{2}", template = "put_events_failed.vtl" }
  }

  # The API's answers if no template was applied: enough for the hook's owner, nothing about the back end. A type that
  # is not listed uses the default of its class (4XX or 5XX), with AWS's status.
  gateway_responses = {
    ACCESS_DENIED                = { status = "403", text = "webhooks are not accepted from this address" }
    DEFAULT_4XX                  = { status = null, text = "the request is not one of GitHub's webhooks" }
    DEFAULT_5XX                  = { status = "502", text = "the webhook could not be passed on: deliver it again" }
    MISSING_AUTHENTICATION_TOKEN = { status = "404", text = "webhooks must be posted to /webhook" }
    REQUEST_TOO_LARGE            = { status = "413", text = "the webhook is larger than 10 MB" }
    THROTTLED                    = { status = "429", text = "too many webhooks: deliver it again later" }
    UNSUPPORTED_MEDIA_TYPE       = { status = "415", text = "the webhook's content type must be application/json" }
    WAF_FILTERED                 = { status = "403", text = "webhooks are not accepted from this address" }
  }
}

resource "aws_cloudwatch_event_bus" "webhooks" {
  name        = local.name
  description = "Unverified GitHub webhooks for the deployment ${var.deployment}."
  tags        = var.tags
}

resource "aws_cloudwatch_event_archive" "webhooks" {
  for_each = var.archive_days > 0 ? { webhooks = var.archive_days } : {}

  name             = local.name
  description      = "Webhooks of the deployment ${var.deployment}, for replays."
  event_source_arn = aws_cloudwatch_event_bus.webhooks.arn
  event_pattern    = jsonencode({ source = ["ecsrunner.webhook"] })
  retention_days   = each.value
}

resource "aws_api_gateway_rest_api" "webhook" {
  #checkov:skip=CKV_AWS_237:a new API would have a new address, which a person would have to enter at GitHub
  name        = "${local.name}-webhook"
  description = "Takes GitHub's webhooks for the deployment ${var.deployment}."

  # No binary media types: with them, $input.body would not be the raw body as text.
  endpoint_configuration {
    types = ["REGIONAL"]
  }

  tags = var.tags
}

resource "aws_api_gateway_rest_api_policy" "callers" {
  rest_api_id = aws_api_gateway_rest_api.webhook.id
  policy      = data.aws_iam_policy_document.callers.json
}

resource "aws_api_gateway_resource" "webhook" {
  rest_api_id = aws_api_gateway_rest_api.webhook.id
  parent_id   = aws_api_gateway_rest_api.webhook.root_resource_id
  path_part   = "webhook"
}

# It validates nothing, since the method requires no parameter: API Gateway may compare names of headers by their spelling,
# and the template finds them in any. Methods of earlier versions use it, and an upgrade would delete it before the method
# stops doing so.
resource "aws_api_gateway_request_validator" "headers" {
  rest_api_id                 = aws_api_gateway_rest_api.webhook.id
  name                        = "headers"
  validate_request_parameters = true
  validate_request_body       = false
}

resource "aws_api_gateway_method" "post" {
  #checkov:skip=CKV_AWS_59:GitHub can authenticate its webhooks only by a signature, which the control plane checks
  rest_api_id          = aws_api_gateway_rest_api.webhook.id
  resource_id          = aws_api_gateway_resource.webhook.id
  http_method          = "POST"
  authorization        = "NONE"
  request_validator_id = aws_api_gateway_request_validator.headers.id
}

resource "aws_api_gateway_integration" "put_events" {
  rest_api_id             = aws_api_gateway_rest_api.webhook.id
  resource_id             = aws_api_gateway_resource.webhook.id
  http_method             = aws_api_gateway_method.post.http_method
  type                    = local.integration.type
  integration_http_method = local.integration.method
  uri                     = local.integration.uri
  credentials             = local.integration.credentials
  timeout_milliseconds    = local.integration.timeout_milliseconds
  passthrough_behavior    = local.integration.passthrough_behavior
  request_templates       = local.integration.templates
  request_parameters      = local.integration.parameters
}

resource "aws_api_gateway_method_response" "statuses" {
  for_each = toset(local.statuses)

  rest_api_id = aws_api_gateway_rest_api.webhook.id
  resource_id = aws_api_gateway_resource.webhook.id
  http_method = aws_api_gateway_method.post.http_method
  status_code = each.value
}

# API Gateway keeps one of these per status, so one pattern covers all 4xx and 5xx answers of PutEvents. Without it the
# default response would answer 200, and the webhook would be lost without a trace.
resource "aws_api_gateway_integration_response" "statuses" {
  for_each = local.responses

  rest_api_id        = aws_api_gateway_rest_api.webhook.id
  resource_id        = aws_api_gateway_resource.webhook.id
  http_method        = aws_api_gateway_integration.put_events.http_method
  status_code        = aws_api_gateway_method_response.statuses[each.key].status_code
  selection_pattern  = each.value.pattern
  response_templates = { "application/json" = file("${path.module}/${each.value.template}") }
}

resource "aws_api_gateway_gateway_response" "refusals" {
  for_each = local.gateway_responses

  rest_api_id   = aws_api_gateway_rest_api.webhook.id
  response_type = each.key
  status_code   = each.value.status
  response_templates = {
    "application/json" = jsonencode({ outcome = startswith(each.key, "DEFAULT_5") ? "failed" : "refused", text = each.value.text })
  }
}
