# The repository. Each build has a tag that never changes: `<tag>-<hash>-<runner's version>-<number>` if AWS builds,
# `<tag>-<hash>` if Docker builds. Two tags for each architecture move: `next-<arch>` with each build, and `current-<arch>`
# once an image has started a runner. New tasks name `current-<arch>`, so a new image needs no apply.

resource "aws_ecr_repository" "runner" {
  #checkov:skip=CKV_AWS_136:ECR encrypts with AWS's own key; the image contains no secret.
  #checkov:skip=CKV_AWS_51:Tags never change, except `current-<arch>` and `next-<arch>`, which only point to other tags' images.
  for_each = local.built

  name                 = "${local.name}-${each.key}"
  image_tag_mutability = "IMMUTABLE_WITH_EXCLUSION"
  # Images can be rebuilt, so destroy deletes them and no cost remains.
  force_delete = true

  image_tag_mutability_exclusion_filter {
    filter      = "current-*"
    filter_type = "WILDCARD"
  }

  image_tag_mutability_exclusion_filter {
    filter      = "next-*"
    filter_type = "WILDCARD"
  }

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "AES256"
  }

  tags = var.tags
}

# Images of 0.7 GB cost 7 cents a month each, so few are kept. An image that matches a rule is never expired by a later
# one: the first two rules keep what tasks start now, however many builds have failed since.
resource "aws_ecr_lifecycle_policy" "runner" {
  for_each = aws_ecr_repository.runner

  repository = each.value.name

  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "What tasks start: one image for each architecture"
        selection    = { tagStatus = "tagged", tagPatternList = ["current-*"], countType = "imageCountMoreThan", countNumber = 2 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "What the next runner tries: one image for each architecture"
        selection    = { tagStatus = "tagged", tagPatternList = ["next-*"], countType = "imageCountMoreThan", countNumber = 2 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 3
        description  = "Three builds of two architectures: launches that are under way name an earlier one, and one can be rolled back to"
        selection    = { tagStatus = "tagged", tagPatternList = ["*"], countType = "imageCountMoreThan", countNumber = 6 }
        action       = { type = "expire" }
      },
      {
        # An architecture's image that Docker has pushed has no tag of its own. ECR keeps it as long as its index exists.
        rulePriority = 4
        description  = "What no image refers to any more"
        selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 1 }
        action       = { type = "expire" }
      },
    ]
  })
}

moved {
  from = aws_ecr_repository.runner
  to   = aws_ecr_repository.runner["runner"]
}

moved {
  from = aws_ecr_lifecycle_policy.runner
  to   = aws_ecr_lifecycle_policy.runner["runner"]
}
