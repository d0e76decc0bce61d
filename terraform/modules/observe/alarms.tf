# What a person is to be woken for, and nothing else. Each alarm says what to do first.

locals {
  # A level stands until the next round, and counts are there only where there was something to count: what is missing
  # is no breach, but for the sweep's own invocations.
  alarms = {
    invalid-signatures = {
      metric      = local.metrics.InvalidSignatures
      statistic   = "Sum"
      above       = 0
      description = "A webhook's signature fits no secret. GitHub was told 200 all the same: compare the secret of the webhook with the one in Secrets Manager, or find out who else posts to the address."
    }
    jobs-stuck = {
      metric      = local.metrics.JobsStuck
      statistic   = "Maximum"
      above       = 0
      description = "A job has been queued for over ten minutes: its record says why it waits."
    }
    breakers-open = {
      metric      = local.metrics.BreakersOpen
      statistic   = "Maximum"
      above       = 0
      description = "A class's runners do not come up, or GitHub refuses to register them: launches are held, and one is tried each five minutes. The log line `holding launches` says why."
    }
    launch-failures = {
      metric      = local.metrics.RetriesOther
      statistic   = "Sum"
      above       = var.alarms.launch_failures - 1
      period      = 900
      description = "Effects fail, and not for capacity or throttling: the log line `effect failed, to be tried again` says which."
    }
    records-unreadable = {
      metric      = local.metrics.RecordsUnreadable
      statistic   = "Maximum"
      above       = 0
      description = "An open record cannot be read and is set aside: was a newer release rolled back?"
    }
    sweep-behind = {
      metric      = local.metrics.SweepBehind
      statistic   = "Maximum"
      above       = 60 * var.alarms.sweep_behind_minutes
      description = "Webhook deliveries wait to be gone through by the sweep: a webhook that was lost meanwhile is not made up for."
    }
    events-dead = {
      metric      = local.sqs.events_dead.ApproximateNumberOfMessagesVisible
      statistic   = "Maximum"
      above       = 0
      description = "An event could not be worked off, and lies in the dead-letter queue for two weeks: read why, mend it, send it again."
    }
    kicks-dead = {
      metric      = local.sqs.kicks_dead.ApproximateNumberOfMessagesVisible
      statistic   = "Maximum"
      above       = 0
      description = "A kick could not be worked off. The sweep does what it asked for; the control plane's log says what went wrong."
    }
    control-plane-errors = {
      metric      = local.lambda.control_plane.Errors
      statistic   = "Sum"
      above       = 0
      description = "The control plane refused or could not record what it was invoked with: see the log line `refused invocation`. Lambda tries twice more, then it is a dead letter."
    }
    control-plane-throttles = {
      metric      = local.lambda.control_plane.Throttles
      statistic   = "Sum"
      above       = 0
      description = "Lambda had no concurrency left for the control plane: events wait. Ask for a higher quota, or look for what else uses the account's."
    }
    sweeper-errors = {
      metric      = local.lambda.sweeper.Errors
      statistic   = "Sum"
      above       = 0
      description = "A sweep was refused or ran out of time. The next one comes within the minute."
    }
    sweeper-throttles = {
      metric      = local.lambda.sweeper.Throttles
      statistic   = "Sum"
      above       = 0
      description = "Lambda had no concurrency left for the sweep."
    }
    webhook-errors = {
      metric      = local.api["5XXError"]
      statistic   = "Sum"
      above       = 0
      description = "Webhooks could not be passed on, and GitHub shows them as failed. The sweep fetches them, where there is a GitHub App; the access log says how many."
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "alarms" {
  for_each = local.alarms

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.metric.namespace
  metric_name         = each.value.metric.name
  dimensions          = each.value.metric.dimensions
  statistic           = each.value.statistic
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  period              = try(each.value.period, 300)
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.topics
  ok_actions          = local.topics
}

# Whatever events miss, the sweep makes up for: without it nothing does.
resource "aws_cloudwatch_metric_alarm" "no_sweep" {
  alarm_name          = "${local.name}-no-sweep"
  alarm_description   = "The sweep has not been invoked for ten minutes: look at the schedule ${local.name}-sweep, its role, and the dead letters."
  namespace           = local.lambda.sweeper.Invocations.namespace
  metric_name         = local.lambda.sweeper.Invocations.name
  dimensions          = local.lambda.sweeper.Invocations.dimensions
  statistic           = "Sum"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 300
  # The first of them may be the one in which the schedule was made.
  evaluation_periods = 2
  treat_missing_data = "breaching"
  alarm_actions      = local.topics
  ok_actions         = local.topics
}

# CloudWatch knows no age of anything, but the time of each hour's sweeps: what has passed since the image was pushed.
resource "aws_cloudwatch_metric_alarm" "image_age" {
  for_each = var.image == null ? {} : { image = var.image }

  alarm_name          = "${local.name}-image-age"
  alarm_description   = "The runners' image is ${var.alarms.image_age_days} days old. GitHub refuses a runner 30 days after the release of a newer one: build the image again, from the newest actions/runner, under another tag."
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.alarms.image_age_days
  evaluation_periods  = 1
  treat_missing_data  = "ignore"
  alarm_actions       = local.topics
  ok_actions          = local.topics

  metric_query {
    id          = "age"
    label       = "days"
    expression  = "(EPOCH(sweeps) - ${each.value.pushed_at}) / 86400"
    return_data = true
  }

  metric_query {
    id = "sweeps"

    metric {
      namespace   = local.lambda.sweeper.Invocations.namespace
      metric_name = local.lambda.sweeper.Invocations.name
      dimensions  = local.lambda.sweeper.Invocations.dimensions
      period      = 3600
      stat        = "Sum"
    }
  }
}
