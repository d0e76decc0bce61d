# Tests task definitions, permissions, and that each invalid value is refused.

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

run "each_combination_that_runtask_cannot_override_has_a_definition" {
  command = apply

  assert {
    condition = output.task_definitions == {
      "default/x64"         = "ecsrunner-ci-default-x64:3"
      "default/x64/exec"    = "ecsrunner-ci-default-x64-exec:3"
      "default/arm64"       = "ecsrunner-ci-default-arm64:3"
      "default/arm64/exec"  = "ecsrunner-ci-default-arm64-exec:3"
      "android/x64"         = "ecsrunner-ci-android-x64:3"
      "android/x64/exec"    = "ecsrunner-ci-android-x64-exec:3"
      "official/x64"        = "ecsrunner-ci-official-x64:3"
      "official/x64/exec"   = "ecsrunner-ci-official-x64-exec:3"
      "official/arm64"      = "ecsrunner-ci-official-arm64:3"
      "official/arm64/exec" = "ecsrunner-ci-official-arm64-exec:3"
    }
    error_message = "keys must be `<image>/<arch>[/exec]`, values `family:revision`"
  }
  assert {
    condition     = { for key, definition in aws_ecs_task_definition.runner : key => definition.runtime_platform[0].cpu_architecture if endswith(key, "exec") } == { "default/x64/exec" = "X86_64", "default/arm64/exec" = "ARM64", "android/x64/exec" = "X86_64", "official/x64/exec" = "X86_64", "official/arm64/exec" = "ARM64" }
    error_message = "the architecture differs"
  }
  assert {
    condition     = { for key, definition in aws_ecs_task_definition.runner : key => jsondecode(definition.container_definitions)[0].image } == { for key in keys(aws_ecs_task_definition.runner) : key => startswith(key, "android/") ? var.images.android.x64 : startswith(key, "official/") ? "ghcr.io/actions/actions-runner:latest" : var.images.default.x64 }
    error_message = "the image differs"
  }
  assert {
    condition     = toset(output.task_definition_arns) == toset([for family in ["default-x64", "default-x64-exec", "default-arm64", "default-arm64-exec", "android-x64", "android-x64-exec", "official-x64", "official-x64-exec", "official-arm64", "official-arm64-exec"] : "arn:aws:ecs:eu-west-1:123456789012:task-definition/ecsrunner-ci-${family}:*"])
    error_message = "the ARNs do not match the families"
  }
  assert {
    condition     = output.task_roles.plain.unique_id == "AROAMOCKED" && output.task_roles.exec.arn == "arn:aws:iam::123456789012:role/mocked" && output.log_group.name == "/ecsrunner/ci/runners" && output.cluster.name == "ecsrunner-ci"
    error_message = "an output is missing"
  }
}

run "an_apply_pulls_no_definition_from_under_a_launch" {
  command = plan

  assert {
    condition     = alltrue([for definition in aws_ecs_task_definition.runner : definition.skip_destroy && !definition.track_latest])
    error_message = "destroy must keep the revisions"
  }
}

run "a_container_has_two_minutes_to_end_and_no_secret" {
  command = plan

  assert {
    condition = alltrue([for definition in aws_ecs_task_definition.runner : jsonencode(jsondecode(definition.container_definitions)[0].logConfiguration) == jsonencode({
      logDriver = "awslogs"
      options   = { awslogs-group = "/ecsrunner/ci/runners", awslogs-region = "eu-west-1", awslogs-stream-prefix = "runner", mode = "non-blocking", max-buffer-size = "4m" }
    })])
    error_message = "the log group differs, or logging can delay a job"
  }
  assert {
    # Exactly these keys: no health check, environment, secrets, user or linuxParameters with initProcessEnabled.
    condition     = alltrue([for key, definition in aws_ecs_task_definition.runner : startswith(key, "official/") || join(" ", keys(jsondecode(definition.container_definitions)[0])) == "essential image logConfiguration name readonlyRootFilesystem stopTimeout" && length(jsondecode(definition.container_definitions)) == 1])
    error_message = "the container has other keys"
  }
  assert {
    condition     = alltrue([for definition in aws_ecs_task_definition.runner : jsondecode(definition.container_definitions)[0].stopTimeout == 120 && jsondecode(definition.container_definitions)[0].name == "runner" && jsondecode(definition.container_definitions)[0].essential])
    error_message = "the container must be called `runner`, which RunTask overrides, with 120 s (Fargate's maximum)"
  }
  assert {
    condition     = alltrue([for definition in aws_ecs_task_definition.runner : toset(definition.requires_compatibilities) == toset(["FARGATE"]) && definition.network_mode == "awsvpc" && definition.cpu == "256" && definition.memory == "512"])
    error_message = "a definition is not for Fargate"
  }
}

run "githubs_own_image_starts_with_the_tested_script_as_root" {
  command = plan

  assert {
    condition = alltrue([for key, definition in aws_ecs_task_definition.runner : jsondecode(definition.container_definitions)[0].user == "0"
      && jsonencode(jsondecode(definition.container_definitions)[0].entryPoint) == jsonencode(["/bin/bash", "-c", file("official.sh"), "/usr/local/bin/ecsrunner-agent"])
    if startswith(key, "official/")])
    error_message = "bash must execute official.sh as root"
  }
  assert {
    # Neither a command nor a URL: RunTask gives each task its own.
    condition     = alltrue([for key, definition in aws_ecs_task_definition.runner : join(" ", keys(jsondecode(definition.container_definitions)[0])) == "entryPoint environment essential image logConfiguration name readonlyRootFilesystem stopTimeout user" if startswith(key, "official/")])
    error_message = "the container has other keys"
  }
  assert {
    condition = { for key, definition in aws_ecs_task_definition.runner : key => { for variable in jsondecode(definition.container_definitions)[0].environment : variable.name => variable.value } if startswith(key, "official/") && !endswith(key, "/exec") } == {
      "official/x64"   = { ECSRUNNER_AGENT_SHA256 = var.official.agents.x64, ECSRUNNER_RUNNER_DIR = "/home/runner", ECSRUNNER_RUNNER_UID = "1001" }
      "official/arm64" = { ECSRUNNER_AGENT_SHA256 = var.official.agents.arm64, ECSRUNNER_RUNNER_DIR = "/home/runner", ECSRUNNER_RUNNER_UID = "1001" }
    }
    error_message = "each architecture has its own agent, and the user of GitHub's image"
  }
}

run "an_image_that_aws_builds_is_named_by_the_tags_that_the_control_plane_moves" {
  command = plan

  variables {
    images = {
      default = { x64 = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ecsrunner-ci-runner:current-x64" }
      next    = { x64 = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ecsrunner-ci-runner:next-x64" }
    }
    official = { uri = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mirror/actions-runner:latest", agents = {} }
  }

  assert {
    condition     = toset(keys(aws_ecs_task_definition.runner)) == toset(["default/x64", "default/x64/exec", "next/x64", "next/x64/exec"])
    error_message = "without an agent there is no definition of GitHub's image"
  }
  assert {
    condition     = endswith(jsondecode(aws_ecs_task_definition.runner["next/x64"].container_definitions)[0].image, ":next-x64") && endswith(jsondecode(aws_ecs_task_definition.runner["default/x64"].container_definitions)[0].image, ":current-x64")
    error_message = "the tags differ"
  }
  assert {
    condition     = toset(local.ecr_repositories) == toset(["arn:aws:ecr:eu-west-1:123456789012:repository/ecsrunner-ci-runner", "arn:aws:ecr:eu-west-1:123456789012:repository/mirror/actions-runner"])
    error_message = "ECS must be able to pull the built image, and a mirror of GitHub's"
  }
}

run "a_task_may_take_its_own_boot_item_alone" {
  command = plan

  assert {
    condition = alltrue([for name, document in data.aws_iam_policy_document.task : document.statement[0].sid == "TakeOwnBootItem"
      && toset(document.statement[0].actions) == toset(["dynamodb:DeleteItem"])
    && toset(document.statement[0].resources) == toset(["arn:aws:dynamodb:eu-west-1:123456789012:table/ecsrunner-ci-boot"])])
    error_message = "DeleteItem on the boot table must be the only permission"
  }
  assert {
    condition = alltrue([for document in data.aws_iam_policy_document.task : { for condition in document.statement[0].condition : condition.test => "${condition.variable} ${join(",", condition.values)}" } == {
      "ForAllValues:StringEquals" = "dynamodb:LeadingKeys &{aws:userid}"
      "Null"                      = "dynamodb:LeadingKeys false"
    }])
    error_message = "without both conditions a task could take another's item"
  }
}

run "only_the_exec_role_may_open_exec_channels" {
  command = plan

  assert {
    condition     = length(data.aws_iam_policy_document.task["plain"].statement) == 1 && length(data.aws_iam_policy_document.task["exec"].statement) == 2
    error_message = "a role has other statements"
  }
  assert {
    condition     = toset(data.aws_iam_policy_document.task["exec"].statement[1].actions) == toset(["ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"])
    error_message = "exactly Exec's four actions are expected"
  }
  assert {
    condition     = aws_iam_role.task["plain"].name == "ecsrunner-ci-task" && aws_iam_role.task["exec"].name == "ecsrunner-ci-task-exec" && aws_iam_role.execution.name == "ecsrunner-ci-execution"
    error_message = "the name of a role differs"
  }
}

run "roles_are_for_tasks_of_this_account_and_region" {
  command = plan

  assert {
    condition = { for condition in data.aws_iam_policy_document.trust.statement[0].condition : "${condition.test} ${condition.variable}" => join(",", condition.values) } == {
      "StringEquals aws:SourceAccount" = "123456789012"
      "ArnLike aws:SourceArn"          = "arn:aws:ecs:eu-west-1:123456789012:*"
    }
    error_message = "tasks of another account could get these roles"
  }
  assert {
    condition     = one(data.aws_iam_policy_document.trust.statement[0].principals).identifiers == toset(["ecs-tasks.amazonaws.com"])
    error_message = "only ECS tasks may assume these roles"
  }
}

run "ecs_pulls_from_the_repositories_of_the_images_alone" {
  command = plan

  override_resource {
    target = aws_cloudwatch_log_group.runners
    values = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/ecsrunner/ci/runners" }
  }

  assert {
    condition     = join(",", local.ecr_repositories) == "arn:aws:ecr:eu-west-1:123456789012:repository/ecsrunner-ci-runner"
    error_message = "exactly the repository of the image in ECR is expected"
  }
}

run "images_from_elsewhere_need_no_ecr" {
  command = apply

  variables {
    deployment = "elsewhere"
    images     = { default = { arm64 = "ghcr.io/acme/runner@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" } }
  }

  assert {
    condition     = join(",", [for statement in data.aws_iam_policy_document.execution.statement : statement.sid]) == "WriteLogs"
    error_message = "without an image in ECR no login is needed"
  }
}

run "ecr_of_another_account_and_region_is_read_from_the_uri" {
  command = apply

  variables {
    deployment = "shared"
    images     = { default = { x64 = "210987654321.dkr.ecr.us-east-1.amazonaws.com/team/runner@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" } }
  }

  assert {
    condition = { for statement in data.aws_iam_policy_document.execution.statement : statement.sid => "${join(",", sort(statement.actions))} ${join(",", statement.resources)}" } == {
      WriteLogs  = "logs:CreateLogStream,logs:PutLogEvents arn:aws:logs:eu-west-1:123456789012:log-group:/ecsrunner/ci/runners:*"
      PullImages = "ecr:BatchCheckLayerAvailability,ecr:BatchGetImage,ecr:GetDownloadUrlForLayer arn:aws:ecr:us-east-1:210987654321:repository/team/runner"
      LogInToEcr = "ecr:GetAuthorizationToken *"
    }
    error_message = "the execution role's permissions differ"
  }
}

run "nothing_comes_in_and_jobs_reach_what_they_need" {
  command = plan

  # Rules are separate resources, and there is none for ingress.
  assert {
    condition     = aws_security_group.runners.vpc_id == "vpc-0123456789abcdef0" && !strcontains(file("main.tf"), "ingress")
    error_message = "the security group has ingress"
  }
  assert {
    condition     = toset([for rule in aws_vpc_security_group_egress_rule.anywhere : coalesce(rule.cidr_ipv4, rule.cidr_ipv6)]) == toset(["0.0.0.0/0", "::/0"])
    error_message = "the egress of jobs is restricted"
  }
}

run "the_cluster_has_both_kinds_of_fargate_and_logs_no_shell" {
  command = plan

  assert {
    condition     = aws_ecs_cluster_capacity_providers.runners.capacity_providers == toset(["FARGATE", "FARGATE_SPOT"]) && length(aws_ecs_cluster_capacity_providers.runners.default_capacity_provider_strategy) == 0
    error_message = "the cluster must have both capacity providers"
  }
  assert {
    condition     = aws_ecs_cluster.runners.configuration[0].execute_command_configuration[0].logging == "NONE"
    error_message = "Exec's log must be off, since it would need another permission for the task's role"
  }
  assert {
    condition     = one(aws_ecs_cluster.runners.setting).value == "disabled" && aws_cloudwatch_log_group.runners.retention_in_days == 30
    error_message = "the defaults differ"
  }
}

run "insights_retention_and_a_key_can_be_set" {
  command = plan

  variables {
    container_insights = true
    log_retention_days = 7
    kms_key_arn        = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  }

  assert {
    condition     = one(aws_ecs_cluster.runners.setting).value == "enabled" && aws_cloudwatch_log_group.runners.retention_in_days == 7 && aws_cloudwatch_log_group.runners.kms_key_id == var.kms_key_arn
    error_message = "a switch has no effect"
  }
}

run "a_deployment_name_that_ends_with_a_dash_is_refused" {
  command = plan
  variables {
    deployment = "ci-"
  }
  expect_failures = [var.deployment]
}

run "a_vpc_by_its_name_is_refused" {
  command = plan
  variables {
    vpc_id = "main"
  }
  expect_failures = [var.vpc_id]
}

run "an_image_called_official_is_refused" {
  command = plan
  variables {
    images = { official = { x64 = "ghcr.io/acme/runner@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" } }
  }
  expect_failures = [var.images]
}

run "an_image_name_with_a_slash_is_refused" {
  command = plan
  variables {
    images = { default = { x64 = "ghcr.io/acme/runner@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }, "team/android" = { x64 = "ghcr.io/acme/android@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" } }
  }
  expect_failures = [var.images]
}

run "an_architecture_by_dockers_name_is_refused" {
  command = plan
  variables {
    images = { default = { amd64 = "ghcr.io/acme/runner@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" } }
  }
  expect_failures = [var.images]
}

run "an_image_for_no_architecture_is_refused" {
  command = plan
  variables {
    images = { default = {} }
  }
  expect_failures = [var.images]
}

run "an_image_without_a_tag_is_refused" {
  command = plan
  variables {
    images = { default = { x64 = "ghcr.io/acme/runner" } }
  }
  expect_failures = [var.images]
}

run "an_image_with_a_tag_is_refused" {
  command = plan
  variables {
    images = { default = { x64 = "ghcr.io/acme/runner:1" } }
  }
  expect_failures = [var.images]
}

run "ecr_of_another_partition_is_read_from_the_uri" {
  command = plan

  variables {
    images = { default = { x64 = "210987654321.dkr.ecr.cn-north-1.amazonaws.com.cn/team/runner@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" } }
  }

  override_data {
    target = data.aws_partition.current
    values = { partition = "aws-cn", dns_suffix = "amazonaws.com.cn" }
  }

  assert {
    condition     = local.ecr_repositories == tolist(["arn:aws-cn:ecr:cn-north-1:210987654321:repository/team/runner"])
    error_message = "the repository has the partition of its host"
  }
}

run "roles_are_bounded_and_named_as_asked_for" {
  command = plan
  variables {
    iam  = { permissions_boundary = "arn:aws:iam::123456789012:policy/boundary", path = "/ci/" }
    tags = { team = "platform" }
  }

  assert {
    condition     = alltrue([for role in concat([aws_iam_role.execution], values(aws_iam_role.task)) : role.permissions_boundary == "arn:aws:iam::123456789012:policy/boundary" && role.path == "/ci/" && role.tags.team == "platform"])
    error_message = "Each role has the boundary, the path and the tags."
  }
}

run "a_tag_of_another_architecture_is_refused" {
  command = plan
  variables {
    images = { default = { x64 = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ecsrunner-ci-runner:current-arm64" } }
  }
  expect_failures = [var.images]
}

run "a_moving_tag_of_a_further_image_is_refused" {
  command = plan
  variables {
    images = { android = { x64 = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/android:current-x64" } }
  }
  expect_failures = [var.images]
}

run "an_official_image_with_a_space_is_refused" {
  command = plan
  variables {
    official = { uri = "ghcr.io/actions runner", agents = {} }
  }
  expect_failures = [var.official]
}

run "an_agent_without_its_sha256_is_refused" {
  command = plan
  variables {
    official = { agents = { x64 = "latest" } }
  }
  expect_failures = [var.official]
}
