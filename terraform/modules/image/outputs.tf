# The image, once it is there.

output "uri" {
  description = "The image by its tag, which never means another one."
  value       = "${aws_ecr_repository.runner.repository_url}:${local.tag}"

  # Nobody starts an image that is still being built.
  depends_on = [terraform_data.build]
}

output "architectures" {
  description = "The architectures that it is built for, `x64` and `arm64`, as the fleet takes them."
  value       = [for platform in var.image.platforms : platform == "linux/arm64" ? "arm64" : "x64"]
}

output "pushed_at" {
  description = "When it was pushed, in seconds since the epoch."
  value       = data.aws_ecr_image.runner.image_pushed_at
}

output "repository" {
  description = "The repository."
  value       = { name = aws_ecr_repository.runner.name, arn = aws_ecr_repository.runner.arn }
}
