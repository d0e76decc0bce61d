# Plans the example, with other files as the archive and the agent: outside of a package there are none beside the Terraform.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-west-1a", "eu-west-1b", "eu-west-1c"] }
  }
  mock_data "aws_subnet" {
    defaults = { id = "subnet-0123456789abcdef0", vpc_id = "vpc-0123456789abcdef0" }
  }
}

variables {
  deployment           = "ci"
  region               = "eu-west-1"
  allowed_repositories = ["acme/app"]
  control_plane        = { package = { filename = "main.tf" } }
  agent                = { x64 = "main.tf" }
}

run "the_minimal_example_is_planned" {
  command = plan

  assert {
    condition     = length(output.alarms.names) == 19
    error_message = "There are 19 alarms, including failed builds, since AWS builds the image."
  }
  assert {
    condition     = output.log_groups.runners == "/ecsrunner/ci/runners"
    error_message = "Names contain the deployment's name."
  }
}
