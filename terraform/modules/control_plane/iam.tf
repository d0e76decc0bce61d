# What the control plane may do: each action is one that its tests see it call (crates/lambda/tests/chain/actions.txt)
# or stands in granted.md with its reason. xtask/terraform/actions.py holds the three to each other, so every action is
# written out here, and no statement is made by a loop.

data "aws_iam_policy_document" "functions_trust" {
  # Lambda names neither account nor function when it assumes a function's role.
  statement {
    sid     = "Lambda"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "functions" {
  name               = "${local.name}-control-plane"
  description        = "What the control plane of the deployment ${var.deployment} may do."
  assume_role_policy = data.aws_iam_policy_document.functions_trust.json
}

resource "aws_iam_role_policy" "functions" {
  name   = "control-plane"
  role   = aws_iam_role.functions.id
  policy = data.aws_iam_policy_document.functions.json
}

data "aws_iam_policy_document" "functions" {
  #checkov:skip=CKV_AWS_356:ListTasks knows no resource of ours, as the comment beside it says
  statement {
    sid = "Records"
    actions = [
      "dynamodb:BatchGetItem",
      "dynamodb:ConditionCheckItem",
      "dynamodb:DeleteItem",
      "dynamodb:GetItem",
      "dynamodb:PutItem",
      "dynamodb:Query",
      "dynamodb:UpdateItem",
    ]
    resources = [var.tables.state.arn]
  }

  # Handing over writes a boot item, revoking takes it back. Nobody but the runner reads one.
  statement {
    sid       = "BootItems"
    actions   = ["dynamodb:DeleteItem", "dynamodb:PutItem"]
    resources = [var.tables.boot.arn]
  }

  statement {
    sid       = "Launch"
    actions   = ["ecs:RunTask"]
    resources = var.tasks.definition_arns

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [var.cluster.arn]
    }
  }

  statement {
    sid       = "TagWhatIsLaunched"
    actions   = ["ecs:TagResource"]
    resources = [local.task_arns]

    condition {
      test     = "StringEquals"
      variable = "ecs:CreateAction"
      values   = ["RunTask"]
    }
  }

  statement {
    sid       = "PassTheTasksRoles"
    actions   = ["iam:PassRole"]
    resources = var.tasks.role_arns

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }

  statement {
    sid       = "FollowAndStop"
    actions   = ["ecs:DescribeTasks", "ecs:StopTask"]
    resources = [local.task_arns]

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [var.cluster.arn]
    }
  }

  # `*`: ListTasks takes container instances as its only resource, and Fargate has none; the condition names the cluster.
  statement {
    sid       = "List"
    actions   = ["ecs:ListTasks"]
    resources = ["*"]

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [var.cluster.arn]
    }
  }

  statement {
    sid       = "Secrets"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [var.secrets.webhook.arn, var.secrets.github.arn]
  }

  statement {
    sid       = "Configuration"
    actions   = ["ssm:GetParameters"]
    resources = var.parameter_arns
  }

  statement {
    sid = "Kicks"
    actions = [
      "sqs:DeleteMessage",
      "sqs:GetQueueAttributes",
      "sqs:ReceiveMessage",
      "sqs:SendMessage",
    ]
    resources = [aws_sqs_queue.kicks.arn]
  }

  statement {
    sid       = "DeadLetters"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.events_dead.arn]
  }

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = [for group in aws_cloudwatch_log_group.functions : "${group.arn}:*"]
  }
}

data "aws_iam_policy_document" "functions_kms" {
  for_each = local.kms

  statement {
    sid       = "Decrypt"
    actions   = ["kms:Decrypt"]
    resources = [each.value.arn]

    # `*` for the Region alone: the key is of one anyway.
    condition {
      test     = "StringLike"
      variable = "kms:ViaService"
      values   = ["dynamodb.*.amazonaws.com", "secretsmanager.*.amazonaws.com"]
    }
  }
}

resource "aws_iam_role_policy" "functions_kms" {
  for_each = local.kms

  name   = "decrypt"
  role   = aws_iam_role.functions.id
  policy = data.aws_iam_policy_document.functions_kms[each.key].json
}

locals {
  kms       = var.kms_key_arn == null ? {} : { key = var.kms_key_arn }
  task_arns = "${replace(var.cluster.arn, ":cluster/", ":task/")}/*"
}
