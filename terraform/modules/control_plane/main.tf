# The control plane: one program, as two functions.
#
# `control-plane` hears of webhooks, of tasks' changes and of kicks, and does what they ask for. `sweeper` is the same
# code, invoked each minute to repair what events missed; it is a function of its own so that its invocations can be
# counted, and so that a sweep is neither retried nor waited for. Who invokes them stands in events.tf, what they may do
# in iam.tf. Neither holds a secret: both are read from Secrets Manager when they are needed.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  name = "ecsrunner-${var.deployment}"

  functions = {
    control_plane = { name = "${local.name}-control-plane", description = "Webhooks, tasks' changes and kicks of the deployment ${var.deployment}." }
    sweeper       = { name = "${local.name}-sweeper", description = "Repairs what events missed, each minute, for the deployment ${var.deployment}." }
  }

  environment = merge(
    { ECSRUNNER_DEPLOYMENT = var.deployment, ECSRUNNER_LOG = var.log.level },
    var.github_api_url == "https://api.github.com" ? {} : { GITHUB_API_URL = var.github_api_url },
  )
}

resource "aws_cloudwatch_log_group" "functions" {
  #checkov:skip=CKV_AWS_158:encrypted with a key of AWS's; no secret, token or configuration of a runner is ever logged
  #checkov:skip=CKV_AWS_338:how long logs are kept is the operator's to say, a year is not the default
  for_each = local.functions

  name              = "/aws/lambda/${each.value.name}"
  retention_in_days = var.log.retention_days
}

resource "aws_lambda_function" "functions" {
  #checkov:skip=CKV_AWS_50:each invocation logs what it did with its reasons; a trace would add a library, and a charge
  #checkov:skip=CKV_AWS_115:reserving concurrency is off by default, since new accounts have none to reserve
  #checkov:skip=CKV_AWS_116:what fails goes to the function's on-failure destination, which holds more than a dead-letter queue's message
  #checkov:skip=CKV_AWS_117:AWS's and GitHub's public APIs are all that it talks to; in a VPC it would need a NAT gateway
  #checkov:skip=CKV_AWS_173:nothing in the environment is secret
  #checkov:skip=CKV_AWS_272:the archive's hash is compared at each apply; a signing profile is the operator's to make
  for_each = local.functions

  function_name = each.value.name
  description   = each.value.description
  role          = aws_iam_role.functions.arn

  filename          = var.package.filename
  source_code_hash  = var.package.filename == null ? null : filebase64sha256(var.package.filename)
  s3_bucket         = var.package.s3_bucket
  s3_key            = var.package.s3_key
  s3_object_version = var.package.s3_object_version

  runtime       = "provided.al2023"
  handler       = "bootstrap"
  architectures = [var.package.architecture]
  timeout       = var.function.timeout
  memory_size   = var.function.memory
  # The sweeper is invoked once a minute.
  reserved_concurrent_executions = each.key == "sweeper" ? -1 : var.function.reserved_concurrency

  environment {
    variables = local.environment
  }

  # The function filters by ECSRUNNER_LOG itself. Lambda's own lines for each invocation would be most of an idle
  # month's log, and tell nothing that its metrics do not.
  logging_config {
    log_format            = "JSON"
    log_group             = aws_cloudwatch_log_group.functions[each.key].name
    application_log_level = "TRACE"
    system_log_level      = "WARN"
  }

  # Without its permissions the first invocation would fail.
  depends_on = [aws_iam_role_policy.functions]
}

# What Lambda does with an event that it has taken: EventBridge's own retries end with the hand-off.
resource "aws_lambda_function_event_invoke_config" "control_plane" {
  function_name                = aws_lambda_function.functions["control_plane"].function_name
  maximum_retry_attempts       = 2
  maximum_event_age_in_seconds = 21600

  destination_config {
    on_failure {
      destination = aws_sqs_queue.events_dead.arn
    }
  }

  # Lambda tries whether the role may send there.
  depends_on = [aws_iam_role_policy.functions]
}

# A sweep that is late or failed is worth nothing: the next one comes within the minute and does the same. So it has no
# destination either, where it would bury the events that are worth sending again; an alarm counts its errors.
resource "aws_lambda_function_event_invoke_config" "sweeper" {
  function_name                = aws_lambda_function.functions["sweeper"].function_name
  maximum_retry_attempts       = 0
  maximum_event_age_in_seconds = 60
}
