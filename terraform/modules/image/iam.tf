# The role of a build. It may push to this one repository, read the agents and sources in the bucket by their version,
# and write its own log. The bucket can only be used over TLS.

locals {
  # A base image in ECR, of any account and Region.
  base_in_ecr = [
    for image in regexall("^(?P<account>[0-9]{12})[.]dkr[.-]ecr(?:-fips)?[.](?P<region>[a-z0-9-]+)[.][^/]+/(?P<repository>[^:@]+)", coalesce(var.image.base_image, "none")) :
    "arn:${data.aws_partition.current.partition}:ecr:${image.region}:${image.account}:repository/${image.repository}"
  ]
}

data "aws_iam_policy_document" "bucket" {
  statement {
    sid       = "NothingWithoutTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.build.arn, "${aws_s3_bucket.build.arn}/*"]

    # `*`: the denial applies to every principal.
    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

data "aws_iam_policy_document" "build_trust" {
  for_each = aws_cloudwatch_log_group.build

  statement {
    sid     = "Builds"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["codebuild.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = values(local.project_arns)
    }
  }
}

resource "aws_iam_role" "build" {
  for_each = aws_cloudwatch_log_group.build

  name               = "${local.name}-image-build"
  description        = "Builds of the runners' image of the deployment ${var.deployment}."
  assume_role_policy = data.aws_iam_policy_document.build_trust[each.key].json

  path                 = var.iam.path
  permissions_boundary = var.iam.permissions_boundary
  tags                 = var.tags
}

data "aws_iam_policy_document" "build" {
  for_each = aws_cloudwatch_log_group.build

  statement {
    sid       = "WriteLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${each.value.arn}:*"]
  }

  statement {
    sid       = "ReadAgentsAndSources"
    actions   = ["s3:GetObjectVersion"]
    resources = ["${aws_s3_bucket.build.arn}/agent/*", "${aws_s3_bucket.build.arn}/sources/*"]
  }

  # Docker also reads what it has pushed.
  statement {
    sid = "Push"
    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:CompleteLayerUpload",
      "ecr:GetDownloadUrlForLayer",
      "ecr:InitiateLayerUpload",
      "ecr:PutImage",
      "ecr:UploadLayerPart",
    ]
    resources = values(aws_ecr_repository.runner)[*].arn
  }

  dynamic "statement" {
    for_each = length(local.base_in_ecr) > 0 ? ["base"] : []
    content {
      sid       = "PullTheBase"
      actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      resources = local.base_in_ecr
    }
  }

  statement {
    sid     = "LogInToEcr"
    actions = ["ecr:GetAuthorizationToken"]
    # A token is for the whole registry: this action supports no resource. The statements above limit its use.
    resources = ["*"]
  }
}

resource "aws_iam_role_policy" "build" {
  for_each = data.aws_iam_policy_document.build

  name   = "build"
  role   = aws_iam_role.build[each.key].name
  policy = each.value.json
}
