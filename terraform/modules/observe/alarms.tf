# Only conditions that need a person. Each alarm's description gives the first step.

locals {
  # A level is valid until the next round, and a count is sent only when it is not zero. Missing data is therefore no
  # breach, except for the sweep's own invocations.
  alarms = {
    invalid-signatures = {
      metric      = local.metrics.InvalidSignatures
      statistic   = "Sum"
      above       = 0
      description = "A webhook's signature matches no secret, although it was answered with 200. Compare the webhook's secret at GitHub with the one in Secrets Manager, or find out who else posts to the address."
    }
    jobs-stuck = {
      metric      = local.metrics.JobsStuck
      statistic   = "Maximum"
      above       = 0
      description = "A job has been queued for over ten minutes. `ecsrunner jobs list` names it, and `ecsrunner why JOB` shows why it waits and what to do."
    }
    breakers-open = {
      metric      = local.metrics.BreakersOpen
      statistic   = "Maximum"
      above       = 0
      description = "Runners of a class do not start, or GitHub refuses to register them. Launches are held, and one at a time is tried, with growing pauses. `ecsrunner jobs list` names the jobs that wait for it, and `ecsrunner why JOB` shows the reason."
    }
    runners-refused = {
      metric      = local.metrics.RunnersRefused
      statistic   = "Sum"
      above       = 4
      period      = 900
      description = "GitHub gave five or more runners within 15 minutes to jobs that policy refuses. Check which repositories the runner group is visible to (`ecsrunner doctor`), and who else uses the classes' labels. The jobs' logs name the repositories."
    }
    launch-failures = {
      metric      = local.metrics.RetriesOther
      statistic   = "Sum"
      above       = var.alarms.launch_failures - 1
      period      = 900
      description = "Effects fail for reasons other than capacity or throttling. The log line `effect failed, to be tried again` shows which."
    }
    records-unreadable = {
      metric      = local.metrics.RecordsUnreadable
      statistic   = "Maximum"
      above       = 0
      description = "An open record cannot be read and is set aside. Check whether a newer release was rolled back."
    }
    budgets-spent = {
      metric      = local.metrics.BudgetsSpent
      statistic   = "Maximum"
      above       = 0
      description = "A budget is spent. With the action `hold`, nothing is launched for it until its period ends. `ecsrunner costs` shows which one, and what was spent."
    }
    sweep-behind = {
      metric      = local.metrics.SweepBehind
      statistic   = "Maximum"
      above       = 60 * var.alarms.sweep_behind_minutes
      description = "The sweep is behind with checking webhook deliveries. Webhooks lost in that time are not recovered until it catches up."
    }
    events-dead = {
      metric      = local.sqs.events_dead.ApproximateNumberOfMessagesVisible
      statistic   = "Maximum"
      above       = 0
      description = "An event could not be processed. It stays in the dead-letter queue for two weeks: read its reason, and fix the cause. It need not be sent again: the sweep finds what it would have reported."
    }
    kicks-dead = {
      metric      = local.sqs.kicks_dead.ApproximateNumberOfMessagesVisible
      statistic   = "Maximum"
      above       = 0
      description = "Lambda received a kick three times without success, or dropped it as a recursive invocation. Nothing is lost: each sweep does a kick's work, so jobs start up to a minute later. If the control plane's log shows no failure at that time, see the alarm ${local.name}-invocations-dropped."
    }
    control-plane-errors = {
      metric      = local.lambda.control_plane.Errors
      statistic   = "Sum"
      above       = 0
      description = "The control plane refused or could not record an event: see the log line `refused invocation`. Lambda retries twice, then the event becomes a dead letter."
    }
    control-plane-throttles = {
      metric      = local.lambda.control_plane.Throttles
      statistic   = "Sum"
      above       = 0
      description = "Lambda had no concurrency left for the control plane, so events wait. Request a higher quota, or find out what else uses the account's concurrency."
    }
    invocations-dropped = {
      metric      = local.lambda.control_plane.RecursiveInvocationsDropped
      statistic   = "Sum"
      above       = 0
      description = "Lambda dropped invocations of the control plane that it took for a runaway loop. Its recursive loop detection must be set to `Allow`: apply again, and find out who changed it. The dropped kicks are in the dead-letter queue, and in no log."
    }
    sweeper-errors = {
      metric      = local.lambda.sweeper.Errors
      statistic   = "Sum"
      above       = 0
      description = "A sweep was refused or timed out. The next one starts within a minute."
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
      description = "Webhooks could not be passed on, and GitHub shows them as failed. With a GitHub App, the sweep fetches them. The access log shows how many."
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

  tags = var.tags
}

# Only the sweep repairs what events missed.
resource "aws_cloudwatch_metric_alarm" "no_sweep" {
  alarm_name          = "${local.name}-no-sweep"
  alarm_description   = "The sweep has not been invoked for ten minutes. Check the schedule ${local.name}-sweep, its role, and the dead letters."
  namespace           = local.lambda.sweeper.Invocations.namespace
  metric_name         = local.lambda.sweeper.Invocations.name
  dimensions          = local.lambda.sweeper.Invocations.dimensions
  statistic           = "Sum"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 300
  # The schedule may have been created during the first of them.
  evaluation_periods = 2
  treat_missing_data = "breaching"
  alarm_actions      = local.topics
  ok_actions         = local.topics
  tags               = var.tags
}

# The control plane knows the version from what runners tell when they start, so this is about what runs and not about what
# was built. If it is not known, nothing is sent. If AWS builds the image, the alarm means that builds fail.
resource "aws_cloudwatch_metric_alarm" "runner_version" {
  alarm_name          = "${local.name}-runner-version"
  alarm_description   = "GitHub refuses the runners' version of actions/runner in less than ${var.alarms.runner_version_days} days. `ecsrunner doctor` shows the version, and why no newer image is in use. An image that AWS does not build has to be built from a newer actions/runner; runner_image_build.runner_version may pin an old one."
  namespace           = local.metrics.RunnerVersionDaysLeft.namespace
  metric_name         = local.metrics.RunnerVersionDaysLeft.name
  dimensions          = local.metrics.RunnerVersionDaysLeft.dimensions
  statistic           = "Minimum"
  comparison_operator = "LessThanThreshold"
  threshold           = var.alarms.runner_version_days
  period              = 3600
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.topics
  ok_actions          = local.topics

  tags = var.tags
}

# Builds of the image that failed, by CodeBuild's own count. One alarm adds up the projects.
resource "aws_cloudwatch_metric_alarm" "image_build" {
  for_each = length(var.projects) > 0 ? { image-build = var.projects } : {}

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "A build of the runners' image failed. Runners go on with the image before. `ecsrunner doctor` shows what the build said, and a link to its log. The control plane tries again, with growing pauses."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.topics
  ok_actions          = local.topics

  metric_query {
    id          = "failed"
    label       = "failed builds"
    expression  = "SUM(METRICS())"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = local.builds
    content {
      id = metric_query.key

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.name
        dimensions  = metric_query.value.dimensions
        period      = 300
        stat        = "Sum"
      }
    }
  }

  tags = var.tags
}

# Replaced by `runner_version`: the time of a push says little about the runner's version.
removed {
  from = aws_cloudwatch_metric_alarm.image_age
}
