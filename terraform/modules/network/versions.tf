# What this module needs: validations that look beyond their own variable came with Terraform 1.9,
# and the Region as an attribute of its own with version 6 of the provider.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}
