# Tests which role each definition has. It is a separate file, since a role keeps the mock ARN of an earlier run.

mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  # The provider refuses a policy that is not JSON.
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/ecsrunner/ci/runners" }
  }
  mock_resource "aws_ecs_task_definition" {
    defaults = { revision = 3 }
  }
}

override_resource {
  target = aws_iam_role.task["plain"]
  values = { arn = "arn:aws:iam::123456789012:role/plain", unique_id = "AROAPLAIN" }
}

override_resource {
  target = aws_iam_role.task["exec"]
  values = { arn = "arn:aws:iam::123456789012:role/exec", unique_id = "AROAEXEC" }
}

override_resource {
  target = aws_iam_role.execution
  values = { arn = "arn:aws:iam::123456789012:role/execution" }
}

variables {
  deployment = "ci"
  official   = { agents = { x64 = "0f00000000000000000000000000000000000000000000000000000000000064", arm64 = "0f000000000000000000000000000000000000000000000000000000000000a4" } }
  vpc_id     = "vpc-0123456789abcdef0"
  boot_table = { name = "ecsrunner-ci-boot", arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/ecsrunner-ci-boot" }
  images = {
    default = { x64 = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ecsrunner-ci-runner@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", arm64 = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ecsrunner-ci-runner@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
    android = { x64 = "ghcr.io/acme/android@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
  }
}

run "each_definition_has_the_role_that_its_name_says" {
  command = apply

  assert {
    condition     = alltrue([for key, definition in aws_ecs_task_definition.runner : definition.task_role_arn == aws_iam_role.task[endswith(key, "/exec") ? "exec" : "plain"].arn && definition.execution_role_arn == aws_iam_role.execution.arn])
    error_message = "a definition has the wrong role"
  }
  assert {
    condition     = output.task_roles == { plain = { arn = "arn:aws:iam::123456789012:role/plain", unique_id = "AROAPLAIN" }, exec = { arn = "arn:aws:iam::123456789012:role/exec", unique_id = "AROAEXEC" } } && output.execution_role_arn == "arn:aws:iam::123456789012:role/execution"
    error_message = "the roles are mixed up"
  }
  assert {
    condition     = alltrue([for name, policy in aws_iam_role_policy.task : policy.role == aws_iam_role.task[name].name])
    error_message = "a policy is on the wrong role"
  }
}
