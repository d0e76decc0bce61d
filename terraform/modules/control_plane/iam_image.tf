# What the control plane needs for images: to presign the URL from which a task of GitHub's own image downloads the agent,
# and to build the default image and make it the current one. Each is granted only where it is used.

data "aws_iam_policy_document" "functions_agents" {
  for_each = local.agents

  # A presigned URL acts with the permissions of the role that signed it. The URL names the object's version,
  # so reading the version is all that is needed.
  statement {
    sid       = "PresignTheAgents"
    actions   = ["s3:GetObjectVersion"]
    resources = each.value
  }
}

resource "aws_iam_role_policy" "functions_agents" {
  for_each = local.agents

  name   = "agents"
  role   = aws_iam_role.functions.id
  policy = data.aws_iam_policy_document.functions_agents[each.key].json
}

data "aws_iam_policy_document" "functions_builds" {
  for_each = local.builds

  statement {
    sid       = "Build"
    actions   = ["codebuild:BatchGetBuilds", "codebuild:StartBuild"]
    resources = values(each.value.projects)[*].arn
  }

  # Moving the tag `current-<arch>` reads the manifest of a build, and writes it under that tag.
  statement {
    sid       = "MoveTheCurrentTag"
    actions   = ["ecr:BatchGetImage", "ecr:PutImage"]
    resources = [each.value.repository.arn]
  }
}

resource "aws_iam_role_policy" "functions_builds" {
  for_each = local.builds

  name   = "builds"
  role   = aws_iam_role.functions.id
  policy = data.aws_iam_policy_document.functions_builds[each.key].json
}

locals {
  agents = length(var.image.agent_arns) > 0 ? { agents = var.image.agent_arns } : {}
  builds = length(var.image.projects) > 0 ? { builds = var.image } : {}
}
