# The dashboard, and the alarms.

output "dashboard_name" {
  description = "Name of the dashboard in CloudWatch."
  value       = aws_cloudwatch_dashboard.deployment.dashboard_name
}

output "sns_topic_arn" {
  description = "ARN of the topic to which all alarms are published."
  value       = aws_sns_topic.alarms.arn
}

output "alarm_names" {
  description = "The alarms' names."
  value = concat(
    [for alarm in aws_cloudwatch_metric_alarm.alarms : alarm.alarm_name],
    [aws_cloudwatch_metric_alarm.no_sweep.alarm_name],
    [aws_cloudwatch_metric_alarm.runner_version.alarm_name],
    [for alarm in aws_cloudwatch_metric_alarm.image_build : alarm.alarm_name],
  )
}
