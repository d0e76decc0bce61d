# Names and ARNs; no secret's value.

output "tables" {
  description = "The tables: `state` holds jobs and runners, `boot` the configurations that wait for their task."
  value = {
    state = { name = aws_dynamodb_table.state.name, arn = aws_dynamodb_table.state.arn }
    boot  = { name = aws_dynamodb_table.boot.name, arn = aws_dynamodb_table.boot.arn }
  }
}

output "secrets" {
  description = "The secrets: `webhook` has its value, `github` waits for one."
  value = {
    webhook = { arn = aws_secretsmanager_secret.webhook.arn }
    github  = { arn = aws_secretsmanager_secret.github.arn }
  }
}
