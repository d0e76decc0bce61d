# Requirements. AWS's provider is the only one used, here and in the modules. The caller configures it, so that this is a
# module like any other: it can be called several times, with `for_each`, and for several Regions. Applied by itself, it
# takes the Region and the credentials from the environment.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.28, < 7"
    }
  }
}
