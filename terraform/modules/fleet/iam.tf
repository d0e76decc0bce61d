# Three roles. A job should be able to use none of them.
#
# ECS itself uses `execution` to pull the image and to open log streams. The two task roles may only take
# the task's own boot item; `exec` may also open ECS Exec's channels. Role names are global, so a
# deployment's name can be used in only one Region of an account.

locals {
  # ECR's hosts in this partition; those for IPv4 and IPv6 have a domain of their own.
  ecr_domains = "(?:${replace(data.aws_partition.current.dns_suffix, ".", "[.]")}|on[.][a-z.]+)"

  # The images in ECR, of any account and Region.
  ecr_images = flatten([
    for uri in concat(flatten([for uris in values(var.images) : values(uris)]), [var.official.uri], flatten([for class in values(var.classes) : [for service in values(class.services) : service.image]])) :
    regexall("^(?P<account>[0-9]{12})[.]dkr[.-]ecr(?:-fips)?[.](?P<region>[a-z0-9-]+)[.]${local.ecr_domains}/(?P<repository>[^:@]+)", uri)
  ])

  ecr_repositories = distinct([
    for image in local.ecr_images :
    "arn:${data.aws_partition.current.partition}:ecr:${image.region}:${image.account}:repository/${image.repository}"
  ])
}

data "aws_iam_policy_document" "trust" {
  statement {
    sid     = "TasksOfThisAccount"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }

    # ECS supports no narrower source than the account's Region: a cluster cannot be named here.
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${data.aws_partition.current.partition}:ecs:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:*"]
    }
  }
}

data "aws_iam_policy_document" "execution" {
  statement {
    sid     = "WriteLogs"
    actions = ["logs:CreateLogStream", "logs:PutLogEvents"]
    # The streams of this group, which are named after tasks.
    resources = ["${aws_cloudwatch_log_group.runners.arn}:*"]
  }

  dynamic "statement" {
    for_each = length(local.ecr_repositories) > 0 ? ["ecr"] : []
    content {
      sid       = "PullImages"
      actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      resources = local.ecr_repositories
    }
  }

  dynamic "statement" {
    for_each = length(local.ecr_repositories) > 0 ? ["ecr"] : []
    content {
      sid     = "LogInToEcr"
      actions = ["ecr:GetAuthorizationToken"]
      # A token is for the whole registry: this action supports no resource. The statement above limits its use.
      resources = ["*"]
    }
  }
}

resource "aws_iam_role" "execution" {
  name               = "${local.name}-execution"
  description        = "Lets ECS start runners: pull images, open log streams"
  assume_role_policy = data.aws_iam_policy_document.trust.json

  path                 = var.iam.path
  permissions_boundary = var.iam.permissions_boundary
  tags                 = var.tags
}

resource "aws_iam_role_policy" "execution" {
  name   = "start-runners"
  role   = aws_iam_role.execution.name
  policy = data.aws_iam_policy_document.execution.json
}

data "aws_iam_policy_document" "task" {
  for_each = toset(["plain", "exec"])

  # `aws:userid` is `<role's unique id>:<task id>`, the key of the task's own item, so no task can take
  # another task's item. The second condition denies requests without a key, which would pass the first.
  statement {
    sid       = "TakeOwnBootItem"
    actions   = ["dynamodb:DeleteItem"]
    resources = [var.boot_table.arn]

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "dynamodb:LeadingKeys"
      values   = ["&{aws:userid}"]
    }

    condition {
      test     = "Null"
      variable = "dynamodb:LeadingKeys"
      values   = ["false"]
    }
  }

  dynamic "statement" {
    for_each = each.key == "exec" ? ["exec"] : []
    content {
      sid = "OpenExecChannels"
      actions = [
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
      ]
      # A channel has no ARN: these actions support no resource.
      resources = ["*"]
    }
  }
}

resource "aws_iam_role" "task" {
  for_each = data.aws_iam_policy_document.task

  name               = each.key == "exec" ? "${local.name}-task-exec" : "${local.name}-task"
  description        = each.key == "exec" ? "A runner with ECS Exec" : "A runner without ECS Exec"
  assume_role_policy = data.aws_iam_policy_document.trust.json

  path                 = var.iam.path
  permissions_boundary = var.iam.permissions_boundary
  tags                 = var.tags
}

resource "aws_iam_role_policy" "task" {
  for_each = data.aws_iam_policy_document.task

  name   = "runner"
  role   = aws_iam_role.task[each.key].name
  policy = each.value.json
}
