# Monitoring of a deployment: a dashboard, alarms with a topic, and saved log queries.
#
# This module only reads metrics and logs; it cannot change the deployment. metrics.tf has the metrics, alarms.tf the
# alarms, dashboard.tf the dashboard.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  name   = "ecsrunner-${var.deployment}"
  topics = concat([aws_sns_topic.alarms.arn], var.notify.topics)
}

# CloudWatch may not use AWS's own key for SNS, so an encrypted topic needs a key of its own.
resource "aws_kms_key" "alarms" {
  description             = "Encrypts alarms of the deployment ${var.deployment} in SNS."
  enable_key_rotation     = true
  deletion_window_in_days = 7
  policy                  = data.aws_iam_policy_document.key.json
  tags                    = var.tags
}

resource "aws_sns_topic" "alarms" {
  name              = "${local.name}-alarms"
  display_name      = "ecsrunner ${var.deployment}"
  kms_master_key_id = aws_kms_key.alarms.arn
  tags              = var.tags
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.topic.json
}

resource "aws_sns_topic_subscription" "emails" {
  for_each = toset(var.notify.emails)

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}

resource "aws_cloudwatch_query_definition" "queries" {
  for_each = local.queries

  name            = "ecsrunner/${var.deployment}/${each.key}"
  log_group_names = each.value.groups
  query_string    = each.value.query
}

locals {
  functions_groups = [var.log_groups.control_plane, var.log_groups.sweeper]

  # Messages and field names are constants of the code: crates/engine, crates/lambda.
  queries = {
    "what happened to a job" = {
      groups = local.functions_groups
      query  = <<-EOT
        fields @timestamp, message, reason, runner, class, repository, error
        | filter job_id = 0 # the number in the job's address
        | sort @timestamp
      EOT
    }
    "what happened to a runner" = {
      groups = local.functions_groups
      query  = <<-EOT
        fields @timestamp, message, reason, task, job_id, class, error
        | filter runner = "" # its name
        | sort @timestamp
      EOT
    }
    "warnings and errors" = {
      groups = local.functions_groups
      query  = <<-EOT
        fields @timestamp, level, message, reason, runner, error
        | filter level in ["WARN", "ERROR"]
        | sort @timestamp desc
      EOT
    }
    "launches by class" = {
      groups = local.functions_groups
      query  = <<-EOT
        filter message = "reserving runner"
        | stats count(*) as launches by class
        | sort launches desc
      EOT
    }
    "cost by ending" = {
      groups = local.functions_groups
      query  = <<-EOT
        filter message = "runner is gone"
        | stats count(*) as runners, sum(cost_usd) as usd by reason
        | sort usd desc
      EOT
    }
    "webhooks that were refused" = {
      groups = local.functions_groups
      query  = <<-EOT
        fields @timestamp, delivery, reason
        | filter message = "refused webhook"
        | sort @timestamp desc
      EOT
    }
    "who posts to the webhook" = {
      groups = [var.log_groups.webhooks]
      query  = <<-EOT
        stats count(*) as requests by sourceIp, status, responseType
        | sort requests desc
      EOT
    }
    "what runners said" = {
      groups = [var.log_groups.runners]
      query  = <<-EOT
        fields @timestamp, @logStream, @message
        | filter @logStream like "" # the task's id
        | sort @timestamp
      EOT
    }
  }
}
