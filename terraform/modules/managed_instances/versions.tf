# Requirements. Terraform 1.9 added validations that refer to other variables. Version 6 of the provider
# added `region` as an attribute.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.28, < 7"
    }
  }
}
