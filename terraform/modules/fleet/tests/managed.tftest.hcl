# Tests the task definitions of classes on managed instances.

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
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mocked", unique_id = "AROAMOCKED" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/ecsrunner/ci/runners" }
  }
  mock_resource "aws_ecs_task_definition" {
    defaults = { revision = 3 }
  }
}

# The role that no class on managed instances may have.
override_resource {
  target = aws_iam_role.task["exec"]
  values = { arn = "arn:aws:iam::123456789012:role/exec", unique_id = "AROAEXEC" }
}

variables {
  deployment = "ci"
  official   = { agents = { x64 = "0f00000000000000000000000000000000000000000000000000000000000064" } }
  vpc_id     = "vpc-0123456789abcdef0"
  boot_table = { name = "ecsrunner-ci-boot", arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/ecsrunner-ci-boot" }
  images = {
    default = { x64 = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ecsrunner-ci-runner:current-x64" }
    next    = { x64 = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ecsrunner-ci-runner:next-x64" }
  }
  managed_classes = {
    images = { image = "default", arch = "x64", cpu = 2048, memory = 4096, docker = true }
    plain  = { image = "next", arch = "x64", cpu = 4096, memory = 8192, docker = false }
  }
}

run "a_class_on_managed_instances_has_a_definition_for_each_image" {
  command = apply

  assert {
    condition = output.service_definitions == {
      images = {
        default = "ecsrunner-ci-managed_images_default:3"
        next    = "ecsrunner-ci-managed_images_next:3"
      }
      plain = { next = "ecsrunner-ci-managed_plain_next:3" }
    }
    error_message = "the definitions are by class and image"
  }
  assert {
    condition     = length(setintersection(output.task_definition_arns, [for name in ["images_default", "images_next", "plain_next"] : "arn:aws:ecs:eu-west-1:123456789012:task-definition/ecsrunner-ci-managed_${name}:*"])) == 3
    error_message = "the control plane must be allowed to start each of them"
  }
  assert {
    condition     = alltrue([for definition in aws_ecs_task_definition.managed : definition.requires_compatibilities == toset(["MANAGED_INSTANCES"]) && definition.network_mode == "awsvpc"])
    error_message = "they run on managed instances alone"
  }
  assert {
    condition     = { for key, definition in aws_ecs_task_definition.managed : key => "${definition.cpu}/${definition.memory}" } == { "images/default" = "2048/4096", "images/next" = "2048/4096", "plain/next" = "4096/8192" }
    error_message = "the task reserves what the class says"
  }
  assert {
    condition     = alltrue([for definition in aws_ecs_task_definition.managed : definition.task_role_arn != "arn:aws:iam::123456789012:role/exec"])
    error_message = "no job on an instance may have the role of ECS Exec"
  }
}

run "only_a_docker_class_is_privileged_and_tells_its_agent_where_the_engine_is" {
  command = plan

  assert {
    condition     = { for key, definition in aws_ecs_task_definition.managed : key => try(jsondecode(definition.container_definitions)[0].privileged, false) } == { "images/default" = true, "images/next" = true, "plain/next" = false }
    error_message = "a privileged container is root of its instance"
  }
  assert {
    condition     = { for key, definition in aws_ecs_task_definition.managed : key => [for variable in try(jsondecode(definition.container_definitions)[0].environment, []) : variable.value if variable.name == "ECSRUNNER_DOCKER_DIR"] } == { "images/default" = ["/var/lib/ecsrunner-docker"], "images/next" = ["/var/lib/ecsrunner-docker"], "plain/next" = [] }
    error_message = "the agent starts a Docker engine if it has this variable"
  }
  assert {
    condition     = { for key, definition in aws_ecs_task_definition.managed : key => [for mount in try(jsondecode(definition.container_definitions)[0].mountPoints, []) : "${mount.sourceVolume}:${mount.containerPath}"] } == { "images/default" = ["docker:/var/lib/ecsrunner-docker"], "images/next" = ["docker:/var/lib/ecsrunner-docker"], "plain/next" = [] }
    error_message = "an engine cannot keep its layers on those of its own container"
  }
}

run "a_task_with_gpus_reserves_them_and_gets_the_whole_driver" {
  command = plan
  variables {
    managed_classes = {
      both  = { image = "default", arch = "x64", cpu = 4096, memory = 8192, docker = true, gpus = 4 }
      cuda  = { image = "official", arch = "x64", cpu = 4096, memory = 8192, docker = false, gpus = 1 }
      plain = { image = "next", arch = "x64", cpu = 4096, memory = 8192, docker = false }
    }
  }

  assert {
    condition     = { for key, definition in aws_ecs_task_definition.managed : key => try(jsonencode(jsondecode(definition.container_definitions)[0].resourceRequirements), "none") if !endswith(key, "/next") || key == "plain/next" } == { "both/default" = "[{\"type\":\"GPU\",\"value\":\"4\"}]", "cuda/official" = "[{\"type\":\"GPU\",\"value\":\"1\"}]", "plain/next" = "none" }
    error_message = "ECS gives a container the GPUs that it reserves, and a second task has none"
  }
  assert {
    condition     = { for key, definition in aws_ecs_task_definition.managed : key => join(" ", sort([for variable in try(jsondecode(definition.container_definitions)[0].environment, []) : variable.name if contains(["ECSRUNNER_DOCKER_DIR", "NVIDIA_DRIVER_CAPABILITIES"], variable.name)])) if !endswith(key, "/next") || key == "plain/next" } == { "both/default" = "ECSRUNNER_DOCKER_DIR NVIDIA_DRIVER_CAPABILITIES", "cuda/official" = "NVIDIA_DRIVER_CAPABILITIES", "plain/next" = "" }
    error_message = "NVIDIA's runtime reads what a container needs of the driver"
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.managed["both/default"].container_definitions)[0].privileged && !try(jsondecode(aws_ecs_task_definition.managed["cuda/official"].container_definitions)[0].privileged, false)
    error_message = "only the class with an engine is privileged"
  }
}

run "githubs_own_image_stands_in_where_no_engine_is_needed" {
  command = plan
  variables {
    managed_classes = { plain = { image = "default", arch = "x64", cpu = 4096, memory = 8192, docker = false } }
  }
  assert {
    condition     = keys(aws_ecs_task_definition.managed) == ["plain/default", "plain/next", "plain/official"]
    error_message = "a class without an engine has all that stand in for the default image"
  }
  assert {
    condition     = length([for variable in jsondecode(aws_ecs_task_definition.managed["plain/official"].container_definitions)[0].environment : variable if variable.name == "ECSRUNNER_AGENT_SHA256"]) == 1
    error_message = "GitHub's own image keeps its variables"
  }
}

run "a_docker_class_with_githubs_own_image_is_refused" {
  command = plan
  variables {
    managed_classes = { images = { image = "official", arch = "x64", cpu = 2048, memory = 4096, docker = true } }
  }
  expect_failures = [var.managed_classes]
}

run "without_such_a_class_there_is_none" {
  command = plan
  variables { managed_classes = {} }
  assert {
    condition     = length(aws_ecs_task_definition.managed) == 0 && output.service_definitions == {}
    error_message = "other deployments are as before"
  }
}
