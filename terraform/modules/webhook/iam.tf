# Who may call the API, and what the API may do: put events of one source onto one bus, and write logs.

data "aws_iam_policy_document" "callers" {
  statement {
    sid       = "Webhooks"
    actions   = ["execute-api:Invoke"]
    resources = ["${aws_api_gateway_rest_api.webhook.execution_arn}/${local.stage}/POST/webhook"]

    # GitHub has no identity in AWS. What it sends is signed, and the control plane believes nothing that is not.
    principals {
      type        = "*"
      identifiers = ["*"]
    }

    dynamic "condition" {
      for_each = var.source_cidrs == null ? {} : { cidrs = var.source_cidrs }

      content {
        test     = "IpAddress"
        variable = "aws:SourceIp"
        values   = condition.value
      }
    }
  }
}

# No condition on the account or API that API Gateway acts for: it tells STS neither when it assumes an integration's
# role, so with one no webhook would come through. The role can do next to nothing, and only somebody who may pass it
# can put it into an API.
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
  description        = "API Gateway puts webhooks of the deployment ${var.deployment} onto its bus."
  assume_role_policy = data.aws_iam_policy_document.apigateway_trust.json
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

resource "aws_iam_role" "account_logs" {
  for_each = var.account_log_role == "own" ? toset(["own"]) : []

  name               = "${local.name}-apigateway-logs"
  description        = "API Gateway writes the logs of this account's APIs."
  assume_role_policy = data.aws_iam_policy_document.apigateway_trust.json
}

data "aws_iam_policy_document" "account_logs" {
  #checkov:skip=CKV_AWS_356:the reason for the resource stands beside it
  #checkov:skip=CKV_AWS_111:the reason for the resource stands beside it
  #checkov:skip=CKV_AWS_108:reading log events is among what AWS tests for, as the comment says
  statement {
    sid = "WriteLogs"

    # What AWS's own policy AmazonAPIGatewayPushToCloudWatchLogs has; the role is refused without.
    actions = [
      "logs:CreateLogGroup",
      "logs:CreateLogStream",
      "logs:DescribeLogGroups",
      "logs:DescribeLogStreams",
      "logs:FilterLogEvents",
      "logs:GetLogEvents",
      "logs:PutLogEvents",
    ]

    # `*`: it is the role of every API of the account, each with log groups of its own.
    resources = ["*"]
  }
}

resource "aws_iam_role_policy" "account_logs" {
  for_each = aws_iam_role.account_logs

  name   = "write-logs"
  role   = each.value.id
  policy = data.aws_iam_policy_document.account_logs.json
}
