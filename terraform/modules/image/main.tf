# Creates what runners' images are made of: a bucket with the agents and the sources of the image, a repository in ECR,
# and a way to build.
#
# With the builder `codebuild`, AWS builds: the control plane starts a build if there is no image, if the sources have
# changed, or for a newer actions/runner. With `docker`, an apply builds on the machine that runs Terraform. With `none`
# nothing is built. Tasks of GitHub's own image download the agent from the same bucket.
#
# bucket.tf has the bucket, repository.tf the repository, codebuild.tf and docker.tf the builders, iam.tf the permissions
# of a build.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  name = "ecsrunner-${var.deployment}"

  # Each builder's resources exist only with that builder.
  codebuild = var.image.builder == "codebuild" ? toset(var.architectures) : toset([])
  docker    = var.image.builder == "docker" ? toset(["docker"]) : toset([])
  built     = var.image.builder == "none" ? toset([]) : toset(["runner"])

  # By AWS's rule, so that a plan shows which image tasks start.
  repository_url = "${data.aws_caller_identity.current.account_id}.dkr.ecr.${data.aws_region.current.region}.${data.aws_partition.current.dns_suffix}/${local.name}-runner"

  # Docker's names of the architectures.
  platforms = { x64 = "amd64", arm64 = "arm64" }

  # This project's Dockerfile needs only the agent and slim.sh, so its own directory is context enough.
  own_dir        = "${path.module}/../../../runner"
  dockerfile_dir = abspath(coalesce(var.image.dockerfile_dir, local.own_dir))
  context_dir    = abspath(coalesce(var.image.context_dir, var.image.dockerfile_dir == null ? local.dockerfile_dir : "${local.dockerfile_dir}/.."))

  # Excludes files that cargo, npm and Python generate, which do not get into an image.
  inputs = sort(distinct([
    for file in flatten([for pattern in var.image.dockerfile_dir == null ? ["slim.sh"] : var.image.inputs : tolist(fileset(local.context_dir, pattern))]) : file
    if !can(regex("(^|/)(target|node_modules|__pycache__)/", file))
  ]))

  # By the path at which a build expects it. Nothing is read if nothing is built.
  sources = {
    for path, file in merge(
      { Dockerfile = "${local.dockerfile_dir}/Dockerfile" },
      length(var.image.actions) == 0 ? {} : { "actions.sh" = "${path.module}/actions.sh" },
      { for file in local.inputs : "context/${file}" => "${local.context_dir}/${file}" },
    ) : path => file if var.image.builder != "none"
  }

  # Another base is taken as it is. A Dockerfile of your own has no variants.
  variant = var.image.dockerfile_dir != null && !var.image.docker ? null : coalesce(
    var.image.variant,
    var.image.docker ? "docker" : var.image.base_image == null ? "slim" : "full",
  )

  agents = { for arch, file in var.agent : arch => filesha256(file) }

  # Everything that the image is built from, except the runner's version. Maps are sorted by their keys, so that the
  # same sources give the same hash on every machine.
  hash = substr(sha256(jsonencode(merge(
    {
      sources    = { for path, file in local.sources : path => filesha256(file) }
      base_image = var.image.base_image
      agents     = { for arch in var.architectures : arch => local.agents[arch] if var.image.builder != "none" }
    },
    # Without them the hash is that of earlier releases, so that a Dockerfile of your own is not built again for them.
    length(var.image.actions) == 0 ? {} : { actions = var.image.actions },
    local.variant == null ? {} : { variant = local.variant },
  ))), 0, 12)
}
