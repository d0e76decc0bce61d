# Plans the example unchanged.

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
  # The example's hash, in base64.
  mock_data "aws_s3_object" {
    defaults = { checksum_sha256 = "oysXbFa+ofTlUeduF9YLtqyseCKFDcNnO5RK6PPbjc4=" }
  }
  mock_data "aws_subnet" {
    defaults = { id = "subnet-0123456789abcdef0", vpc_id = "vpc-0123456789abcdef0" }
  }
}

variables {
  # Other files as the agents: outside of a package there are none beside the Terraform.
  agent = { x64 = "main.tf", arm64 = "main.tf" }
}

run "the_complete_example_is_planned" {
  command = plan

  assert {
    condition     = output.log_groups.control_plane == "/aws/lambda/ecsrunner-acme-ci-control-plane"
    error_message = "Names contain the deployment's name."
  }
  assert {
    condition     = output.log_groups.image == "/ecsrunner/acme-ci/image"
    error_message = "AWS builds the default image for each of its architectures."
  }
  assert {
    condition     = length(output.dead_letters) == 2
    error_message = "Both dead-letter queues are outputs."
  }
}
