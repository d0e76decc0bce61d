# Plans the example with another file as the archive and as the agent, since the package is not unpacked.
#
#     terraform test -test-directory=examples/minimal -var-file=examples/minimal/terraform.tfvars

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
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
  control_plane = { package = { filename = "./README.md" } }
  agent         = { x64 = "./README.md" }
}

run "the_minimal_example_is_planned" {
  command = plan

  assert {
    condition     = keys(local.architectures) == ["default"] && local.architectures["default"] == tolist(["x64"])
    error_message = "The image is built for the one architecture that is used."
  }
  assert {
    condition     = length(output.alarms.names) == 17
    error_message = "There are 17 alarms, including failed builds, since AWS builds the image."
  }
  assert {
    condition     = output.log_groups.runners == "/ecsrunner/ci/runners"
    error_message = "Names contain the deployment's name."
  }
}
