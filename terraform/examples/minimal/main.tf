# One deployment. Three inputs are enough for one with the three default classes, on x64:
#
#     cat > terraform.tfvars <<END
#     deployment           = "ci"
#     region               = "eu-west-1"
#     allowed_repositories = ["acme/app"]
#     END
#     terraform init
#     terraform apply
#
# Every other input can be added to terraform.tfvars (variables.tf).

module "ecsrunner" {
  source = "../.."

  deployment           = var.deployment
  tags                 = var.tags
  iam                  = var.iam
  allowed_repositories = var.allowed_repositories
  runner_class_sizes   = var.runner_class_sizes
  runner_image_tag     = var.runner_image_tag
  runner_image_uri     = var.runner_image_uri
  runner_images        = var.runner_images
  runner_image_build   = var.runner_image_build
  official_image       = var.official_image
  agent                = var.agent
  github               = var.github
  webhook_secrets      = var.webhook_secrets
  policy               = var.policy
  limits               = var.limits
  costs                = var.costs
  network              = var.network
  webhook              = var.webhook
  control_plane        = var.control_plane
  observe              = var.observe
  storage              = var.storage
}
