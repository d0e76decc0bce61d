# Makes what a task is started from: the cluster, a task definition for each combination that RunTask
# cannot override (image, architecture, and whether ECS Exec is on), the security group and the log group.
#
# Nothing runs here until the control plane calls RunTask, which sets cpu, memory, storage and the
# environment. No secret is in a definition or an environment: a task takes its configuration from the
# boot table.

locals {
  name = "ecsrunner-${var.deployment}"

  # `<image>/<arch>` and `<image>/<arch>/exec`, as `crates/aws/src/ecs/definition.rs` reads them.
  variants = merge([
    for pair in flatten([for name, image in var.images : [for arch in image.architectures : { name = name, uri = image.uri, arch = arch }]]) : {
      "${pair.name}/${pair.arch}"      = merge(pair, { exec = false, family = "${local.name}-${pair.name}-${pair.arch}" })
      "${pair.name}/${pair.arch}/exec" = merge(pair, { exec = true, family = "${local.name}-${pair.name}-${pair.arch}-exec" })
    }
  ]...)

  architectures = { x64 = "X86_64", arm64 = "ARM64" }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

resource "aws_ecs_cluster" "runners" {
  #checkov:skip=CKV_AWS_65:Container Insights costs for each task; container_insights turns it on.
  name = local.name

  setting {
    name  = "containerInsights"
    value = var.container_insights ? "enabled" : "disabled"
  }

  configuration {
    execute_command_configuration {
      #checkov:skip=CKV_AWS_223:Exec's log would be written with the task's own role, which a job could use too.
      #checkov:skip=CKV_AWS_224:As above. CloudTrail records who opened a shell, and when.
      logging = "NONE"
    }
  }
}

# No default strategy: RunTask names the provider each time.
resource "aws_ecs_cluster_capacity_providers" "runners" {
  cluster_name       = aws_ecs_cluster.runners.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]
}

resource "aws_cloudwatch_log_group" "runners" {
  #checkov:skip=CKV_AWS_338:How long logs are worth keeping is for log_retention_days to say.
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts with a key of its own; kms_key_arn sets another.
  name              = "/ecsrunner/${var.deployment}/runners"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_ecs_task_definition" "runner" {
  #checkov:skip=CKV_AWS_336:Runner and job write to their own disk, and ECS Exec needs it.
  #checkov:skip=CKV_AWS_249:Task role and execution role are two; both are unknown while a plan is read.
  for_each = local.variants

  family                   = each.value.family
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  # RunTask sets the size of the class.
  cpu    = "256"
  memory = "512"

  execution_role_arn = aws_iam_role.execution.arn
  task_role_arn      = aws_iam_role.task[each.value.exec ? "exec" : "plain"].arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = local.architectures[each.value.arch]
  }

  # No health check and no initProcessEnabled: either is a process that keeps the task's environment,
  # with the address of its credentials. The user is the image's: root for the agent, another for the job.
  container_definitions = jsonencode([{
    name                   = "runner"
    image                  = each.value.uri
    essential              = true
    readonlyRootFilesystem = false
    # What Spot gives between its warning and the end; Fargate's most.
    stopTimeout = 120
    # A job that prints much is not held up by CloudWatch: beyond 4 MiB lines are lost here, not at GitHub.
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.runners.name
        awslogs-region        = data.aws_region.current.region
        awslogs-stream-prefix = "runner"
        mode                  = "non-blocking"
        max-buffer-size       = "4m"
      }
    }
  }])

  # A launch that is under way names the revision before this one.
  skip_destroy = true
  track_latest = false
}

resource "aws_security_group" "runners" {
  #checkov:skip=CKV2_AWS_5:RunTask attaches it to each task.
  name        = "${local.name}-runners"
  description = "Runners: nothing comes in"
  vpc_id      = var.vpc_id
}

# Where a job goes to is the job's business: registries, mirrors, SSH to a host of its own.
resource "aws_vpc_security_group_egress_rule" "anywhere" {
  #checkov:skip=CKV_AWS_382:A job may go anywhere, as on GitHub's own runners; a network of one's own can hold it back.
  for_each = { ipv4 = "0.0.0.0/0", ipv6 = "::/0" }

  security_group_id = aws_security_group.runners.id
  description       = "Jobs reach GitHub and whatever else they need"
  cidr_ipv4         = each.key == "ipv4" ? each.value : null
  cidr_ipv6         = each.key == "ipv6" ? each.value : null
  ip_protocol       = "-1"
}
