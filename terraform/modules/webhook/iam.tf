# Who may call the API, and the API's permissions: put events of one source onto one bus, and write logs.

data "aws_iam_policy_document" "callers" {
  statement {
    sid       = "Webhooks"
    actions   = ["execute-api:Invoke"]
    resources = ["${aws_api_gateway_rest_api.webhook.execution_arn}/${local.stage}/POST/webhook"]

    # GitHub has no identity in AWS. It signs its webhooks, and the control plane rejects unsigned ones.
    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "IpAddress"
      variable = "aws:SourceIp"
      values   = local.sources
    }
  }
}

# No condition on the account or the API: API Gateway passes neither to STS when it assumes an integration's role, so a
# condition would block every webhook. The role has few permissions, and only a principal that may pass it can use it in
# an API.
data "aws_iam_policy_document" "apigateway_trust" {
  statement {
    sid     = "ApiGateway"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["apigateway.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "put_events" {
  name               = "${local.name}-webhook"
  description        = "Lets API Gateway put webhooks of the deployment ${var.deployment} onto its bus."
  assume_role_policy = data.aws_iam_policy_document.apigateway_trust.json

  path                 = var.iam.path
  permissions_boundary = var.iam.permissions_boundary
  tags                 = var.tags
}

data "aws_iam_policy_document" "put_events" {
  statement {
    sid       = "PutWebhooks"
    actions   = ["events:PutEvents"]
    resources = [aws_cloudwatch_event_bus.webhooks.arn]

    condition {
      test     = "StringEquals"
      variable = "events:source"
      values   = ["ecsrunner.webhook"]
    }
  }
}

resource "aws_iam_role_policy" "put_events" {
  name   = "put-events"
  role   = aws_iam_role.put_events.id
  policy = data.aws_iam_policy_document.put_events.json
}

resource "aws_iam_role" "apigateway_logs" {
  for_each = var.account_log_role == "own" ? toset(["own"]) : []

  name               = "${local.name}-api-logs"
  description        = "Lets API Gateway write the logs of this account's APIs."
  assume_role_policy = data.aws_iam_policy_document.apigateway_trust.json

  path                 = var.iam.path
  permissions_boundary = var.iam.permissions_boundary
  tags                 = var.tags
}

data "aws_iam_policy_document" "apigateway_logs" {
  #checkov:skip=CKV_AWS_356:the comment at the resource gives the reason
  #checkov:skip=CKV_AWS_111:the comment at the resource gives the reason
  #checkov:skip=CKV_AWS_108:AWS requires the permission to read log events, as the comment says
  statement {
    sid = "WriteLogs"

    # The actions of AWS's policy AmazonAPIGatewayPushToCloudWatchLogs. AWS refuses a role without them.
    actions = [
      "logs:CreateLogGroup",
      "logs:CreateLogStream",
      "logs:DescribeLogGroups",
      "logs:DescribeLogStreams",
      "logs:FilterLogEvents",
      "logs:GetLogEvents",
      "logs:PutLogEvents",
    ]

    # `*`: every API of the account uses this role, each with its own log groups.
    resources = ["*"]
  }
}

resource "aws_iam_role_policy" "apigateway_logs" {
  for_each = aws_iam_role.apigateway_logs

  name   = "write-logs"
  role   = each.value.id
  policy = data.aws_iam_policy_document.apigateway_logs.json
}
