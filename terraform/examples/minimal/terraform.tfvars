# The minimum for a deployment: a name, a Region, allowed repositories, and the control plane's archive. It has the three
# default classes, on x64. The first jobs run in GitHub's own image, while AWS builds a faster one.
#
#     cargo xtask package aarch64-unknown-linux-gnu
#     terraform -chdir=terraform init
#     terraform -chdir=terraform apply -var-file=examples/minimal/terraform.tfvars

deployment           = "ci"
region               = "eu-west-1"
allowed_repositories = ["acme/app"]

# Paths are relative to Terraform's root directory, which `-chdir` makes the working directory.
control_plane = {
  package = { filename = "../dist/control-plane-arm64.zip" }
}
