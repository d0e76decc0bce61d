# The images for the task definitions, the agents, and what the control plane needs to build.

output "uris" {
  description = "The default image, by architecture: a tag that the control plane moves if AWS builds, a digest if Docker has built, and nothing if nothing is built."
  value = tomap(merge(
    { for arch in local.codebuild : arch => "${local.repository_url}:current-${arch}" },
    { for arch in var.architectures : arch => "${local.repository_url}@${one(values(data.aws_ecr_image.docker)[*].image_digest)}" if length(local.docker) > 0 },
  ))
}

output "next_uris" {
  description = "The image of the newest build, by architecture, for the first runner that tries it. Only if AWS builds."
  value       = tomap({ for arch in local.codebuild : arch => "${local.repository_url}:next-${arch}" })
}

output "agents" {
  description = "The agents, by architecture: `bucket`, `key` and `version` of the object."
  value       = { for arch, object in aws_s3_object.agent : arch => { bucket = aws_s3_bucket.build.bucket, key = object.key, version = object.version_id } }

  # A task that fetches an agent relies on them.
  depends_on = [aws_s3_bucket_policy.build, aws_s3_bucket_public_access_block.build]
}

output "agent_sha256" {
  description = "The agents' SHA-256, by architecture."
  value       = local.agents
}

output "agent_arns" {
  description = "ARNs of the agents' objects, for the policy of the role that presigns their URLs."
  value       = [for object in aws_s3_object.agent : "${aws_s3_bucket.build.arn}/${object.key}"]
}

output "image" {
  description = "What the control plane compares and builds: `builder`, `repository` (its name, or null), `projects` (their names by architecture), `sources` (a hash), `tag` and `runner_version` (null for the newest)."
  value = {
    builder        = var.image.builder
    repository     = one(values(aws_ecr_repository.runner)[*].name)
    projects       = { for arch, project in aws_codebuild_project.image : arch => project.name }
    sources        = local.hash
    tag            = var.image.tag
    runner_version = var.image.runner_version
  }
}

output "projects" {
  description = "The CodeBuild projects, by architecture, each with `name` and `arn`."
  value       = { for arch, project in aws_codebuild_project.image : arch => { name = project.name, arn = local.project_arns[arch] } }
}

output "repository" {
  description = "The repository, or null."
  value       = one([for repository in aws_ecr_repository.runner : { name = repository.name, arn = repository.arn }])
}

output "log_group" {
  description = "Name of the builds' log group, or null."
  value       = one(values(aws_cloudwatch_log_group.build)[*].name)
}
