# The function that asks GitHub what operators want to know, so that they need no credentials of GitHub. It is the control
# plane's program with another environment, which answers questions and does nothing else. IAM cannot tell payloads apart,
# so it is a function of its own: its callers can neither sweep nor report events. Its role only reads.

resource "aws_cloudwatch_log_group" "questions" {
  #checkov:skip=CKV_AWS_158:encrypted with AWS's own key; no secret, token or answer is logged
  #checkov:skip=CKV_AWS_338:the operator sets the retention; a year is not the default
  name              = "/aws/lambda/${local.name}-questions"
  retention_in_days = var.log.retention_days

  tags = var.tags
}

resource "aws_lambda_function" "questions" {
  #checkov:skip=CKV_AWS_50:a question is logged; a trace would add a library and a charge
  #checkov:skip=CKV_AWS_115:reserving concurrency is off by default, since new accounts have none to reserve
  #checkov:skip=CKV_AWS_116:callers wait for the answer and get the error
  #checkov:skip=CKV_AWS_117:it only calls public APIs of AWS and GitHub; in a VPC it would need a NAT gateway
  #checkov:skip=CKV_AWS_173:nothing in the environment is secret
  #checkov:skip=CKV_AWS_272:the archive's hash is compared at each plan and apply; operators can add a signing profile
  function_name = "${local.name}-questions"
  description   = "Asks GitHub what operators of the deployment ${var.deployment} want to know."
  role          = aws_iam_role.questions.arn

  filename          = var.package.filename
  source_code_hash  = local.code_hash
  s3_bucket         = var.package.s3_bucket
  s3_key            = var.package.s3_key
  s3_object_version = var.package.s3_object_version

  runtime       = "provided.al2023"
  handler       = "bootstrap"
  architectures = [var.package.architecture]
  # GitHub has ten seconds for a call. A first question needs a token and then the answer.
  timeout     = 30
  memory_size = 256

  environment {
    variables = merge(local.environment, { ECSRUNNER_ANSWERS_QUESTIONS = "1" })
  }

  logging_config {
    log_format            = "JSON"
    log_group             = aws_cloudwatch_log_group.questions.name
    application_log_level = "TRACE"
    system_log_level      = "WARN"
  }

  tags = var.tags

  depends_on = [aws_iam_role_policy.questions, data.aws_s3_object.archive]
}

resource "aws_iam_role" "questions" {
  name               = "${local.name}-questions"
  description        = "What the function that answers questions of the deployment ${var.deployment} may do."
  assume_role_policy = data.aws_iam_policy_document.functions_trust.json

  path                 = var.iam.path
  permissions_boundary = var.iam.permissions_boundary
  tags                 = var.tags
}

resource "aws_iam_role_policy" "questions" {
  name   = "questions"
  role   = aws_iam_role.questions.id
  policy = data.aws_iam_policy_document.questions.json
}

data "aws_iam_policy_document" "questions" {
  statement {
    sid       = "GitHubsCredentials"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [var.secrets.github.arn]
  }

  statement {
    sid       = "Configuration"
    actions   = ["ssm:GetParameters"]
    resources = var.parameter_arns
  }

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.questions.arn}:*"]
  }
}

resource "aws_iam_role_policy" "questions_kms" {
  for_each = local.kms

  name   = "decrypt"
  role   = aws_iam_role.questions.id
  policy = data.aws_iam_policy_document.functions_kms[each.key].json
}
