# Creates the runners' image: a repository in ECR, and a build with this machine's Docker.
#
# A tag is `<tag>-<hash of the sources>` and immutable, so it identifies an image like a digest. A change
# of the Dockerfile or an input gives a new tag, a new build and a new task definition. There is no variant
# that builds in AWS; README.md gives the reason, and describes what to do without Docker.

locals {
  name = "ecsrunner-${var.deployment}-runner"

  dockerfile_dir = abspath(coalesce(var.image.dockerfile_dir, "${path.module}/../../../runner"))
  context_dir    = abspath(coalesce(var.image.context_dir, "${local.dockerfile_dir}/.."))

  # Excludes files that cargo, npm and Python generate, which do not get into the image.
  inputs = sort(distinct([
    for file in flatten([for pattern in var.image.inputs : tolist(fileset(local.context_dir, pattern))]) : file
    if !can(regex("(^|/)(target|node_modules|__pycache__)/", file))
  ]))

  # Sorted by name, so that the same sources give the same tag on every machine.
  hash = sha256(jsonencode({
    dockerfile = filesha256("${local.dockerfile_dir}/Dockerfile")
    inputs     = { for file in local.inputs : file => filesha256("${local.context_dir}/${file}") }
    base_image = var.image.base_image
    platforms  = sort(var.image.platforms)
  }))

  tag = "${var.image.tag}-${substr(local.hash, 0, 12)}"
}

resource "aws_ecr_repository" "runner" {
  #checkov:skip=CKV_AWS_136:ECR encrypts with AWS's own key; the image contains no secret.
  name                 = local.name
  image_tag_mutability = "IMMUTABLE"
  # Images can be rebuilt, so destroy deletes them and no cost remains.
  force_delete = true

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "AES256"
  }

  tags = var.tags
}

resource "aws_ecr_lifecycle_policy" "runner" {
  repository = aws_ecr_repository.runner.name

  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "The last ten images: launches that are under way name an earlier one"
        selection    = { tagStatus = "tagged", tagPatternList = ["*"], countType = "imageCountMoreThan", countNumber = 10 }
        action       = { type = "expire" }
      },
      {
        # An architecture's image has no tag of its own. ECR keeps it as long as its index exists.
        rulePriority = 2
        description  = "What no image refers to any more"
        selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 1 }
        action       = { type = "expire" }
      },
    ]
  })
}

resource "terraform_data" "build" {
  triggers_replace = [aws_ecr_repository.runner.repository_url, local.tag]

  provisioner "local-exec" {
    command     = "./build.sh"
    working_dir = path.module

    # Values are passed in the environment, so that the shell does not interpret them.
    environment = {
      AWS_REGION = data.aws_region.current.region
      BASE_IMAGE = coalesce(var.image.base_image, "default")
      CONTEXT    = local.context_dir
      DOCKERFILE = "${local.dockerfile_dir}/Dockerfile"
      IMAGE      = "${aws_ecr_repository.runner.repository_url}:${local.tag}"
      PLATFORMS  = join(",", var.image.platforms)
      REVISION   = substr(local.hash, 0, 12)
      VERSION    = var.image.tag
    }
  }
}

data "aws_region" "current" {}

# The digest for the task definitions, and the time of the push for the alarm on old images. Both are read after the
# build, so no task starts before it.
data "aws_ecr_image" "runner" {
  repository_name = aws_ecr_repository.runner.name
  image_tag       = local.tag

  depends_on = [terraform_data.build]
}
