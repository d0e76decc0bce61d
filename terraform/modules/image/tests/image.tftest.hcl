# Tests the repository, the build's triggers, and that each invalid value is refused. It only plans and builds nothing.

mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }
}

variables {
  deployment = "ci"
  image      = { tag = "2.336.0" }
}

run "the_repository_is_scanned_and_its_tags_never_change" {
  command = plan

  assert {
    condition     = aws_ecr_repository.runner.name == "ecsrunner-ci-runner" && aws_ecr_repository.runner.image_tag_mutability == "IMMUTABLE" && aws_ecr_repository.runner.image_scanning_configuration[0].scan_on_push
    error_message = "name, tag immutability or scanning differs"
  }
  assert {
    condition     = aws_ecr_repository.runner.encryption_configuration[0].encryption_type == "AES256" && aws_ecr_repository.runner.force_delete
    error_message = "images must be encrypted, and destroy must delete them"
  }
  assert {
    condition     = [for rule in jsondecode(aws_ecr_lifecycle_policy.runner.policy).rules : "${rule.selection.tagStatus} ${rule.selection.countNumber} ${rule.action.type}"] == ["tagged 10 expire", "untagged 1 expire"]
    error_message = "old images must expire, but the last ten must be kept"
  }
}

run "the_image_is_named_by_the_digest_of_its_tag" {
  command = plan

  # The digest is known after the build, which no test runs.
  assert {
    condition     = strcontains(file("outputs.tf"), "= \"$${aws_ecr_repository.runner.repository_url}@$${data.aws_ecr_image.runner.image_digest}\"") && endswith(local.tag, substr(local.hash, 0, 12))
    error_message = "a tag in a task definition could be moved to another image"
  }
  assert {
    condition     = data.aws_ecr_image.runner.image_tag == local.tag && data.aws_ecr_image.runner.repository_name == aws_ecr_repository.runner.name
    error_message = "the digest is not that of the image that was built"
  }
}

run "this_projects_dockerfile_and_sources_are_built" {
  command = plan

  assert {
    condition     = endswith(local.dockerfile_dir, "/runner") && local.context_dir == abspath("../../..")
    error_message = "the default must be runner/Dockerfile with the project's root as context"
  }
  assert {
    # Each path that the Dockerfile copies from the context is an input.
    condition     = alltrue([for source in flatten([for line in regexall("(?m)^COPY ([^-\n]+) [^ \n]+$", file("../../../runner/Dockerfile")) : split(" ", line[0])]) : anytrue([for file in local.inputs : file == source || startswith(file, "${source}/")])])
    error_message = "the Dockerfile copies a path that is not an input, so a change of it would not be built"
  }
  assert {
    condition     = length(local.inputs) > 100 && alltrue([for file in local.inputs : !strcontains(file, "/target/") && !strcontains(file, "node_modules")])
    error_message = "the inputs must be sources, without generated files"
  }
  assert {
    condition     = jsonencode(output.architectures) == "[\"x64\",\"arm64\"]"
    error_message = "the default must be both architectures"
  }
}

run "the_tag_says_what_the_image_is_built_from" {
  command = plan

  variables {
    image = { tag = "1", dockerfile_dir = "tests/fixture", context_dir = "tests/fixture", inputs = ["**"] }
  }

  assert {
    condition     = jsonencode(local.inputs) == "[\"Dockerfile\",\"hello.txt\"]" && local.tag == "1-ad2833b95856"
    error_message = "the same sources gave another tag: ${local.tag}"
  }
}

run "a_base_image_makes_another_tag" {
  command = plan

  variables {
    image = { tag = "1", dockerfile_dir = "tests/fixture", context_dir = "tests/fixture", inputs = ["**"], base_image = "ghcr.io/actions/actions-runner:2.336.0" }
  }

  assert {
    condition     = startswith(local.tag, "1-") && local.tag != "1-ad2833b95856"
    error_message = "an image with another base has the same tag"
  }
}

run "another_platform_makes_another_tag" {
  command = plan

  variables {
    image = { tag = "1", dockerfile_dir = "tests/fixture", context_dir = "tests/fixture", inputs = ["**"], platforms = ["linux/arm64"] }
  }

  assert {
    condition     = startswith(local.tag, "1-") && local.tag != "1-ad2833b95856" && jsonencode(output.architectures) == "[\"arm64\"]"
    error_message = "an image for one platform has the tag of one for two"
  }
}

run "the_order_of_platforms_makes_none" {
  command = plan

  variables {
    image = { tag = "1", dockerfile_dir = "tests/fixture", context_dir = "tests/fixture", inputs = ["**"], platforms = ["linux/arm64", "linux/amd64"] }
  }

  assert {
    condition     = local.tag == "1-ad2833b95856"
    error_message = "the same image has another tag"
  }
}

run "a_deployment_name_with_an_underscore_is_refused" {
  command = plan
  variables {
    deployment = "ci_main"
  }
  expect_failures = [var.deployment]
}

run "a_tag_with_a_slash_is_refused" {
  command = plan
  variables {
    image = { tag = "team/1" }
  }
  expect_failures = [var.image]
}

run "a_tag_that_leaves_no_room_for_the_hash_is_refused" {
  command = plan
  variables {
    image = { tag = "tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt" }
  }
  expect_failures = [var.image]
}

run "no_input_is_refused" {
  command = plan
  variables {
    image = { tag = "1", inputs = [] }
  }
  expect_failures = [var.image]
}

run "an_input_outside_of_the_context_is_refused" {
  command = plan
  variables {
    image = { tag = "1", inputs = ["../secrets/**"] }
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

run "windows_is_refused" {
  command = plan
  variables {
    image = { tag = "1", platforms = ["windows/amd64"] }
  }
  expect_failures = [var.image]
}

run "no_platform_is_refused" {
  command = plan
  variables {
    image = { tag = "1", platforms = [] }
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
