# Tests the root's wiring, and that each of its validations can fail. Nothing is created: the provider is a mock, and the
# run with the builder `docker` only plans. A file that is there stands in for the agents.

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
  mock_resource "aws_vpc" {
    defaults = { id = "vpc-0123456789abcdef0" }
  }
  mock_resource "aws_subnet" {
    defaults = { id = "subnet-0123456789abcdef0" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-west-1:123456789012:mock", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/mock" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }
  mock_resource "aws_ecs_cluster" {
    defaults = { arn = "arn:aws:ecs:eu-west-1:123456789012:cluster/ecsrunner-ci" }
  }
  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:eu-west-1:123456789012:function:mock" }
  }
  mock_data "aws_lambda_function" {
    defaults = { code_sha256 = "oysXbFa+ofTlUeduF9YLtqyseCKFDcNnO5RK6PPbjc4=" }
  }
  mock_data "aws_s3_object" {
    defaults = { checksum_sha256 = "oysXbFa+ofTlUeduF9YLtqyseCKFDcNnO5RK6PPbjc4=" }
  }
  mock_resource "aws_cloudwatch_event_bus" {
    defaults = { arn = "arn:aws:events:eu-west-1:123456789012:event-bus/ecsrunner-ci" }
  }
  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:eu-west-1:123456789012:rule/mock" }
  }
  mock_resource "aws_scheduler_schedule_group" {
    defaults = { arn = "arn:aws:scheduler:eu-west-1:123456789012:schedule-group/ecsrunner-ci" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:mock" }
  }
  mock_resource "aws_dynamodb_table" {
    defaults = { arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/mock" }
  }
  mock_resource "aws_secretsmanager_secret" {
    defaults = { arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mock" }
  }
  mock_resource "aws_ssm_parameter" {
    defaults = { arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/mock" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-west-1:123456789012:ecsrunner-ci-alarms" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-west-1:123456789012:key/0a1b" }
  }
  mock_resource "aws_api_gateway_rest_api" {
    defaults = { execution_arn = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3" }
  }
  mock_resource "aws_api_gateway_stage" {
    defaults = { arn = "arn:aws:apigateway:eu-west-1::/restapis/a1b2c3/stages/v1", invoke_url = "https://a1b2c3.execute-api.eu-west-1.amazonaws.com/v1" }
  }
  mock_resource "aws_ecr_repository" {
    defaults = { arn = "arn:aws:ecr:eu-west-1:123456789012:repository/ecsrunner-ci-runner" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::ecsrunner-ci-123456789012-eu-west-1" }
  }
}

variables {
  deployment           = "ci"
  allowed_repositories = ["acme/app"]
  agent                = { x64 = "./README.md", arm64 = "./main.tf" }
  # The hash, in base64, is that of the mocks above.
  control_plane = { package = { s3_bucket = "releases", s3_key = "control-plane-arm64.zip", s3_object_version = "7", sha256 = "a32b176c56bea1f4e551e76e17d60bb6acac7822850dc3673b944ae8f3db8dce" } }
}

run "an_apply_tells_what_to_do_next" {
  assert {
    condition     = output.webhook_url == "https://a1b2c3.execute-api.eu-west-1.amazonaws.com/v1/webhook"
    error_message = "The address of the webhook is ${output.webhook_url}."
  }
  assert {
    condition     = strcontains(output.github_secret_command, module.state.secrets.github.arn) && strcontains(output.webhook_secret_command, module.state.secrets.webhook.arn)
    error_message = "The commands name the deployment's secrets."
  }
  assert {
    condition     = output.runner_image == tomap({ x64 = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ecsrunner-ci-runner:current-x64" }) && contains(output.alarms.names, "ecsrunner-ci-image-build") && output.log_groups.image == "/ecsrunner/ci/image"
    error_message = "AWS builds the default image, and a failed build is an alarm."
  }
}

run "the_region_and_the_console_are_the_providers" {
  variables {
    region = "cn-north-1"
  }

  override_data {
    target = data.aws_region.current
    values = { region = "cn-north-1" }
  }

  override_data {
    target = data.aws_partition.current
    values = { partition = "aws-cn", dns_suffix = "amazonaws.com.cn" }
  }

  assert {
    condition     = startswith(output.dashboard, "https://cn-north-1.console.amazonaws.cn/cloudwatch/home?region=cn-north-1#") && strcontains(output.github_secret_command, "--region cn-north-1 ")
    error_message = "The outputs name the provider's Region, and the console of its partition."
  }
}

run "two_deployments_from_one_root_share_nothing" {
  command = plan

  module {
    source = "./tests/two"
  }

  assert {
    condition     = { for key, deployment in module.ecsrunner : key => deployment.log_groups.runners } == { one = "/ecsrunner/one/runners", two = "/ecsrunner/two/runners" }
    error_message = "A root module can have several deployments by for_each, each with names of its own."
  }
  assert {
    condition     = length(setintersection(module.ecsrunner["one"].alarms.names, module.ecsrunner["two"].alarms.names)) == 0
    error_message = "No alarm belongs to both."
  }
}

run "the_control_plane_may_act_on_this_deployment" {
  assert {
    condition     = length(module.parameters.arns) == 4
    error_message = "Four parameters are read: deployment, settings, classes and paused."
  }
  assert {
    condition     = output.dead_letters == ["ecsrunner-ci-events-dead", "ecsrunner-ci-kicks-dead"]
    error_message = "The dead-letter queues are those of the control plane."
  }
  assert {
    condition     = contains(module.fleet.task_definition_arns, "arn:aws:ecs:eu-west-1:123456789012:task-definition/ecsrunner-ci-default-x64:*")
    error_message = "Every revision of a task definition may be run, since launches in progress use earlier ones."
  }
}

run "a_new_deployment_can_start_githubs_own_image_and_builds_another" {
  assert {
    condition     = toset(keys(module.fleet.task_definitions)) == toset(["official/x64", "official/x64/exec", "default/x64", "default/x64/exec", "next/x64", "next/x64/exec"])
    error_message = "There are definitions for GitHub's image, the built one, and its next build."
  }
  assert {
    condition     = local.builder == "codebuild" && keys(module.image.projects) == ["x64"] && keys(module.image.agents) == ["x64"]
    error_message = "The image is built for the one architecture that classes use."
  }
}

run "classes_of_githubs_own_image_need_an_agent_for_their_architecture" {
  variables {
    runner_class_sizes = {
      small = { cpu = 512, memory = 1024, default = true }
      plain = { cpu = 512, memory = 1024, arch = "arm64", image = "official" }
    }
  }

  assert {
    condition     = keys(module.image.agents) == ["arm64", "x64"] && contains(keys(module.fleet.task_definitions), "official/arm64") && !contains(keys(module.fleet.task_definitions), "default/arm64")
    error_message = "GitHub's image has a definition for each architecture in use, the built one only for those of its classes."
  }
}

run "github_enterprise_sends_from_its_own_addresses" {
  variables {
    github  = { api_url = "https://github.example.com/api/v3" }
    webhook = { source_cidrs = ["203.0.113.0/24"] }
  }

  assert {
    condition     = output.webhook_sources.cidrs == tolist(["203.0.113.0/24"]) && output.webhook_sources.github_as_of == null
    error_message = "Only the given addresses may send webhooks."
  }
}

run "a_slash_at_the_end_of_githubs_address_means_nothing" {
  command = plan
  variables {
    github = { api_url = "https://api.github.com/" }
  }

  assert {
    condition     = local.github_api_url == "https://api.github.com"
    error_message = "it is ${local.github_api_url}"
  }
}

run "github_enterprise_without_its_addresses_is_refused" {
  command = plan
  variables {
    github = { api_url = "https://github.example.com/api/v3" }
  }
  expect_failures = [var.webhook]
}

run "an_image_of_ones_own_builds_none" {
  variables {
    # Without agents: none of these classes needs one.
    agent            = { x64 = "./nowhere", arm64 = "./nowhere" }
    runner_image_uri = "ghcr.io/acme/runner@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    runner_class_sizes = {
      small = { cpu = 512, memory = 1024, default = true, arch = "arm64" }
      large = { cpu = 4096, memory = 8192, image = "android" }
    }
    runner_images = { android = { uri = "ghcr.io/acme/android@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" } }
  }

  assert {
    condition     = local.builder == "none" && module.image.repository == null && output.runner_image == tomap({ arm64 = var.runner_image_uri }) && !contains(output.alarms.names, "ecsrunner-ci-image-build")
    error_message = "If an image is given, none is built."
  }
  assert {
    condition     = toset(keys(module.fleet.task_definitions)) == toset(["default/arm64", "default/arm64/exec", "android/x64", "android/x64/exec"])
    error_message = "Each image has task definitions for the architectures of the classes that use it."
  }
}

run "docker_builds_at_an_apply" {
  command = plan

  variables {
    runner_image_build = { builder = "docker", dockerfile_dir = "modules/image/tests/fixture" }
  }

  assert {
    condition     = module.image.projects == {} && length(module.image.next_uris) == 0 && output.log_groups.image == null && !contains(output.alarms.names, "ecsrunner-ci-image-build")
    error_message = "Nothing of CodeBuild is made."
  }
}

run "without_a_builder_classes_start_githubs_own_image" {
  variables {
    runner_image_build = { builder = "none" }
    runner_class_sizes = { small = { cpu = 512, memory = 1024, default = true, image = "official" } }
  }

  assert {
    condition     = toset(keys(module.fleet.task_definitions)) == toset(["official/x64", "official/x64/exec"]) && length(output.runner_image) == 0
    error_message = "There is no default image."
  }
}

run "without_a_builder_a_class_of_the_default_image_is_refused" {
  command = plan
  variables {
    runner_image_build = { builder = "none" }
  }
  expect_failures = [var.runner_image_build]
}

run "a_docker_class_gets_instances_of_its_own" {
  variables {
    runner_class_sizes = {
      small  = { cpu = 1024, memory = 2048, default = true }
      images = { cpu = 2048, memory = 4096, compute = "managed-instances", docker = true, capacity = "spot-then-on-demand" }
    }
    network = { vpc_id = "vpc-0123456789abcdef0", subnet_ids = ["subnet-0123456789abcdef0"] }
  }

  override_data {
    target = module.network.data.aws_subnet.own["0"]
    values = { id = "subnet-0123456789abcdef0", vpc_id = "vpc-0123456789abcdef0" }
  }

  assert {
    condition     = { for class, instances in module.managed_instances : class => instances.capacity_providers } == { images = { on-demand = "runners-ci-images", spot = "runners-ci-images_spot" } }
    error_message = "only the class on managed instances has capacity providers"
  }
  assert {
    condition     = keys(module.fleet.service_definitions) == ["images"] && contains(keys(module.fleet.service_definitions.images), "default")
    error_message = "its task definitions are its own"
  }
}

run "a_class_with_gpus_gets_instances_that_have_them" {
  variables {
    runner_class_sizes = {
      small = { cpu = 1024, memory = 2048, default = true }
      cuda  = { cpu = 4096, memory = 14336, compute = "managed-instances", gpu = { count = 1, instance_types = ["g6.*"] } }
    }
    network = { vpc_id = "vpc-0123456789abcdef0", subnet_ids = ["subnet-0123456789abcdef0"] }
  }

  override_data {
    target = module.network.data.aws_subnet.own["0"]
    values = { id = "subnet-0123456789abcdef0", vpc_id = "vpc-0123456789abcdef0" }
  }

  assert {
    condition     = module.managed_instances["cuda"].instance == { vcpus = 4, memory_mib = 16384 } && keys(module.fleet.service_definitions) == ["cuda"]
    error_message = "at least what the task reserves, and a task definition of its own"
  }
}

run "without_such_a_class_nothing_of_it_exists" {
  command = plan
  assert {
    condition     = length(module.managed_instances) == 0 && length(module.fleet.service_definitions) == 0
    error_message = "other deployments are as before"
  }
}

run "a_class_with_exec_is_warned_about" {
  command = plan
  variables {
    runner_class_sizes = {
      small = { cpu = 1024, memory = 2048, default = true }
      debug = { cpu = 512, memory = 1024, exec = true }
    }
  }
  expect_failures = [check.exec]
}

run "a_wrong_deployment_is_refused" {
  command = plan
  variables {
    deployment = "Continuous-Integration"
  }
  expect_failures = [var.deployment]
}

run "another_region_than_the_providers_is_refused" {
  command = plan
  variables {
    region = "us-east-1"
  }
  expect_failures = [var.region]
}

run "a_tag_of_ours_is_refused" {
  command = plan
  variables {
    tags = { "ecsrunner:deployment" = "other" }
  }
  expect_failures = [var.tags]
}

run "no_repository_is_refused" {
  command = plan
  variables {
    allowed_repositories = []
  }
  expect_failures = [var.allowed_repositories]
}

run "a_class_of_an_image_that_is_not_there_is_refused" {
  command = plan
  variables {
    runner_class_sizes = { small = { cpu = 512, memory = 1024, image = "android", default = true } }
  }
  expect_failures = [var.runner_class_sizes]
}

run "a_tag_with_a_colon_is_refused" {
  command = plan
  variables {
    runner_image_tag = "runner:1"
  }
  expect_failures = [var.runner_image_tag]
}

run "an_image_without_a_tag_is_refused" {
  command = plan
  variables {
    runner_image_uri = "ghcr.io/acme/runner"
  }
  expect_failures = [var.runner_image_uri]
}

run "an_image_with_a_tag_is_refused" {
  command = plan
  variables {
    runner_image_uri = "ghcr.io/acme/runner:1"
  }
  expect_failures = [var.runner_image_uri]
}

run "a_further_image_with_a_tag_is_refused" {
  command = plan
  variables {
    runner_images = { android = { uri = "ghcr.io/acme/android:1" } }
  }
  expect_failures = [var.runner_images]
}

run "a_further_image_called_official_is_refused" {
  command = plan
  variables {
    runner_images = { official = { uri = "ghcr.io/acme/runner@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" } }
  }
  expect_failures = [var.runner_images]
}

run "a_further_image_called_next_is_refused" {
  command = plan
  variables {
    runner_images = { next = { uri = "ghcr.io/acme/runner@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" } }
  }
  expect_failures = [var.runner_images]
}

run "a_tag_that_could_be_moved_is_refused" {
  command = plan
  variables {
    runner_image_tag = "next-1"
  }
  expect_failures = [var.runner_image_tag]
}

run "an_unknown_builder_is_refused" {
  command = plan
  variables {
    runner_image_build = { builder = "podman" }
  }
  expect_failures = [var.runner_image_build]
}

run "an_official_image_with_a_space_is_refused" {
  command = plan
  variables {
    official_image = "ghcr.io/actions runner"
  }
  expect_failures = [var.official_image]
}

run "a_further_image_called_default_is_refused" {
  command = plan
  variables {
    runner_images = { default = { uri = "ghcr.io/acme/runner@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" } }
  }
  expect_failures = [var.runner_images]
}

run "a_github_without_tls_is_refused" {
  command = plan
  variables {
    github = { api_url = "http://github.example.com/api/v3" }
  }
  expect_failures = [var.github]
}

run "a_boundary_that_is_no_policy_is_refused" {
  command = plan
  variables {
    iam = { permissions_boundary = "boundary" }
  }
  expect_failures = [var.iam]
}

run "a_path_without_slashes_is_refused" {
  command = plan
  variables {
    iam = { path = "ci" }
  }
  expect_failures = [var.iam]
}

run "an_unknown_architecture_is_refused" {
  command = plan
  variables {
    runner_class_sizes = { small = { cpu = 512, memory = 1024, arch = "amd64", default = true } }
  }
  expect_failures = [var.runner_class_sizes]
}

run "an_image_of_ones_own_that_is_built_is_refused" {
  command = plan
  variables {
    runner_image_uri   = "ghcr.io/acme/runner@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    runner_image_build = { runner_version = "2.336.0" }
  }
  expect_failures = [var.runner_image_build]
}

run "days_that_logs_cannot_be_kept_are_refused" {
  command = plan
  variables {
    observe = { log_retention_days = 31 }
  }
  expect_failures = [var.observe]
}

run "logs_are_not_kept_forever" {
  command = plan
  variables {
    observe = { log_retention_days = 0 }
  }
  expect_failures = [var.observe]
}

run "an_alias_of_a_key_is_refused" {
  command = plan
  variables {
    storage = { kms_key = { arn = "arn:aws:kms:eu-west-1:123456789012:alias/mine" } }
  }
  expect_failures = [var.storage]
}

run "a_github_with_a_password_is_refused" {
  command = plan
  variables {
    github = { api_url = "https://user:pass@api.github.com" }
  }
  expect_failures = [var.github]
}

run "githubs_pages_are_no_api" {
  command = plan
  variables {
    github = { api_url = "https://github.com" }
  }
  expect_failures = [var.github]
}

run "a_server_without_the_path_of_its_api_is_refused" {
  command = plan
  variables {
    github  = { api_url = "https://github.example.com/" }
    webhook = { source_cidrs = ["203.0.113.0/24"] }
  }
  expect_failures = [var.github]
}
