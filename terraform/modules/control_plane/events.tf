# What invokes the functions: up to three rules, a queue and a schedule.

locals {
  # `webhooks`: all webhooks, not only those of jobs, so that each wrong signature is counted.
  # `tasks`: AWS puts ECS events onto the default bus only. A Spot interruption also arrives as one of these events,
  # while the task is still RUNNING.
  # `builds`: how builds of the image ended, if AWS builds it. The sweep finds what such an event did not report.
  every_rule = {
    webhooks = {
      bus         = var.bus.name
      description = "GitHub's webhooks go to the control plane, which verifies them."
      pattern     = { source = ["ecsrunner.webhook"] }
    }
    tasks = {
      bus         = "default"
      description = "What becomes of the runners' tasks goes to the control plane."
      pattern = {
        source        = ["aws.ecs"]
        "detail-type" = ["ECS Task State Change"]
        detail = {
          clusterArn = [var.cluster.arn]
          lastStatus = ["RUNNING", "STOPPED"]
        }
      }
    }
    builds = {
      bus         = "default"
      description = "How builds of the runners' image ended goes to the control plane."
      pattern = {
        source        = ["aws.codebuild"]
        "detail-type" = ["CodeBuild Build State Change"]
        detail = {
          "project-name" = values(var.image.projects)[*].name
          # A list of the endings could miss one that AWS adds.
          "build-status" = [{ "anything-but" = "IN_PROGRESS" }]
        }
      }
    }
  }

  rules = { for name, rule in local.every_rule : name => rule if name != "builds" || length(var.image.projects) > 0 }
}

resource "aws_cloudwatch_event_rule" "control_plane" {
  for_each = local.rules

  name           = "${local.name}-${each.key}"
  description    = each.value.description
  event_bus_name = each.value.bus
  event_pattern  = jsonencode(each.value.pattern)

  tags = var.tags
}

resource "aws_cloudwatch_event_target" "control_plane" {
  for_each = aws_cloudwatch_event_rule.control_plane

  rule           = each.value.name
  event_bus_name = each.value.event_bus_name
  target_id      = "control-plane"
  arn            = aws_lambda_function.functions["control_plane"].arn

  # EventBridge's maximum. An event that is a day late is still useful, since it is checked with GitHub first.
  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = aws_sqs_queue.events_dead.arn
  }

  # The rule must not match events before it may invoke the function and write to the queue.
  depends_on = [aws_lambda_permission.rules, aws_sqs_queue_policy.events_dead]
}

resource "aws_lambda_permission" "rules" {
  for_each = aws_cloudwatch_event_rule.control_plane

  statement_id  = "rule-${each.key}"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.functions["control_plane"].function_name
  principal     = "events.amazonaws.com"
  # The ARN includes the account, so this one condition, which EventBridge is known to meet, is enough.
  source_arn = each.value.arn
}

resource "aws_lambda_event_source_mapping" "kicks" {
  event_source_arn        = aws_sqs_queue.kicks.arn
  function_name           = aws_lambda_function.functions["control_plane"].arn
  batch_size              = 10
  function_response_types = ["ReportBatchItemFailures"]

  # One dispatcher works at a time, so Lambda's minimum is enough.
  scaling_config {
    maximum_concurrency = 2
  }

  tags = var.tags

  # Lambda checks that the role may read the queue.
  depends_on = [aws_iam_role_policy.functions]
}

# A group of its own, since a role's trust policy can name a schedule group but not a single schedule.
resource "aws_scheduler_schedule_group" "sweep" {
  name = local.name
  tags = var.tags
}

resource "aws_scheduler_schedule" "sweep" {
  #checkov:skip=CKV_AWS_297:the schedule's input is the word sweep, which needs no encryption
  name                = "${local.name}-sweep"
  description         = "The minute is over."
  group_name          = aws_scheduler_schedule_group.sweep.name
  schedule_expression = "rate(1 minute)"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_lambda_function.functions["sweeper"].arn
    role_arn = aws_iam_role.scheduler.arn
    input    = jsonencode({ sweep = {} })

    # The next minute's sweep does the same work. If Lambda cannot be invoked at all, the queue records why.
    retry_policy {
      maximum_event_age_in_seconds = 60
      maximum_retry_attempts       = 0
    }

    dead_letter_config {
      arn = aws_sqs_queue.events_dead.arn
    }
  }

  depends_on = [aws_iam_role_policy.scheduler]
}
