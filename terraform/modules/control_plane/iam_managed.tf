# What the control plane needs for classes on ECS Managed Instances: to find out on which EC2 instance a task is, and to have
# ECS place no more tasks there. Granted only if there is such a class.

locals {
  managed_instances = var.managed_instances ? { instances = "${replace(var.cluster.arn, ":cluster/", ":container-instance/")}/*" } : {}
}

data "aws_iam_policy_document" "functions_instances" {
  for_each = local.managed_instances

  statement {
    sid       = "LookAfterInstances"
    actions   = ["ecs:DescribeContainerInstances", "ecs:UpdateContainerInstancesState"]
    resources = [each.value]

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [var.cluster.arn]
    }
  }
}

resource "aws_iam_role_policy" "functions_instances" {
  for_each = local.managed_instances

  name   = "instances"
  role   = aws_iam_role.functions.id
  policy = data.aws_iam_policy_document.functions_instances[each.key].json
}
