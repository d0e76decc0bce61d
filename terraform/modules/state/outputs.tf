# Names and ARNs. No secret value is an output.

output "tables" {
  description = "The tables: `state` holds jobs and runners, `boot` holds boot items until their tasks take them."
  value = {
    state = { name = aws_dynamodb_table.state.name, arn = aws_dynamodb_table.state.arn }
    boot  = { name = aws_dynamodb_table.boot.name, arn = aws_dynamodb_table.boot.arn }
  }
}

output "secrets" {
  description = "The secrets, which are empty until `ecsrunner setup` or an operator sets them."
  value = {
    webhook = { arn = aws_secretsmanager_secret.webhook.arn }
    github  = { arn = aws_secretsmanager_secret.github.arn }
  }
}
