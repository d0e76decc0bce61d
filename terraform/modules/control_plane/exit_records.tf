# Exit records: the last line of each runner's log says when its agent did what. CloudWatch Logs hands these lines to the
# control plane, which shows where the wait of a job went. If one is lost, that part of the wait is unknown.

resource "aws_cloudwatch_log_subscription_filter" "exit_records" {
  name           = "${local.name}-exit-records"
  log_group_name = var.runner_log_group.name
  # The pattern matches lines that are JSON objects with this field. The control plane then reads only those that begin
  # like an exit record byte for byte, which no output of a job does.
  filter_pattern  = "{ $.exit_record = 1 }"
  destination_arn = aws_lambda_function.functions["control_plane"].arn

  # CloudWatch Logs checks that it may invoke the function.
  depends_on = [aws_lambda_permission.exit_records]
}

resource "aws_lambda_permission" "exit_records" {
  statement_id  = "exit-records"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.functions["control_plane"].function_name
  principal     = "logs.amazonaws.com"
  source_arn    = "${var.runner_log_group.arn}:*"
  # CloudWatch Logs is shared by all accounts. The log group's ARN names this account too.
  source_account = data.aws_caller_identity.current.account_id
}
