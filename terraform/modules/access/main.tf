# Policies for people, as documents: nothing is attached here, since only the account knows its people. The viewer's
# policy reads, the operator's adds what the command line writes.
#
# xtask/terraform/access.py compares the actions with those that docs/operate.md lists for the commands, and with
# granted.md. Neither policy reads a secret or the boot table.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  # Builds of the image, if AWS builds it.
  builds = length(var.project_arns) == 0 ? {} : { builds = var.project_arns }

  kms   = var.kms_key_arn == null ? {} : { key = var.kms_key_arn }
  tasks = "${replace(var.cluster.arn, ":cluster/", ":task/")}/*"
  ecr   = "arn:${data.aws_partition.current.partition}:ecr:*:*:repository/*"
}

data "aws_iam_policy_document" "viewer" {
  #checkov:skip=CKV_AWS_356:each `*` has its reason at the statement
  source_policy_documents = concat(
    [for document in data.aws_iam_policy_document.viewer_kms : document.json],
    [for document in data.aws_iam_policy_document.viewer_builds : document.json],
  )

  statement {
    sid       = "Configuration"
    actions   = ["ssm:GetParameters"]
    resources = var.parameter_arns
  }

  statement {
    sid       = "RecordsAndHistory"
    actions   = ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"]
    resources = [var.state_table.arn, "${var.state_table.arn}/index/*"]
  }

  statement {
    sid       = "Cluster"
    actions   = ["ecs:DescribeClusters"]
    resources = [var.cluster.arn]
  }

  statement {
    sid       = "Tasks"
    actions   = ["ecs:DescribeTasks"]
    resources = [local.tasks]
  }

  # `*`: ListTasks supports only container instances as resources, and Fargate has none. A condition names the cluster.
  statement {
    sid       = "ListTasks"
    actions   = ["ecs:ListTasks"]
    resources = ["*"]

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [var.cluster.arn]
    }
  }

  # `*`: DescribeTaskDefinition supports no resource, and no definition contains a secret. A capacity provider has a name and a
  # state. GetServiceQuota and the reads of metrics, alarms and networks support none that names a deployment.
  statement {
    sid = "WithoutResources"
    actions = [
      "cloudwatch:DescribeAlarms",
      "cloudwatch:GetMetricData",
      "ec2:DescribeRouteTables",
      "ec2:DescribeSubnets",
      "ec2:DescribeVpcEndpoints",
      "ecs:DescribeCapacityProviders",
      "ecs:DescribeTaskDefinition",
      "servicequotas:GetServiceQuota",
    ]
    resources = ["*"]
  }

  # `*`: images may be in repositories of any account and Region. The answer has tags, sizes and times.
  statement {
    sid       = "Images"
    actions   = ["ecr:DescribeImages"]
    resources = [local.ecr]
  }

  statement {
    sid       = "Dashboard"
    actions   = ["cloudwatch:GetDashboard"]
    resources = ["arn:${data.aws_partition.current.partition}:cloudwatch::${data.aws_caller_identity.current.account_id}:dashboard/${var.dashboard_name}"]
  }

  statement {
    sid       = "Queues"
    actions   = ["sqs:GetQueueAttributes"]
    resources = concat([var.kicks_queue.arn], var.dead_letter_arns)
  }

  # What GitHub says about the App, jobs and runners, without its credentials. The function does nothing else.
  statement {
    sid       = "AskGitHub"
    actions   = ["lambda:InvokeFunction"]
    resources = [var.questions_function_arn]
  }

  # Runners' logs contain what jobs print.
  statement {
    sid       = "Logs"
    actions   = ["logs:FilterLogEvents", "logs:GetLogEvents"]
    resources = flatten([for group in var.log_groups : ["arn:${data.aws_partition.current.partition}:logs:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:log-group:${group}", "arn:${data.aws_partition.current.partition}:logs:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:log-group:${group}:*"]])
  }

}

data "aws_iam_policy_document" "viewer_kms" {
  for_each = local.kms

  # DynamoDB decrypts the state table on behalf of the caller.
  statement {
    sid       = "Decrypt"
    actions   = ["kms:Decrypt"]
    resources = [each.value.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["dynamodb.${data.aws_region.current.region}.${data.aws_partition.current.dns_suffix}"]
    }
  }
}

data "aws_iam_policy_document" "viewer_builds" {
  for_each = local.builds

  statement {
    sid       = "Builds"
    actions   = ["codebuild:BatchGetBuilds", "codebuild:ListBuildsForProject"]
    resources = each.value
  }
}

# What the operator's policy adds. IAM limits writes to partitions and, for updates, to attributes. It cannot tell one
# open record from another: an operator could write any of them.
data "aws_iam_policy_document" "operator" {
  source_policy_documents = concat(
    [data.aws_iam_policy_document.viewer.json],
    [for document in data.aws_iam_policy_document.operator_builds : document.json],
  )

  statement {
    sid       = "PauseAndResume"
    actions   = ["ssm:PutParameter"]
    resources = [var.paused_arn]
  }

  # Stopping a runner and retrying a job write an open record.
  statement {
    sid       = "StopAndRetry"
    actions   = ["dynamodb:PutItem"]
    resources = [var.state_table.arn]

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "dynamodb:LeadingKeys"
      values   = ["open"]
    }

    # ForAllValues alone would allow a request without a key.
    condition {
      test     = "Null"
      variable = "dynamodb:LeadingKeys"
      values   = ["false"]
    }
  }

  # Retrying a job deletes its refusal.
  statement {
    sid       = "DeleteRefusals"
    actions   = ["dynamodb:DeleteItem"]
    resources = [var.state_table.arn]

    condition {
      test     = "ForAllValues:StringLike"
      variable = "dynamodb:LeadingKeys"
      values   = ["job#*"]
    }

    condition {
      test     = "Null"
      variable = "dynamodb:LeadingKeys"
      values   = ["false"]
    }
  }

  # A kick counts up `n`. The lease is in the same partition, and has other attributes.
  statement {
    sid       = "CountKicks"
    actions   = ["dynamodb:UpdateItem"]
    resources = [var.state_table.arn]

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "dynamodb:LeadingKeys"
      values   = ["dispatch"]
    }

    condition {
      test     = "Null"
      variable = "dynamodb:LeadingKeys"
      values   = ["false"]
    }

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "dynamodb:Attributes"
      values   = ["pk", "sk", "n"]
    }
  }

  statement {
    sid       = "Kick"
    actions   = ["sqs:SendMessage"]
    resources = [var.kicks_queue.arn]
  }

  # Only tasks of classes with `exec` accept it.
  statement {
    sid       = "OpenAShell"
    actions   = ["ecs:ExecuteCommand"]
    resources = [var.cluster.arn, local.tasks]

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [var.cluster.arn]
    }
  }
}

data "aws_iam_policy_document" "operator_builds" {
  for_each = local.builds

  statement {
    sid       = "StartBuilds"
    actions   = ["codebuild:StartBuild"]
    resources = each.value
  }
}
