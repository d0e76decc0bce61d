# Where everything is made, and the tags that tell whose it is. Modules set none of their own; the runners' tasks are
# tagged when they are launched.

provider "aws" {
  region = var.region

  default_tags {
    tags = merge(var.tags, { "ecsrunner:deployment" = var.deployment })
  }
}
