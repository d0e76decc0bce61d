# Permissions of the control plane's callers: the scheduler invokes the sweeper, and EventBridge writes dead letters.
# The queues can only be used over TLS.

data "aws_iam_policy_document" "scheduler_trust" {
  statement {
    sid     = "Scheduler"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }

    # The group and not the schedule: AWS passes only the group.
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_scheduler_schedule_group.sweep.arn]
    }
  }
}

resource "aws_iam_role" "scheduler" {
  name               = "${local.name}-scheduler"
  description        = "The scheduler invokes the sweeper of the deployment ${var.deployment}."
  assume_role_policy = data.aws_iam_policy_document.scheduler_trust.json

  path                 = var.iam.path
  permissions_boundary = var.iam.permissions_boundary
  tags                 = var.tags
}

data "aws_iam_policy_document" "scheduler" {
  statement {
    sid       = "Sweep"
    actions   = ["lambda:InvokeFunction"]
    resources = [aws_lambda_function.functions["sweeper"].arn]
  }

  statement {
    sid       = "DeadLetters"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.events_dead.arn]
  }
}

resource "aws_iam_role_policy" "scheduler" {
  name   = "sweep"
  role   = aws_iam_role.scheduler.id
  policy = data.aws_iam_policy_document.scheduler.json
}

data "aws_iam_policy_document" "events_dead" {
  statement {
    sid       = "RulesLeaveDeadLetters"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.events_dead.arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    # The ARNs include the account, so this one condition, which EventBridge is known to meet, is enough.
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [for rule in aws_cloudwatch_event_rule.control_plane : rule.arn]
    }
  }

  statement {
    sid       = "NothingWithoutTls"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [aws_sqs_queue.events_dead.arn]

    # `*`: the denial applies to every principal.
    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

data "aws_iam_policy_document" "kicks" {
  for_each = {
    kicks      = aws_sqs_queue.kicks.arn
    kicks_dead = aws_sqs_queue.kicks_dead.arn
  }

  statement {
    sid       = "NothingWithoutTls"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [each.value]

    # `*`: the denial applies to every principal.
    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}
