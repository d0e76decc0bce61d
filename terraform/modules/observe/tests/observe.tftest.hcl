# Tests alarms, dashboard and queries, and that each validation can fail. The provider is a mock, so nothing is created.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-west-1:123456789012:ecsrunner-ci-alarms" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-west-1:123456789012:key/0a1b" }
  }
}

variables {
  deployment = "ci"
  functions  = { control_plane = "ecsrunner-ci-control-plane", sweeper = "ecsrunner-ci-sweeper" }
  queues     = { kicks_dead = "ecsrunner-ci-kicks-dead", events_dead = "ecsrunner-ci-events-dead" }
  rest_api   = { name = "ecsrunner-ci-webhook", stage = "v1" }
  log_groups = { control_plane = "/aws/lambda/ecsrunner-ci-control-plane", sweeper = "/aws/lambda/ecsrunner-ci-sweeper", runners = "/ecsrunner/ci/runners", webhooks = "/aws/apigateway/ecsrunner-ci-webhook" }
}

run "a_person_is_woken_for_what_the_documents_say" {
  assert {
    condition = toset(output.alarm_names) == toset([
      for name in [
        "invalid-signatures", "jobs-stuck", "breakers-open", "runners-refused", "launch-failures", "records-unreadable", "budgets-spent", "sweep-behind",
        "events-dead", "kicks-dead", "control-plane-errors", "control-plane-throttles", "invocations-dropped", "sweeper-errors",
        "sweeper-throttles", "webhook-errors", "no-sweep", "runner-version",
      ] : "ecsrunner-ci-${name}"
    ])
    error_message = "The alarms are ${join(", ", output.alarm_names)}."
  }
  assert {
    condition     = alltrue([for key in ["invalid-signatures", "jobs-stuck", "breakers-open", "records-unreadable"] : aws_cloudwatch_metric_alarm.alarms[key].threshold == 0 && aws_cloudwatch_metric_alarm.alarms[key].comparison_operator == "GreaterThanThreshold" && aws_cloudwatch_metric_alarm.alarms[key].dimensions == tomap({ Deployment = "ci" }) && aws_cloudwatch_metric_alarm.alarms[key].namespace == "ecsrunner"])
    error_message = "A single occurrence raises these alarms, and the deployment is their only dimension."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.alarms["sweep-behind"].threshold == 3600 && aws_cloudwatch_metric_alarm.alarms["launch-failures"].threshold == 19 && aws_cloudwatch_metric_alarm.alarms["launch-failures"].period == 900
    error_message = "The defaults are a sweep delay of one hour, and 20 failures within 15 minutes."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.alarms["runners-refused"].threshold == 4 && aws_cloudwatch_metric_alarm.alarms["runners-refused"].period == 900 && aws_cloudwatch_metric_alarm.alarms["runners-refused"].statistic == "Sum" && aws_cloudwatch_metric_alarm.alarms["runners-refused"].dimensions == tomap({ Deployment = "ci" })
    error_message = "Five runners within 15 minutes that refused their jobs raise an alarm, and the deployment is its only dimension."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.alarms["events-dead"].dimensions == tomap({ QueueName = "ecsrunner-ci-events-dead" }) && aws_cloudwatch_metric_alarm.alarms["kicks-dead"].dimensions == tomap({ QueueName = "ecsrunner-ci-kicks-dead" })
    error_message = "Each dead-letter queue has an alarm."
  }
  assert {
    condition     = [for alarm in [aws_cloudwatch_metric_alarm.alarms["invocations-dropped"]] : [alarm.metric_name, alarm.dimensions.FunctionName, tostring(alarm.threshold)]] == [["RecursiveInvocationsDropped", "ecsrunner-ci-control-plane", "0"]]
    error_message = "A single kick that Lambda drops raises an alarm."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.alarms : alarm.treat_missing_data == "notBreaching" && length(alarm.alarm_description) > 0])
    error_message = "Missing data is no breach, and each alarm has a description."
  }
}

run "silence_of_the_sweep_is_an_alarm" {
  assert {
    condition     = aws_cloudwatch_metric_alarm.no_sweep.treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.no_sweep.comparison_operator == "LessThanThreshold" && aws_cloudwatch_metric_alarm.no_sweep.threshold == 1 && aws_cloudwatch_metric_alarm.no_sweep.period * aws_cloudwatch_metric_alarm.no_sweep.evaluation_periods == 600 && aws_cloudwatch_metric_alarm.no_sweep.dimensions == tomap({ FunctionName = "ecsrunner-ci-sweeper" })
    error_message = "Ten minutes without an invocation of the sweeper raise the alarm, and so does missing data."
  }
}

run "alarms_are_published_and_encrypted" {
  assert {
    condition     = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.alarms), [aws_cloudwatch_metric_alarm.no_sweep]) : alarm.alarm_actions == toset([aws_sns_topic.alarms.arn]) && alarm.ok_actions == toset([aws_sns_topic.alarms.arn])])
    error_message = "Each alarm notifies the topic when it starts and when it ends."
  }
  assert {
    condition     = aws_sns_topic.alarms.kms_master_key_id == aws_kms_key.alarms.arn && aws_kms_key.alarms.enable_key_rotation
    error_message = "The topic is encrypted with a key that CloudWatch may use."
  }
  assert {
    condition     = alltrue([for statement in data.aws_iam_policy_document.key.statement : toset([for condition in statement.condition : condition.variable]) == toset(["aws:SourceAccount", "aws:SourceArn"]) if statement.sid == "AlarmsEncrypt"])
    error_message = "CloudWatch may use the key only for this deployment's alarms."
  }
}

run "the_dashboard_shows_every_metric_of_ours" {
  assert {
    condition = toset([
      for metric in flatten([for widget in jsondecode(aws_cloudwatch_dashboard.deployment.dashboard_body).widgets : [for line in try(widget.properties.metrics, []) : line[1] if line[0] == "ecsrunner"]]) : metric
    ]) == setsubtract(keys(local.metrics), ["BudgetsSpent", "TracesDropped"])
    error_message = "The dashboard shows every metric that is emitted and paid for, except those for which its 50 metrics have no room."
  }
  assert {
    condition     = alltrue(flatten([for widget in jsondecode(aws_cloudwatch_dashboard.deployment.dashboard_body).widgets : [for line in try(widget.properties.metrics, []) : line[2] == "Deployment" && line[3] == "ci" if line[0] == "ecsrunner"]]))
    error_message = "The only dimension is the deployment."
  }
  assert {
    condition = length(distinct(flatten([
      for widget in jsondecode(aws_cloudwatch_dashboard.deployment.dashboard_body).widgets : [for line in try(widget.properties.metrics, []) : join(" ", slice(line, 0, 4))]
    ]))) <= 50
    error_message = "The dashboard has at most 50 metrics, since a larger one costs 3 dollars a month."
  }
  assert {
    condition     = output.dashboard_name == "ecsrunner-ci"
    error_message = "The dashboard's name contains the deployment."
  }
  assert {
    condition     = length(distinct([for widget in jsondecode(aws_cloudwatch_dashboard.deployment.dashboard_body).widgets : [widget.x, widget.y]])) == length(jsondecode(aws_cloudwatch_dashboard.deployment.dashboard_body).widgets)
    error_message = "No graph overlaps another."
  }
}

run "a_version_that_github_will_refuse_is_an_alarm" {
  assert {
    condition     = aws_cloudwatch_metric_alarm.runner_version.threshold == 7 && aws_cloudwatch_metric_alarm.runner_version.comparison_operator == "LessThanThreshold" && aws_cloudwatch_metric_alarm.runner_version.statistic == "Minimum"
    error_message = "Fewer than seven days raise the alarm."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.runner_version.metric_name == "RunnerVersionDaysLeft" && aws_cloudwatch_metric_alarm.runner_version.namespace == "ecsrunner" && aws_cloudwatch_metric_alarm.runner_version.dimensions == tomap({ Deployment = "ci" }) && aws_cloudwatch_metric_alarm.runner_version.treat_missing_data == "notBreaching"
    error_message = "The control plane's own metric decides, and a version that is not known is no breach."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.runner_version.alarm_actions == toset([aws_sns_topic.alarms.arn]) && length(aws_cloudwatch_metric_alarm.image_build) == 0
    error_message = "The alarm notifies the topic, and without projects there is none for builds."
  }
}

run "a_build_that_fails_is_an_alarm" {
  variables {
    projects = { x64 = "ecsrunner-ci-image-x64", arm64 = "ecsrunner-ci-image-arm64" }
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.image_build["image-build"].threshold == 0 && contains(output.alarm_names, "ecsrunner-ci-image-build") && strcontains(aws_cloudwatch_metric_alarm.image_build["image-build"].alarm_description, "`ecsrunner doctor`")
    error_message = "One failed build raises the alarm, which names the command that shows it."
  }
  assert {
    condition     = toset([for query in aws_cloudwatch_metric_alarm.image_build["image-build"].metric_query : "${one(query.metric).namespace} ${one(query.metric).metric_name} ${one(query.metric).dimensions.ProjectName}" if query.return_data != true]) == toset(["AWS/CodeBuild FailedBuilds ecsrunner-ci-image-x64", "AWS/CodeBuild FailedBuilds ecsrunner-ci-image-arm64"])
    error_message = "The failed builds of both projects are counted."
  }
  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.image_build["image-build"].metric_query : query.expression if query.return_data == true]) == "SUM(METRICS())" && aws_cloudwatch_metric_alarm.image_build["image-build"].alarm_actions == toset([aws_sns_topic.alarms.arn])
    error_message = "The alarm adds them up, and notifies the topic."
  }
}

run "further_people_hear" {
  variables {
    notify = { emails = ["ops@example.com"], topics = ["arn:aws:sns:eu-west-1:123456789012:pager"] }
    alarms = { launch_failures = 1, sweep_behind_minutes = 10, runner_version_days = 14 }
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.no_sweep.alarm_actions == toset([aws_sns_topic.alarms.arn, "arn:aws:sns:eu-west-1:123456789012:pager"])
    error_message = "Alarms also notify the given topics."
  }
  assert {
    condition     = aws_sns_topic_subscription.emails["ops@example.com"].protocol == "email"
    error_message = "Each address is subscribed."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.alarms["launch-failures"].threshold == 0 && aws_cloudwatch_metric_alarm.alarms["sweep-behind"].threshold == 600 && aws_cloudwatch_metric_alarm.runner_version.threshold == 14
    error_message = "Thresholds have the given values."
  }
}

run "a_wrong_deployment_is_refused" {
  command = plan
  variables {
    deployment = "ci-"
  }
  expect_failures = [var.deployment]
}

run "no_failure_is_no_threshold" {
  command = plan
  variables {
    alarms = { launch_failures = 0 }
  }
  expect_failures = [var.alarms]
}

run "a_sweep_cannot_be_that_quick" {
  command = plan
  variables {
    alarms = { sweep_behind_minutes = 1 }
  }
  expect_failures = [var.alarms]
}

run "a_version_cannot_have_more_days_than_github_gives" {
  command = plan
  variables {
    alarms = { runner_version_days = 30 }
  }
  expect_failures = [var.alarms]
}

run "an_address_that_is_none_is_refused" {
  command = plan
  variables {
    notify = { emails = ["ops"] }
  }
  expect_failures = [var.notify]
}

run "a_topic_that_is_none_is_refused" {
  command = plan
  variables {
    notify = { topics = ["pager"] }
  }
  expect_failures = [var.notify]
}

run "half_a_failure_is_no_threshold" {
  command = plan
  variables {
    alarms = { launch_failures = 1.5 }
  }
  expect_failures = [var.alarms]
}

run "half_a_minute_behind_is_no_threshold" {
  command = plan
  variables {
    alarms = { sweep_behind_minutes = 5.5 }
  }
  expect_failures = [var.alarms]
}

run "half_a_day_of_a_version_is_no_threshold" {
  command = plan
  variables {
    alarms = { runner_version_days = 1.5 }
  }
  expect_failures = [var.alarms]
}
