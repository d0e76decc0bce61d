# The builder `codebuild`: a project for each architecture, on a machine of that architecture. Only the control plane and
# operators start builds. buildspec.yml has the steps.

locals {
  # AWS's own images, with a Docker daemon. Both have Docker 28 (their Dockerfiles, read 2026-11).
  machines = {
    x64   = { type = "LINUX_CONTAINER", image = "aws/codebuild/amazonlinux-x86_64-standard:5.0" }
    arm64 = { type = "ARM_CONTAINER", image = "aws/codebuild/amazonlinux-aarch64-standard:3.0" }
  }

  # The policies need the ARNs before there are projects.
  project_arns = {
    for arch in local.codebuild :
    arch => "arn:${data.aws_partition.current.partition}:codebuild:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:project/${local.name}-image-${arch}"
  }
}

resource "aws_cloudwatch_log_group" "build" {
  #checkov:skip=CKV_AWS_158:encrypted with AWS's own key; a build has no secret
  #checkov:skip=CKV_AWS_338:the operator sets the retention; a year is not the default
  for_each = length(local.codebuild) > 0 ? toset(["image"]) : toset([])

  name              = "/ecsrunner/${var.deployment}/${each.key}"
  retention_in_days = var.log_retention_days

  tags = var.tags
}

resource "aws_codebuild_project" "image" {
  #checkov:skip=CKV_AWS_147:A build leaves nothing in S3 that a key could encrypt.
  #checkov:skip=CKV_AWS_316:A Docker daemon needs a privileged container. The machine is CodeBuild's, and ends with the build.
  for_each = local.codebuild

  name         = "${local.name}-image-${each.key}"
  description  = "Builds the runners' image of the deployment ${var.deployment} for ${each.key}."
  service_role = one(values(aws_iam_role.build)[*].arn)

  # A build takes a few minutes, and up to an hour with a large Dockerfile of your own. There is no limit of concurrent
  # builds: it may not exceed the account's, which can be 0, and the control plane starts one build at a time.
  build_timeout  = 60
  queued_timeout = 60

  source {
    type      = "NO_SOURCE"
    buildspec = file("${path.module}/buildspec.yml")
  }

  artifacts {
    type = "NO_ARTIFACTS"
  }

  environment {
    type                        = local.machines[each.key].type
    image                       = local.machines[each.key].image
    image_pull_credentials_type = "CODEBUILD"
    compute_type                = "BUILD_GENERAL1_SMALL"
    privileged_mode             = true

    dynamic "environment_variable" {
      for_each = merge({
        AGENT           = aws_s3_object.agent[each.key].key
        AGENT_SHA256    = local.agents[each.key]
        AGENT_VERSION   = aws_s3_object.agent[each.key].version_id
        BUCKET          = aws_s3_bucket.build.bucket
        NEXT_TAG        = "next-${each.key}"
        PLATFORM        = local.platforms[each.key]
        REPOSITORY      = local.repository_url
        REVISION        = local.hash
        SOURCES         = "sources/${local.hash}"
        SOURCES_VERSION = one(values(aws_s3_object.list)[*].version_id)
      }, var.image.base_image == null ? {} : { BASE_IMAGE = var.image.base_image }, var.image.docker ? { DOCKER = "true" } : {})

      content {
        name  = environment_variable.key
        value = environment_variable.value
      }
    }
  }

  logs_config {
    cloudwatch_logs {
      group_name = one(values(aws_cloudwatch_log_group.build)[*].name)
    }
  }

  tags = var.tags

  # Without its permissions the first build would fail.
  depends_on = [aws_iam_role_policy.build]
}
