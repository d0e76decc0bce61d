# Tests bucket, repository, builders and permissions, and that each invalid value is refused. Nothing is built: the runs
# with the builder `docker` only plan.

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
  mock_resource "aws_s3_bucket" {
    defaults = { id = "bucket", arn = "arn:aws:s3:::ecsrunner-ci-123456789012-eu-west-1" }
  }
  mock_resource "aws_s3_object" {
    defaults = { version_id = "v1" }
  }
  mock_resource "aws_ecr_repository" {
    defaults = { arn = "arn:aws:ecr:eu-west-1:123456789012:repository/ecsrunner-ci-runner" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/ecsrunner/ci/image" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/ecsrunner-ci-image-build" }
  }
}

variables {
  deployment    = "ci"
  architectures = ["x64", "arm64"]
  agent         = { x64 = "tests/fixture/agent-x64", arm64 = "tests/fixture/agent-arm64" }
  image         = { tag = "1" }
  tags          = { team = "platform" }
}

run "the_bucket_keeps_versions_for_a_month_and_is_not_public" {
  command = apply

  assert {
    condition     = aws_s3_bucket.build.bucket == "ecsrunner-ci-123456789012-eu-west-1" && aws_s3_bucket.build.force_destroy
    error_message = "the bucket's name must be unique in the world, and destroy must empty it"
  }
  assert {
    # The longest names of a deployment and of a Region.
    condition     = length(replace(replace(aws_s3_bucket.build.bucket, "-ci-", "-${join("", [for digit in range(20) : "d"])}-"), "eu-west-1", "ap-southeast-1")) <= 63
    error_message = "S3 allows 63 characters"
  }
  assert {
    condition     = aws_s3_bucket_versioning.build.versioning_configuration[0].status == "Enabled" && one(one(aws_s3_bucket_lifecycle_configuration.build.rule).noncurrent_version_expiration).noncurrent_days == 30
    error_message = "an apply must leave the versions that launches name"
  }
  assert {
    condition     = aws_s3_bucket_public_access_block.build.block_public_acls && aws_s3_bucket_public_access_block.build.block_public_policy && aws_s3_bucket_public_access_block.build.ignore_public_acls && aws_s3_bucket_public_access_block.build.restrict_public_buckets
    error_message = "the bucket may not be public"
  }
  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.build.rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "the bucket must be encrypted"
  }
  assert {
    condition     = one(data.aws_iam_policy_document.bucket.statement).effect == "Deny" && one(one(data.aws_iam_policy_document.bucket.statement).condition).variable == "aws:SecureTransport" && aws_s3_bucket_policy.build.policy == data.aws_iam_policy_document.bucket.json
    error_message = "the bucket may be used over TLS only"
  }
}

run "each_architecture_has_its_agent" {
  command = apply

  assert {
    condition = output.agents == {
      x64   = { bucket = "ecsrunner-ci-123456789012-eu-west-1", key = "agent/x64/ecsrunner-agent", version = "v1" }
      arm64 = { bucket = "ecsrunner-ci-123456789012-eu-west-1", key = "agent/arm64/ecsrunner-agent", version = "v1" }
    }
    error_message = "the control plane reads bucket, key and version"
  }
  assert {
    condition     = output.agent_sha256 == { x64 = filesha256("tests/fixture/agent-x64"), arm64 = filesha256("tests/fixture/agent-arm64") } && { for arch, object in aws_s3_object.agent : arch => object.source_hash } == output.agent_sha256
    error_message = "the SHA-256 is that of the file, and another file is another version"
  }
  assert {
    condition     = toset(output.agent_arns) == toset(["arn:aws:s3:::ecsrunner-ci-123456789012-eu-west-1/agent/x64/ecsrunner-agent", "arn:aws:s3:::ecsrunner-ci-123456789012-eu-west-1/agent/arm64/ecsrunner-agent"])
    error_message = "the ARNs are those of the two objects"
  }
}

run "an_object_has_no_more_tags_than_s3_allows" {
  command = plan

  variables {
    tags = { for name in concat(["ecsrunner:deployment"], [for number in range(12) : "A${number}"]) : name => "x" }
  }

  assert {
    condition     = alltrue([for object in concat(values(aws_s3_object.agent), values(aws_s3_object.sources), values(aws_s3_object.list)) : length(object.tags) == 10 && contains(keys(object.tags), "ecsrunner:deployment")]) && length(aws_s3_bucket.build.tags) == 13
    error_message = "an object may have ten tags, and the deployment's is one of them"
  }
}

run "the_repository_is_scanned_and_its_tags_never_change_except_two_that_move" {
  command = plan

  assert {
    condition     = aws_ecr_repository.runner["runner"].name == "ecsrunner-ci-runner" && aws_ecr_repository.runner["runner"].image_tag_mutability == "IMMUTABLE_WITH_EXCLUSION" && aws_ecr_repository.runner["runner"].image_scanning_configuration[0].scan_on_push
    error_message = "name, tag immutability or scanning differs"
  }
  assert {
    condition     = [for filter in aws_ecr_repository.runner["runner"].image_tag_mutability_exclusion_filter : "${filter.filter_type} ${filter.filter}"] == ["WILDCARD current-*", "WILDCARD next-*"]
    error_message = "other tags can be moved"
  }
  assert {
    condition     = aws_ecr_repository.runner["runner"].encryption_configuration[0].encryption_type == "AES256" && aws_ecr_repository.runner["runner"].force_delete
    error_message = "images must be encrypted, and destroy must delete them"
  }
  assert {
    condition     = [for rule in jsondecode(aws_ecr_lifecycle_policy.runner["runner"].policy).rules : "${rule.rulePriority} ${join(",", try(rule.selection.tagPatternList, [rule.selection.tagStatus]))} ${rule.selection.countNumber}"] == ["1 current-* 2", "2 next-* 2", "3 * 6", "4 untagged 1"]
    error_message = "what tasks start must be kept before any other rule, and few more"
  }
}

run "aws_builds_on_a_machine_of_each_architecture" {
  command = apply

  assert {
    condition = { for arch, project in aws_codebuild_project.image : project.name => "${project.environment[0].type} ${project.environment[0].image} ${project.environment[0].compute_type}" } == {
      ecsrunner-ci-image-x64   = "LINUX_CONTAINER aws/codebuild/amazonlinux-x86_64-standard:5.0 BUILD_GENERAL1_SMALL"
      ecsrunner-ci-image-arm64 = "ARM_CONTAINER aws/codebuild/amazonlinux-aarch64-standard:3.0 BUILD_GENERAL1_SMALL"
    }
    error_message = "the machines differ"
  }
  assert {
    condition     = alltrue([for project in aws_codebuild_project.image : project.environment[0].privileged_mode && project.source[0].type == "NO_SOURCE" && project.artifacts[0].type == "NO_ARTIFACTS" && project.build_timeout == 60 && project.queued_timeout == 60 && project.concurrent_build_limit == null])
    error_message = "a Docker daemon needs privileges; a build ends after an hour; a limit of concurrent builds fails in accounts with a quota of 0"
  }
  assert {
    condition = { for variable in aws_codebuild_project.image["arm64"].environment[0].environment_variable : variable.name => variable.value } == {
      AGENT           = "agent/arm64/ecsrunner-agent"
      AGENT_SHA256    = filesha256("tests/fixture/agent-arm64")
      AGENT_VERSION   = "v1"
      BUCKET          = "ecsrunner-ci-123456789012-eu-west-1"
      NEXT_TAG        = "next-arm64"
      PLATFORM        = "arm64"
      REPOSITORY      = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ecsrunner-ci-runner"
      REVISION        = local.hash
      SOURCES         = "sources/${local.hash}"
      SOURCES_VERSION = "v1"
      VARIANT         = "slim"
    }
    error_message = "the variables that buildspec.yml reads differ"
  }
  assert {
    condition     = alltrue([for project in aws_codebuild_project.image : project.logs_config[0].cloudwatch_logs[0].group_name == output.log_group && project.tags == var.tags]) && output.log_group == "/ecsrunner/ci/image" && aws_cloudwatch_log_group.build["image"].retention_in_days == 30
    error_message = "builds must write into the one log group"
  }
  assert {
    condition     = output.uris == tomap({ x64 = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ecsrunner-ci-runner:current-x64", arm64 = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ecsrunner-ci-runner:current-arm64" }) && output.next_uris.x64 == "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ecsrunner-ci-runner:next-x64"
    error_message = "tasks must name the tags that the control plane moves"
  }
  assert {
    condition = jsonencode(output.image) == jsonencode({
      builder = "codebuild", projects = { arm64 = "ecsrunner-ci-image-arm64", x64 = "ecsrunner-ci-image-x64" }, repository = "ecsrunner-ci-runner"
      sources = local.hash, tag = "1", runner_version = null
    }) && length(local.hash) == 12
    error_message = "what the control plane compares differs"
  }
  assert {
    condition     = length(terraform_data.docker) == 0 && output.repository == { name = "ecsrunner-ci-runner", arn = "arn:aws:ecr:eu-west-1:123456789012:repository/ecsrunner-ci-runner" }
    error_message = "Docker must not be called"
  }
}

run "the_buildspec_tells_what_it_has_built" {
  command = plan

  assert {
    condition     = alltrue([for project in aws_codebuild_project.image : project.source[0].buildspec == file("buildspec.yml")])
    error_message = "the tested buildspec must be the shipped one"
  }
  assert {
    condition     = yamldecode(aws_codebuild_project.image["x64"].source[0].buildspec).env == { shell = "bash", "exported-variables" = ["IMAGE_DIGEST", "IMAGE_VARIANT", "RUNNER_VERSION"] }
    error_message = "BatchGetBuilds must tell the digest and the runner's version"
  }
  assert {
    condition     = alltrue([for phase in values(yamldecode(aws_codebuild_project.image["x64"].source[0].buildspec).phases) : phase["on-failure"] == "ABORT"])
    error_message = "a phase after one that failed is executed"
  }
  assert {
    # Each variable is one of the project, of the build, of CodeBuild, or made in the same file.
    condition = length(setsubtract(
      distinct([for name in flatten(regexall("[$][{]?([A-Z][A-Z0-9_]+)", file("buildspec.yml"))) : name]),
      concat([for variable in aws_codebuild_project.image["x64"].environment[0].environment_variable : variable.name], ["ACTIONS", "AWS_REGION", "BASE_IMAGE", "BASH_REMATCH", "ECSRUNNER_RUNNER_DIR", "IMAGE_DIGEST", "IMAGE_TAG", "IMAGE_VARIANT", "RUNNER_VERSION"]),
    )) == 0
    error_message = "buildspec.yml reads a variable that no build has"
  }
}

run "a_build_may_push_here_read_its_sources_and_write_its_log" {
  command = apply

  assert {
    condition = { for statement in data.aws_iam_policy_document.build["image"].statement : statement.sid => "${join(",", sort(statement.actions))} ${join(",", sort(statement.resources))}" } == {
      WriteLog             = "logs:CreateLogStream,logs:PutLogEvents arn:aws:logs:eu-west-1:123456789012:log-group:/ecsrunner/ci/image:*"
      ReadAgentsAndSources = "s3:GetObjectVersion arn:aws:s3:::ecsrunner-ci-123456789012-eu-west-1/agent/*,arn:aws:s3:::ecsrunner-ci-123456789012-eu-west-1/sources/*"
      Push                 = "ecr:BatchCheckLayerAvailability,ecr:BatchGetImage,ecr:CompleteLayerUpload,ecr:GetDownloadUrlForLayer,ecr:InitiateLayerUpload,ecr:PutImage,ecr:UploadLayerPart arn:aws:ecr:eu-west-1:123456789012:repository/ecsrunner-ci-runner"
      LogInToEcr           = "ecr:GetAuthorizationToken *"
    }
    error_message = "the build's permissions differ"
  }
  assert {
    condition = { for condition in one(data.aws_iam_policy_document.build_trust["image"].statement).condition : condition.variable => toset(condition.values) } == {
      "aws:SourceAccount" = toset(["123456789012"])
      "aws:SourceArn"     = toset(["arn:aws:codebuild:eu-west-1:123456789012:project/ecsrunner-ci-image-x64", "arn:aws:codebuild:eu-west-1:123456789012:project/ecsrunner-ci-image-arm64"])
    }
    error_message = "another project could use the role"
  }
  assert {
    condition     = aws_iam_role_policy.build["image"].role == "ecsrunner-ci-image-build" && { for arch, project in output.projects : arch => project.arn } == { x64 = "arn:aws:codebuild:eu-west-1:123456789012:project/ecsrunner-ci-image-x64", arm64 = "arn:aws:codebuild:eu-west-1:123456789012:project/ecsrunner-ci-image-arm64" }
    error_message = "the role or the ARNs differ"
  }
}

run "a_base_image_in_ecr_can_be_pulled" {
  command = plan

  variables {
    image = { tag = "1", base_image = "210987654321.dkr.ecr.us-east-1.amazonaws.com/team/base:1" }
  }

  assert {
    condition     = one([for statement in data.aws_iam_policy_document.build["image"].statement : one(statement.resources) if statement.sid == "PullTheBase"]) == "arn:aws:ecr:us-east-1:210987654321:repository/team/base"
    error_message = "the role must be allowed to pull the base, and nothing else there"
  }
  assert {
    condition     = one([for variable in aws_codebuild_project.image["x64"].environment[0].environment_variable : variable.value if variable.name == "BASE_IMAGE"]) == "210987654321.dkr.ecr.us-east-1.amazonaws.com/team/base:1"
    error_message = "the build has another base"
  }
}

run "this_projects_dockerfile_needs_only_the_agent_and_slim_sh" {
  command = plan

  assert {
    condition     = endswith(local.dockerfile_dir, "/runner") && local.context_dir == local.dockerfile_dir && keys(local.sources) == ["Dockerfile", "context/slim.sh"]
    error_message = "the default must be runner/Dockerfile and runner/slim.sh"
  }
  assert {
    # Whatever it copies comes from another stage, or from the context with the agents.
    condition     = length(regexall("(?m)^(COPY|ADD) ", file(local.sources["Dockerfile"]))) == length(regexall("(?m)^COPY --from=(ecsrunner|cut) ", file(local.sources["Dockerfile"])))
    error_message = "the Dockerfile copies a file that is not a source, so a change of it would not be built"
  }
  assert {
    condition     = flatten(regexall("(?:type=bind,source=)([^,]+)", file(local.sources["Dockerfile"]))) == ["slim.sh"]
    error_message = "the Dockerfile reads a file that is not a source, so a change of it would not be built"
  }
}

run "another_base_is_taken_as_it_is_unless_slim_is_asked_for" {
  command = plan

  variables {
    image = { tag = "1", base_image = "ghcr.io/acme/base:1" }
  }

  assert {
    condition     = one([for variable in aws_codebuild_project.image["x64"].environment[0].environment_variable : variable.value if variable.name == "VARIANT"]) == "full"
    error_message = "files could be missing that another base needs"
  }
}

run "a_variant_makes_another_hash" {
  command = plan

  variables {
    image = { tag = "1", base_image = "ghcr.io/acme/base:1", variant = "slim" }
  }

  assert {
    condition     = local.hash != run.another_base_is_taken_as_it_is_unless_slim_is_asked_for.image.sources && local.variant == "slim"
    error_message = "an image of another variant has the same hash"
  }
}

run "the_docker_variant_is_built_if_it_is_asked_for" {
  command = plan

  variables {
    image = { tag = "1", variant = "docker" }
  }

  assert {
    condition     = one([for variable in aws_codebuild_project.image["x64"].environment[0].environment_variable : variable.value if variable.name == "VARIANT"]) == "docker"
    error_message = "tasks of classes with Docker would lack what its engine needs"
  }
}

run "a_dockerfile_of_ones_own_gets_no_variant" {
  command = plan

  variables {
    image = { tag = "1", dockerfile_dir = "tests/fixture", context_dir = "tests/fixture", inputs = ["hello.*"] }
  }

  assert {
    condition     = length([for variable in aws_codebuild_project.image["x64"].environment[0].environment_variable : variable if variable.name == "VARIANT" || variable.name == "ACTIONS"]) == 0 && keys(local.sources) == ["Dockerfile", "context/hello.txt"]
    error_message = "its build has an argument that it does not know"
  }
}

run "the_archives_of_actions_are_fetched_by_the_build" {
  command = plan

  variables {
    image = { tag = "1", dockerfile_dir = "tests/fixture", context_dir = "tests/fixture", inputs = ["hello.*"], actions = ["actions/checkout@v4", "acme/my.tool@releases/v1"] }
  }

  assert {
    condition     = one([for variable in aws_codebuild_project.image["x64"].environment[0].environment_variable : variable.value if variable.name == "ACTIONS"]) == "actions/checkout@v4 acme/my.tool@releases/v1" && aws_s3_object.sources["actions.sh"].source_hash == filesha256("actions.sh")
    error_message = "the build does not know the actions, or how to fetch them"
  }
  assert {
    condition     = local.hash != run.a_dockerfile_of_ones_own_gets_no_variant.image.sources
    error_message = "an image with archives has the same hash"
  }
}

run "the_sources_of_a_dockerfile_of_ones_own_are_uploaded_below_their_hash" {
  command = apply

  variables {
    architectures = ["x64"]
    agent         = { x64 = "tests/fixture/agent-x64" }
    image         = { tag = "1", dockerfile_dir = "tests/fixture", context_dir = "tests/fixture", inputs = ["hello.*"] }
  }

  assert {
    condition     = local.hash == "20db639cef5c" && { for path, object in aws_s3_object.sources : path => object.key } == { Dockerfile = "sources/${local.hash}/Dockerfile", "context/hello.txt" = "sources/${local.hash}/context/hello.txt" }
    error_message = "the same sources gave another hash: ${local.hash}"
  }
  assert {
    condition     = aws_s3_object.list["list"].key == "sources/${local.hash}.tsv" && aws_s3_object.list["list"].content == "v1\tDockerfile\nv1\tcontext/hello.txt\n"
    error_message = "the list of the sources is ${aws_s3_object.list["list"].content}"
  }
  assert {
    condition     = alltrue([for path, object in aws_s3_object.sources : object.source_hash == filesha256(local.sources[path])])
    error_message = "a changed file must be uploaded"
  }
}

run "another_agent_makes_another_hash" {
  command = plan

  variables {
    architectures = ["x64"]
    agent         = { x64 = "tests/fixture/hello.txt" }
    image         = { tag = "1", dockerfile_dir = "tests/fixture", context_dir = "tests/fixture", inputs = ["hello.*"] }
  }

  assert {
    condition     = local.hash != "20db639cef5c"
    error_message = "an image with another agent has the same hash"
  }
}

run "a_base_image_makes_another_hash" {
  command = plan

  variables {
    architectures = ["x64"]
    agent         = { x64 = "tests/fixture/agent-x64" }
    image         = { tag = "1", dockerfile_dir = "tests/fixture", context_dir = "tests/fixture", inputs = ["hello.*"], base_image = "ghcr.io/acme/base:1" }
  }

  assert {
    condition     = local.hash != "20db639cef5c"
    error_message = "an image with another base has the same hash"
  }
}

run "what_a_docker_engine_needs_makes_another_hash_and_is_asked_for" {
  command = plan

  variables {
    image = { tag = "1", docker = true }
  }

  assert {
    condition     = local.hash != substr(sha256(jsonencode({ sources = { for path, file in local.sources : path => filesha256(file) }, base_image = null, agents = { for arch in var.architectures : arch => local.agents[arch] }, variant = "slim" })), 0, 12)
    error_message = "the image would not be built again when the first such class comes"
  }
  assert {
    condition     = alltrue([for project in values(aws_codebuild_project.image) : contains([for variable in project.environment[0].environment_variable : "${variable.name}=${variable.value}"], "VARIANT=docker")])
    error_message = "the builds would not install it"
  }
}

run "githubs_image_as_it_is_has_no_docker_engine" {
  command = plan

  variables {
    image = { tag = "1", docker = true, variant = "full" }
  }

  expect_failures = [var.image]
}

run "the_tag_and_the_runners_version_make_none" {
  command = plan

  variables {
    architectures = ["x64"]
    agent         = { x64 = "tests/fixture/agent-x64" }
    image         = { tag = "2", dockerfile_dir = "tests/fixture", context_dir = "tests/fixture", inputs = ["hello.*"], runner_version = "2.337.0" }
  }

  assert {
    condition     = local.hash == "20db639cef5c" && output.image.tag == "2" && output.image.runner_version == "2.337.0"
    error_message = "the control plane compares them apart from the sources"
  }
}

run "docker_builds_on_this_machine_and_tasks_name_the_digest" {
  command = plan

  variables {
    image = { tag = "1", builder = "docker" }
  }

  # The digest is known after the build, which no test runs.
  assert {
    condition     = strcontains(file("outputs.tf"), "@$${one(values(data.aws_ecr_image.docker)[*].image_digest)}\"") && data.aws_ecr_image.docker["docker"].image_tag == "1-${local.hash}"
    error_message = "a tag in a task definition could be moved to another image"
  }
  assert {
    condition     = length(aws_codebuild_project.image) == 0 && length(aws_s3_object.sources) == 0 && length(aws_iam_role.build) == 0 && output.log_group == null && length(output.next_uris) == 0 && output.image.projects == {}
    error_message = "nothing of CodeBuild is needed"
  }
  assert {
    condition     = toset(keys(output.uris)) == toset(["arm64", "x64"]) && output.image.repository == "ecsrunner-ci-runner"
    error_message = "one image is for both architectures"
  }
}

run "a_runner_version_makes_another_tag_for_docker" {
  command = plan

  variables {
    image = { tag = "1", builder = "docker", runner_version = "2.337.0" }
  }

  assert {
    condition     = data.aws_ecr_image.docker["docker"].image_tag == "1-${local.hash}-2.337.0"
    error_message = "an image with another runner has the same tag"
  }
}

run "nothing_is_built_without_a_builder" {
  command = plan

  variables {
    image = { tag = "1", builder = "none" }
    agent = { x64 = "tests/fixture/agent-x64" }
  }

  assert {
    condition     = length(aws_ecr_repository.runner) == 0 && length(aws_codebuild_project.image) == 0 && length(terraform_data.docker) == 0 && length(output.uris) == 0 && output.image.repository == null && output.repository == null
    error_message = "a builder has resources"
  }
  assert {
    condition     = keys(aws_s3_object.agent) == ["x64"] && length(output.image.sources) == 12
    error_message = "tasks of GitHub's own image need the agent"
  }
}

run "no_agent_is_needed_where_nothing_is_built" {
  command = plan

  variables {
    image = { tag = "1", builder = "none" }
    agent = {}
  }

  assert {
    condition     = length(aws_s3_object.agent) == 0
    error_message = "there is no agent to upload"
  }
}

run "a_deployment_name_with_an_underscore_is_refused" {
  command = plan
  variables {
    deployment = "ci_main"
  }
  expect_failures = [var.deployment]
}

run "an_architecture_by_dockers_name_is_refused" {
  command = plan
  variables {
    architectures = ["amd64"]
  }
  expect_failures = [var.architectures]
}

run "no_architecture_is_refused" {
  command = plan
  variables {
    architectures = []
  }
  expect_failures = [var.architectures]
}

run "an_agent_by_dockers_name_is_refused" {
  command = plan
  variables {
    architectures = ["x64"]
    agent         = { x64 = "tests/fixture/agent-x64", amd64 = "tests/fixture/agent-x64" }
  }
  expect_failures = [var.agent]
}

run "an_agent_that_is_not_there_is_refused" {
  command = plan
  variables {
    agent = { x64 = "tests/fixture/agent-x64", arm64 = "../agent-arm64" }
  }
  expect_failures = [var.agent]
}

run "an_image_without_its_agent_is_refused" {
  command = plan
  variables {
    agent = { x64 = "tests/fixture/agent-x64" }
  }
  expect_failures = [var.agent]
}

run "an_unknown_builder_is_refused" {
  command = plan
  variables {
    image = { tag = "1", builder = "podman" }
  }
  expect_failures = [var.image]
}

run "a_tag_with_a_slash_is_refused" {
  command = plan
  variables {
    image = { tag = "team/1" }
  }
  expect_failures = [var.image]
}

run "a_tag_that_could_be_moved_is_refused" {
  command = plan
  variables {
    image = { tag = "current-1" }
  }
  expect_failures = [var.image]
}

run "a_tag_that_leaves_no_room_for_what_is_appended_is_refused" {
  command = plan
  variables {
    image = { tag = "tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt" }
  }
  expect_failures = [var.image]
}

run "a_runner_version_with_a_v_is_refused" {
  command = plan
  variables {
    image = { tag = "1", runner_version = "v2.337.0" }
  }
  expect_failures = [var.image]
}

run "a_runner_version_and_a_base_image_are_refused" {
  command = plan
  variables {
    image = { tag = "1", runner_version = "2.337.0", base_image = "ghcr.io/acme/base:1" }
  }
  expect_failures = [var.image]
}

run "an_unknown_variant_is_refused" {
  command = plan
  variables {
    image = { tag = "1", variant = "thin" }
  }
  expect_failures = [var.image]
}

run "a_variant_of_a_dockerfile_of_ones_own_is_refused" {
  command = plan
  variables {
    image = { tag = "1", variant = "slim", dockerfile_dir = "tests/fixture" }
  }
  expect_failures = [var.image]
}

run "an_action_with_a_path_is_refused" {
  command = plan
  variables {
    image = { tag = "1", actions = ["actions/cache/save@v4"] }
  }
  expect_failures = [var.image]
}

run "an_action_without_a_reference_is_refused" {
  command = plan
  variables {
    image = { tag = "1", actions = ["actions/checkout"] }
  }
  expect_failures = [var.image]
}

run "an_action_that_a_shell_would_interpret_is_refused" {
  command = plan
  variables {
    image = { tag = "1", actions = ["actions/checkout@v4;id"] }
  }
  expect_failures = [var.image]
}

run "more_actions_than_a_build_can_be_told_are_refused" {
  command = plan
  variables {
    image = { tag = "1", actions = [for number in range(200) : "actions/checkout@v${number}"] }
  }
  expect_failures = [var.image]
}

run "an_input_outside_of_the_context_is_refused" {
  command = plan
  variables {
    image = { tag = "1", dockerfile_dir = "tests/fixture", inputs = ["../secrets/**"] }
  }
  expect_failures = [var.image]
}

run "inputs_of_this_projects_dockerfile_are_refused" {
  command = plan
  variables {
    image = { tag = "1", inputs = ["crates/**"] }
  }
  expect_failures = [var.image]
}

run "a_base_image_with_a_space_is_refused" {
  command = plan
  variables {
    image = { tag = "1", base_image = "ubuntu 24.04" }
  }
  expect_failures = [var.image]
}

run "a_directory_without_a_dockerfile_is_refused" {
  command = plan
  variables {
    image = { tag = "1", dockerfile_dir = "tests" }
  }
  expect_failures = [var.image]
}
