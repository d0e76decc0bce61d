# Tests the four parameters, and that each invalid value is refused.

mock_provider "aws" {}

variables {
  deployment = "ci"
  classes    = { small = { cpu = 512, memory = 1024 } }
  settings   = { repositories = ["acme/*"] }
  facts = {
    state_table      = "ecsrunner-ci-state"
    boot_table       = "ecsrunner-ci-boot"
    boot_owner       = "AROAPLAIN"
    boot_owner_exec  = "AROAEXEC"
    cluster          = "arn:aws:ecs:eu-west-1:123456789012:cluster/ecsrunner-ci"
    subnets          = ["subnet-0123456789abcdef0"]
    security_groups  = ["sg-0123456789abcdef0"]
    assign_public_ip = true
    task_definitions = {
      "default/x64"        = "ecsrunner-ci-default-x64:3"
      "default/x64/exec"   = "ecsrunner-ci-default-x64-exec:3"
      "default/arm64"      = "ecsrunner-ci-default-arm64:3"
      "default/arm64/exec" = "ecsrunner-ci-default-arm64-exec:3"
      "android/x64"        = "ecsrunner-ci-android-x64:1"
      "android/x64/exec"   = "ecsrunner-ci-android-x64-exec:1"
    }
    queue_url       = "https://sqs.eu-west-1.amazonaws.com/123456789012/ecsrunner-ci-kicks"
    webhook_secret  = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:ecsrunner/ci/webhook-a1b2c3"
    github_secret   = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:ecsrunner/ci/github-a1b2c3"
    log_group       = "/ecsrunner/ci/runners"
    webhook_sources = { cidrs = ["192.30.252.0/22"], github_as_of = "2026-08-29" }
    image           = { builder = "docker", repository = "ecsrunner-ci-runner", sources = "0123456789ab", tag = "1", plain = true }

    questions_function = "ecsrunner-ci-questions"
    webhook_url        = "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/v1/webhook"
  }
}

run "four_parameters_are_written_where_they_are_read" {
  command = plan

  assert {
    condition     = { for name, parameter in aws_ssm_parameter.document : name => parameter.name } == { deployment = "/ecsrunner/ci/deployment", settings = "/ecsrunner/ci/settings", classes = "/ecsrunner/ci/classes" } && aws_ssm_parameter.paused.name == "/ecsrunner/ci/paused"
    error_message = "the names of the parameters differ"
  }
  assert {
    condition     = alltrue([for parameter in aws_ssm_parameter.document : parameter.type == "String" && parameter.tier == "Standard"]) && aws_ssm_parameter.paused.type == "String"
    error_message = "small parameters are plain text in the standard tier, which is free"
  }
}

run "the_deployment_parameter_holds_every_fact" {
  command = plan

  assert {
    condition     = jsondecode(aws_ssm_parameter.document["deployment"].insecure_value) == jsondecode(jsonencode(merge({ for key, value in var.facts : key => value if key != "capacity_providers" }, { version = 1, paused = false })))
    error_message = "the facts differ from the input"
  }
}

run "services_are_written_without_what_is_not_set" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, services = { db = { image = "postgres:17", port = 5432, env = { A = "1" }, health = { command = "pg_isready", retries = 9 } } } } }
    facts   = merge(var.facts, { service_definitions = { small = { default = "ecsrunner-ci-services_small_default:1" } } })
  }

  assert {
    condition     = jsondecode(aws_ssm_parameter.document["classes"].insecure_value).small.services == { db = { image = "postgres:17", port = 5432, env = { A = "1" }, health = { command = "pg_isready", retries = 9 } } }
    error_message = "the services differ from the input"
  }
  assert {
    condition     = jsondecode(aws_ssm_parameter.document["deployment"].insecure_value).service_definitions == { small = { default = "ecsrunner-ci-services_small_default:1" } }
    error_message = "the task definitions of services differ from the input"
  }
}

run "compute_and_docker_are_written_where_they_are_set" {
  command = plan
  variables {
    classes = {
      build = { cpu = 2048, memory = 4096, compute = "managed-instances", docker = true }
      small = { cpu = 512, memory = 1024 }
    }
    facts = merge(var.facts, { assign_public_ip = false, capacity_providers = { build = { on-demand = "runners-ci-build" } } })
  }

  assert {
    condition     = [for class in values(jsondecode(aws_ssm_parameter.document["classes"].insecure_value)) : [try(class.compute, null), try(class.docker, null)]] == [["managed-instances", true], [null, null]]
    error_message = "compute and docker differ from the input"
  }
  assert {
    condition     = jsondecode(aws_ssm_parameter.document["deployment"].insecure_value).capacity_providers == { build = { on-demand = "runners-ci-build" } }
    error_message = "the capacity providers of classes on managed instances are written"
  }
}

run "gpus_are_written_where_they_are_set" {
  command = plan
  variables {
    classes = {
      any   = { cpu = 196608, memory = 3670016, compute = "managed-instances", gpu = { count = 8 } }
      cuda  = { cpu = 3000, memory = 512, compute = "managed-instances", docker = true, gpu = { count = 1, instance_types = ["g6.*", "g5-x.2xlarge"] } }
      small = { cpu = 512, memory = 1024 }
    }
    facts = merge(var.facts, { assign_public_ip = false, capacity_providers = { any = { on-demand = "runners-ci-any" }, cuda = { on-demand = "runners-ci-cuda" } } })
  }

  assert {
    condition     = [for class in values(jsondecode(aws_ssm_parameter.document["classes"].insecure_value)) : try(jsonencode(class.gpu), null)] == ["{\"count\":8}", "{\"count\":1,\"instance_types\":[\"g6.*\",\"g5-x.2xlarge\"]}", null]
    error_message = "gpu differs from the input"
  }
}

run "gpus_on_fargate_are_refused" {
  command = plan
  variables { classes = { cuda = { cpu = 1024, memory = 2048, gpu = { count = 1 } } } }
  expect_failures = [var.classes]
}

run "a_number_of_gpus_that_no_instance_has_is_refused" {
  command = plan
  variables {
    classes = { cuda = { cpu = 4096, memory = 8192, compute = "managed-instances", gpu = { count = 3 } } }
    facts   = merge(var.facts, { assign_public_ip = false })
  }
  expect_failures = [var.classes]
}

run "an_instance_type_in_capitals_is_refused" {
  command = plan
  variables {
    classes = { cuda = { cpu = 4096, memory = 8192, compute = "managed-instances", gpu = { count = 1, instance_types = ["g6.*", "G5.xlarge"] } } }
    facts   = merge(var.facts, { assign_public_ip = false })
  }
  expect_failures = [var.classes]
}

run "more_than_ten_instance_types_are_refused" {
  command = plan
  variables {
    classes = { cuda = { cpu = 4096, memory = 8192, compute = "managed-instances", gpu = { count = 1, instance_types = ["a.*", "b.*", "c.*", "d.*", "e.*", "f.*", "g.*", "h.*", "i.*", "j.*", "k.*"] } } }
    facts   = merge(var.facts, { assign_public_ip = false })
  }
  expect_failures = [var.classes]
}

run "less_than_a_vcpu_with_gpus_is_refused" {
  command = plan
  variables {
    classes = { cuda = { cpu = 1023, memory = 8192, compute = "managed-instances", gpu = { count = 1 } } }
    facts   = merge(var.facts, { assign_public_ip = false })
  }
  expect_failures = [var.classes]
}

run "more_memory_than_an_instance_with_gpus_has_is_refused" {
  command = plan
  variables {
    classes = { cuda = { cpu = 4096, memory = 3670017, compute = "managed-instances", gpu = { count = 1 } } }
    facts   = merge(var.facts, { assign_public_ip = false })
  }
  expect_failures = [var.classes]
}

run "another_compute_is_refused" {
  command = plan
  variables { classes = { build = { cpu = 512, memory = 1024, compute = "ec2" } } }
  expect_failures = [var.classes]
}

run "docker_on_fargate_is_refused" {
  command = plan
  variables { classes = { build = { cpu = 512, memory = 1024, docker = true } } }
  expect_failures = [var.classes]
}

run "services_beside_docker_are_refused" {
  command = plan
  variables {
    classes = { build = { cpu = 2048, memory = 4096, compute = "managed-instances", docker = true, services = { db = { image = "postgres:17", port = 5432 } } } }
    facts   = merge(var.facts, { assign_public_ip = false, service_definitions = { build = { default = "ecsrunner-ci-services_build_default:1" } } })
  }
  expect_failures = [var.classes]
}

run "warm_tasks_with_docker_are_refused" {
  command = plan
  variables {
    classes  = { build = { cpu = 2048, memory = 4096, compute = "managed-instances", docker = true, warm = { count = 1 } } }
    facts    = merge(var.facts, { assign_public_ip = false })
    settings = { repositories = ["acme/*"], limits = { max_warm = 1 } }
  }
  expect_failures = [var.classes]
}

run "exec_with_docker_is_refused" {
  command = plan
  variables {
    classes = { build = { cpu = 2048, memory = 4096, compute = "managed-instances", docker = true, exec = true } }
    facts   = merge(var.facts, { assign_public_ip = false, task_definitions = { "default/x64" = "d:1", "default/x64/exec" = "e:1" } })
  }
  expect_failures = [var.classes]
}

run "half_of_an_instance_is_refused" {
  command = plan
  variables {
    classes = { build = { cpu = 1024, memory = 2048, compute = "managed-instances" } }
    facts   = merge(var.facts, { assign_public_ip = false })
  }
  expect_failures = [var.classes]
}

run "more_vcpus_than_an_instance_has_are_refused" {
  command = plan
  variables {
    classes = { build = { cpu = 98305, memory = 2048, compute = "managed-instances" } }
    facts   = merge(var.facts, { assign_public_ip = false })
  }
  expect_failures = [var.classes]
}

run "more_memory_than_an_instance_has_is_refused" {
  command = plan
  variables {
    classes = { build = { cpu = 2048, memory = 14337, compute = "managed-instances" } }
    facts   = merge(var.facts, { assign_public_ip = false })
  }
  expect_failures = [var.classes]
}

run "memory_below_512_mib_is_refused_on_an_instance" {
  command = plan
  variables {
    classes = { build = { cpu = 2048, memory = 511, compute = "managed-instances" } }
    facts   = merge(var.facts, { assign_public_ip = false })
  }
  expect_failures = [var.classes]
}

run "less_storage_than_an_instance_needs_is_refused" {
  command = plan
  variables {
    classes = { build = { cpu = 2048, memory = 4096, ephemeral_storage_gib = 29, compute = "managed-instances" } }
    facts   = merge(var.facts, { assign_public_ip = false })
  }
  expect_failures = [var.classes]
}

run "exec_on_an_instance_is_refused" {
  command = plan
  variables {
    classes = { build = { cpu = 2048, memory = 4096, exec = true, compute = "managed-instances" } }
    facts   = merge(var.facts, { assign_public_ip = false })
  }
  expect_failures = [var.classes]
}

run "warm_tasks_on_an_instance_are_refused" {
  command = plan
  variables {
    classes  = { build = { cpu = 2048, memory = 4096, warm = { count = 1 }, compute = "managed-instances" } }
    facts    = merge(var.facts, { assign_public_ip = false })
    settings = { repositories = ["acme/*"], limits = { max_warm = 1 } }
  }
  expect_failures = [var.classes]
}

run "an_instance_without_a_nat_is_refused" {
  command = plan
  variables {
    classes = { build = { cpu = 2048, memory = 4096, compute = "managed-instances" } }
    facts   = merge(var.facts, { assign_public_ip = true })
  }
  expect_failures = [var.classes]
}

run "sizes_of_an_instance_are_not_those_of_fargate" {
  command = plan
  variables {
    classes = {
      least = { cpu = 1025, memory = 512, compute = "managed-instances", ephemeral_storage_gib = 30 }
      most  = { cpu = 98304, memory = 688128, compute = "managed-instances", ephemeral_storage_gib = 1000 }
    }
    facts = merge(var.facts, { assign_public_ip = false })
  }
  assert {
    condition     = length(jsondecode(aws_ssm_parameter.document["classes"].insecure_value)) == 2
    error_message = "the limits themselves are accepted"
  }
}

run "what_the_image_is_built_from_is_written_with_its_agents" {
  command = plan
  variables {
    facts = {
      state_table      = "s", boot_table = "b", boot_owner = "AROAPLAIN", boot_owner_exec = "AROAEXEC", cluster = "c", subnets = ["subnet-01234567"], security_groups = ["sg-01234567"],
      assign_public_ip = true, queue_url = "q", webhook_secret = "w", github_secret = "g", log_group = "l", webhook_sources = { cidrs = ["::/0"] }, webhook_url = "u", questions_function = "q"
      task_definitions = { "default/x64" = "d:1", "next/x64" = "n:1", "official/x64" = "o:1" }
      agents           = { x64 = { bucket = "b", key = "agent/x64/ecsrunner-agent", version = "v" } }
      image            = { builder = "codebuild", repository = "ecsrunner-ci-runner", projects = { x64 = "ecsrunner-ci-image-x64" }, sources = "0123456789ab", tag = "1", plain = true }
    }
  }

  assert {
    condition     = jsonencode(jsondecode(aws_ssm_parameter.document["deployment"].insecure_value).image) == "{\"builder\":\"codebuild\",\"plain\":true,\"projects\":{\"x64\":\"ecsrunner-ci-image-x64\"},\"repository\":\"ecsrunner-ci-runner\",\"runner_version\":null,\"sources\":\"0123456789ab\",\"tag\":\"1\"}"
    error_message = "the image is ${jsonencode(jsondecode(aws_ssm_parameter.document["deployment"].insecure_value).image)}"
  }
  assert {
    condition     = jsonencode(jsondecode(aws_ssm_parameter.document["deployment"].insecure_value).agents) == "{\"x64\":{\"bucket\":\"b\",\"key\":\"agent/x64/ecsrunner-agent\",\"version\":\"v\"}}"
    error_message = "the agents are ${jsonencode(jsondecode(aws_ssm_parameter.document["deployment"].insecure_value).agents)}"
  }
}

run "without_a_builder_there_is_no_repository" {
  command = plan
  variables {
    facts = {
      state_table      = "s", boot_table = "b", boot_owner = "AROAPLAIN", boot_owner_exec = "AROAEXEC", cluster = "c", subnets = ["subnet-01234567"], security_groups = ["sg-01234567"],
      assign_public_ip = true, queue_url = "q", webhook_secret = "w", github_secret = "g", log_group = "l", webhook_sources = { cidrs = ["::/0"] }, webhook_url = "u", questions_function = "q"
      task_definitions = { "default/x64" = "d:1" }
      image            = { builder = "none", sources = "0123456789ab", tag = "1", runner_version = "2.337.0", plain = false }
    }
  }

  assert {
    condition     = jsonencode(jsondecode(aws_ssm_parameter.document["deployment"].insecure_value).image) == "{\"builder\":\"none\",\"plain\":false,\"projects\":{},\"runner_version\":\"2.337.0\",\"sources\":\"0123456789ab\",\"tag\":\"1\"}" && jsondecode(aws_ssm_parameter.document["deployment"].insecure_value).agents == {}
    error_message = "the image is ${jsonencode(jsondecode(aws_ssm_parameter.document["deployment"].insecure_value).image)}"
  }
}

run "what_is_left_out_is_left_to_the_code" {
  command = plan

  assert {
    condition     = aws_ssm_parameter.document["settings"].insecure_value == "{\"check_runs\":false,\"deployment\":\"ci\",\"events\":[],\"forks\":false,\"limits\":{},\"paces\":{},\"public_repositories\":false,\"registration\":\"repository\",\"repositories\":[\"acme/*\"],\"required_labels\":[\"self-hosted\"],\"version\":1}"
    error_message = "the settings are ${aws_ssm_parameter.document["settings"].insecure_value}"
  }
  assert {
    condition     = aws_ssm_parameter.document["classes"].insecure_value == "{\"small\":{\"arch\":\"x64\",\"capacity\":\"on-demand\",\"cpu\":512,\"default\":false,\"exec\":false,\"labels\":[],\"memory\":1024}}"
    error_message = "the classes are ${aws_ssm_parameter.document["classes"].insecure_value}"
  }
}

run "everything_that_can_be_said_is_passed_on" {
  command = plan

  variables {
    classes = {
      small = { cpu = 256, memory = 512, default = true, labels = ["cheap", "Ours"] }
      large = {
        cpu             = 4096, memory = 8192, arch = "x64", capacity = "spot-then-on-demand", ephemeral_storage_gib = 60, max_runners = 50,
        max_job_minutes = 60, labels = ["gpu-tools", "ours"], image = "android", repositories = ["acme/*", "acme/app", "*"], exec = true, rerun = true
        warm            = { count = 2, schedule = ["Mon-Wed,Fri 08:00-24:00 Europe/Berlin", "Daily 22:00-06:00 UTC", "fri-mon 00:00-12:30 America/Argentina/Buenos_Aires", "Sun 01:00-02:00 Etc/GMT+5"], max_age_hours = 168 }
      }
      # Two classes other than the default may share a label, since their jobs name the class. All classes may
      # share a label that every job has.
      huge = { cpu = 32768, memory = 249856, arch = "arm64", labels = ["gpu-tools", "ours"], warm = { count = 6 }, budget = { daily_usd = 3 } }
    }
    settings = {
      repositories       = ["acme/app", "Acme/*"], required_labels = ["self-hosted", "ours"], public_repositories = true, forks = true,
      events             = ["push", "pull_request"], check_runs = true, rerun = true, rerun_repositories = ["acme/app", "acme/*"]
      on_failure         = "fail_job", fail_after_minutes = 30, job_summary = true
      budget             = { daily_usd = 20, monthly_usd = 300, action = "hold" }, self_hosted_fee = 0.002
      repository_budgets = { "acme/app" = { monthly_usd = 12.5 } }
      registration       = { organization = { name = "acme", group = 3 } }
      limits             = { max_runners = 8, max_runners_per_repository = 4, max_warm = 8, max_job_minutes = 60, boot_limit_secs = 300, connect_limit_secs = 120, idle_limit_secs = 600, hook_limit_secs = 60, surplus_grace_secs = 0 }
      paces              = { github = { burst = 12, per_minute = 168 }, fargate = { burst = 25, per_minute = 300 } }
    }
  }

  assert {
    condition     = jsondecode(aws_ssm_parameter.document["classes"].insecure_value).large == jsondecode("{\"arch\":\"x64\",\"capacity\":\"spot-then-on-demand\",\"cpu\":4096,\"default\":false,\"ephemeral_storage_gib\":60,\"exec\":true,\"image\":\"android\",\"labels\":[\"gpu-tools\",\"ours\"],\"max_job_minutes\":60,\"max_runners\":50,\"memory\":8192,\"repositories\":[\"acme/*\",\"acme/app\",\"*\"],\"rerun\":true,\"warm\":{\"count\":2,\"max_age_hours\":168,\"schedule\":[\"Mon-Wed,Fri 08:00-24:00 Europe/Berlin\",\"Daily 22:00-06:00 UTC\",\"fri-mon 00:00-12:30 America/Argentina/Buenos_Aires\",\"Sun 01:00-02:00 Etc/GMT+5\"]}}")
    error_message = "a key of a class is lost"
  }
  assert {
    condition     = jsonencode(jsondecode(aws_ssm_parameter.document["classes"].insecure_value).huge.warm) == "{\"count\":6}" && !can(jsondecode(aws_ssm_parameter.document["classes"].insecure_value).small.warm)
    error_message = "keys of `warm` that are not set are left out"
  }
  assert {
    condition = (jsonencode(jsondecode(aws_ssm_parameter.document["settings"].insecure_value).budget) == "{\"action\":\"hold\",\"daily_usd\":20,\"monthly_usd\":300}"
      && jsonencode(jsondecode(aws_ssm_parameter.document["settings"].insecure_value).repository_budgets) == "{\"acme/app\":{\"monthly_usd\":12.5}}"
      && jsondecode(aws_ssm_parameter.document["settings"].insecure_value).self_hosted_fee == 0.002
    && jsonencode(jsondecode(aws_ssm_parameter.document["classes"].insecure_value).huge.budget) == "{\"daily_usd\":3}")
    error_message = "budgets or the fee are lost"
  }
  assert {
    condition     = jsondecode(aws_ssm_parameter.document["settings"].insecure_value).rerun && jsonencode(jsondecode(aws_ssm_parameter.document["settings"].insecure_value).rerun_repositories) == "[\"acme/app\",\"acme/*\"]"
    error_message = "reruns are lost"
  }
  assert {
    condition     = jsondecode(aws_ssm_parameter.document["settings"].insecure_value).on_failure == "fail_job" && jsondecode(aws_ssm_parameter.document["settings"].insecure_value).fail_after_minutes == 30 && jsondecode(aws_ssm_parameter.document["settings"].insecure_value).job_summary
    error_message = "what becomes of jobs that cannot be served is lost"
  }
  assert {
    condition     = jsonencode(jsondecode(aws_ssm_parameter.document["settings"].insecure_value).registration) == "{\"organization\":{\"group\":3,\"name\":\"acme\"}}"
    error_message = "an organization is written as `SettingsEntry` reads it"
  }
  assert {
    condition     = jsondecode(aws_ssm_parameter.document["settings"].insecure_value).limits == jsondecode("{\"boot_limit_secs\":300,\"connect_limit_secs\":120,\"hook_limit_secs\":60,\"idle_limit_secs\":600,\"max_job_minutes\":60,\"max_runners\":8,\"max_runners_per_repository\":4,\"max_warm\":8,\"surplus_grace_secs\":0}") && jsondecode(aws_ssm_parameter.document["settings"].insecure_value).paces.fargate.burst == 25
    error_message = "limits or paces are lost"
  }
}

run "no_apply_ends_a_pause" {
  command = plan

  # A plan does not show what is ignored, so the test reads the configuration.
  assert {
    condition     = nonsensitive(aws_ssm_parameter.paused.value) == "false" && length(regexall("(?s)resource \"aws_ssm_parameter\" \"paused\" .*lifecycle \\{\\s*ignore_changes = \\[value\\]", file("main.tf"))) == 1
    error_message = "`paused` is created as false and later changed only by operators"
  }
}

run "more_than_4096_bytes_take_the_advanced_tier" {
  command = plan

  variables {
    settings = { repositories = [for i in range(300) : "acme/app-${i}"] }
  }

  assert {
    condition     = length(aws_ssm_parameter.document["settings"].insecure_value) > 4096 && aws_ssm_parameter.document["settings"].tier == "Advanced" && aws_ssm_parameter.document["classes"].tier == "Standard"
    error_message = "each parameter's tier depends on its own size"
  }
}

run "as_many_as_4096_bytes_are_still_standard" {
  command = plan

  variables {
    # The last one fills the settings to the exact byte.
    settings = { repositories = concat([for i in range(296) : format("acme/%05d", i)], ["acme/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]) }
  }

  assert {
    condition     = length(aws_ssm_parameter.document["settings"].insecure_value) == 4096 && aws_ssm_parameter.document["settings"].tier == "Standard"
    error_message = "the settings take ${length(aws_ssm_parameter.document["settings"].insecure_value)} bytes"
  }
}

run "bytes_are_counted_and_not_characters" {
  command = plan

  variables {
    classes = { for i in range(24) : "c${i}" => { cpu = 512, memory = 1024, labels = ["öööööööööööööööööööööööööööööööööööööööö"] } }
  }

  assert {
    condition     = length(aws_ssm_parameter.document["classes"].insecure_value) < 4096 && aws_ssm_parameter.document["classes"].tier == "Advanced"
    error_message = "${length(aws_ssm_parameter.document["classes"].insecure_value)} characters take more bytes than the standard tier allows"
  }
}

run "more_than_8192_bytes_are_refused" {
  command = plan

  variables {
    settings = { repositories = [for i in range(600) : "acme/app-${i}"] }
  }

  expect_failures = [aws_ssm_parameter.document["settings"]]
}

run "fargate_offers_77_pairs_of_cpu_and_memory" {
  command = plan

  # The counts of `crates/core/src/rules/class/size.rs`.
  assert {
    condition     = jsonencode([for cpu in [256, 512, 1024, 2048, 4096, 8192, 16384, 32768] : length(local.fargate_memory[tostring(cpu)])]) == "[3,4,7,13,23,12,12,3]" && length(local.fargate_memory) == 8
    error_message = "the size table differs from the code's"
  }
}

run "every_size_below_8_vcpu_is_accepted" {
  command = plan

  variables {
    classes = {
      c256-512   = { cpu = 256, memory = 512 }, c256-1024 = { cpu = 256, memory = 1024 }, c256-2048 = { cpu = 256, memory = 2048 }
      c512-1024  = { cpu = 512, memory = 1024 }, c512-2048 = { cpu = 512, memory = 2048 }, c512-3072 = { cpu = 512, memory = 3072 }, c512-4096 = { cpu = 512, memory = 4096 }
      c1024-2048 = { cpu = 1024, memory = 2048 }, c1024-3072 = { cpu = 1024, memory = 3072 }, c1024-4096 = { cpu = 1024, memory = 4096 }, c1024-5120 = { cpu = 1024, memory = 5120 }, c1024-6144 = { cpu = 1024, memory = 6144 }, c1024-7168 = { cpu = 1024, memory = 7168 }, c1024-8192 = { cpu = 1024, memory = 8192 }
      c2048-4096 = { cpu = 2048, memory = 4096 }, c2048-5120 = { cpu = 2048, memory = 5120 }, c2048-6144 = { cpu = 2048, memory = 6144 }, c2048-7168 = { cpu = 2048, memory = 7168 }, c2048-8192 = { cpu = 2048, memory = 8192 }, c2048-9216 = { cpu = 2048, memory = 9216 }, c2048-10240 = { cpu = 2048, memory = 10240 }, c2048-11264 = { cpu = 2048, memory = 11264 }, c2048-12288 = { cpu = 2048, memory = 12288 }, c2048-13312 = { cpu = 2048, memory = 13312 }, c2048-14336 = { cpu = 2048, memory = 14336 }, c2048-15360 = { cpu = 2048, memory = 15360 }, c2048-16384 = { cpu = 2048, memory = 16384 }
      c4096-8192 = { cpu = 4096, memory = 8192 }, c4096-9216 = { cpu = 4096, memory = 9216 }, c4096-10240 = { cpu = 4096, memory = 10240 }, c4096-11264 = { cpu = 4096, memory = 11264 }, c4096-12288 = { cpu = 4096, memory = 12288 }, c4096-13312 = { cpu = 4096, memory = 13312 }, c4096-14336 = { cpu = 4096, memory = 14336 }, c4096-15360 = { cpu = 4096, memory = 15360 }, c4096-16384 = { cpu = 4096, memory = 16384 }, c4096-17408 = { cpu = 4096, memory = 17408 }, c4096-18432 = { cpu = 4096, memory = 18432 }, c4096-19456 = { cpu = 4096, memory = 19456 }, c4096-20480 = { cpu = 4096, memory = 20480 }, c4096-21504 = { cpu = 4096, memory = 21504 }, c4096-22528 = { cpu = 4096, memory = 22528 }, c4096-23552 = { cpu = 4096, memory = 23552 }, c4096-24576 = { cpu = 4096, memory = 24576 }, c4096-25600 = { cpu = 4096, memory = 25600 }, c4096-26624 = { cpu = 4096, memory = 26624 }, c4096-27648 = { cpu = 4096, memory = 27648 }, c4096-28672 = { cpu = 4096, memory = 28672 }, c4096-29696 = { cpu = 4096, memory = 29696 }, c4096-30720 = { cpu = 4096, memory = 30720 }
    }
  }

  assert {
    condition     = length(jsondecode(aws_ssm_parameter.document["classes"].insecure_value)) == 50
    error_message = "50 sizes are expected"
  }
}

run "every_size_from_8_vcpu_on_is_accepted" {
  command = plan

  variables {
    classes = {
      c8192-16384  = { cpu = 8192, memory = 16384 }, c8192-20480 = { cpu = 8192, memory = 20480 }, c8192-24576 = { cpu = 8192, memory = 24576 }, c8192-28672 = { cpu = 8192, memory = 28672 }, c8192-32768 = { cpu = 8192, memory = 32768 }, c8192-36864 = { cpu = 8192, memory = 36864 }, c8192-40960 = { cpu = 8192, memory = 40960 }, c8192-45056 = { cpu = 8192, memory = 45056 }, c8192-49152 = { cpu = 8192, memory = 49152 }, c8192-53248 = { cpu = 8192, memory = 53248 }, c8192-57344 = { cpu = 8192, memory = 57344 }, c8192-61440 = { cpu = 8192, memory = 61440 }
      c16384-32768 = { cpu = 16384, memory = 32768 }, c16384-40960 = { cpu = 16384, memory = 40960 }, c16384-49152 = { cpu = 16384, memory = 49152 }, c16384-57344 = { cpu = 16384, memory = 57344 }, c16384-65536 = { cpu = 16384, memory = 65536 }, c16384-73728 = { cpu = 16384, memory = 73728 }, c16384-81920 = { cpu = 16384, memory = 81920 }, c16384-90112 = { cpu = 16384, memory = 90112 }, c16384-98304 = { cpu = 16384, memory = 98304 }, c16384-106496 = { cpu = 16384, memory = 106496 }, c16384-114688 = { cpu = 16384, memory = 114688 }, c16384-122880 = { cpu = 16384, memory = 122880 }
      c32768-61440 = { cpu = 32768, memory = 61440 }, c32768-122880 = { cpu = 32768, memory = 122880 }, c32768-249856 = { cpu = 32768, memory = 249856 }
    }
  }

  assert {
    condition     = length(jsondecode(aws_ssm_parameter.document["classes"].insecure_value)) == 27
    error_message = "27 sizes are expected"
  }
}

run "labels_of_120_bytes_together_do" {
  command = plan

  variables {
    # `class:small,linux,self-hosted,x64` takes 33 bytes, the comma after it one more.
    classes = { small = { cpu = 512, memory = 1024, labels = ["llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll"] } }
  }

  assert {
    condition     = length(join(",", concat(["class:small", "linux", "self-hosted", "x64"], var.classes.small.labels))) == 120
    error_message = "the test no longer uses the longest labels"
  }
}

run "a_deployment_name_that_is_too_long_is_refused" {
  command = plan
  variables {
    deployment = "a-name-of-21-letters-x"
  }
  expect_failures = [var.deployment]
}

run "public_repositories_without_a_check_of_runs_are_refused" {
  command = plan
  variables {
    settings = { repositories = ["acme/app"], public_repositories = true }
  }
  expect_failures = [var.settings]
}

run "an_empty_catalogue_is_refused" {
  command = plan
  variables {
    classes = {}
  }
  expect_failures = [var.classes]
}

run "a_class_name_with_a_capital_is_refused" {
  command = plan
  variables {
    classes = { Small = { cpu = 512, memory = 1024 } }
  }
  expect_failures = [var.classes]
}

run "a_class_name_of_33_characters_is_refused" {
  command = plan
  variables {
    classes = { a23456789012345678901234567890123 = { cpu = 512, memory = 1024 } }
  }
  expect_failures = [var.classes]
}

run "a_cpu_that_fargate_does_not_offer_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 500, memory = 1024 } }
  }
  expect_failures = [var.classes]
}

run "memory_that_does_not_go_with_the_cpu_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 8192 } }
  }
  expect_failures = [var.classes]
}

run "memory_between_two_steps_is_refused" {
  command = plan
  variables {
    classes = { big = { cpu = 8192, memory = 17408 } }
  }
  expect_failures = [var.classes]
}

run "another_architecture_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, arch = "amd64" } }
  }
  expect_failures = [var.classes]
}

run "another_capacity_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, capacity = "reserved" } }
  }
  expect_failures = [var.classes]
}

run "storage_beyond_200_gib_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, ephemeral_storage_gib = 201 } }
  }
  expect_failures = [var.classes]
}

run "storage_below_what_is_free_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, ephemeral_storage_gib = 10 } }
  }
  expect_failures = [var.classes]
}

run "half_a_gib_of_storage_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, ephemeral_storage_gib = 21.5 } }
  }
  expect_failures = [var.classes]
}

run "a_class_without_a_runner_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, max_runners = 0 } }
  }
  expect_failures = [var.classes]
}

run "a_job_of_no_minutes_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, max_job_minutes = 0 } }
  }
  expect_failures = [var.classes]
}

run "a_job_longer_than_githubs_five_days_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, max_job_minutes = 7201 } }
  }
  expect_failures = [var.classes]
}

run "a_label_with_a_comma_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, labels = ["a,b"] } }
  }
  expect_failures = [var.classes]
}

run "a_label_with_outer_space_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, labels = [" gpu"] } }
  }
  expect_failures = [var.classes]
}

run "an_empty_label_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, labels = [""] } }
  }
  expect_failures = [var.classes]
}

run "another_classes_own_label_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, labels = ["Class:large"] } }
  }
  expect_failures = [var.classes]
}

run "a_label_of_ecsrunners_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, labels = ["ecsrunner:1"] } }
  }
  expect_failures = [var.classes]
}

run "the_label_of_another_architecture_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, labels = ["ARM64"] } }
  }
  expect_failures = [var.classes]
}

run "a_label_of_the_default_class_on_another_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, labels = ["gpu"], default = true }, large = { cpu = 1024, memory = 2048, labels = ["GPU"] } }
  }
  expect_failures = [var.classes]
}

run "a_class_that_lacks_a_required_label_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["*"], required_labels = ["self-hosted", "ours"] }
  }
  expect_failures = [var.classes]
}

run "labels_of_121_bytes_together_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, labels = ["lllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll"] } }
  }
  expect_failures = [var.classes]
}

run "a_repository_without_an_owner_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, repositories = ["app"] } }
  }
  expect_failures = [var.classes]
}

run "a_repository_that_is_a_pattern_inside_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, repositories = ["acme/app-*"] } }
  }
  expect_failures = [var.classes]
}

run "two_default_classes_is_refused" {
  command = plan
  variables {
    classes = { a = { cpu = 512, memory = 1024, default = true }, b = { cpu = 512, memory = 1024, default = true } }
  }
  expect_failures = [var.classes]
}

run "an_image_that_the_deployment_lacks_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, image = "ios" } }
  }
  expect_failures = [var.classes]
}

run "an_image_that_lacks_the_architecture_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, image = "android", arch = "arm64" } }
  }
  expect_failures = [var.classes]
}

run "no_warm_task_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, warm = { count = 0 } } }
  }
  expect_failures = [var.classes]
}

run "warm_tasks_without_a_count_are_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, warm = { count = null } } }
  }
  expect_failures = [var.classes]
}

run "half_a_warm_task_is_refused" {
  command = plan
  variables {
    classes  = { small = { cpu = 512, memory = 1024, warm = { count = 1.5 } } }
    settings = { repositories = ["*"], limits = { max_warm = 2 } }
  }
  expect_failures = [var.classes]
}

run "more_warm_tasks_than_runners_of_a_class_are_refused" {
  command = plan
  variables {
    classes  = { small = { cpu = 512, memory = 1024, max_runners = 2, warm = { count = 3 } } }
    settings = { repositories = ["*"], limits = { max_warm = 3 } }
  }
  expect_failures = [var.classes]
}

run "a_warm_task_for_more_than_a_week_is_refused" {
  command = plan
  variables {
    classes  = { small = { cpu = 512, memory = 1024, warm = { count = 1, max_age_hours = 169 } } }
    settings = { repositories = ["*"], limits = { max_warm = 1 } }
  }
  expect_failures = [var.classes]
}

run "a_warm_task_for_no_hour_is_refused" {
  command = plan
  variables {
    classes  = { small = { cpu = 512, memory = 1024, warm = { count = 1, max_age_hours = 0 } } }
    settings = { repositories = ["*"], limits = { max_warm = 1 } }
  }
  expect_failures = [var.classes]
}

run "a_window_without_a_time_zone_is_refused" {
  command = plan
  variables {
    classes  = { small = { cpu = 512, memory = 1024, warm = { count = 1, schedule = ["Mon-Fri 08:00-19:00"] } } }
    settings = { repositories = ["*"], limits = { max_warm = 1 } }
  }
  expect_failures = [var.classes]
}

run "a_window_on_an_unknown_day_is_refused" {
  command = plan
  variables {
    classes  = { small = { cpu = 512, memory = 1024, warm = { count = 1, schedule = ["Mo-Fr 08:00-19:00 UTC"] } } }
    settings = { repositories = ["*"], limits = { max_warm = 1 } }
  }
  expect_failures = [var.classes]
}

run "a_window_from_hour_24_is_refused" {
  command = plan
  variables {
    classes  = { small = { cpu = 512, memory = 1024, warm = { count = 1, schedule = ["daily 24:00-06:00 UTC"] } } }
    settings = { repositories = ["*"], limits = { max_warm = 1 } }
  }
  expect_failures = [var.classes]
}

run "more_than_twenty_windows_are_refused" {
  command = plan
  variables {
    classes  = { small = { cpu = 512, memory = 1024, warm = { count = 1, schedule = [for i in range(21) : "Mon 08:00-19:00 UTC"] } } }
    settings = { repositories = ["*"], limits = { max_warm = 1 } }
  }
  expect_failures = [var.classes]
}

run "warm_tasks_that_the_deployment_does_not_allow_are_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, warm = { count = 1 } } }
  }
  expect_failures = [var.classes]
}

run "more_warm_tasks_together_than_the_deployment_allows_are_refused" {
  command = plan
  variables {
    classes  = { small = { cpu = 512, memory = 1024, warm = { count = 2 } }, other = { cpu = 512, memory = 1024, warm = { count = 3 } } }
    settings = { repositories = ["*"], limits = { max_warm = 4 } }
  }
  expect_failures = [var.classes]
}

run "more_warm_tasks_than_runners_are_refused" {
  command = plan
  variables {
    settings = { repositories = ["*"], limits = { max_warm = 51 } }
  }
  expect_failures = [var.settings]
}

run "more_warm_tasks_than_the_runners_that_are_set_are_refused" {
  command = plan
  variables {
    settings = { repositories = ["*"], limits = { max_warm = 4, max_runners = 3 } }
  }
  expect_failures = [var.settings]
}

run "no_repository_is_refused" {
  command = plan
  variables {
    settings = { repositories = [] }
  }
  expect_failures = [var.settings]
}

run "a_repository_for_reruns_that_is_none_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["acme/*"], rerun_repositories = ["acme"] }
  }
  expect_failures = [var.settings]
}

run "a_class_budget_without_an_amount_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 256, memory = 512, default = true, budget = { action = "hold" } } }
  }
  expect_failures = [var.classes]
}

run "a_class_budget_of_nothing_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 256, memory = 512, default = true, budget = { daily_usd = 0 } } }
  }
  expect_failures = [var.classes]
}

run "a_class_budget_with_another_action_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 256, memory = 512, default = true, budget = { daily_usd = 1, action = "stop" } } }
  }
  expect_failures = [var.classes]
}

run "a_budget_below_nothing_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["acme/*"], budget = { monthly_usd = -1 } }
  }
  expect_failures = [var.settings]
}

run "a_budget_for_a_day_above_the_months_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["acme/*"], budget = { daily_usd = 20, monthly_usd = 19.5 } }
  }
  expect_failures = [var.settings]
}

run "a_budget_of_more_than_a_million_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["acme/*"], repository_budgets = { "acme/*" = { monthly_usd = 1000001 } } }
  }
  expect_failures = [var.settings]
}

run "a_budget_of_repositories_that_are_none_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["acme/*"], repository_budgets = { acme = { monthly_usd = 1 } } }
  }
  expect_failures = [var.settings]
}

run "a_budget_of_repositories_in_two_spellings_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["acme/*"], repository_budgets = { "acme/app" = { monthly_usd = 1 }, "Acme/App" = { monthly_usd = 1 } } }
  }
  expect_failures = [var.settings]
}

run "an_eleventh_budget_of_repositories_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["acme/*"], repository_budgets = { for i in range(11) : "acme/app-${i}" => { monthly_usd = 1 } } }
  }
  expect_failures = [var.settings]
}

run "a_fee_above_a_dollar_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["acme/*"], self_hosted_fee = 1.5 }
  }
  expect_failures = [var.settings]
}

run "another_word_for_jobs_that_cannot_be_served_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["acme/*"], on_failure = "fail" }
  }
  expect_failures = [var.settings]
}

run "a_wait_beyond_githubs_own_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["acme/*"], fail_after_minutes = 1381 }
  }
  expect_failures = [var.settings]
}

run "a_repository_that_is_none_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["acme"] }
  }
  expect_failures = [var.settings]
}

run "a_repository_named_by_two_dots_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["acme/.."] }
  }
  expect_failures = [var.settings]
}

run "no_required_label_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["*"], required_labels = [] }
  }
  expect_failures = [var.settings]
}

run "an_event_in_capitals_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["*"], events = ["Push"] }
  }
  expect_failures = [var.settings]
}

run "an_organization_with_a_slash_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["*"], registration = { organization = { name = "acme/app" } } }
  }
  expect_failures = [var.settings]
}

run "a_runner_group_of_0_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["acme/*"], registration = { organization = { name = "acme", group = 0 } } }
  }
  expect_failures = [var.settings]
}

run "a_repository_of_another_organization_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["acme/*", "other/app"], registration = { organization = { name = "acme" } } }
  }
  expect_failures = [var.settings]
}

run "a_limit_of_no_runners_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["*"], limits = { max_runners = 0 } }
  }
  expect_failures = [var.settings]
}

run "an_idle_limit_that_would_lose_jobs_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["*"], limits = { idle_limit_secs = 599 } }
  }
  expect_failures = [var.settings]
}

run "a_boot_limit_of_more_than_an_hour_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["*"], limits = { boot_limit_secs = 3601 } }
  }
  expect_failures = [var.settings]
}

run "half_a_second_of_grace_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["*"], limits = { surplus_grace_secs = 0.5 } }
  }
  expect_failures = [var.settings]
}

run "a_pace_of_nothing_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["*"], paces = { github = { burst = 0, per_minute = 168 } } }
  }
  expect_failures = [var.settings]
}

run "a_pace_beyond_60000_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["*"], paces = { fargate = { burst = 100, per_minute = 60001 } } }
  }
  expect_failures = [var.settings]
}

run "a_deployment_without_subnets_is_refused" {
  command = plan
  variables {
    facts = {
      state_table        = "s", boot_table = "b", boot_owner = "AROAPLAIN", boot_owner_exec = "AROAEXEC", cluster = "c", subnets = [], security_groups = ["sg-01234567"],
      assign_public_ip   = true, task_definitions = { "default/x64/exec" = "d:1" }, queue_url = "q", webhook_secret = "w", github_secret = "g", log_group = "l"
      webhook_sources    = { cidrs = ["0.0.0.0/0", "::/0"] }
      questions_function = "q"
      webhook_url        = "u"
      image              = { builder = "none", sources = "0123456789ab", tag = "1", plain = false }
    }
  }
  expect_failures = [var.facts]
}

run "githubs_image_without_its_agent_is_refused" {
  command = plan
  variables {
    facts = {
      state_table      = "s", boot_table = "b", boot_owner = "AROAPLAIN", boot_owner_exec = "AROAEXEC", cluster = "c", subnets = ["subnet-01234567"], security_groups = ["sg-01234567"],
      assign_public_ip = true, queue_url = "q", webhook_secret = "w", github_secret = "g", log_group = "l", webhook_sources = { cidrs = ["::/0"] }, webhook_url = "u", questions_function = "q"
      task_definitions = { "default/x64" = "d:1", "next/x64" = "n:1", "official/x64" = "o:1" }
      image            = { builder = "codebuild", repository = "ecsrunner-ci-runner", projects = { x64 = "ecsrunner-ci-image-x64" }, sources = "0123456789ab", tag = "1", plain = true }
    }
  }
  expect_failures = [var.facts]
}

run "an_unknown_builder_is_refused" {
  command = plan
  variables {
    facts = {
      state_table      = "s", boot_table = "b", boot_owner = "AROAPLAIN", boot_owner_exec = "AROAEXEC", cluster = "c", subnets = ["subnet-01234567"], security_groups = ["sg-01234567"],
      assign_public_ip = true, queue_url = "q", webhook_secret = "w", github_secret = "g", log_group = "l", webhook_sources = { cidrs = ["::/0"] }, webhook_url = "u", questions_function = "q"
      task_definitions = { "default/x64" = "d:1", "next/x64" = "n:1", "official/x64" = "o:1" }
      agents           = { x64 = { bucket = "b", key = "agent/x64/ecsrunner-agent", version = "v" } }
      image            = { builder = "podman", repository = "ecsrunner-ci-runner", projects = { x64 = "ecsrunner-ci-image-x64" }, sources = "0123456789ab", tag = "1", plain = true }
    }
  }
  expect_failures = [var.facts]
}

run "codebuild_without_projects_is_refused" {
  command = plan
  variables {
    facts = {
      state_table      = "s", boot_table = "b", boot_owner = "AROAPLAIN", boot_owner_exec = "AROAEXEC", cluster = "c", subnets = ["subnet-01234567"], security_groups = ["sg-01234567"],
      assign_public_ip = true, queue_url = "q", webhook_secret = "w", github_secret = "g", log_group = "l", webhook_sources = { cidrs = ["::/0"] }, webhook_url = "u", questions_function = "q"
      task_definitions = { "default/x64" = "d:1", "next/x64" = "n:1", "official/x64" = "o:1" }
      agents           = { x64 = { bucket = "b", key = "agent/x64/ecsrunner-agent", version = "v" } }
      image            = { builder = "codebuild", repository = "ecsrunner-ci-runner", projects = {}, sources = "0123456789ab", tag = "1", plain = true }
    }
  }
  expect_failures = [var.facts]
}

run "a_builder_without_a_repository_is_refused" {
  command = plan
  variables {
    facts = {
      state_table      = "s", boot_table = "b", boot_owner = "AROAPLAIN", boot_owner_exec = "AROAEXEC", cluster = "c", subnets = ["subnet-01234567"], security_groups = ["sg-01234567"],
      assign_public_ip = true, queue_url = "q", webhook_secret = "w", github_secret = "g", log_group = "l", webhook_sources = { cidrs = ["::/0"] }, webhook_url = "u", questions_function = "q"
      task_definitions = { "default/x64" = "d:1", "next/x64" = "n:1", "official/x64" = "o:1" }
      agents           = { x64 = { bucket = "b", key = "agent/x64/ecsrunner-agent", version = "v" } }
      image            = { builder = "docker", sources = "0123456789ab", tag = "1", plain = true }
    }
  }
  expect_failures = [var.facts]
}

run "a_project_without_the_image_of_its_next_build_is_refused" {
  command = plan
  variables {
    facts = {
      state_table      = "s", boot_table = "b", boot_owner = "AROAPLAIN", boot_owner_exec = "AROAEXEC", cluster = "c", subnets = ["subnet-01234567"], security_groups = ["sg-01234567"],
      assign_public_ip = true, queue_url = "q", webhook_secret = "w", github_secret = "g", log_group = "l", webhook_sources = { cidrs = ["::/0"] }, webhook_url = "u", questions_function = "q"
      task_definitions = { "default/x64" = "d:1" }
      image            = { builder = "codebuild", repository = "ecsrunner-ci-runner", projects = { x64 = "ecsrunner-ci-image-x64" }, sources = "0123456789ab", tag = "1", plain = true }
    }
  }
  expect_failures = [var.facts]
}

run "sources_without_their_hash_are_refused" {
  command = plan
  variables {
    facts = {
      state_table      = "s", boot_table = "b", boot_owner = "AROAPLAIN", boot_owner_exec = "AROAEXEC", cluster = "c", subnets = ["subnet-01234567"], security_groups = ["sg-01234567"],
      assign_public_ip = true, queue_url = "q", webhook_secret = "w", github_secret = "g", log_group = "l", webhook_sources = { cidrs = ["::/0"] }, webhook_url = "u", questions_function = "q"
      task_definitions = { "default/x64" = "d:1", "next/x64" = "n:1", "official/x64" = "o:1" }
      agents           = { x64 = { bucket = "b", key = "agent/x64/ecsrunner-agent", version = "v" } }
      image            = { builder = "codebuild", repository = "ecsrunner-ci-runner", projects = { x64 = "ecsrunner-ci-image-x64" }, sources = "latest", tag = "1", plain = true }
    }
  }
  expect_failures = [var.facts]
}

run "a_runner_version_with_a_v_is_refused" {
  command = plan
  variables {
    facts = {
      state_table      = "s", boot_table = "b", boot_owner = "AROAPLAIN", boot_owner_exec = "AROAEXEC", cluster = "c", subnets = ["subnet-01234567"], security_groups = ["sg-01234567"],
      assign_public_ip = true, queue_url = "q", webhook_secret = "w", github_secret = "g", log_group = "l", webhook_sources = { cidrs = ["::/0"] }, webhook_url = "u", questions_function = "q"
      task_definitions = { "default/x64" = "d:1", "next/x64" = "n:1", "official/x64" = "o:1" }
      agents           = { x64 = { bucket = "b", key = "agent/x64/ecsrunner-agent", version = "v" } }
      image            = { builder = "codebuild", repository = "ecsrunner-ci-runner", projects = { x64 = "ecsrunner-ci-image-x64" }, sources = "0123456789ab", tag = "1", runner_version = "v2.337.0", plain = true }
    }
  }
  expect_failures = [var.facts]
}

run "a_window_that_ends_when_it_begins_is_refused" {
  command = plan
  variables {
    classes  = { small = { cpu = 512, memory = 1024, warm = { count = 1, schedule = ["Mon-Fri 08:00-08:00 UTC"] } } }
    settings = { repositories = ["*"], limits = { max_warm = 1 } }
  }
  expect_failures = [var.classes]
}

run "a_class_for_no_repository_is_refused" {
  command = plan
  variables {
    classes = { small = { cpu = 512, memory = 1024, repositories = [] } }
  }
  expect_failures = [var.classes]
}

run "a_time_for_jobs_that_wait_is_refused" {
  command = plan
  variables {
    settings = { repositories = ["acme/*"], on_failure = "wait", fail_after_minutes = 10 }
  }
  expect_failures = [var.settings]
}
