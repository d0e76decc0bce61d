# The builder `docker`: an apply builds on the machine that runs Terraform, and pushes. The tag ends with a hash of the
# sources, so another Dockerfile, agent or `runner_image_tag` is another image.

locals {
  docker_tag = join("-", compact([var.image.tag, local.hash, var.image.runner_version]))
}

resource "terraform_data" "docker" {
  for_each = local.docker

  triggers_replace = [local.repository_url, local.docker_tag]

  provisioner "local-exec" {
    command     = "./build.sh"
    working_dir = path.module

    # Values are passed in the environment, so that the shell does not interpret them.
    environment = merge(
      {
        AWS_REGION = data.aws_region.current.region
        BASE_IMAGE = coalesce(var.image.base_image, var.image.runner_version == null ? "default" : "ghcr.io/actions/actions-runner:${var.image.runner_version}")
        CONTEXT    = local.context_dir
        DOCKERFILE = "${local.dockerfile_dir}/Dockerfile"
        IMAGE      = "${local.repository_url}:${local.docker_tag}"
        PLATFORMS  = join(",", [for arch in sort(var.architectures) : "linux/${local.platforms[arch]}"])
        REVISION   = local.hash
        VERSION    = var.image.tag
      },
      var.image.docker ? { DOCKER = "true" } : {},
      { for arch in var.architectures : "AGENT_${upper(local.platforms[arch])}" => abspath(var.agent[arch]) },
    )
  }

  depends_on = [aws_ecr_repository.runner]
}

# The digest for the task definitions. It is read after the build, so no task starts before it.
data "aws_ecr_image" "docker" {
  for_each = local.docker

  repository_name = one(values(aws_ecr_repository.runner)[*].name)
  image_tag       = local.docker_tag

  depends_on = [terraform_data.docker]
}

# The build of earlier versions. It has no resource in AWS.
removed {
  from = terraform_data.build
}
