# Requirements, and the provider's configuration: a root module has one, a module has none. Keep the state where only
# operators can read it, such as in an encrypted S3 bucket (`backend "s3"`).

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.28, < 7"
    }
  }
}

provider "aws" {
  region = var.region
}
