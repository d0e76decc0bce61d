# Tests the capacity providers, their instances and permissions, and that each invalid value is refused.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mocked" }
  }
  mock_resource "aws_iam_instance_profile" {
    defaults = { arn = "arn:aws:iam::123456789012:instance-profile/mocked" }
  }
}

variables {
  deployment = "ci"
  class      = { name = "images", cpu = 2048, memory = 4096, arch = "x64", capacity = "on-demand" }
  cluster    = { name = "ecsrunner-ci", arn = "arn:aws:ecs:eu-west-1:123456789012:cluster/ecsrunner-ci" }
  network    = { vpc_id = "vpc-0123456789abcdef0", subnet_ids = ["subnet-0123456789abcdef0"] }
}

run "an_instance_has_room_for_one_task_and_ends_with_it" {
  command = apply

  assert {
    condition     = output.capacity_providers == { on-demand = "runners-ci-images" }
    error_message = "one capacity provider for the class's market, whose name does not begin with `ecs`"
  }
  assert {
    condition     = aws_ecs_capacity_provider.class["on-demand"].managed_instances_provider[0].infrastructure_optimization[0].scale_in_after == 0
    error_message = "an idle instance must end at once"
  }
  assert {
    condition     = [for requirements in aws_ecs_capacity_provider.class["on-demand"].managed_instances_provider[0].instance_launch_template[0].instance_requirements : [requirements.vcpu_count[0].min, requirements.vcpu_count[0].max, requirements.memory_mib[0].min, requirements.memory_mib[0].max]] == [[2, 2, 8192, 8192]]
    error_message = "minimum and maximum must be the same: a larger instance has room for a second task"
  }
  assert {
    condition     = aws_ecs_capacity_provider.class["on-demand"].managed_instances_provider[0].instance_launch_template[0].instance_requirements[0].accelerator_count[0].max == 0
    error_message = "EC2 excludes types with accelerators only if the maximum is 0"
  }
  assert {
    condition     = aws_ecs_capacity_provider.class["on-demand"].managed_instances_provider[0].instance_launch_template[0].storage_configuration[0].storage_size_gib == 80
    error_message = "the storage is 80 GiB by default"
  }
}

# The same sizes are in `crates/core/src/rules/class/size/instance.rs`.
run "the_instance_is_the_one_that_the_control_plane_expects_3584" {
  command = plan
  variables { class = { name = "a", cpu = 2048, memory = 3584, arch = "x64", capacity = "on-demand" } }
  assert {
    condition     = output.instance == { vcpus = 2, memory_mib = 4096 }
    error_message = "seven eighths of 4 GiB are enough"
  }
}

run "the_instance_is_the_one_that_the_control_plane_expects_3585" {
  command = plan
  variables { class = { name = "a", cpu = 2048, memory = 3585, arch = "x64", capacity = "on-demand" } }
  assert {
    condition     = output.instance == { vcpus = 2, memory_mib = 8192 }
    error_message = "an eighth must be left to the system"
  }
}

run "the_instance_is_the_one_that_the_control_plane_expects_28672" {
  command = plan
  variables { class = { name = "a", cpu = 4096, memory = 28672, arch = "x64", capacity = "on-demand" } }
  assert {
    condition     = output.instance == { vcpus = 4, memory_mib = 32768 }
    error_message = "a memory optimized instance"
  }
}

run "the_instance_is_the_one_that_the_control_plane_expects_172032" {
  command = plan
  variables { class = { name = "a", cpu = 98304, memory = 172032, arch = "arm64", capacity = "on-demand" } }
  assert {
    condition     = output.instance == { vcpus = 96, memory_mib = 196608 } && aws_ecs_capacity_provider.class["on-demand"].managed_instances_provider[0].instance_launch_template[0].instance_requirements[0].cpu_manufacturers == toset(["amazon-web-services"])
    error_message = "the largest instance, with Graviton"
  }
}

run "each_market_has_a_provider_of_its_own" {
  command = plan
  variables { class = { name = "images", cpu = 2048, memory = 4096, arch = "x64", capacity = "spot-then-on-demand", storage_gib = 200 } }

  assert {
    condition     = output.capacity_providers == { on-demand = "runners-ci-images", spot = "runners-ci-images_spot" }
    error_message = "one for On-Demand and one for Spot"
  }
  assert {
    condition     = { for market, provider in aws_ecs_capacity_provider.class : market => provider.managed_instances_provider[0].instance_launch_template[0].capacity_option_type } == { on-demand = "ON_DEMAND", spot = "SPOT" }
    error_message = "each starts instances of its market"
  }
  assert {
    condition     = alltrue([for provider in aws_ecs_capacity_provider.class : provider.managed_instances_provider[0].instance_launch_template[0].storage_configuration[0].storage_size_gib == 200])
    error_message = "the class's storage"
  }
}

run "a_class_on_spot_alone_has_on_demand_for_jobs_that_were_interrupted_twice" {
  command = plan
  variables { class = { name = "images", cpu = 2048, memory = 4096, arch = "x64", capacity = "spot" } }
  assert {
    condition     = output.capacity_providers == { on-demand = "runners-ci-images", spot = "runners-ci-images_spot" }
    error_message = "the second time a job is run again, it gets On-Demand"
  }
}

run "an_instance_may_do_what_its_agent_needs_on_this_cluster_alone" {
  command = plan

  assert {
    condition = sort(flatten([for statement in data.aws_iam_policy_document.instance.statement : statement.actions])) == tolist([
      "ecs:DiscoverPollEndpoint", "ecs:Poll", "ecs:PutSystemLogEvents", "ecs:RegisterContainerInstance",
      "ecs:StartTelemetrySession", "ecs:SubmitAttachmentStateChanges", "ecs:SubmitTaskStateChange",
    ])
    error_message = "a job that is root of the instance can do all of this: nothing that lists, reads an item or starts anything"
  }
  assert {
    condition     = alltrue([for statement in data.aws_iam_policy_document.instance.statement : alltrue([for arn in statement.resources : startswith(arn, "arn:aws:ecs:eu-west-1:123456789012:") && strcontains(arn, "/ecsrunner-ci")]) if statement.sid != "FindEcs"])
    error_message = "each statement names this cluster"
  }
  assert {
    condition     = startswith(aws_iam_role.instance.name, "ecsInstanceRole") && startswith(aws_iam_instance_profile.instance.name, "ecsInstanceRole")
    error_message = "AWS's policy of the other role passes no role with another name"
  }
  assert {
    condition     = endswith(aws_iam_role_policy_attachment.infrastructure.policy_arn, ":policy/AmazonECSInfrastructureRolePolicyForManagedInstances")
    error_message = "AWS's own policy"
  }
}

run "long_names_fit_into_iams_limit" {
  command = plan
  variables {
    deployment = "abcdefghijklmnopqrst"
    class      = { name = "abcdefghijklmnopqrstuvwxyz012345", cpu = 2048, memory = 4096, arch = "x64", capacity = "spot" }
  }
  assert {
    condition     = length(aws_iam_role.instance.name) == 64 && length(aws_iam_role.infrastructure.name) == 64 && startswith(aws_iam_role.instance.name, "ecsInstanceRole-abcdefghijklmnopqrst-")
    error_message = "names are cut and told apart by a hash"
  }
}

run "an_instance_with_gpus_has_exactly_those_and_at_least_what_the_task_needs" {
  command = plan
  variables { class = { name = "cuda", cpu = 3000, memory = 14336, arch = "x64", capacity = "spot", gpu = { count = 4 } } }

  assert {
    condition     = alltrue([for provider in aws_ecs_capacity_provider.class : provider.managed_instances_provider[0].instance_launch_template[0].instance_requirements[0].accelerator_count[0] == { min = 4, max = 4 }])
    error_message = "a second task with GPUs would have room on an instance with more"
  }
  assert {
    condition     = [for it in aws_ecs_capacity_provider.class["spot"].managed_instances_provider[0].instance_launch_template[0].instance_requirements : [it.accelerator_types, it.accelerator_manufacturers, it.instance_generations]] == [[toset(["gpu"]), toset(["nvidia"]), toset(["current"])]]
    error_message = "GPUs of NVIDIA, which ECS supports"
  }
  assert {
    condition     = jsonencode([for it in aws_ecs_capacity_provider.class["spot"].managed_instances_provider[0].instance_launch_template[0].instance_requirements : [it.vcpu_count[0].min, it.vcpu_count[0].max, it.memory_mib[0].min, it.memory_mib[0].max]]) == "[[3,null,16384,null]]"
    error_message = "no maximum: few types have GPUs"
  }
  assert {
    condition     = aws_ecs_capacity_provider.class["spot"].managed_instances_provider[0].instance_launch_template[0].instance_requirements[0].allowed_instance_types == null && output.instance == { vcpus = 3, memory_mib = 16384 }
    error_message = "any type that fits"
  }
}

run "instance_types_with_gpus_can_be_named" {
  command = plan
  variables { class = { name = "cuda", cpu = 1024, memory = 14337, arch = "x64", capacity = "on-demand", gpu = { count = 1, instance_types = ["g6.*", "p3.2xlarge"] } } }

  assert {
    condition     = jsonencode([for it in aws_ecs_capacity_provider.class["on-demand"].managed_instances_provider[0].instance_launch_template[0].instance_requirements : [it.allowed_instance_types, it.instance_generations, it.memory_mib[0].min, it.on_demand_max_price_percentage_over_lowest_price, it.spot_max_price_percentage_over_lowest_price]]) == "[[[\"g6.*\",\"p3.2xlarge\"],[\"current\",\"previous\"],16386,999999,999999]]"
    error_message = "these types, of whatever generation and price"
  }
}

run "a_number_of_gpus_that_no_type_has_is_refused" {
  command = plan
  variables { class = { name = "cuda", cpu = 4096, memory = 8192, arch = "x64", capacity = "on-demand", gpu = { count = 3 } } }
  expect_failures = [var.class]
}

run "half_of_an_instance_is_refused" {
  command = plan
  variables { class = { name = "images", cpu = 1024, memory = 2048, arch = "x64", capacity = "on-demand" } }
  expect_failures = [var.class]
}

run "another_capacity_is_refused" {
  command = plan
  variables { class = { name = "images", cpu = 2048, memory = 4096, arch = "x64", capacity = "cheap" } }
  expect_failures = [var.class]
}

run "another_architecture_is_refused" {
  command = plan
  variables { class = { name = "images", cpu = 2048, memory = 4096, arch = "riscv", capacity = "spot" } }
  expect_failures = [var.class]
}

run "another_name_of_a_deployment_is_refused" {
  command = plan
  variables { deployment = "Ci" }
  expect_failures = [var.deployment]
}
