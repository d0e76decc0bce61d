# The Region, and the tags that name the deployment. Modules set no tags of their own. Runner tasks are tagged at
# launch.

provider "aws" {
  region = var.region

  default_tags {
    tags = merge(var.tags, { "ecsrunner:deployment" = var.deployment })
  }
}
