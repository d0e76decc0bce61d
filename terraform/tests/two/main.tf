# A root module with two deployments.

module "ecsrunner" {
  source   = "../.."
  for_each = toset(["one", "two"])

  deployment           = each.key
  allowed_repositories = ["acme/${each.key}"]
  runner_image_uri     = "ghcr.io/acme/runner@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  control_plane        = { package = { filename = "README.md" } }
}
