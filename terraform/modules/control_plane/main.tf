# The control plane: one program, deployed as two functions.
#
# `control-plane` receives webhooks, task events and kicks, and acts on them. `sweeper` is the same code, invoked each
# minute to repair what events missed. It is a separate function so that its invocations can be counted, and so that a
# sweep is not retried and nothing waits for it. events.tf has what invokes them, iam.tf their permissions. Neither
# holds a secret: they read secrets from Secrets Manager when needed.

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

  # The secret's name is no secret. Its value is read by the functions alone.
  traces = { for key, value in {
    OTEL_EXPORTER_OTLP_ENDPOINT   = try(var.traces.endpoint, null)
    ECSRUNNER_OTLP_HEADERS_SECRET = try(var.traces.headers_secret_arn, null)
  } : key => value if value != null }
  headers_secrets = toset([for arn in [try(var.traces.headers_secret_arn, null)] : arn if arn != null])
  headers_keys    = toset([for arn in [try(var.traces.headers_kms_key_arn, null)] : arn if arn != null])
}

resource "aws_cloudwatch_log_group" "functions" {
  #checkov:skip=CKV_AWS_158:encrypted with AWS's own key; no secret, token or runner configuration is logged
  #checkov:skip=CKV_AWS_338:the operator sets the retention; a year is not the default
  for_each = local.functions

  name              = "/aws/lambda/${each.value.name}"
  retention_in_days = var.log.retention_days

  tags = var.tags
}

resource "aws_lambda_function" "functions" {
  #checkov:skip=CKV_AWS_50:each invocation logs its actions with their reasons; a trace would add a library and a charge
  #checkov:skip=CKV_AWS_115:reserving concurrency is off by default, since new accounts have none to reserve
  #checkov:skip=CKV_AWS_116:failed events go to the function's on-failure destination, which records more than a dead-letter queue does
  #checkov:skip=CKV_AWS_117:it only calls public APIs of AWS and GitHub; in a VPC it would need a NAT gateway
  #checkov:skip=CKV_AWS_173:nothing in the environment is secret
  #checkov:skip=CKV_AWS_272:the archive's hash is compared at each plan and apply; operators can add a signing profile
  for_each = local.functions

  function_name = each.value.name
  description   = each.value.description
  role          = aws_iam_role.functions.arn

  filename          = var.package.filename
  source_code_hash  = local.code_hash
  s3_bucket         = var.package.s3_bucket
  s3_key            = var.package.s3_key
  s3_object_version = var.package.s3_object_version

  runtime       = "provided.al2023"
  handler       = "bootstrap"
  architectures = [var.package.architecture]
  timeout       = var.function.timeout
  memory_size   = var.function.memory
  # Sweeps share no queue with events. So a flood of events can only keep them from running by using up the account's
  # concurrency, and the throttle of the webhook is far below that.
  reserved_concurrent_executions = each.key == "sweeper" ? var.function.sweeper_reserved_concurrency : var.function.reserved_concurrency

  environment {
    variables = merge(local.environment, local.traces)
  }

  # The function filters by ECSRUNNER_LOG itself. Lambda's own lines for each invocation would be most of an idle
  # month's log, and contain nothing that its metrics do not.
  logging_config {
    log_format            = "JSON"
    log_group             = aws_cloudwatch_log_group.functions[each.key].name
    application_log_level = "TRACE"
    system_log_level      = "WARN"
  }

  tags = var.tags

  # Without these permissions the first invocation would fail. The archive is compared before it is used.
  depends_on = [aws_iam_role_policy.functions, aws_iam_role_policy.functions_agents, aws_iam_role_policy.functions_builds, data.aws_s3_object.archive]
}

# A dispatcher that must stop kicks the next one through the queue, so the control plane invokes itself on purpose. By
# default Lambda takes about 16 such invocations in a row for a runaway loop and drops the next one: jobs would wait for
# the sweep. Kicks cannot multiply: a round sends at most one, and none while one is on its way.
resource "aws_lambda_function_recursion_config" "functions" {
  for_each = aws_lambda_function.functions

  function_name  = each.value.function_name
  recursive_loop = "Allow"
}

# Retries of events that Lambda has accepted. EventBridge's own retries end when Lambda accepts an event.
resource "aws_lambda_function_event_invoke_config" "control_plane" {
  function_name                = aws_lambda_function.functions["control_plane"].function_name
  maximum_retry_attempts       = 2
  maximum_event_age_in_seconds = 21600

  destination_config {
    on_failure {
      destination = aws_sqs_queue.events_dead.arn
    }
  }

  # Lambda checks that the role may send there.
  depends_on = [aws_iam_role_policy.functions]
}

# A late or failed sweep is not retried: the next one starts within a minute and does the same work. It has no
# destination either, since its messages would hide the events that should be sent again. An alarm counts its errors.
resource "aws_lambda_function_event_invoke_config" "sweeper" {
  function_name                = aws_lambda_function.functions["sweeper"].function_name
  maximum_retry_attempts       = 0
  maximum_event_age_in_seconds = 60
}
