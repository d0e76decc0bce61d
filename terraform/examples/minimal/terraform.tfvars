# The least that a deployment needs: a name, a Region, whose jobs may run, and the control plane's archive. Runners are
# of three classes, on x64; their image is built by Docker on the machine that applies.
#
#     cargo xtask package aarch64-unknown-linux-gnu
#     terraform -chdir=terraform init
#     terraform -chdir=terraform apply -var-file=examples/minimal/terraform.tfvars

deployment           = "ci"
region               = "eu-west-1"
allowed_repositories = ["acme/app"]

# Paths are relative to the directory of Terraform's root, which `-chdir` makes the working directory.
control_plane = {
  package = { filename = "../dist/control-plane-arm64.zip" }
}
