# Creates the resources that tasks need: the cluster, a task definition for each combination that RunTask
# cannot override (image, architecture, and whether ECS Exec is on), the security group and the log group.
#
# Nothing runs here until the control plane calls RunTask, which sets cpu, memory, storage and the
# environment. Neither a definition nor an environment contains a secret, with one exception: RunTask gives a
# task of GitHub's own image a URL that is valid for 15 minutes, from which it downloads the agent (ADR 25).
# A task takes its configuration from the boot table.

locals {
  name = "ecsrunner-${var.deployment}"

  # `<image>/<arch>` and `<image>/<arch>/exec`, as `crates/aws/src/ecs/definition.rs` reads them.
  variants = merge([
    for pair in concat(
      flatten([for name, uris in var.images : [for arch, uri in uris : { name = name, uri = uri, arch = arch }]]),
      [for arch in keys(var.official.agents) : { name = "official", uri = var.official.uri, arch = arch }],
      ) : {
      "${pair.name}/${pair.arch}"      = merge(pair, { exec = false, family = "${local.name}-${pair.name}-${pair.arch}" })
      "${pair.name}/${pair.arch}/exec" = merge(pair, { exec = true, family = "${local.name}-${pair.name}-${pair.arch}-exec" })
    }
  ]...)

  # What GitHub's image needs to become a runner. Our own images have the same values built in.
  official = {
    for arch, sha256 in var.official.agents : "official/${arch}" => {
      # GitHub's image has `USER runner`. The agent is root, so that a job cannot change the data by which it is judged.
      user       = "0"
      entryPoint = ["/bin/bash", "-c", file("${path.module}/official.sh"), "/usr/local/bin/ecsrunner-agent"]
      environment = [
        { name = "ECSRUNNER_AGENT_SHA256", value = sha256 },
        { name = "ECSRUNNER_RUNNER_DIR", value = "/home/runner" },
        { name = "ECSRUNNER_RUNNER_UID", value = "1001" },
      ]
    }
  }

  # CloudWatch must not delay a job that prints much: beyond 4 MiB, lines are lost here but not at GitHub.
  log = {
    logDriver = "awslogs"
    options = {
      awslogs-group         = aws_cloudwatch_log_group.runners.name
      awslogs-region        = data.aws_region.current.region
      awslogs-stream-prefix = "runner"
      mode                  = "non-blocking"
      max-buffer-size       = "4m"
    }
  }

  # The runner's container, by `<image>/<arch>`. No health check and no initProcessEnabled: each would be a process with
  # the task's environment, which has the address of its credentials. Our images set the user: root for the agent,
  # another for the job.
  runners = {
    for variant in values(local.variants) : "${variant.name}/${variant.arch}" => merge({
      name                   = "runner"
      image                  = variant.uri
      essential              = true
      readonlyRootFilesystem = false
      # The time between Spot's warning and the end; also Fargate's maximum.
      stopTimeout      = 120
      logConfiguration = local.log
    }, try(local.official["${variant.name}/${variant.arch}"], {})) if !variant.exec
  }

  architectures = { x64 = "X86_64", arm64 = "ARM64" }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

resource "aws_ecs_cluster" "runners" {
  #checkov:skip=CKV_AWS_65:Container Insights is charged per task; container_insights turns it on.
  name = local.name

  setting {
    name  = "containerInsights"
    value = var.container_insights ? "enabled" : "disabled"
  }

  configuration {
    execute_command_configuration {
      #checkov:skip=CKV_AWS_223:Exec would write its log with the task's own role, which a job could also use.
      #checkov:skip=CKV_AWS_224:As above. CloudTrail records who opened a shell and when.
      logging = "NONE"
    }
  }

  tags = var.tags
}

# No default strategy: each RunTask call names the provider.
resource "aws_ecs_cluster_capacity_providers" "runners" {
  cluster_name       = aws_ecs_cluster.runners.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]

  lifecycle {
    # AWS adds those of managed instances by itself, and this call may neither name nor remove them.
    ignore_changes = [capacity_providers]
  }
}

resource "aws_cloudwatch_log_group" "runners" {
  #checkov:skip=CKV_AWS_338:log_retention_days sets the retention.
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts with its own key; kms_key_arn sets another.
  name              = "/ecsrunner/${var.deployment}/runners"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

resource "aws_ecs_task_definition" "runner" {
  #checkov:skip=CKV_AWS_336:Runner and job write to the container's disk, and so does ECS Exec.
  #checkov:skip=CKV_AWS_249:Task role and execution role differ, but both are unknown at plan time.
  for_each = local.variants

  family                   = each.value.family
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  # RunTask overrides this with the class's size.
  cpu    = "256"
  memory = "512"

  execution_role_arn = aws_iam_role.execution.arn
  task_role_arn      = aws_iam_role.task[each.value.exec ? "exec" : "plain"].arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = local.architectures[each.value.arch]
  }

  container_definitions = jsonencode([local.runners["${each.value.name}/${each.value.arch}"]])

  # A launch in progress names the previous revision.
  skip_destroy = true
  track_latest = false

  tags = var.tags
}

resource "aws_security_group" "runners" {
  #checkov:skip=CKV2_AWS_5:RunTask attaches it to each task.
  name        = "${local.name}-runners"
  description = "Runners: nothing comes in"
  vpc_id      = var.vpc_id
  tags        = var.tags
}

# A job may connect anywhere: registries, mirrors, SSH to other hosts.
resource "aws_vpc_security_group_egress_rule" "anywhere" {
  #checkov:skip=CKV_AWS_382:A job may connect anywhere, as on GitHub's own runners; your own network can restrict it.
  for_each = { ipv4 = "0.0.0.0/0", ipv6 = "::/0" }

  security_group_id = aws_security_group.runners.id
  description       = "Jobs reach GitHub and whatever else they need"
  cidr_ipv4         = each.key == "ipv4" ? each.value : null
  cidr_ipv6         = each.key == "ipv6" ? each.value : null
  ip_protocol       = "-1"

  tags = var.tags
}
