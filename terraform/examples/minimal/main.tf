# The minimum for a deployment: a name, a Region and allowed repositories. It has the three default classes, on x64.
#
#     cat > terraform.tfvars <<END
#     deployment           = "ci"
#     region               = "eu-west-1"
#     allowed_repositories = ["acme/app"]
#     END
#     terraform init
#     terraform apply

module "ecsrunner" {
  source = "../.."

  deployment           = var.deployment
  allowed_repositories = var.allowed_repositories
  agent                = var.agent
  control_plane        = { package = { filename = var.package } }
}
