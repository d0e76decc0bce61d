# Where to look, and what speaks up by itself.

output "dashboard_name" {
  description = "The dashboard's name in CloudWatch."
  value       = aws_cloudwatch_dashboard.deployment.dashboard_name
}

output "sns_topic_arn" {
  description = "The topic that all alarms are published to."
  value       = aws_sns_topic.alarms.arn
}

output "alarm_names" {
  description = "The alarms' names."
  value = concat(
    [for alarm in aws_cloudwatch_metric_alarm.alarms : alarm.alarm_name],
    [aws_cloudwatch_metric_alarm.no_sweep.alarm_name],
    [for alarm in aws_cloudwatch_metric_alarm.image_age : alarm.alarm_name],
  )
}
