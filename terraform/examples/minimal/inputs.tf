# Checks what terraform.tfvars has, before the module gets it: Terraform itself ignores a misspelt key in an object.

module "inputs" {
  source = "../../modules/inputs"

  inputs = {
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
    policy               = var.policy
    limits               = var.limits
    costs                = var.costs
    network              = var.network
    webhook              = var.webhook
    control_plane        = var.control_plane
    observe              = var.observe
    storage              = var.storage
  }
}
