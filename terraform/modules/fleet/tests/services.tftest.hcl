# Tests the task definitions of classes with services, and that each invalid value is refused.

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

# The role that no class with services may have.
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
    android = { x64 = "ghcr.io/acme/android@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
  }
  classes = {
    with-db = {
      image  = "default"
      arch   = "x64"
      cpu    = 2048
      memory = 4096
      exec   = false
      services = {
        db    = { image = "postgres:17", port = 5432, env = { POSTGRES_PASSWORD = "pw" }, memory = 1024, health = { command = "pg_isready" } }
        cache = { image = "111111111111.dkr.ecr.eu-west-1.amazonaws.com/redis:7", port = 6379, command = ["redis-server", "--save", ""], cpu = 256, health = { command = "redis-cli ping", interval_secs = 30, retries = 20 } }
      }
    }
    with-hub = { image = "android", arch = "x64", cpu = 1024, memory = 2048, exec = false, services = { hub = { image = "ghcr.io/acme/hub:1", port = 80 } } }
  }
}

run "a_class_with_services_has_a_definition_for_each_image_that_its_runner_may_start_from" {
  command = apply

  assert {
    condition = output.service_definitions == {
      with-db = {
        default  = "ecsrunner-ci-services_with-db_default:3"
        next     = "ecsrunner-ci-services_with-db_next:3"
        official = "ecsrunner-ci-services_with-db_official:3"
      }
      with-hub = { android = "ecsrunner-ci-services_with-hub_android:3" }
    }
    error_message = "the definitions are by class and image"
  }
  assert {
    condition     = length(setintersection(output.task_definition_arns, [for image in ["with-db_default", "with-db_next", "with-db_official", "with-hub_android"] : "arn:aws:ecs:eu-west-1:123456789012:task-definition/ecsrunner-ci-services_${image}:*"])) == 4
    error_message = "the control plane must be allowed to start each of them"
  }
  assert {
    condition     = { for key, definition in aws_ecs_task_definition.services : key => "${definition.cpu}/${definition.memory}" } == { "with-db/default" = "2048/4096", "with-db/next" = "2048/4096", "with-db/official" = "2048/4096", "with-hub/android" = "1024/2048" }
    error_message = "ECS compares the sizes of containers with that of the class"
  }
}

run "services_are_containers_beside_the_runner_and_not_essential" {
  command = apply

  assert {
    condition     = alltrue([for definition in aws_ecs_task_definition.services : [for container in jsondecode(definition.container_definitions) : container.name if container.essential] == ["runner"] && definition.skip_destroy && !definition.track_latest])
    error_message = "the runner alone ends a task"
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.services["with-db/default"].container_definitions)[0] == jsondecode(aws_ecs_task_definition.runner["default/x64"].container_definitions)[0] && jsondecode(aws_ecs_task_definition.services["with-db/official"].container_definitions)[0] == jsondecode(aws_ecs_task_definition.runner["official/x64"].container_definitions)[0]
    error_message = "the runner's container is that of a class without services"
  }
  assert {
    condition = jsondecode(aws_ecs_task_definition.services["with-db/default"].container_definitions)[2] == {
      name                   = "db"
      image                  = "postgres:17"
      essential              = false
      readonlyRootFilesystem = false
      environment            = [{ name = "POSTGRES_PASSWORD", value = "pw" }]
      memory                 = 1024
      stopTimeout            = 5
      healthCheck            = { command = ["CMD-SHELL", "pg_isready"], interval = 5, timeout = 5, retries = 10, startPeriod = 60 }
      logConfiguration       = jsondecode(aws_ecs_task_definition.runner["default/x64"].container_definitions)[0].logConfiguration
    }
    error_message = "the container of a service differs"
  }
  assert {
    condition     = [for key in ["command", "cpu", "healthCheck"] : jsondecode(aws_ecs_task_definition.services["with-db/default"].container_definitions)[1][key]] == [["redis-server", "--save", ""], 256, { command = ["CMD-SHELL", "redis-cli ping"], interval = 30, timeout = 5, retries = 10, startPeriod = 300 }]
    error_message = "what a class sets is set, within the limits of ECS"
  }
  assert {
    condition     = !can(jsondecode(aws_ecs_task_definition.services["with-hub/android"].container_definitions)[1].command) && !can(jsondecode(aws_ecs_task_definition.services["with-hub/android"].container_definitions)[1].healthCheck) && alltrue(flatten([for definition in aws_ecs_task_definition.services : [for container in jsondecode(definition.container_definitions) : !can(container.dependsOn)]]))
    error_message = "nothing is set that a class does not set, and no container waits for another"
  }
  assert {
    condition     = alltrue([for definition in aws_ecs_task_definition.services : definition.task_role_arn == aws_iam_role.task["plain"].arn])
    error_message = "a job can use the task's role through a service, so it must be the one without ECS Exec"
  }
  assert {
    condition     = contains(local.ecr_repositories, "arn:aws:ecr:eu-west-1:111111111111:repository/redis")
    error_message = "ECS must be allowed to pull the images of services from ECR"
  }
}

run "a_deployment_without_services_has_none_of_this" {
  command = apply
  variables { classes = {} }

  assert {
    condition     = length(aws_ecs_task_definition.services) == 0 && output.service_definitions == {}
    error_message = "nothing is made for classes without services"
  }
}

run "ten_services_are_refused" {
  command = plan
  variables { classes = { a = { image = "default", arch = "x64", cpu = 1024, memory = 2048, exec = false, services = { s0 = { image = "i0", port = 1 }, s1 = { image = "i1", port = 2 }, s2 = { image = "i2", port = 3 }, s3 = { image = "i3", port = 4 }, s4 = { image = "i4", port = 5 }, s5 = { image = "i5", port = 6 }, s6 = { image = "i6", port = 7 }, s7 = { image = "i7", port = 8 }, s8 = { image = "i8", port = 9 }, s9 = { image = "i9", port = 10 } } } } }
  expect_failures = [var.classes]
}

run "exec_beside_services_is_refused" {
  command = plan
  variables { classes = { a = { image = "default", arch = "x64", cpu = 1024, memory = 2048, exec = true, services = { db = { image = "postgres:17", port = 5432 } } } } }
  expect_failures = [var.classes]
}

run "the_runners_name_is_refused_for_a_service" {
  command = plan
  variables { classes = { a = { image = "default", arch = "x64", cpu = 1024, memory = 2048, exec = false, services = { runner = { image = "a", port = 1 } } } } }
  expect_failures = [var.classes]
}

run "an_invalid_name_of_a_service_is_refused" {
  command = plan
  variables { classes = { a = { image = "default", arch = "x64", cpu = 1024, memory = 2048, exec = false, services = { Db = { image = "a", port = 1 } } } } }
  expect_failures = [var.classes]
}

run "an_invalid_image_of_a_service_is_refused" {
  command = plan
  variables { classes = { a = { image = "default", arch = "x64", cpu = 1024, memory = 2048, exec = false, services = { db = { image = "Postgres", port = 1 } } } } }
  expect_failures = [var.classes]
}

run "a_short_digest_is_refused" {
  command = plan
  variables { classes = { a = { image = "default", arch = "x64", cpu = 1024, memory = 2048, exec = false, services = { db = { image = "postgres@sha256:0123", port = 1 } } } } }
  expect_failures = [var.classes]
}

run "a_port_of_0_is_refused" {
  command = plan
  variables { classes = { a = { image = "default", arch = "x64", cpu = 1024, memory = 2048, exec = false, services = { db = { image = "a", port = 0 } } } } }
  expect_failures = [var.classes]
}

run "a_port_above_65535_is_refused" {
  command = plan
  variables { classes = { a = { image = "default", arch = "x64", cpu = 1024, memory = 2048, exec = false, services = { db = { image = "a", port = 65536 } } } } }
  expect_failures = [var.classes]
}

run "one_port_for_two_services_is_refused" {
  command = plan
  variables { classes = { a = { image = "default", arch = "x64", cpu = 1024, memory = 2048, exec = false, services = { a = { image = "a", port = 1 }, b = { image = "b", port = 1 } } } } }
  expect_failures = [var.classes]
}

run "one_image_for_two_services_is_refused_in_two_spellings" {
  command = plan
  variables { classes = { a = { image = "default", arch = "x64", cpu = 1024, memory = 2048, exec = false, services = { a = { image = "a", port = 1 }, b = { image = "docker.io/library/a:latest", port = 2 } } } } }
  expect_failures = [var.classes]
}

run "an_invalid_variable_is_refused" {
  command = plan
  variables { classes = { a = { image = "default", arch = "x64", cpu = 1024, memory = 2048, exec = false, services = { db = { image = "postgres:17", port = 5432, env = { "1A" = "x" } } } } } }
  expect_failures = [var.classes]
}

run "an_empty_command_is_refused" {
  command = plan
  variables { classes = { a = { image = "default", arch = "x64", cpu = 1024, memory = 2048, exec = false, services = { db = { image = "postgres:17", port = 5432, command = [] } } } } }
  expect_failures = [var.classes]
}

run "a_process_is_refused_on_ecs" {
  command = plan
  variables { classes = { a = { image = "default", arch = "x64", cpu = 1024, memory = 2048, exec = false, services = { db = { image = "postgres:17", port = 5432, process = ["postgres"] } } } } }
  expect_failures = [var.classes]
}

run "an_empty_health_command_is_refused" {
  command = plan
  variables { classes = { a = { image = "default", arch = "x64", cpu = 1024, memory = 2048, exec = false, services = { db = { image = "postgres:17", port = 5432, health = { command = " " } } } } } }
  expect_failures = [var.classes]
}

run "a_health_interval_of_0_is_refused" {
  command = plan
  variables { classes = { a = { image = "default", arch = "x64", cpu = 1024, memory = 2048, exec = false, services = { db = { image = "postgres:17", port = 5432, health = { command = "x", interval_secs = 0 } } } } } }
  expect_failures = [var.classes]
}

run "too_many_retries_are_refused" {
  command = plan
  variables { classes = { a = { image = "default", arch = "x64", cpu = 1024, memory = 2048, exec = false, services = { db = { image = "postgres:17", port = 5432, health = { command = "x", retries = 101 } } } } } }
  expect_failures = [var.classes]
}

run "a_memory_of_5_mib_is_refused" {
  command = plan
  variables { classes = { a = { image = "default", arch = "x64", cpu = 1024, memory = 2048, exec = false, services = { db = { image = "postgres:17", port = 5432, memory = 5 } } } } }
  expect_failures = [var.classes]
}

run "a_cpu_of_0_is_refused" {
  command = plan
  variables { classes = { a = { image = "default", arch = "x64", cpu = 1024, memory = 2048, exec = false, services = { db = { image = "postgres:17", port = 5432, cpu = 0 } } } } }
  expect_failures = [var.classes]
}

run "services_that_leave_less_than_512_mib_for_the_runner_are_refused" {
  command = plan
  variables { classes = { a = { image = "default", arch = "x64", cpu = 1024, memory = 2048, exec = false, services = { db = { image = "postgres:17", port = 5432, memory = 1537 } } } } }
  expect_failures = [var.classes]
}

run "services_that_leave_less_than_128_cpu_units_for_the_runner_are_refused" {
  command = plan
  variables { classes = { a = { image = "default", arch = "x64", cpu = 1024, memory = 2048, exec = false, services = { db = { image = "postgres:17", port = 5432, cpu = 897 } } } } }
  expect_failures = [var.classes]
}

run "limits_themselves_are_accepted" {
  command = plan
  variables { classes = { a = { image = "default", arch = "x64", cpu = 1024, memory = 2048, exec = false, services = { db = { image = "postgres:17", port = 65535, memory = 1536, cpu = 896, health = { command = "x", interval_secs = 300, retries = 100 } } } } } }
}
