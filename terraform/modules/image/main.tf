# Makes the runners' image: a repository in ECR, and a build by this machine's Docker.
#
# A tag is `<tag>-<hash of what it is built from>` and never changes its meaning, so it says as much as a
# digest: when the Dockerfile or an input changes there is a new tag, a new build and a new task definition.
# There is no variant that builds in AWS; README.md says why, and what to do without Docker.

locals {
  name = "ecsrunner-${var.deployment}-runner"

  dockerfile_dir = abspath(coalesce(var.image.dockerfile_dir, "${path.module}/../../../runner"))
  context_dir    = abspath(coalesce(var.image.context_dir, "${local.dockerfile_dir}/.."))

  # Without what cargo, npm and Python leave behind: nothing of it gets into the image.
  inputs = sort(distinct([
    for file in flatten([for pattern in var.image.inputs : tolist(fileset(local.context_dir, pattern))]) : file
    if !can(regex("(^|/)(target|node_modules|__pycache__)/", file))
  ]))

  # In order and by name, so that the same sources give the same tag on every machine.
  hash = sha256(jsonencode({
    dockerfile = filesha256("${local.dockerfile_dir}/Dockerfile")
    inputs     = { for file in local.inputs : file => filesha256("${local.context_dir}/${file}") }
    base_image = var.image.base_image
    platforms  = sort(var.image.platforms)
  }))

  tag = "${var.image.tag}-${substr(local.hash, 0, 12)}"
}

resource "aws_ecr_repository" "runner" {
  #checkov:skip=CKV_AWS_136:ECR encrypts with a key of AWS's own; the image holds no secret.
  name                 = local.name
  image_tag_mutability = "IMMUTABLE"
  # Images can be built again: destroy leaves none behind that costs something.
  force_delete = true

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "AES256"
  }
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
        # An architecture's image has no tag of its own, and ECR keeps it for as long as its index is there.
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

    # By the environment, so that no value is read as shell.
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

# When it was pushed, for the alarm on old images. Read once it is there.
data "aws_ecr_image" "runner" {
  repository_name = aws_ecr_repository.runner.name
  image_tag       = local.tag

  depends_on = [terraform_data.build]
}
