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
  tags                 = module.inputs.checked.tags
  iam                  = module.inputs.checked.iam
  allowed_repositories = module.inputs.checked.allowed_repositories
  runner_class_sizes   = module.inputs.checked.runner_class_sizes
  runner_image_tag     = module.inputs.checked.runner_image_tag
  runner_image_uri     = module.inputs.checked.runner_image_uri
  runner_images        = module.inputs.checked.runner_images
  runner_image_build   = module.inputs.checked.runner_image_build
  official_image       = module.inputs.checked.official_image
  agent                = module.inputs.checked.agent
  github               = module.inputs.checked.github
  webhook_secrets      = var.webhook_secrets
  policy               = module.inputs.checked.policy
  limits               = module.inputs.checked.limits
  costs                = module.inputs.checked.costs
  network              = module.inputs.checked.network
  webhook              = module.inputs.checked.webhook
  control_plane        = module.inputs.checked.control_plane
  observe              = module.inputs.checked.observe
  storage              = module.inputs.checked.storage
}
