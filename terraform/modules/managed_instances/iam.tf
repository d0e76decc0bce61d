# Two roles. ECS itself uses `infrastructure` to start and end EC2 instances. The ECS agent of an instance uses `instance`,
# and so can a job that is root there: it has what the agent needs on this cluster, and nothing else.
#
# What that leaves to a job: to poll ECS as another instance, or to report another task's state, it must name that instance
# or task. Their ids are random, no action here lists them, and no job is told one that is not its own.

locals {
  # IAM's limit is 64 characters.
  role_names = {
    for role, name in {
      infrastructure = "ecsrunner-${var.deployment}-infrastructure-${var.class.name}"
      # AWS's policy for `infrastructure` may pass only roles that begin like this.
      instance = "ecsInstanceRole-${var.deployment}-${var.class.name}"
    } : role => length(name) <= 64 ? name : "${substr(name, 0, 55)}-${substr(sha256(name), 0, 8)}"
  }
}

data "aws_iam_policy_document" "infrastructure_trust" {
  # AWS documents no source condition for this role.
  statement {
    sid     = "Ecs"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "infrastructure" {
  name               = local.role_names.infrastructure
  description        = "Lets ECS start and end the instances of class ${var.class.name}"
  assume_role_policy = data.aws_iam_policy_document.infrastructure_trust.json

  path                 = var.iam.path
  permissions_boundary = var.iam.permissions_boundary
  tags                 = var.tags
}

# AWS's own policy: what ECS needs of EC2 changes with the service.
resource "aws_iam_role_policy_attachment" "infrastructure" {
  role       = aws_iam_role.infrastructure.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/AmazonECSInfrastructureRolePolicyForManagedInstances"
}

data "aws_iam_policy_document" "infrastructure" {
  # AWS's policy names the role without a path.
  statement {
    sid       = "PassTheInstancesRole"
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.instance.arn]

    condition {
      test     = "StringLike"
      variable = "iam:PassedToService"
      # In China the service has another domain.
      values = ["ec2.*"]
    }
  }
}

resource "aws_iam_role_policy" "infrastructure" {
  name   = "pass-the-instances-role"
  role   = aws_iam_role.infrastructure.name
  policy = data.aws_iam_policy_document.infrastructure.json
}

data "aws_iam_policy_document" "instance_trust" {
  statement {
    sid     = "Ec2"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "instance" {
  name               = local.role_names.instance
  description        = "The ECS agent on the instances of class ${var.class.name}"
  assume_role_policy = data.aws_iam_policy_document.instance_trust.json

  path                 = var.iam.path
  permissions_boundary = var.iam.permissions_boundary
  tags                 = var.tags
}

# The actions of AWS's policy AmazonECSInstanceRolePolicyForManagedInstances (version 3, read 2026-11), on this cluster only.
data "aws_iam_policy_document" "instance" {
  statement {
    sid     = "FindEcs"
    actions = ["ecs:DiscoverPollEndpoint"]
    # It supports no resource. It tells an address of ECS.
    resources = ["*"]
  }

  statement {
    sid       = "JoinTheCluster"
    actions   = ["ecs:RegisterContainerInstance"]
    resources = [var.cluster.arn]
  }

  statement {
    sid       = "ReceiveTasks"
    actions   = ["ecs:Poll", "ecs:StartTelemetrySession", "ecs:PutSystemLogEvents"]
    resources = ["${replace(var.cluster.arn, ":cluster/", ":container-instance/")}/*"]

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [var.cluster.arn]
    }
  }

  statement {
    sid       = "ReportTasks"
    actions   = ["ecs:SubmitAttachmentStateChanges", "ecs:SubmitTaskStateChange"]
    resources = [var.cluster.arn]
  }
}

resource "aws_iam_role_policy" "instance" {
  name   = "ecs-agent"
  role   = aws_iam_role.instance.name
  policy = data.aws_iam_policy_document.instance.json
}

resource "aws_iam_instance_profile" "instance" {
  name = local.role_names.instance
  role = aws_iam_role.instance.name
  path = var.iam.path
  tags = var.tags
}
