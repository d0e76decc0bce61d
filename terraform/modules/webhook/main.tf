# The way in: GitHub posts to a REST API, which turns each webhook into an event of the deployment's bus.
#
# There is no code between the two. The three templates beside this file are the whole translation; they carry the
# body's bytes as they came, since the signature over them is checked later, by the control plane. So nothing here
# believes anything, and nothing here holds a secret. A webhook that EventBridge did not take is answered with 502, and
# GitHub shows it as failed.

data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  name  = "ecsrunner-${var.deployment}"
  stage = "v1"

  # GitHub sends all three with each webhook; the last one only where the hook has a secret.
  required_headers = ["X-GitHub-Event", "X-GitHub-Delivery", "X-Hub-Signature-256"]

  # What the API says where no template had its turn: enough for the owner of a hook, nothing about what is behind.
  # A type that is not listed answers by its class, with the status that AWS gives it.
  gateway_responses = {
    ACCESS_DENIED                = { status = "403", text = "webhooks are not taken from this address" }
    BAD_REQUEST_PARAMETERS       = { status = "400", text = "a header of GitHub's is missing: is a secret set on the webhook?" }
    DEFAULT_4XX                  = { status = null, text = "the request is not one of GitHub's webhooks" }
    DEFAULT_5XX                  = { status = "502", text = "the webhook could not be passed on: deliver it again" }
    MISSING_AUTHENTICATION_TOKEN = { status = "404", text = "webhooks are posted to /webhook" }
    REQUEST_TOO_LARGE            = { status = "413", text = "the webhook is larger than 10 MB" }
    THROTTLED                    = { status = "429", text = "there are too many webhooks: deliver it again later" }
    UNSUPPORTED_MEDIA_TYPE       = { status = "415", text = "the webhook's content type has to be application/json" }
    WAF_FILTERED                 = { status = "403", text = "webhooks are not taken from this address" }
  }
}

resource "aws_cloudwatch_event_bus" "webhooks" {
  name        = local.name
  description = "GitHub's webhooks for the deployment ${var.deployment}, unverified."
}

resource "aws_cloudwatch_event_archive" "webhooks" {
  for_each = var.archive_days > 0 ? { webhooks = var.archive_days } : {}

  name             = local.name
  description      = "Webhooks of the deployment ${var.deployment}, for a replay."
  event_source_arn = aws_cloudwatch_event_bus.webhooks.arn
  event_pattern    = jsonencode({ source = ["ecsrunner.webhook"] })
  retention_days   = each.value
}

resource "aws_api_gateway_rest_api" "webhook" {
  #checkov:skip=CKV_AWS_237:a new API would be a new address, which somebody would have to tell GitHub
  name        = "${local.name}-webhook"
  description = "Takes GitHub's webhooks for the deployment ${var.deployment}."

  # No binary media types: $input.body is the raw body as text only without them.
  endpoint_configuration {
    types = ["REGIONAL"]
  }
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

resource "aws_api_gateway_request_validator" "headers" {
  rest_api_id                 = aws_api_gateway_rest_api.webhook.id
  name                        = "headers"
  validate_request_parameters = true
  validate_request_body       = false
}

resource "aws_api_gateway_method" "post" {
  #checkov:skip=CKV_AWS_59:GitHub signs its webhooks and can do nothing else; the control plane checks the signature
  rest_api_id          = aws_api_gateway_rest_api.webhook.id
  resource_id          = aws_api_gateway_resource.webhook.id
  http_method          = "POST"
  authorization        = "NONE"
  request_validator_id = aws_api_gateway_request_validator.headers.id
  request_parameters   = { for header in local.required_headers : "method.request.header.${header}" => true }
}

resource "aws_api_gateway_integration" "put_events" {
  rest_api_id             = aws_api_gateway_rest_api.webhook.id
  resource_id             = aws_api_gateway_resource.webhook.id
  http_method             = aws_api_gateway_method.post.http_method
  type                    = "AWS"
  integration_http_method = "POST"
  uri                     = "arn:${data.aws_partition.current.partition}:apigateway:${data.aws_region.current.region}:events:action/PutEvents"
  credentials             = aws_iam_role.put_events.arn

  # GitHub waits for ten seconds.
  timeout_milliseconds = 9000

  # Another content type is answered with 415: without a template its body would go to EventBridge as it came.
  passthrough_behavior = "NEVER"
  request_templates    = { "application/json" = file("${path.module}/put_events.vtl") }
  request_parameters = {
    "integration.request.header.X-Amz-Target" = "'AWSEvents.PutEvents'"
    "integration.request.header.Content-Type" = "'application/x-amz-json-1.1'"
  }
}

resource "aws_api_gateway_method_response" "statuses" {
  for_each = toset(["200", "502"])

  rest_api_id = aws_api_gateway_rest_api.webhook.id
  resource_id = aws_api_gateway_resource.webhook.id
  http_method = aws_api_gateway_method.post.http_method
  status_code = each.value
}

# API Gateway keeps one of these for each status, so one pattern covers what PutEvents answers with 4xx and 5xx.
# Without it the default response would answer 200, and the webhook would be lost unseen.
resource "aws_api_gateway_integration_response" "statuses" {
  for_each = {
    "200" = { pattern = null, template = "put_events_response.vtl" }
    "502" = { pattern = "4\\d{2}|5\\d{2}", template = "put_events_failed.vtl" }
  }

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
