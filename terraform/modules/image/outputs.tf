# The image, once it is built.

output "uri" {
  description = "The image with the digest of what the tag names. A task starts this image and no other, whatever becomes of the tag."
  value       = "${aws_ecr_repository.runner.repository_url}@${data.aws_ecr_image.runner.image_digest}"
}

output "architectures" {
  description = "The image's architectures, `x64` and `arm64`, in the form that the fleet module takes."
  value       = [for platform in var.image.platforms : platform == "linux/arm64" ? "arm64" : "x64"]
}

output "pushed_at" {
  description = "When the image was pushed, in seconds since the epoch."
  value       = data.aws_ecr_image.runner.image_pushed_at
}

output "repository" {
  description = "The repository."
  value       = { name = aws_ecr_repository.runner.name, arn = aws_ecr_repository.runner.arn }
}
